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
"""Smallest number of pixels of a large image, see `keeps_freed_memory`."""

_M_MMAP_THRESHOLD: Final = -3
"""Number of this option in malloc.h."""

_OUT_OF_MEMORY: Final = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "bad_alloc",
    "bad allocation",
    "Insufficient memory",  # OpenCV
)
"""Texts of errors that mean a lack of memory."""
_PERHAPS_OUT_OF_MEMORY: Final = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    "CUFFT_ALLOC_FAILED",
    "unable to find an engine",  # cuDNN, if no algorithm has room for its work memory
)
"""Texts of errors of CUDA's libraries that mean a lack of memory if a card is full, and another fault if not."""
_ROOM_FOR_LIBRARIES: Final = 1 << 30
"""Bytes on a card that CUDA's libraries may take beside torch."""

_LIMITS_AND_USES: Final = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Files with the memory limit and the memory use of control groups, versions 2 and 1."""


def free_cuda_bytes(device: torch.device) -> int:
    """Return the free bytes on a card, including those that torch has reserved and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def free_host_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may still take without swapping, and within the limit of its container."""
    free = int(psutil.virtual_memory().available)
    for limit, use in _LIMITS_AND_USES:
        with suppress(OSError, ValueError):  # there is no limit, or it is "max"
            room = int((root / limit).read_text()) - int((root / use).read_text())
            free = min(free, room + _cached_bytes(root / limit))
    return max(0, free)


def _cached_bytes(limit: Path) -> int:
    """Return the bytes of the file cache, which a control group counts as used, although the kernel can free them."""
    with suppress(OSError, ValueError):  # there is no such file
        for line in (limit.parent / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


def keeps_freed_memory(pixels: int, fit: Fit) -> bool:
    """Whether memory that tensors of an image free is kept for the next tensors, instead of released to the system.

    Keeping it saves a tenth of the time of small images. With large images, a third of the memory would be gaps that
    are too small for the next tensor.
    """
    return pixels < _LARGE_PIXELS and fit == WHOLE


def tune_allocator(pixels: int, fit: Fit = WHOLE) -> None:
    """Make glibc keep freed memory or release it, see `keeps_freed_memory`. Does nothing without glibc."""
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):  # another C library
        libc, keep = ctypes.CDLL(None), keeps_freed_memory(pixels, fit)
        if not keep:
            libc.malloc_trim(0)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20 if keep else 1 << 20)


def trim() -> None:
    """Release freed memory to the system. Does nothing without glibc."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out; torch and other libraries mark some of these only by their text."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return any(each in text for each in _OUT_OF_MEMORY) or (
        any(each in text for each in _PERHAPS_OUT_OF_MEMORY) and _is_a_card_full()
    )


def _is_a_card_full() -> bool:
    """Whether a card that this process uses has hardly any memory left for other libraries than torch."""
    if not torch.cuda.is_available():
        return False
    used = [index for index in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(index)]
    try:
        return any(torch.cuda.mem_get_info(index)[0] < _ROOM_FOR_LIBRARIES for index in used)
    except RuntimeError:  # the card has failed, and answers nothing
        return False


class PeakMemory:
    """Measures the largest memory use since it was built: of a CUDA device, otherwise of this process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: int | None = None
        """Bytes in use at the start; None if the system does not report them."""
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        elif sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")  # resets the peak: proc(5)
            except OSError:  # not allowed in some containers
                return
            self._before = _status_bytes("VmRSS")

    def bytes(self) -> int | None:
        """Return the largest number of bytes in use.

        Returns:
            None if the system does not report it. If the peak cannot be reset, it covers the whole life of the process.
        """
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
        """Return how many bytes more than at the start were in use; None if the system does not report it."""
        peak = self.bytes()
        return None if peak is None or self._before is None else peak - self._before


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        msg = f"/proc/self/status has no {field}"
        raise RuntimeError(msg)
    return int(found[1]) * 1024
