from __future__ import annotations

import io

import pytest
from PIL import Image, features

from pipeline.images.formats import DEFAULT_FORMATS, FORMATS, READABLE, endings, kind_of, refusal
from tests.conftest import photo

HEIF = b"\0\0\0\x1cftyp%s\0\0\0\0%s%s"


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_what_can_be_read_is_known_by_its_content(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, kind)
    assert kind_of(buffer.getvalue()) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"II+\0\x08\0\0\0", "TIFF"),
        (b"MM\0+\0\x08\0\0", "TIFF"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera raw (CR2)"),
        (HEIF % (b"heic", b"mif1", b"heic"), "HEIC"),
        (HEIF % (b"mif1", b"heic", b"miaf"), "HEIC"),
        (HEIF % (b"mif1", b"avif", b"miaf"), "AVIF"),
        (HEIF % (b"avif", b"mif1", b"miaf"), "AVIF"),
        (HEIF % (b"crx ", b"isom", b"crx "), "camera raw (CR3)"),
        (HEIF % (b"isom", b"mp42", b"avc1"), "a video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG2000"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\x01", "PSD"),
        (b"%PDF-1.7", "PDF"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw (RAF)"),
        (b"IIRO\x08\0\0\0", "camera raw (ORF)"),
        (b"IIU\0\x18\0\0\0", "camera raw (RW2)"),
        (b"PK\x03\x04\x14", "a ZIP archive"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><svg>", "SVG"),
        (b"\n<!DOCTYPE HTML><p>404", "HTML"),
        (b"<html>not found</html>", "HTML"),
        ("père".encode() * 400, "text"),
        (b"BM is not always a bitmap", "text"),
    ],
)
def test_what_is_refused_is_known_by_name(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize("data", [b"", b"\0" * 2000, b"\xff\xd8", b"RIFF\0\0\0\0WAVE", b"\x89PN", bytes(range(256))])
def test_what_is_not_known_is_none(data: bytes) -> None:
    assert kind_of(data) is None


def test_every_format_has_its_endings() -> None:
    assert endings(DEFAULT_FORMATS) == (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff") == tuple(FORMATS)
    assert endings(frozenset({"GIF", "JPEG2000"})) == (".gif", ".jp2", ".j2k")
    assert all(endings(frozenset({kind})) for kind in READABLE)


def test_a_refusal_says_what_to_do() -> None:
    assert refusal("HEIC") == ("is HEIC, which is not read.", "Convert it to JPEG, PNG, WebP or TIFF.")
    assert refusal("GIF")[1] == 'Convert it to JPEG, PNG, WebP or TIFF, or add "gif" to image.formats.'
