"""Kinds of files that are not read, by their first bytes, so that an error can name them: videos, archives, encryption.

The module imports no large library, so that commands can use it at their start.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCRYPTED, _APPLE_DOUBLE, _POINTER = "an encrypted file", "metadata of macOS beside a file", "a pointer of Git LFS"
_ARCHIVES: Final = {
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf'\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ\0": "an XZ archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
}
_MAGIC: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"8BPS": "PSD",
        b"%PDF": "PDF",
        b"%!PS": "PostScript",
        b"gimp xcf": "XCF",
        b"icns": "ICNS",
        b"\0\0\1\0": "ICO",
        b"DDS ": "DDS",
        b"qoif": "QOI",
        b"BPG\xfb": "BPG",
        b"II\xbc\1": "JPEG XR",
        b"\x76\x2f\x31\1": "OpenEXR",
        b"#?RADIANCE": "Radiance HDR",
        b"#?RGBE": "Radiance HDR",
        b"SIMPLE  =": "FITS",
        b"FUJIFILMCCD-RAW": "camera raw (RAF)",
        b"IIRO": "camera raw (ORF)",
        b"IIRS": "camera raw (ORF)",
        b"MMOR": "camera raw (ORF)",
        b"IIU\0": "camera raw (RW2)",
        b"FOVb": "camera raw (X3F)",
        b"\0MRM": "camera raw (MRW)",
        b"\x1aE\xdf\xa3": "a video",
        b"ID3": "sound",
        b"OggS": "sound or a video",
        b"fLaC": "sound",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of Microsoft Office",
        b"\0\5\x16\7": _APPLE_DOUBLE,
        b"version https://git-lfs": _POINTER,
        b"Salted__": _ENCRYPTED,
        b"age-encryption.org/": _ENCRYPTED,
        b"-----BEGIN PGP MESSAGE": _ENCRYPTED,
        b"-----BEGIN AGE ENCRYPTED": _ENCRYPTED,
        b"LUKS\xba\xbe": _ENCRYPTED,
        **_ARCHIVES,
    }
)
"""First bytes of a file, and the kind that begins with them."""
_RIFF: Final = {b"AVI ": "a video", b"WAVE": "sound"}
"""Kinds of RIFF files, by their type."""
_QUICKTIME: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""First boxes of QuickTime files without a box `ftyp`."""
_PORTABLE: Final = re.compile(rb"P[1-7][ \t\r\n#]")
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        _ENCRYPTED: "Decrypt it, and name the picture in it.",
        _APPLE_DOUBLE: "Name the picture itself, whose name does not begin with '._'.",
        _POINTER: "Fetch the picture itself by `git lfs pull`.",
        **dict.fromkeys(_ARCHIVES.values(), "Unpack it, and name the pictures in it."),
    }
)
"""Remedies for the kinds that cannot be converted, by kind."""


def other_kind(data: bytes) -> str | None:
    """Return the kind of a file that is not read, by its first bytes; None: unknown."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[:1] == b"\0" and data[4:8] in _QUICKTIME:
        return "a video"
    return "a portable pixmap (PNM)" if _PORTABLE.match(data) else None


def remedy_of(name: str) -> str | None:
    """Return what to do about a file of a kind that `other_kind` returns; None: convert it."""
    return _REMEDIES.get(name)
