"""Tests of the file by which a seat sees that it has the driver's outbox."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.stage.pool.handshake import facts_here, write_nonce

if TYPE_CHECKING:
    import pytest


def test_a_seat_sees_the_outbox_by_a_file_of_its_driver(tmp_path: Path) -> None:
    nonce = write_nonce(tmp_path)
    assert facts_here("cpu", "w", nonce, seconds=0).sees_outbox
    assert not facts_here("cpu", "w", tmp_path / "elsewhere" / nonce.name, seconds=0).sees_outbox


def test_files_of_killed_drivers_are_removed_after_a_week_and_one_that_vanishes_meanwhile_is_no_error(
    tmp_path: Path,
) -> None:
    old, young = write_nonce(tmp_path), write_nonce(tmp_path)
    os.utime(old, (0, 0))
    (old.parent / "vanishing").symlink_to("gone")  # it is listed, and cannot be looked at
    assert write_nonce(tmp_path).exists()
    assert not old.exists()
    assert young.exists()


def test_a_mount_that_fails_shows_no_outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = write_nonce(tmp_path)

    def fail(_: Path) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Path, "exists", fail)
    assert not facts_here("cpu", "w", nonce, seconds=0).sees_outbox
