"""Tests of the table of results and failures."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StorageError, UsageError
from pipeline.outbox.report.update import write_report
from tests.outbox.report.samples import add_failure, add_result, write

if TYPE_CHECKING:
    from pathlib import Path


def frame(number: int, *, follows: str | None = None) -> dict[str, object]:
    return {
        "clip": "film",
        "number": number,
        "frames": 11,
        "follows": follows,
        "renewed": False,
        "settings": {},
        "trusted": 0.9,
        "still": 0.1,
        "flicker": 4.25,
        "flicker_of_photographs": 2.5,
    }


def rows(root: Path) -> list[dict[str, str]]:
    path = root / "table.csv"
    write_report(root, table_path=path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_result_and_failure_has_a_row(tmp_path: Path) -> None:
    add_result(tmp_path, "a, b.png", warnings=["dark", "small"], best=1234.5)
    add_failure(tmp_path, "c")
    write(tmp_path / "d.png.json", b"{")
    write(tmp_path / "d.png", b"")
    done, failed, damaged = rows(tmp_path)
    assert done == {
        "file": "a, b.png",
        "status": "done",
        "content": "photos/cat.jpg",
        "style": "paintings/sea.jpg",
        "preset": "colour-preserving",
        "width": "24",
        "height": "18",
        "evaluations": "115",
        "objective": "1234.5",
        "device_seconds": "9.5",
        "started": "2026-03-01T22:00:00+00:00",
        "finished": "2026-03-01T22:00:10+00:00",
        "notes": "dark; small",
    } | dict.fromkeys(("clip", "frame", "follows", "renewed", "flicker", "flicker_of_photographs"), "")
    assert (failed["status"], failed["content"]) == ("failed", "photos/dog.jpg")
    assert failed["notes"] == "dog.jpg: truncated or damaged. Copy it again from its source."
    assert (damaged["file"], damaged["status"]) == ("d.png.json", "damaged")


def test_frames_come_in_their_order_with_their_flicker(tmp_path: Path) -> None:
    for number in (10, 9, 8):
        follows = f"film/{number - 1}.png" if number > 8 else None
        add_result(tmp_path, f"film/{number}.png", seed=number, frame=frame(number, follows=follows))
    found = rows(tmp_path)
    assert [row["frame"] for row in found] == ["8", "9", "10"]
    assert [row["follows"] for row in found] == ["false", "true", "true"]
    assert [row["flicker"] for row in found] == ["", "4.25", "4.25"]
    assert {row["clip"] for row in found} == {"film"}


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    add_result(tmp_path / "out", "a.png")
    write(tmp_path / "jobs.csv", b"content,style\na.jpg,sea.jpg\n")
    (tmp_path / "folder.csv").mkdir()
    for name in ("jobs.csv", "folder.csv"):
        with pytest.raises(UsageError, match=f"{name}: exists already and is no table"):
            write_report(tmp_path / "out", table_path=tmp_path / name)
    assert (tmp_path / "jobs.csv").read_bytes().startswith(b"content,style")
    write(tmp_path / "empty.csv", b"")
    write_report(tmp_path / "out", table_path=tmp_path / "empty.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.csv", "folder.csv", "jobs.csv", "out"]


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    add_result(tmp_path, "=a.png", content="-x.jpg")
    (row,) = rows(tmp_path)
    assert (row["file"], row["content"]) == ("'=a.png", "'-x.jpg")


def test_a_name_breaks_no_line(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png", content="x\ny.jpg")
    (row,) = rows(tmp_path)
    assert row["content"] == "x\ufffdy.jpg"


def test_an_earlier_table_is_replaced_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    add_result(tmp_path / "out", "a.png")
    for _ in range(2):
        write_report(tmp_path / "out", table_path=tmp_path / "table.csv")
        assert len((tmp_path / "table.csv").read_text().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "table.csv"]
    with pytest.raises(StorageError, match="nowhere"):
        write_report(tmp_path / "out", table_path=tmp_path / "nowhere" / "table.csv")
