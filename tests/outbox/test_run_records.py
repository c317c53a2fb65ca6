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
    SILENT_SECONDS,
    RunRecord,
    is_process_alive,
    path_of,
    read_run,
    read_runs,
    write_run,
)

if TYPE_CHECKING:
    from pathlib import Path


def record(**changes: Any) -> RunRecord:
    moment = datetime.now(UTC).isoformat()
    fields = {"command": "run", "source": "/night.csv", "preset": "p", "settings": {}, "started": moment}
    return RunRecord(**{**fields, "written": moment, **changes})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record(pairs=7, counts={"done": 3}, on_device=["a"])
    write_run(tmp_path, written)
    assert read_runs(tmp_path) == [written]
    assert read_run(tmp_path, record()) == written
    assert os.listdir(path_of(tmp_path, written).parent) == [path_of(tmp_path, written).name]  # noqa: PTH208


def test_each_command_and_source_has_one_and_the_newest_comes_first(tmp_path: Path) -> None:
    for hour, (command, source) in enumerate([("run", "/a"), ("watch", "/a"), ("run", "/b"), ("run", "/a")]):
        write_run(tmp_path, record(command=command, source=source, started=f"2026-03-01T{hour:02}:00:00+00:00"))
    found = [(each.command, each.source) for each in read_runs(tmp_path)]
    assert found == [("run", "/a"), ("run", "/b"), ("watch", "/a")]


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert (read_runs(tmp_path), read_run(tmp_path, record())) == ([], None)
    write_run(tmp_path, record())
    path_of(tmp_path, record()).write_text('{"of": "another version"}')
    assert (read_runs(tmp_path), read_run(tmp_path, record())) == ([], None)


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
