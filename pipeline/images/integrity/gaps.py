"""Gaps in a file of any format: whole blocks of zeros, as a disk or a copy that failed leaves them.

Decoders take zeros for pixels in uncompressed files, and in many compressed ones. Black pixels are zeros, too, but only
by chance do they begin and end where blocks do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_BLOCK: Final = 4096
"""Bytes of a block of most file systems, and of a page of memory."""


def gap_in(data: bytes) -> str:
    """Return a warning about gaps, which continues the file's name; an empty text: none.

    A gap is a run of zeros that begins and ends at a border of blocks, with other bytes beside it, or ends the file.
    """
    whole = len(data) // _BLOCK
    is_gap = ~np.frombuffer(data, np.uint8, whole * _BLOCK).reshape(whole, _BLOCK).any(axis=1)
    if not is_gap.any():
        return ""
    borders = np.flatnonzero(np.diff(np.concatenate(([False], is_gap, [False]))))
    size = 0
    for first, end in borders.reshape(-1, 2) * _BLOCK:
        reaches_end = not data[end : end + _BLOCK].strip(b"\0") and end + _BLOCK >= len(data)
        begins_at_border = first > 0 and data[first - 1] != 0
        if begins_at_border and (reaches_end or data[end] != 0):
            size += (len(data) if reaches_end else int(end)) - int(first)
    return f"may be damaged, look at it: {size} bytes in it, whole blocks of a disk, are zeros" if size else ""
