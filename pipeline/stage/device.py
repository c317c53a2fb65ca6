"""Which device does the work, and how much memory it took."""

from __future__ import annotations

import sys

import torch

from pipeline.errors import DeviceError


def find_device(name: str) -> torch.device:
    """The device for `run.device`: `auto` takes a CUDA device if there is one.

    Raises:
        DeviceError: a CUDA device was asked for that does not exist.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    device = torch.device("cuda:0" if name in ("auto", "cuda") else name)
    if (device.index or 0) >= count:
        raise DeviceError(
            f"run.device = {name}: this machine offers {count} CUDA devices.",
            "Use --device cpu or auto, or check the driver with nvidia-smi.",
        )
    return device


def find_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of convolutions for `network.precision`: `auto` takes the fastest that the device has natively.

    Half precision that is emulated is slower than float32, so `auto` never takes that.
    """
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major == 7 else torch.float32  # noqa: PLR2004
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = any(capabilities.get(flag) for flag in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if native else torch.float32


def describe(device: torch.device) -> str:
    """`cpu`, or `cuda:0 (name of the card)`."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring anew, where the device can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int | None:
    """Of the CUDA device since the last reset, or of this process since its start; None where nothing tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - does not exist on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
