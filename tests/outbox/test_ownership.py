"""Tests of which files are impasto's own: those whose content says so."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.outbox.ownership import (
    LARGEST_RECORD_BYTES,
    origin_of_failure,
    origin_of_file,
    origin_of_metadata,
    own_claim,
    own_failure,
)
from tests.faults.disk import FaultyDisk, failing
from tests.outbox.report.samples import failure, metadata, write

if TYPE_CHECKING:
    from pathlib import Path

TAKEOUT = json.dumps({"title": "a.png", "description": "", "photoTakenTime": {"timestamp": "1"}}).encode()
OURS = metadata("a.png", b"picture").model_dump_json().encode()


@pytest.mark.parametrize(
    ("data", "origin"),
    [
        (OURS, "ours"),
        (metadata("2026/a.png", b"picture").model_dump_json().encode(), "ours"),
        (metadata("b.png", b"picture").model_dump_json().encode(), "misplaced"),
        (json.dumps({**json.loads(OURS), "field": "of another version"}).encode(), "ours"),
        (TAKEOUT, "foreign"),
        (b"{}", "foreign"),
        (b"[]", "foreign"),
        (b"null", "foreign"),
        (failure().model_dump_json().encode(), "foreign"),
        (b'{"output": {"path": "a.png"}, "status": "done", "schema_version": 1}', "foreign"),
        (b"", "unreadable"),
        (OURS[:-30], "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"\xff\xd8\xff", "unreadable"),
    ],
)
def test_metadata_is_known_by_its_content(data: bytes, origin: str) -> None:
    assert origin_of_metadata(data, "a.png") == origin


def test_a_failure_is_known_by_its_content() -> None:
    record = failure().model_dump_json().encode()
    found = [origin_of_failure(data) for data in (record, OURS, TAKEOUT, record[:-9])]
    assert found == ["ours", "foreign", "foreign", "unreadable"]


@pytest.mark.parametrize("other", ["A.PNG", "ö.png", "o\u0308.png"])
def test_names_that_a_file_system_does_not_tell_apart_are_one(tmp_path: Path, other: str) -> None:
    named = "a.png" if other == "A.PNG" else "ö.png"
    write(tmp_path / f"{other}.json", metadata(named, b"x").model_dump_json().encode())
    assert own_claim(Disk(), tmp_path, other) is not None


def test_links_folders_pipes_and_huge_files_are_never_impastos_own(tmp_path: Path) -> None:
    write(tmp_path / "real.json", OURS)
    (tmp_path / "a.png.json").symlink_to("real.json")
    assert own_claim(Disk(), tmp_path, "a.png") is None
    (tmp_path / "b.png.json").mkdir()
    os.mkfifo(tmp_path / "c.png.json")
    with (tmp_path / "d.png.json").open("wb") as file:
        file.truncate(LARGEST_RECORD_BYTES + 1)
    assert [own_claim(Disk(), tmp_path, name) for name in ("b.png", "c.png", "d.png", "none.png")] == [None] * 4
    assert own_failure(Disk(), tmp_path / "c.png.json") is None
    assert [origin_of_file(Disk(), tmp_path, f"{name}.png.json") for name in "bc"] == ["unreadable"] * 2


def test_a_machine_that_fails_makes_no_file_foreign(tmp_path: Path) -> None:
    write(tmp_path / "a.png.json", OURS)
    for number in (errno.EIO, errno.EACCES):
        for operation in ("lstat", "read"):
            disk = FaultyDisk(failing(number, 0), watched=(operation,))
            with pytest.raises(OSError, match=os.strerror(number)):
                own_claim(disk, tmp_path, "a.png")


def test_a_name_that_is_too_long_for_metadata_has_none(tmp_path: Path) -> None:
    assert own_claim(Disk(), tmp_path, f"{'a' * 250}.jpg") is None
