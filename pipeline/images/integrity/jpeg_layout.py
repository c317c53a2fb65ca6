"""The segments of a JPEG file, from marker to marker (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from pipeline.images.file_errors import DamagedError

HIERARCHICAL: Final = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
"""Frames of pictures in several sizes, which no decoder here reads."""
JPEG_LS: Final = 0xF7
"""Frame of JPEG-LS (ITU-T T.87), another format with the same beginning."""
END, _QUANTISATION, _SCAN, _COMMENT = 0xD9, 0xDB, 0xDA, 0xFE
_FRAMES: Final = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {JPEG_LS}
"""Markers of frames, of which there is one for each picture."""
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_APPLICATION: Final = range(0xE0, 0xF0)
_BETWEEN_SCANS: Final = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, _COMMENT, *_APPLICATION})
"""Markers that may follow a scan, besides the end marker."""
_WITHOUT_SEGMENT: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers that consist of two bytes alone."""
_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The first marker after the data of a scan."""
_FILLED_MARKER: Final = re.compile(rb"\xff(?!\xff)")
"""The last fill byte before a marker."""
_COEFFICIENTS: Final = 64
_MAX_SCANS: Final = 500
"""Largest number of scans; a decoder works through the whole picture for each, and encoders write about ten."""


@dataclass
class JpegLayout:
    """Segments of a file, as far as they can be followed."""

    end: int = 0
    """Offset in bytes of the end marker, or of the place where it should be."""
    has_end: bool = False
    frame: int = 0
    """Marker of the frame, such as 0xC0 (baseline); 0: there is none."""
    bits: int = 0
    """Bits per channel."""
    pixels: int = 0
    """Number of pixels that the frame claims."""
    has_zero_steps: bool = False
    """Whether a table of quantisation has a step of 0, which no encoder writes."""
    parts: list[bytes | memoryview] = field(default_factory=list)
    """The file up to its end, without the segments of applications and comments."""
    missing: dict[int, list[int]] = field(default_factory=dict)
    """For each component, the bits of each coefficient that no scan has yet brought; -1 for all."""

    @property
    def is_complete(self) -> bool:
        """Whether the scans hold all bits of all coefficients."""
        return bool(self.missing) and not any(bits for each in self.missing.values() for bits in each)


def read_layout(data: bytes, *, until_scan: bool = False) -> JpegLayout:
    """Follow the segments of a file, from marker to marker.

    Args:
        data: the file.
        until_scan: end at the first scan; otherwise at the end marker, or where it should be.

    Raises:
        DamagedError: there are more scans than any program writes.
    """
    view, layout, at, scans = memoryview(data), JpegLayout(parts=[data[:2]]), 2, 0
    while scans <= _MAX_SCANS:
        at = layout.end = _next_marker(data, at)
        marker = data[at + 1] if at + 1 < len(data) else END
        layout.has_end = marker == END and at + 1 < len(data)
        if marker == END or (scans and marker not in _BETWEEN_SCANS):
            return layout
        if marker in _WITHOUT_SEGMENT:
            at += 2
            continue
        begin, at = at, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if at > len(data) or at < begin + 4 or (marker == _SCAN and until_scan):
            return layout
        _take_segment(layout, marker, data[begin + 4 : at])
        if marker == _SCAN:
            scans += 1
            found = _AFTER_SCAN.search(data, at)
            at = found.start() if found else len(data)
        if marker != _COMMENT and marker not in _APPLICATION:
            layout.parts.append(view[begin:at])
    raise DamagedError(f"it has more than {_MAX_SCANS} scans")


def _take_segment(layout: JpegLayout, marker: int, segment: bytes) -> None:
    """Note what a segment says about the picture."""
    if marker in _FRAMES and not layout.frame:
        layout.frame, layout.bits = marker, segment[0] if segment else 0
        layout.pixels = int.from_bytes(segment[1:3], "big") * int.from_bytes(segment[3:5], "big")
        layout.missing = {each: [-1] * _COEFFICIENTS for each in segment[6::3]}
    elif marker == _QUANTISATION:
        layout.has_zero_steps |= _has_zero_step(segment)
    elif marker == _SCAN:
        _take_scan(segment, layout.missing, is_progressive=layout.frame in _PROGRESSIVE)


def _next_marker(data: bytes, at: int) -> int:
    """Return the offset of the last fill byte before the next marker; the file's length if there is none."""
    found = _FILLED_MARKER.search(data, at)
    return found.start() if found else len(data)


def _has_zero_step(segment: bytes) -> bool:
    """Whether a segment with tables of quantisation (B.2.4.1) has a step of 0."""
    at = 0
    while at < len(segment):
        size = 2 if segment[at] >> 4 else 1
        steps = segment[at + 1 : at + 1 + size * _COEFFICIENTS]
        if not all(int.from_bytes(steps[each : each + size], "big") for each in range(0, len(steps), size)):
            return True
        at += 1 + size * _COEFFICIENTS
    return False


def _take_scan(segment: bytes, missing: dict[int, list[int]], *, is_progressive: bool) -> None:
    """Note which bits of which coefficients a scan brings, by its header (B.2.3)."""
    count = segment[0] if segment else 0
    if len(segment) != 4 + 2 * count:
        return
    first, last, bits = segment[-3:]
    if not is_progressive:
        first, last, bits = 0, _COEFFICIENTS - 1, 0
    for component in segment[1 : 1 + 2 * count : 2]:
        for each in range(first, min(last + 1, _COEFFICIENTS)):
            if component in missing:
                missing[component][each] = bits & 0x0F
