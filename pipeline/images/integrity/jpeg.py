"""Whether a JPEG file is whole: the warnings of libjpeg, the end marker, and the scans (ITU-T T.81).

libjpeg decodes damaged data into something, and warns. Pillow drops these warnings, and raises an error for a missing
end marker. simplejpeg raises the first warning as an error; at an eighth of the size it decodes all coefficients in
about half of the time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import simplejpeg

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked

_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_APPLICATION: Final = range(0xE0, 0xF0)
_BETWEEN_SCANS: Final = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, _COMMENT, *_APPLICATION})
"""Markers that may follow a scan, besides the end marker."""
_WITHOUT_SEGMENT: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers that consist of two bytes alone."""
_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The first marker after the data of a scan."""
_COEFFICIENTS: Final = 64
_LEFT_OVER: Final = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_DAMAGE: Final = re.compile(r"Corrupt JPEG data|Premature end|Inconsistent progression")
"""Warnings of libjpeg about data that is missing or invalid (its jerror.h)."""
_MISSING_SCANS: Final = "some of its scans are missing, so it shows less detail or colour than it had"


@dataclass
class _Layout:
    """Segments of a file, as far as they can be followed."""

    end: int = 0
    """Offset in bytes of the end marker, or of the place where it should be."""
    has_end: bool = False
    parts: list[bytes | memoryview] = field(default_factory=list)
    """The file up to its end, without the segments of applications and comments."""
    missing: dict[int, list[int]] = field(default_factory=dict)
    """For each component, the bits of each coefficient that no scan has yet brought; -1 for all."""

    @property
    def is_complete(self) -> bool:
        """Whether the scans hold all bits of all coefficients."""
        return bool(self.missing) and not any(bits for each in self.missing.values() for bits in each)


def check_jpeg(data: bytes) -> Checked:
    """Check a JPEG file by decoding it at an eighth of its size.

    Returns:
        The file, with an end marker if only that is missing.

    Raises:
        TruncatedError: the file ends before its last pixel.
        DamagedError: libjpeg warns that data is missing or invalid.
    """
    layout = _layout(data)
    if not layout.missing:
        return Checked(data)  # There is no frame; the decoder says so.
    said = _warning(layout)
    left_over = _LEFT_OVER.search(said)
    if not layout.has_end:
        if not layout.is_complete or (_DAMAGE.match(said) and not left_over):
            raise TruncatedError(said if _DAMAGE.match(said) else "some of its scans are missing")
        ended = data[: layout.end] + bytes((0xFF, _END))
        return Checked(ended, ("has no end marker, but all of its rows were read",))
    warnings = [] if layout.is_complete else [_MISSING_SCANS]
    if left_over:
        padding = data[max(0, layout.end - int(left_over[1])) : layout.end]
        if len(set(padding)) > 1:
            warnings.append(f"may be damaged, look at it: libjpeg found {left_over.group()}, after its last row")
    elif _DAMAGE.match(said):
        raise DamagedError(said)
    elif said:
        warnings.append(f"could not be checked for damage: {said}")
    return Checked(data, tuple(warnings))


def jpeg_damage(data: bytes) -> str:
    """Return libjpeg's first warning about missing or invalid data in a part of a picture; an empty text: none."""
    layout = _layout(data)
    said = _warning(layout) if layout.missing else "it has no frame"
    return said if _DAMAGE.match(said) or not layout.missing else ""


def _warning(layout: _Layout) -> str:
    """Return the first warning or error of libjpeg, or an empty text.

    Only the first can be had. The segments of applications, which are left out, therefore cannot hide one about pixels.
    """
    stripped = b"".join([*layout.parts, bytes((0xFF, _END))])
    colours = "CMYK" if len(layout.missing) == 4 else "GRAY"  # noqa: PLR2004 - channels
    try:
        simplejpeg.decode_jpeg(stripped, colours, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return str(error)
    return ""


def _layout(data: bytes) -> _Layout:
    """Follow the segments of a file, from marker to marker, up to its end marker or to where it should be."""
    view, layout, at, frame, has_scan = memoryview(data), _Layout(parts=[data[:2]]), 2, 0, False
    while True:
        at = layout.end = _next_marker(data, at)
        marker = data[at + 1] if at + 1 < len(data) else None
        if marker == _END:
            layout.has_end = True
        if marker in (None, _END) or (has_scan and marker not in _BETWEEN_SCANS):
            return layout
        if marker in _WITHOUT_SEGMENT:
            at += 2
            continue
        begin, at = at, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[begin + 4 : at]
        if at > len(data) or at < begin + 4:
            return layout
        if marker in _FRAMES and not layout.missing:
            frame = marker
            layout.missing = {each: [-1] * _COEFFICIENTS for each in segment[6::3]}
        if marker == _SCAN:
            has_scan = True
            _take_scan(segment, layout.missing, is_progressive=frame in _PROGRESSIVE)
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
