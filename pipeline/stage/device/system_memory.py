"""Free and used memory of the host and of CUDA devices, and the C library's allocator."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import torch

from pipeline.transfer.tiling import WHOLE, Fit

_LARGE_PIXELS: Final = 1 << 19
"""See `keeps_freed_memory`."""


_M_MMAP_THRESHOLD: Final = -3
"""Of malloc.h."""


_LIMITS_AND_USES: Final = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def free_cuda_bytes(device: torch.device) -> int:
    """What is free on a card, with what torch keeps for itself there."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def free_host_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What this process may still take without swapping, in view of a container's limit (control groups 2 and 1)."""
    free = int(psutil.virtual_memory().available)
    for most, used in _LIMITS_AND_USES:
        with suppress(OSError, ValueError):  # there is none, or it is "max"
            room = int((root / most).read_text()) - int((root / used).read_text())
            free = min(free, room + _cached_bytes(root / most))
    return max(0, free)


def _cached_bytes(limit: Path) -> int:
    """Of the files' cache, which a control group counts as used though it goes when it is in the way."""
    with suppress(OSError, ValueError):  # not told
        for line in (limit.parent / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


def keeps_freed_memory(pixels: int, fit: Fit) -> bool:
    """Whether what tensors of an image free is better kept for the next ones than given back to the system at once.

    It saves a tenth of the time of small images; of large ones a third of the memory would be leftovers that the next
    tensor does not fit into.
    """
    return pixels < _LARGE_PIXELS and fit == WHOLE


def tune_allocator(pixels: int, fit: Fit = WHOLE) -> None:
    """Have glibc do what `keeps_freed_memory` says. Does nothing elsewhere than on Linux with glibc."""
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):  # another C library
        libc, keep = ctypes.CDLL(None), keeps_freed_memory(pixels, fit)
        if not keep:
            libc.malloc_trim(0)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20 if keep else 1 << 20)


def trim() -> None:
    """Give back to the system what was freed; see `tune_allocator`."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a pair was too large for the device or, where torch gives the error no type, for the CPU."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "DefaultCPUAllocator" in text
        or "CUDA error: out of memory" in text
    )


class PeakMemory:
    """The height of memory use since this was made: of the CUDA device, else of this process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: int | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        elif sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: proc(5)
            except OSError:  # not allowed in some containers
                return
            self._before = _status_bytes("VmRSS")

    def bytes(self) -> int | None:
        """In all; since the process's start where it cannot be measured anew; None where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if sys.platform == "linux":
            return _status_bytes("VmHWM")
        if sys.platform == "win32":
            return None
        import resource  # noqa: PLC0415 - does not exist on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def taken_bytes(self) -> int | None:
        """Beyond what was in use before; None where the system does not tell."""
        peak = self.bytes()
        return None if peak is None or self._before is None else peak - self._before


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        msg = f"/proc/self/status has no {field}"
        raise RuntimeError(msg)
    return int(found[1]) * 1024
