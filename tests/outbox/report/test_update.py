"""Tests that the report agrees with the files in the outbox, and reads no more of them than it needs."""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from PIL import Image

from pipeline.disk import Disk
from pipeline.errors import LockedError, StorageError, UsageError
from pipeline.outbox.mark_files import Mark, MarkFiles
from pipeline.outbox.report import update as update_module
from pipeline.outbox.report.page import MARKER
from pipeline.outbox.report.update import update_report, write_report
from tests.outbox.report.samples import (
    BEGIN,
    SETTINGS,
    add_failure,
    add_result,
    add_thumbnails,
    metadata,
    page_data,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


class ListeningDisk(Disk):
    """A disk that records the names of the files that are read."""

    def __init__(self) -> None:
        self.read_paths: list[str] = []

    def read(self, path: Path) -> bytes:
        self.read_paths.append(path.name)
        return super().read(path)


def reads(root: Path) -> list[str]:
    """Write the report; return the names of the files that this reads."""
    disk = ListeningDisk()
    write_report(root, disk)
    return sorted(set(disk.read_paths) - {"report.json", "index.html"})


def text(root: Path) -> str:
    return (root / "index.html").read_text(encoding="utf-8")


def troubles(root: Path) -> dict[str, str]:
    """Return the reasons on the page by name, read without its script."""
    found = re.findall(r'data-name="([^"]*)".*?class="reason">(.*?)</p>', text(root), re.DOTALL)
    return dict(found)


def test_counts_agree_with_the_disk(tmp_path: Path) -> None:
    for number in range(5):
        add_result(tmp_path, f"{number}.png", number, warnings=["dark"] * (number % 2))
    add_failure(tmp_path, "a/b")
    add_failure(tmp_path, "c")
    write(tmp_path / "torn.json", b"{")
    write(tmp_path / "foreign.json", b"{}")
    write(tmp_path / "failed/foreign.json", b'{"status": "failed"}')
    counts = write_report(tmp_path).totals
    assert (counts.done, counts.failed, counts.damaged, counts.with_warnings) == (5, 2, 1, 2)
    assert len(page_data(tmp_path / "index.html")["results"]) == 5
    assert troubles(tmp_path).keys() == {"a/b", "c", "torn.json"}
    assert "--only a/b" in text(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("lost.png", b"x", "A picture without metadata: no result of impasto"),
        ("x.png.json", b"{", "No metadata that this version can read: Invalid JSON"),
        ("a.jpg.json", metadata("b.jpg", b"").model_dump_json().encode(), "Metadata of another picture."),
        ("failed/x.json", b"\xff", "No metadata that this version can read"),
        (".hidden/x.jpg", b"x", "A picture without metadata"),
    ],
)
def test_what_is_no_whole_result_is_listed_as_damaged(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    add_result(tmp_path, "good.png")
    write(tmp_path / name, data)
    counts = write_report(tmp_path).totals
    assert (counts.done, counts.failed, counts.damaged) == (1, 0, 1)
    assert troubles(tmp_path)[name].startswith(reason)


def test_a_picture_with_the_sidecar_of_another_program_is_no_damaged_result_but_none(tmp_path: Path) -> None:
    add_result(tmp_path, "good.png")
    write(tmp_path / "IMG_1.jpg", b"a photograph")
    write(tmp_path / "IMG_1.jpg.json", b'{"title": "IMG_1.jpg"}')
    for _ in ("first", "from the cache"):
        counts = write_report(tmp_path).totals
        assert (counts.done, counts.failed, counts.damaged) == (1, 0, 1)
        assert troubles(tmp_path).keys() == {"IMG_1.jpg"}
    assert "no result of impasto" in troubles(tmp_path)["IMG_1.jpg"]


def test_metadata_without_its_picture_is_damaged_until_the_picture_is_back(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").unlink()
    write_report(tmp_path)
    assert troubles(tmp_path) == {"a.png.json": "Metadata whose picture is missing."}
    write(tmp_path / "a.png", data)
    assert write_report(tmp_path).totals.damaged == 0


def test_a_picture_that_was_altered_afterwards_is_damaged(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    write_report(tmp_path)
    write(tmp_path / "a.png", b"something else")
    write_report(tmp_path)
    assert troubles(tmp_path) == {"a.png.json": "The picture was altered or truncated after it was made."}


def test_a_picture_that_was_altered_before_its_first_report_is_damaged(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    add_result(tmp_path, "b.png", 2)
    write(tmp_path / "a.png", b"something else")
    os.utime(
        tmp_path / "a.png", (1, 1)
    )  # the file looks older than its metadata, so only its thumbnail shows the change
    written = write_report(tmp_path)
    assert (written.totals.done, written.totals.damaged, written.thumbnails_made) == (1, 1, 1)


def test_a_picture_in_work_says_so(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    write(tmp_path / "b.png", b"half a result")
    marks = MarkFiles(tmp_path, Disk())
    write(marks.path("b.png"), Mark(publishing=True).model_dump_json().encode())
    write_report(tmp_path)
    assert "it is in progress" in troubles(tmp_path)["b.png"]


def test_only_what_is_new_or_changed_is_read(tmp_path: Path) -> None:
    for number in range(3):
        add_result(tmp_path, f"{number}.png", number)
    add_failure(tmp_path, "f")
    assert reads(tmp_path) == ["0.png.json", "1.png.json", "2.png.json", "f.json"]
    assert reads(tmp_path) == []
    add_result(tmp_path, "3.png", 3)
    os.utime(tmp_path / "1.png.json", (5, 5))
    os.utime(tmp_path / "1.png", (5, 5))
    assert reads(tmp_path) == ["1.png.json", "3.png.json"]
    assert len(page_data(tmp_path / "index.html")["results"]) == 4


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b'{"version": 99}', b'{"version": 1, "files": {"a": {}}}', b"[]"])
def test_a_cache_that_cannot_be_used_is_made_anew(tmp_path: Path, data: bytes) -> None:
    add_result(tmp_path, "a.png")
    write_report(tmp_path)
    cache = tmp_path / ".impasto" / "report.json"
    good = json.loads(cache.read_text())
    write(cache, data)
    assert write_report(tmp_path).totals.done == 1
    assert json.loads(cache.read_text()) == good


def test_what_is_gone_leaves_page_and_cache(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png", settings={**SETTINGS, "image": {"size": 100}})
    add_failure(tmp_path, "f")
    write_report(tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "a.png.json").unlink()
    (tmp_path / "failed" / "f.json").unlink()
    counts = write_report(tmp_path).totals
    assert (counts.done, counts.failed, counts.damaged) == (0, 0, 0)
    cache = json.loads((tmp_path / ".impasto" / "report.json").read_text())
    assert (cache["files"], cache["settings"]) == ({}, {})
    assert "Nothing is here yet" in text(tmp_path)


def test_pairs_per_hour_leave_out_the_nights_in_between(tmp_path: Path) -> None:
    hours = [
        (0.0, 1.0),
        (0.25, 0.5),
        (0.75, 1.25),
        (48.0, 48.75),
    ]  # three overlapping pairs, and one two days later
    for number, (begin, end) in enumerate(hours):
        started, finished = ((BEGIN + timedelta(hours=each)).isoformat() for each in (begin, end))
        add_result(tmp_path, f"{number}.png", number, started=started, finished=finished)
    counts = write_report(tmp_path).totals
    assert counts.pairs_per_hour == 2.0
    assert (counts.started, counts.finished) == ("2026-03-01T22:00:00+00:00", "2026-03-03T22:45:00+00:00")


def test_times_that_are_none_are_left_out(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png", started="yesterday", finished="0")
    add_failure(tmp_path, "b", failed="some time")
    assert write_report(tmp_path).totals.pairs_per_hour is None
    assert "some time" in text(tmp_path)


def test_thumbnails_are_made_once(tmp_path: Path) -> None:
    record = add_result(tmp_path, "a.png")
    assert write_report(tmp_path).thumbnails_made == 1
    with Image.open(tmp_path / ".impasto" / "thumbnails" / f"{record.output.sha256[:32]}.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (24, 18))
    assert page_data(tmp_path / "index.html")["results"][0]["thumb"] == f"{record.output.sha256[:32]}.jpg"
    assert write_report(tmp_path).thumbnails_made == 0


def test_thumbnails_are_made_in_an_outbox_that_is_reached_through_a_link(tmp_path: Path) -> None:
    add_result(tmp_path / "real", "a.png")
    (tmp_path / "link").symlink_to("real")
    assert write_report(tmp_path / "link").thumbnails_made == 1


@pytest.mark.parametrize("is_partial", [True, False])
def test_old_thumbnails_that_no_result_needs_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_partial: bool
) -> None:
    records = [add_result(tmp_path, f"{number}.png", number, content=f"{number}.jpg") for number in range(3)]
    folder = tmp_path / ".impasto/thumbnails"
    for record in records:
        add_thumbnails(tmp_path, record)
    write_report(tmp_path)
    add_result(tmp_path, "0.png", 7, content="another.jpg")  # replaces the first result
    for path in (tmp_path / "1.png", tmp_path / "1.png.json"):
        path.unlink()
    (folder / f"{32 * '0'}.123").write_bytes(b"of a process that was killed")
    old = {path.name for path in folder.iterdir()}
    for name in old:
        os.utime(folder / name, (0, 0))
    (folder / "new.jpg").write_bytes(b"of a pair in progress")
    if is_partial:
        listed = replace(update_module.list_outbox(tmp_path, Disk()), unreadable={"folder": "Permission denied"})
        monkeypatch.setattr(update_module, "list_outbox", lambda *_: listed)
    write_report(tmp_path)
    left = {path.name for path in folder.iterdir()}
    kept = {records[2].output.sha256, records[2].pair.content.sha256, records[2].pair.style.sha256}
    assert {f"{sha256[:32]}.jpg" for sha256 in kept} | {"new.jpg"} <= left
    if is_partial:
        assert old <= left
    else:
        assert len(left) == 3 + 1 + 1, "those of the last result, the new one, and that of the replaced picture"


def test_a_picture_that_cannot_be_decoded_is_shown_without_preview_and_says_why(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png", sides_px=(2, 2))  # the file has more pixels than its metadata says
    written = write_report(tmp_path)
    assert (written.totals.done, written.totals.with_warnings) == (1, 1)
    data = page_data(tmp_path / "index.html")
    assert data["warnings"][0].startswith("No preview: a.png")
    assert "thumb" not in data["results"][0]


def test_results_share_what_they_have_in_common(tmp_path: Path) -> None:
    own = {**SETTINGS, "image": {**SETTINGS["image"], "size": 768}}
    for number in range(4):
        add_result(tmp_path, f"{number}.png", number, warnings=["dark"], settings=own if number == 3 else SETTINGS)
    write_report(tmp_path)
    data = page_data(tmp_path / "index.html")
    assert data["warnings"] == ["dark"]
    assert len(data["inputs"]) == 2
    assert sorted(data["differences"]) == [[], [["image.size", "768", "512"]]]


def test_numbers_that_json_has_not_do_not_break_the_page(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    path = tmp_path / "a.png.json"
    path.write_text(re.sub(r'("total": )[\d.]+', r"\g<1>1e999", path.read_text()))
    os.utime(tmp_path / "a.png", (1, 1))
    write_report(tmp_path)
    assert "best" not in page_data(tmp_path / "index.html")["results"][0]
    assert reads(tmp_path) == []


def test_a_failure_beside_an_older_result_links_to_it(tmp_path: Path) -> None:
    add_result(tmp_path, "a b.png")
    add_failure(tmp_path, "a b")
    write_report(tmp_path)
    assert '<a href="a%20b.png">its picture of an earlier run' in text(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_an_index_that_is_not_ours_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    add_result(tmp_path, "a.png")
    page = tmp_path / "index.html"
    if kind == "file":
        page.write_text("<html>my homepage, 4000 characters before" + "." * 4000 + MARKER)
    elif kind == "folder":
        page.mkdir()
    else:
        page.symlink_to("nowhere")
    before = page.read_bytes() if kind == "file" else None
    with pytest.raises(StorageError, match="was not written by impasto report"):
        write_report(tmp_path)
    assert (page.read_bytes() if kind == "file" else None) == before


def test_what_is_no_outbox_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no outbox of impasto"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    class FullDisk(Disk):
        def write(self, path: Path, data: bytes) -> None:
            if "index" in path.name:
                path.write_bytes(data[:10])
                raise OSError(28, "No space left on device", str(path))
            super().write(path, data)

    add_result(tmp_path, "a.png")
    page = update_report(tmp_path)
    before = page.read_bytes()
    add_result(tmp_path, "b.png", 2)
    with pytest.raises(StorageError, match="No space left"):
        write_report(tmp_path, FullDisk())
    assert page.read_bytes() == before
    assert write_report(tmp_path).totals.done == 2


def test_two_reports_at_once_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        add_result(tmp_path, f"{number}.png", number)
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(write_report(tmp_path).thumbnails_made)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, 20]
    monkeypatch.setattr(update_module, "_LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / ".impasto" / "report.lock"), pytest.raises(LockedError, match="another report"):
        write_report(tmp_path)


def test_nothing_is_left_lying_about(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    write_report(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".impasto", "a.png", "a.png.json", "index.html"}
    assert {path.name for path in (tmp_path / ".impasto").iterdir()} <= {"report.json", "report.lock", "thumbnails"}


def test_a_blend_shows_all_its_paintings(tmp_path: Path) -> None:
    side: dict[str, Any] = {"width": 4, "height": 3, "format": "jpeg"}
    paintings = [{"path": f"blend/{name}.jpg", "sha256": name * 64, "weight": 1.0, **side} for name in "ab"]
    inputs = {
        "content": {"path": "c.jpg", "sha256": "c" * 64, **side},
        "style": {"path": "blend", "sha256": "d" * 64, **side},
        "blend": paintings,
    }
    add_result(tmp_path, "a.png", pair=inputs)
    write_report(tmp_path)
    data = page_data(tmp_path / "index.html")
    name, indices = data["styles"][0]
    assert name == "blend"
    assert [data["inputs"][index][0] for index in indices] == ["blend/a.jpg", "blend/b.jpg"]
