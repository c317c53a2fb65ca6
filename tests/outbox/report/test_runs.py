"""Tests of the description of the latest run on the page of the report."""

from __future__ import annotations

import html
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.outbox.report.update import write_report
from pipeline.outbox.run_records import RunRecord
from tests.outbox.report.samples import BEGIN, SETTINGS, add_result, page_data, write

if TYPE_CHECKING:
    from pathlib import Path


def add_run(root: Path, name: str = "1", **changes: Any) -> None:
    record: dict[str, Any] = {
        "command": "run",
        "source": "/photos/manifest.csv",
        "spool": "",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "preset": "colour-preserving",
        "settings": SETTINGS,
        "pairs": 40,
        "counts": {"done": 37, "skipped": 0, "failed": 3, "waiting": 0},
        "on_device": [],
        "state": "ended",
        "reason": "",
        "started": BEGIN.isoformat(),
        "written": BEGIN.isoformat(),
        "ended": BEGIN.isoformat(),
        "exit_code": 3,
    }
    run = RunRecord.model_validate({**record, **changes})
    write(root / ".impasto" / "runs" / f"{name}.json", run.model_dump_json().encode())


def run_line(root: Path) -> str:
    """Return the text of the line about the latest run."""
    page = write_report(root).path.read_text(encoding="utf-8")
    found = re.search(r'<p class="run">(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", found[1])).split())


def test_settings_are_compared_with_those_of_the_latest_run(tmp_path: Path) -> None:
    size_768 = {**SETTINGS, "image": {**SETTINGS["image"], "size": 768}}
    for number in range(3):
        add_result(tmp_path, f"{number}.png", number, settings=size_768)
    assert write_report(tmp_path).path.read_text(encoding="utf-8").count("no record of a run") == 1
    assert page_data(tmp_path / "index.html")["differences"] == [[]]
    add_run(tmp_path, "1", started="2026-03-02T00:00:00+00:00")
    add_run(tmp_path, "2", settings=size_768)
    assert "those of the latest run" in write_report(tmp_path).path.read_text(encoding="utf-8")
    assert page_data(tmp_path / "index.html")["differences"] == [[["image.size", "768", "512"]]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ended 2026-03-01 22:00 UTC with exit code 3: 37 done, 0 skipped, 3 failed, 0 waiting."),
        ({"state": "running", "ended": None, "exit_code": None}, "running as of 2026-03-01 22:00 UTC: 37 done"),
        (
            {"state": "paused", "reason": "the disk is <full>", "ended": None, "exit_code": None},
            "paused as of 2026-03-01 22:00 UTC (the disk is <full>): 37 done",
        ),
        (
            {"state": "running", "ended": None, "exit_code": None, "pid": 2**22 + 1},
            "ended without a record of its end, after 2026-03-01 22:00 UTC: 37 done",
        ),
        (
            {"state": "running", "ended": None, "exit_code": None, "pid": 2**22 + 1, "counts": {}},
            "ended without a record of its end, after 2026-03-01 22:00 UTC.",
        ),
    ],
)
def test_says_how_the_latest_run_stands(
    tmp_path: Path, changes: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.outbox.run_records.is_process_alive", lambda pid, _seen: pid == os.getpid())
    add_run(tmp_path, **changes)
    line = run_line(tmp_path)
    assert line.startswith(f"Latest run: impasto run of /photos/manifest.csv, {expected}")
