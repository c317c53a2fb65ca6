"""Tests of syncing where a file system can do so, and where it cannot."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk, make_folders, put
from pipeline.system import sync as sync_module
from pipeline.system.sync import CANNOT_SYNC

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def no_warnings_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "_warned_devices", set())


@pytest.mark.parametrize("number", sorted(CANNOT_SYNC))
@pytest.mark.usefixtures("no_warnings_yet")
def test_work_goes_on_where_nothing_can_be_synced_and_a_warning_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    make_folders(Disk(), tmp_path / "out")
    put(Disk(), tmp_path / "out" / "b", b"data", tmp_path / "temporary")
    assert (tmp_path / "out/b").read_bytes() == b"data"
    (message,) = caplog.messages
    assert f"cannot sync ({os.strerror(number)})" in message


@pytest.mark.usefixtures("no_warnings_yet")
def test_a_disk_that_fails_to_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    for sync in (Disk().sync_folder, lambda path: Disk().write(path / "a", b"data")):
        with pytest.raises(OSError, match="Input/output error"):
            sync(tmp_path)
