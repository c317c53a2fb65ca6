"""The table of file formats: names, endings, which are read and written; and a file's format by its content.

This is the only place that lists formats. `pipeline.settings` repeats the names as types for validation; a test
compares them. The module imports no large library, so that commands can use it at their start.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from pipeline.images.other_kinds import other_kind, remedy_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Reading = Literal["by default", "if allowed", "never"]
"""Whether files of a format are read: always, only if `image.formats` names it, or never."""


@dataclass(frozen=True)
class FileFormat:
    """A format of picture files."""

    name: str
    """Name in messages and metadata; for formats that are read, this is also Pillow's name."""
    endings: tuple[str, ...]
    """File name endings in lower case, with their dots; results get the first."""
    reading: Reading = "never"
    is_written: bool = False
    """Whether results may have this format."""

    @property
    def setting(self) -> str:
        """Name in the settings `image.formats` and `output.format`."""
        return self.name.lower()

    @property
    def is_readable(self) -> bool:
        """Whether files of this format can be read if they are allowed."""
        return self.reading != "never"


FORMATS: Final = (
    FileFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"), "by default", is_written=True),
    FileFormat("PNG", (".png",), "by default", is_written=True),
    FileFormat("WEBP", (".webp",), "by default", is_written=True),
    FileFormat("TIFF", (".tif", ".tiff"), "by default", is_written=True),
    FileFormat("AVIF", (".avif",), "if allowed"),
    FileFormat("BMP", (".bmp", ".dib"), "if allowed"),
    FileFormat("GIF", (".gif",), "if allowed"),
    FileFormat("JPEG2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), "if allowed"),
    FileFormat("HEIC", (".heic", ".heif", ".hif")),
    FileFormat("JPEG XL", (".jxl",)),
    FileFormat("PSD", (".psd",)),
    FileFormat("SVG", (".svg",)),
    FileFormat("ICO", (".ico",)),
    FileFormat("camera raw", (".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw")),
)
"""All formats of pictures that are known by a file name ending."""
BY_ENDING: Final[Mapping[str, FileFormat]] = MappingProxyType(
    {ending: each for each in FORMATS for ending in each.endings}
)
"""Formats by file name ending, in lower case with its dot."""
READABLE: Final = frozenset(each.name for each in FORMATS if each.is_readable)
"""Names of the formats that can be read if they are allowed."""
DEFAULT_FORMATS: Final = frozenset(each.name for each in FORMATS if each.reading == "by default")
"""Names of the formats that are read unless the settings say otherwise."""
_IN_WORDS: Final = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
"""Names of formats that people write in another way."""

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
)
"""First bytes of a file, and the name of the format that begins with them."""
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Lengths in bytes of the known versions of BMP's second header."""
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BEGINNING: Final = 1024
"""Number of bytes at the beginning of a file by which brands and texts are distinguished."""


def detect_format(data: bytes) -> str | None:
    """Return the name of the format that a file's content has.

    Returns:
        One of `READABLE`, or the name of another format that is known by its first bytes; None for unknown content.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return "camera raw (CR2)" if name == "TIFF" and data[8:11] == b"CR\x02" else name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _format_by_brands(data)
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return other_kind(data) or _format_of_text(data[:_BEGINNING])


def _format_by_brands(data: bytes) -> str:
    """Return the format of an ISO base media file (ISO/IEC 14496-12, 4.3), by its major and its compatible brands."""
    length = min(int.from_bytes(data[:4], "big"), _BEGINNING)
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if b"crx " in brands:
        return "camera raw (CR3)"
    return "HEIC" if brands & _HEIF_BRANDS else "a video"


def _format_of_text(beginning: bytes) -> str | None:
    """Return the format of a text file; None if the bytes are no text in UTF-8."""
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
    """Return the file name endings of formats, by their names, in lower case with their dots."""
    return tuple(ending for ending, each in BY_ENDING.items() if each.name in formats)


def in_words(formats: frozenset[str]) -> str:
    """Return the names of formats as a choice, such as `JPEG, PNG or TIFF`."""
    *first, last = [_IN_WORDS.get(each.name, each.name) for each in FORMATS if each.name in formats]
    return f"{', '.join(first)} or {last}" if first else last


def refusal(name: str, formats: frozenset[str] = DEFAULT_FORMATS) -> tuple[str, str]:
    """Return the message that a format is not read, which continues a file's name, and the remedy.

    Args:
        name: the format.
        formats: the formats that are read.
    """
    allow = f', or add "{name.lower()}" to image.formats' if name in READABLE else ""
    return f"is {name}, which is not read.", remedy_of(name) or f"Convert it to {in_words(formats)}{allow}."
