"""The devices of this machine, and the precision in which they compute."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from pipeline.errors import DeviceError, ImpastoError
from pipeline.stage.device.system_memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_devices(name: str) -> list[torch.device]:
    """Return the devices for `run.device`: for `cuda` and `auto` all CUDA devices; for `auto` without one, the CPU.

    Raises:
        DeviceError: the requested CUDA device does not exist.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return [torch.device("cpu")]
    if name in ("auto", "cuda") and count:
        return [torch.device("cuda", index) for index in range(count)]
    device = torch.device("cuda:0" if name == "cuda" else name)
    if (device.index or 0) >= count:
        raise DeviceError(
            f"run.device = {name}: this machine offers {count} CUDA devices.",
            "Use --device cpu or auto, or check the driver with nvidia-smi.",
        )
    return [device]


def find_device(name: str) -> torch.device:
    """Return the first of the devices for `run.device`.

    Raises:
        DeviceError: the requested CUDA device does not exist.
    """
    return find_devices(name)[0]


def open_card(device: torch.device) -> None:
    """Open a CUDA device; otherwise a thread that pins memory would open the first device instead.

    Raises:
        DeviceError: the device cannot be used.
    """
    if device.type == "cpu":
        return
    try:
        torch.cuda.set_device(device)
        torch.zeros(1, device=device)
    except RuntimeError as error:
        first_line = str(error).partition("\n")[0]
        raise DeviceError(
            f"{device} cannot be used: {first_line}.", "Check it with nvidia-smi, or name another with --device."
        ) from error


def find_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of convolutions for `network.precision`: for `auto`, the fastest that the device has natively.

    Emulated half precision is slower than float32, so `auto` never chooses it.
    """
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    return native_precisions(device)[0]


def native_precisions(device: torch.device) -> tuple[torch.dtype, ...]:
    """Return the types in which the device computes convolutions natively, the fastest first."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        halves = (torch.bfloat16, torch.float16) if major >= 8 else (torch.float16,) if major == 7 else ()  # noqa: PLR2004
        return (*halves, torch.float32)
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    has_bfloat16 = any(capabilities.get(flag) for flag in ("avx512_bf16", "amx_bf16"))
    return (torch.bfloat16, torch.float32) if has_bfloat16 else (torch.float32,)


def is_device_failure(error: Exception) -> bool:
    """Whether an error means that CUDA refuses every further operation until the process ends."""
    return not isinstance(error, ImpastoError) and not is_out_of_memory(error) and "CUDA error" in str(error)


@contextlib.contextmanager
def device_errors(device: torch.device, name: str) -> Iterator[None]:
    """Explain an error of CUDA, after which a process cannot use the device any more.

    Args:
        device: the device.
        name: name of the pair that is worked on.

    Raises:
        DeviceError: the device failed. Other errors, and a lack of memory, are passed on.
    """
    try:
        yield
    except Exception as error:
        if not is_device_failure(error):
            raise
        raise DeviceError(
            f"{describe_device(device)} failed at {name}: {error}.",
            "Check the device; then run the same command again to continue.",
        ) from error


def describe_device(device: torch.device) -> str:
    """Return `cpu`, or `cuda:0 (name of the card)`."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
