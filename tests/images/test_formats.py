"""Tests of the recognition of image formats by content and by file ending."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import get_args

import pytest
from PIL import Image, features

from pipeline.images.encode import Format
from pipeline.images.formats import BY_ENDING, DEFAULT_FORMATS, FORMATS, READABLE, detect_format, endings, refusal
from pipeline.settings.pair_settings import OUTPUT_FORMATS, ImageSettings, InputFormat, OutputFormat, OutputSettings
from tests.conftest import photo

HEIF = b"\0\0\0\x1cftyp%s\0\0\0\0%s%s"


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_what_can_be_read_is_known_by_its_content(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, kind)
    assert detect_format(buffer.getvalue()) == kind


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
        (b"7z\xbc\xaf'\x1c\0\4", "a 7z archive"),
        (b"Rar!\x1a\x07\1\0", "a RAR archive"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"RIFF\x10\0\0\0AVI LIST", "a video"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "sound"),
        (b"\0\0\0\x08wide\0\0\0\x10mdat", "a video"),
        (b"\x1aE\xdf\xa3\x01", "a video"),
        (b"ID3\x04\0", "sound"),
        (b"II\xbc\1\x08", "JPEG XR"),
        (b"\x76\x2f\x31\1\2", "OpenEXR"),
        (b"P6\n4 4\n255\n", "a portable pixmap (PNM)"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"),
        (b"FOVb\0", "camera raw (X3F)"),
        (b"\0MRM\0", "camera raw (MRW)"),
        (b"\0\5\x16\7\0\2", "metadata of macOS beside a file"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"Salted__" + bytes(range(16)), "an encrypted file"),
        (b"age-encryption.org/v1\n-> X25519", "an encrypted file"),
        (b"-----BEGIN PGP MESSAGE-----\n", "an encrypted file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><svg>", "SVG"),
        (b"\n<!DOCTYPE HTML><p>404", "HTML"),
        (b"<html>not found</html>", "HTML"),
        ("père".encode() * 400, "text"),
        (b"BM is not always a bitmap", "text"),
    ],
)
def test_what_is_refused_is_known_by_name(data: bytes, kind: str) -> None:
    assert detect_format(data) == kind


@pytest.mark.parametrize("data", [b"", b"\0" * 2000, b"\xff\xd8", b"RIFF\0\0\0\0CDXA", b"\x89PN", bytes(range(256))])
def test_what_is_not_known_is_none(data: bytes) -> None:
    assert detect_format(data) is None


def test_every_format_has_its_endings() -> None:
    assert endings(DEFAULT_FORMATS) == (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".webp", ".tif", ".tiff",
    )  # fmt: skip
    assert endings(frozenset({"GIF", "JPEG2000"})) == (
        ".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    )  # fmt: skip
    assert all(endings(frozenset({kind})) for kind in READABLE)


def test_a_refusal_says_what_to_do() -> None:
    assert refusal("HEIC") == ("is HEIC, which is not read.", "Convert it to JPEG, PNG, WebP or TIFF.")
    assert refusal("JPEG", frozenset({"AVIF"}))[1] == 'Convert it to AVIF, or add "jpeg" to image.formats.'
    assert refusal("HEIC", frozenset({"JPEG2000", "PNG"}))[1] == "Convert it to PNG or JPEG 2000."
    assert refusal("GIF")[1] == 'Convert it to JPEG, PNG, WebP or TIFF, or add "gif" to image.formats.'


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("an encrypted file", "Decrypt it"),
        ("a ZIP archive", "Unpack it"),
        ("metadata of macOS beside a file", "Name the picture itself"),
        ("a pointer of Git LFS", "git lfs pull"),
    ],
)
def test_what_is_no_picture_is_not_to_be_converted(kind: str, words: str) -> None:
    assert words in refusal(kind)[1]
    assert "Convert" not in refusal(kind)[1]


def test_no_ending_has_two_formats() -> None:
    assert len(BY_ENDING) == sum(len(each.endings) for each in FORMATS)
    assert all(ending == ending.lower() and ending.startswith(".") for ending in BY_ENDING)


def test_the_settings_know_the_same_formats() -> None:
    readable = [each for each in FORMATS if each.is_readable]
    assert [each.setting for each in readable] == list(get_args(InputFormat))
    assert {each.name for each in readable} == READABLE
    assert ImageSettings().kinds == DEFAULT_FORMATS
    assert ImageSettings(formats=get_args(InputFormat)).kinds == READABLE


def test_settings_and_encoders_know_the_same_formats_of_results() -> None:
    written = [each for each in FORMATS if each.is_written]
    assert {each.setting for each in written} == set(get_args(OutputFormat)) == set(get_args(Format))
    assert {ending: each.setting for each in written for ending in each.endings} == OUTPUT_FORMATS
    for each in written:
        assert OutputSettings(format=each.setting).extension_for("x") == each.endings[0].removeprefix(".")


def test_the_table_loads_without_heavy_libraries() -> None:
    code = (
        "import sys, pipeline.images.formats; print([m for m in ('numpy', 'cv2', 'PIL', 'torch') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
