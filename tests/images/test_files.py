"""Tests of reading the bytes of an image file safely."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ImageError, IncompleteError, UnreadableError
from pipeline.images import files
from pipeline.images.files import read_file

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_hashed_is_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"some bytes")
    read = read_file(tmp_path / "a.png")
    assert (read.path, read.data) == (tmp_path / "a.png", b"some bytes")
    assert read.sha256 == hashlib.sha256(b"some bytes").hexdigest()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system opens links")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_followed(tmp_path: Path, there: bool) -> None:  # noqa: FBT001
    if there:
        (tmp_path / "a.png").write_bytes(b"secret")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"link\.png: is a symbolic link") as error:
        read_file(tmp_path / "link.png")
    assert error.value.remedy == "Name the file itself."
    assert not isinstance(error.value, IncompleteError)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system opens links")
def test_no_link_in_place_of_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").write_bytes(b"secret")
    (tmp_path / "folder").symlink_to("real")
    with pytest.raises(IncompleteError, match=r"a\.png: cannot be read"):
        read_file(tmp_path / "folder/a.png")
    assert not files.looks_complete(tmp_path / "folder/a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_file(tmp_path / "fifo.jpg")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match=r"folder\.jpg"):
        read_file(tmp_path / "folder.jpg")
    with pytest.raises(IncompleteError, match="cannot be read") as error:
        read_file(tmp_path / "none.jpg")
    assert error.value.path == tmp_path / "none.jpg"


@pytest.mark.parametrize("size", [10, 11])
def test_no_more_is_read_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(bytes(size))
    if size == 10:
        assert len(read_file(tmp_path / "a.png").data) == 10
    else:
        with pytest.raises(ImageError, match="larger than"):
            read_file(tmp_path / "a.png")


def test_a_file_that_grows_while_it_is_read_is_not_read_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    look = os.fstat

    def look_then_grow(descriptor: int) -> os.stat_result:
        status = look(descriptor)
        path.write_bytes(bytes(50))
        return status

    monkeypatch.setattr(os, "fstat", look_then_grow)
    with pytest.raises(ImageError, match="larger than"):
        read_file(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_fails_is_not_the_pictures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(UnreadableError, match=os.strerror(number)) as error:
        read_file(tmp_path / "a.png")
    assert error.value.error_class == "environment"
