"""The segments of a JPEG file, from marker to marker (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

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
_COEFFICIENTS: Final = 64


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
    """
    view, layout, at, has_scan = memoryview(data), JpegLayout(parts=[data[:2]]), 2, False
    while True:
        at = layout.end = _next_marker(data, at)
        marker = data[at + 1] if at + 1 < len(data) else None
        if marker == END:
            layout.has_end = True
        if marker in (None, END) or (has_scan and marker not in _BETWEEN_SCANS):
            return layout
        if marker in _WITHOUT_SEGMENT:
            at += 2
            continue
        begin, at = at, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[begin + 4 : at]
        if at > len(data) or at < begin + 4:
            return layout
        if marker in _FRAMES and not layout.frame:
            layout.frame, layout.bits = marker, segment[0] if segment else 0
            layout.missing = {each: [-1] * _COEFFICIENTS for each in segment[6::3]}
        layout.has_zero_steps |= marker == _QUANTISATION and _has_zero_step(segment)
        if marker == _SCAN:
            if until_scan:
                return layout
            has_scan = True
            _take_scan(segment, layout.missing, is_progressive=layout.frame in _PROGRESSIVE)
            found = _AFTER_SCAN.search(data, at)
            at = found.start() if found else len(data)
        if marker != _COMMENT and marker not in _APPLICATION:
            layout.parts.append(view[begin:at])


def _next_marker(data: bytes, at: int) -> int:
    """Return the offset of the last fill byte before the next marker; the file's length if there is none."""
    at = data.find(b"\xff", at)
    if at < 0:
        return len(data)
    while data[at + 1 : at + 2] == b"\xff":
        at += 1
    return at


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
