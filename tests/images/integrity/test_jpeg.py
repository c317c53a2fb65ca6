"""Tests of JPEG files that are damaged, truncated, or only without their end marker."""

from __future__ import annotations

import io
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode
from pipeline.images.integrity.jpeg import check_jpeg
from tests.conftest import photo

END = b"\xff\xd9"


def encoded(mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(160, 120)).convert(mode).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def read(data: bytes) -> Picture:
    return decode(SourceFile(Path("a.jpg"), data, ""), max_pixels=10**6)


def harmed(data: bytes, share: float, length: int) -> bytes:
    """Return a JPEG with zeros in the data of its last scan."""
    begin = data.rindex(b"\xff\xda") + 14
    at = begin + int(share * (len(data) - begin))
    return data[:at] + bytes(length) + data[at + length :]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_whole_jpeg_is_read_without_warnings(mode: str, options: dict[str, object]) -> None:
    data = encoded(mode, **options)
    assert check_jpeg(data).data is data
    assert check_jpeg(data).warnings == ()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_jpeg_of_which_a_part_was_overwritten_is_damaged(mode: str, share: float) -> None:
    data = harmed(encoded(mode), share, 200)
    with pytest.raises(IncompleteError, match=r"a\.jpg: damaged: Corrupt JPEG data") as error:
        read(data)
    assert error.value.remedy


def test_a_progressive_jpeg_of_which_a_part_was_overwritten_is_damaged() -> None:
    data = bytearray(encoded(progressive=True))
    data[900:1400] = np.random.default_rng(0).integers(0, 255, 500, np.uint8).tobytes()
    with pytest.raises(IncompleteError, match=r"a\.jpg: damaged"):
        read(bytes(data))


@pytest.mark.parametrize(
    "metadata", [b"\xff\xe0\0\x10JFIF\0\x09\x09\0\0\1\0\1\0\0", b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\x09"]
)
def test_oddities_of_other_segments_do_not_hide_damage(metadata: bytes) -> None:
    whole = encoded()
    assert check_jpeg(whole[:2] + metadata + whole[2:]).warnings == ()
    with pytest.raises(IncompleteError, match="damaged"):
        read(whole[:2] + metadata + harmed(whole, 0.3, 200)[2:])


def test_bytes_left_over_after_the_last_row_are_told_unless_they_are_padding() -> None:
    whole = encoded()
    for padding in (bytes(30), b""):
        assert read(whole[:-2] + padding + END).warnings == ()
    picture = read(whole[:-2] + b"leftover" + END)
    (warning,) = picture.warnings
    assert re.match(r"a\.jpg: may be damaged, look at it: libjpeg found \d extraneous bytes", warning)
    np.testing.assert_array_equal(picture.pixels, read(whole).pixels)


TRAILER = np.random.default_rng(3).integers(0, 256, 3000, np.uint8).tobytes() + b"\xff\x95and a video\xff\xd8\xff\xe0"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("trailer", [b"", b"\xff", b"SEFH \xff\x95 a video", TRAILER])
def test_a_jpeg_without_its_end_marker_is_read_with_a_warning(options: dict[str, object], trailer: bytes) -> None:
    whole = encoded(**options)
    picture = read(whole[:-2] + trailer)
    np.testing.assert_array_equal(picture.pixels, read(whole).pixels)
    assert picture.warnings == ("a.jpg: has no end marker, but all of its rows were read",)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
def test_a_jpeg_without_its_last_rows_or_scans_is_truncated(options: dict[str, object], share: float) -> None:
    whole = encoded(**options)
    with pytest.raises(IncompleteError, match=r"a\.jpg: truncated"):
        read(whole[: int(share * len(whole))])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_jpeg_whose_end_is_zeros_is_truncated(options: dict[str, object], share: float) -> None:
    whole = encoded(**options)
    kept = int(share * len(whole))
    with pytest.raises(IncompleteError, match=r"a\.jpg: truncated"):
        read(whole[:kept] + bytes(len(whole) - kept))
    with pytest.raises(IncompleteError, match=r"a\.jpg: truncated"):
        read(whole[:kept] + bytes(100_000))


def test_zeros_in_place_of_the_end_marker_are_no_loss() -> None:
    whole = encoded()
    picture = read(whole[:-2] + bytes(5000))
    np.testing.assert_array_equal(picture.pixels, read(whole).pixels)
    assert picture.warnings == ("a.jpg: has no end marker, but all of its rows were read",)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_truncated() -> None:
    whole = encoded(progressive=True)
    ends = [at for at in range(len(whole) - 1) if whole[at : at + 2] in (b"\xff\xc4", b"\xff\xda")][4:]
    for end in ends:
        with pytest.raises(IncompleteError, match=r"a\.jpg: truncated"):
            read(whole[:end])
        if whole[end : end + 2] == b"\xff\xda":
            (warning,) = read(whole[:end] + END).warnings
            assert warning.startswith("a.jpg: some of its scans are missing")


def test_a_jpeg_that_simplejpeg_cannot_read_is_read_with_a_warning() -> None:
    data = encoded("CMYK", subsampling=2)
    (warning,) = [each for each in read(data).warnings if "profile" not in each]
    assert warning.startswith("a.jpg: could not be checked for damage: ")
    with pytest.raises(IncompleteError, match=r"a\.jpg: truncated"):
        read(data[:-2])


def test_what_follows_the_end_marker_is_no_concern() -> None:
    whole = encoded()
    assert check_jpeg(whole + TRAILER).data == whole + TRAILER
    assert check_jpeg(whole + TRAILER).warnings == ()


def test_more_scans_than_any_program_writes_are_refused() -> None:
    whole = encoded(progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    with pytest.raises(IncompleteError, match="more than 500 scans"):
        read(whole[:-2] + scan * 500 + END)


def test_fill_bytes_before_markers_are_allowed() -> None:
    whole = encoded()
    at = whole.index(b"\xff\xdb")
    filled = whole[:at] + b"\xff\xff" + whole[at:-2] + b"\xff\xff" + END
    np.testing.assert_array_equal(read(filled).pixels, read(whole).pixels)
    assert read(filled).warnings == ()


def test_a_step_of_quantisation_of_zero_is_damage() -> None:
    whole = encoded()
    at = whole.index(b"\xff\xdb") + 20
    with pytest.raises(IncompleteError, match="step of quantisation of 0"):
        read(whole[:at] + b"\0" + whole[at + 1 :])


DEEP = photo(64, 48).astype(np.uint16) * 16


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (imagecodecs.jpeg8_encode(DEEP, bitspersample=12), "JPEG of 12 bits per channel"),
        (imagecodecs.ljpeg_encode(DEEP[:, :, 0] * 16), "JPEG of 16 bits per channel"),
        (imagecodecs.jpegls_encode(photo()), "JPEG-LS"),
        (encoded().replace(b"\xff\xc0", b"\xff\xc5", 1), "hierarchical"),
    ],
)
def test_kinds_that_are_not_read_are_no_damage(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words) as error:
        read(bytes(data))
    assert not isinstance(error.value, IncompleteError)
    assert error.value.remedy.startswith("Convert it to")
