"""Tests of the files of run records in the outbox."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pipeline.outbox.run_records import (
    MAX_OVER,
    SILENT_SECONDS,
    RunRecord,
    is_process_alive,
    path_of,
    read_runs,
    remove_outdated,
    write_run,
)

if TYPE_CHECKING:
    from pathlib import Path


def record(**changes: Any) -> RunRecord:
    moment = datetime.now(UTC).isoformat()
    fields = {"command": "run", "source": "/night.csv", "preset": "p", "settings": {}, "started": moment}
    return RunRecord(**{**fields, "written": moment, **changes})


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    (tmp_path / ".impasto").mkdir()
    return tmp_path


def shown(root: Path) -> list[tuple[str, int]]:
    return [(each.source, each.pid) for each in read_runs(root)]


def test_a_record_is_read_as_it_was_written(outbox: Path) -> None:
    written = record(pairs=7, counts={"done": 3}, on_device=["a"])
    write_run(outbox, written)
    assert read_runs(outbox) == [written]
    assert os.listdir(path_of(outbox, written).parent) == [path_of(outbox, written).name]  # noqa: PTH208


def test_an_outbox_that_is_no_longer_mounted_gets_no_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_run(tmp_path, record())
    assert list(tmp_path.iterdir()) == []


def test_each_process_has_a_record_and_the_newest_comes_first(outbox: Path) -> None:
    for hour, (source, pid) in enumerate([("/a", os.getpid()), ("/a", 1), ("/b", os.getpid())]):
        write_run(outbox, record(source=source, pid=pid, started=f"2026-03-01T{hour:02}:00:00+00:00"))
    assert shown(outbox) == [("/b", os.getpid()), ("/a", 1), ("/a", os.getpid())]


def test_of_runs_that_are_over_the_last_one_counts_unless_another_is_at_work(outbox: Path) -> None:
    for hour, (source, pid, is_over) in enumerate(
        [("/a", 1, True), ("/b", 1, False), ("/b", 2, True), ("/a", 2, True), ("/b", os.getpid(), False)]
    ):
        started = f"2026-03-01T{hour:02}:00:00+00:00"
        write_run(outbox, record(source=source, pid=pid, started=started, ended=started if is_over else None))
    expected = [("/b", os.getpid()), ("/a", 2), ("/b", 1)]
    assert shown(outbox) == expected
    assert len(list((outbox / ".impasto/runs").iterdir())) == 5
    remove_outdated(outbox)
    assert len(list((outbox / ".impasto/runs").iterdir())) == 3
    assert shown(outbox) == expected


def test_a_watcher_of_the_same_inbox_with_another_spool_does_other_work(outbox: Path) -> None:
    for spool in ("/in/.impasto", "/spool"):
        write_run(outbox, record(command="watch", source="/in", spool=spool, pid=len(spool), ended="2026-03-01"))
    assert {each.spool for each in read_runs(outbox)} == {"/in/.impasto", "/spool"}


def test_only_so_many_records_of_runs_that_are_over_are_kept(outbox: Path) -> None:
    for number in range(MAX_OVER + 20):
        started = f"2026-03-01T{number // 60:02}:{number % 60:02}:00+00:00"
        write_run(outbox, record(command="pair", source=f"/{number}.jpg", pid=1, started=started, ended=started))
    write_run(outbox, record(started="2026-01-01T00:00:00+00:00"))
    remove_outdated(outbox)
    sources = [source for source, _ in shown(outbox)]
    assert sources[:2] == [f"/{MAX_OVER + 19}.jpg", f"/{MAX_OVER + 18}.jpg"]
    assert (len(sources), sources[-1]) == (MAX_OVER + 1, "/night.csv"), "a run at work is kept, however old it is"


def test_the_record_of_an_inbox_is_kept_and_what_was_not_written_to_its_end_is_not(outbox: Path) -> None:
    long_ago = "2026-01-01T00:00:00+00:00"
    write_run(outbox, record(command="watch", source="/inbox", spool="/spool", pid=1, started=long_ago, ended=long_ago))
    for number in range(MAX_OVER + 1):
        moment = f"2026-03-01T{number // 60:02}:{number % 60:02}:00+00:00"
        write_run(outbox, record(command="pair", source=f"/{number}.jpg", pid=1, started=moment, ended=moment))
    names = ("0123456789abcdef.123", "1123456789abcdef.456", "notes.txt")
    old, new, foreign = (outbox / ".impasto/runs" / name for name in names)
    for path in (old, new, foreign):
        path.write_text("{")
    os.utime(old, (0, 0))
    os.utime(foreign, (0, 0))
    remove_outdated(outbox)
    assert len(read_runs(outbox)) == MAX_OVER + 1
    assert read_runs(outbox)[-1].spool == "/spool"
    assert (old.exists(), new.exists(), foreign.exists()) == (False, True, True)


def test_an_unfinished_record_that_is_finished_at_that_moment_is_no_error(
    outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(outbox, record())
    unfinished = outbox / ".impasto/runs/0123456789abcdef.123"
    unfinished.write_text("{")
    lstat = type(outbox).lstat

    def finish(path: Path) -> os.stat_result:
        path.unlink()
        return lstat(path)

    monkeypatch.setattr(type(outbox), "lstat", finish)
    remove_outdated(outbox)
    assert not unfinished.exists()


def test_a_record_of_an_earlier_version_is_read_and_goes_when_it_is_outdated(outbox: Path) -> None:
    folder = outbox / ".impasto/runs"
    folder.mkdir()
    old = record(started="2026-03-01T00:00:00+00:00", ended="2026-03-01T00:00:00+00:00")
    (folder / "0123456789abcdef.json").write_text(old.model_dump_json())
    assert read_runs(outbox) == [old]
    write_run(outbox, record())
    remove_outdated(outbox)
    assert [each.ended for each in read_runs(outbox)] == [None]


def test_what_cannot_be_read_is_left_out(outbox: Path) -> None:
    assert read_runs(outbox) == []
    write_run(outbox, record())
    path_of(outbox, record()).write_text('{"of": "another version"}')
    assert read_runs(outbox) == []


def test_a_run_is_alive_while_its_process_is() -> None:
    assert record().is_alive
    assert not record(ended=datetime.now(UTC).isoformat()).is_alive
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert not record(pid=process.pid).is_alive


def test_a_number_that_went_to_another_process_is_not_the_run() -> None:
    began = psutil.Process().create_time()
    assert is_process_alive(os.getpid(), began + 1)
    assert not is_process_alive(os.getpid(), began - 3600)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies on Windows")
def test_a_process_that_ended_and_was_not_waited_for_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert not is_process_alive(process.pid, datetime.now(UTC).timestamp())


@pytest.mark.parametrize(("seconds", "is_alive"), [(SILENT_SECONDS / 2, True), (SILENT_SECONDS * 2, False)])
def test_on_another_machine_it_is_alive_while_it_writes(seconds: float, *, is_alive: bool) -> None:
    written = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    assert record(host="elsewhere", written=written).is_alive is is_alive
