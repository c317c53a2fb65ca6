"""Which format a file has, by its first bytes, and which formats are read."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "JPEG": (".jpg", ".jpeg"),
        "PNG": (".png",),
        "WEBP": (".webp",),
        "TIFF": (".tif", ".tiff"),
        "AVIF": (".avif",),
        "BMP": (".bmp",),
        "GIF": (".gif",),
        "JPEG2000": (".jp2", ".j2k"),
    }
)
READABLE: Final = frozenset(_ENDINGS)
"""The formats that can be read if they are allowed."""
DEFAULT_FORMATS: Final = frozenset({"JPEG", "PNG", "WEBP", "TIFF"})
"""The formats that are read if nobody allows others."""
NAMED: Final[Mapping[str, str]] = MappingProxyType(
    {ending: kind for kind, endings in _ENDINGS.items() for ending in endings}
)
"""From file name ending to format, for all that can be read."""
FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {ending: kind for ending, kind in NAMED.items() if kind in DEFAULT_FORMATS}
)
"""From file name ending to format, for those that are read by default."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"MMOR", "camera raw (ORF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"PK\x03\x04", "a ZIP archive"),
)
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BEGINNING: Final = 1024


def kind_of(data: bytes) -> str | None:
    """The format of a file's content.

    Returns:
        One of `READABLE`; or another that is known by its beginning, in words; or None if nothing is known.
    """
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return "camera raw (CR2)" if kind == "TIFF" and data[8:11] == b"CR\x02" else kind
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else None
    if data[4:8] == b"ftyp":
        return _of_brands(data)
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _of_text(data[:_BEGINNING])


def _of_brands(data: bytes) -> str:
    """Of the ISO base media file format (ISO/IEC 14496-12, 4.3): a major brand and those it is compatible with."""
    length = min(int.from_bytes(data[:4], "big"), _BEGINNING)
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if b"crx " in brands:
        return "camera raw (CR3)"
    return "HEIC" if brands & _HEIF_BRANDS else "a video"


def _of_text(beginning: bytes) -> str | None:
    try:
        text = beginning.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(beginning) < _BEGINNING or error.start < _BEGINNING - 4:
            return None
        text = beginning[: error.start].decode("utf-8-sig")
    text = text.lstrip().lower()
    if not text or any(character < " " and character not in "\t\n\r\f" for character in text):
        return None
    if "<svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html")) or "<html" in text:
        return "HTML"
    return "text"


def endings(formats: frozenset[str]) -> tuple[str, ...]:
    """The file name endings of formats, in lower case, with their dots."""
    return tuple(ending for ending, kind in NAMED.items() if kind in formats)


def refusal(kind: str) -> tuple[str, str]:
    """What is wrong with a format that is not read, behind a file's name; and the remedy."""
    allow = f', or add "{kind.lower()}" to image.formats' if kind in READABLE else ""
    return f"is {kind}, which is not read.", f"Convert it to JPEG, PNG, WebP or TIFF{allow}."
