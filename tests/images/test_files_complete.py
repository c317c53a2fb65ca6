"""Tests of the check whether an image file looks complete by its last bytes."""

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.images import files
from pipeline.images.files import looks_complete
from tests.conftest import photo

if TYPE_CHECKING:
    from pathlib import Path

JPEG_END = b"\xff\xd9"


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(16, 12)).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(thumbnail: bytes) -> bytes:
    """Return EXIF with an empty first directory, and a second one for the thumbnail."""
    second = struct.pack(">H HHLL HHLL L", 2, 0x0201, 4, 1, 44, 0x0202, 4, 1, len(thumbnail), 0)
    return b"Exif\0\0MM\0*" + struct.pack(">L HL", 8, 0, 14) + second + thumbnail


def with_thumbnail(**options: object) -> bytes:
    data = encoded("JPEG", exif=exif(encoded("JPEG", quality=10)), **options)
    assert data.count(JPEG_END) == 2
    return data


COMPLETE = {
    "baseline": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "thumbnail": with_thumbnail(),
    "thumbnail, progressive": with_thumbnail(progressive=True),
    "png": encoded("PNG"),
    "webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_whole_picture_looks_complete_and_none_of_its_beginnings_does(tmp_path: Path, kind: str) -> None:
    path, data = tmp_path / "picture", COMPLETE[kind]
    path.write_bytes(data)
    assert looks_complete(path)
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        assert not looks_complete(path), length


@pytest.mark.parametrize("kind", ["baseline", "progressive", "thumbnail", "png"])
def test_a_file_whose_rest_is_zeros_does_not_look_complete(tmp_path: Path, kind: str) -> None:
    path, data = tmp_path / "picture", COMPLETE[kind]
    path.write_bytes(data[:20] + bytes(len(data) - 20))
    assert not looks_complete(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text, as it were",
        b"text that ends as a JPEG does\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8 no segment \xff\xd9",
        b"\xff\xd8\0\xda no segment \xff\xd9",
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\0\0IEND\xae\x42\x60\x82",
        b"RIFF\x04\0\0\0WAVE",
        b"GIF89a",
        encoded("TIFF"),
        encoded("GIF"),
        encoded("BMP"),
    ],
    ids=range(13),
)
def test_other_files_never_look_complete(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    assert not looks_complete(path)


@pytest.mark.parametrize("kind", COMPLETE)
def test_something_after_the_end_does_not_look_complete(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(COMPLETE[kind] + b"\0")
    assert not looks_complete(path)


class CountingFile(io.BytesIO):
    """A file that counts its reads."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize(("segments", "looks_whole"), [(300, True), (100_000, False)])
def test_a_jpeg_of_very_many_segments_is_not_followed_to_its_end(segments: int, *, looks_whole: bool) -> None:
    file = CountingFile(b"\xff\xd8" + b"\xff\xfe\0\2" * segments + b"\xff\xda\0\2" + b"." * 50 + b"\xff\xd9")
    assert files._looks_complete(file) is looks_whole
    assert file.reads < 1100


def test_a_file_that_is_not_there_does_not_look_complete(tmp_path: Path) -> None:
    assert not looks_complete(tmp_path / "missing.png")
    assert not looks_complete(tmp_path / "missing" / "a.png")


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert not looks_complete(tmp_path / "pipe.png")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(COMPLETE["png"])
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert looks_complete(tmp_path / "a.png")
    assert not looks_complete(tmp_path / "link.png")
