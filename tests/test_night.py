"""Test of a night: bad files among good ones, a process that is killed half-way, and the morning after."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAIRS = 40
POISONED = {3: b"", 11: b"no picture at all", 19: b"\xff\xd8\xff\xe0 cut", 27: b"\x89PNG\r\n\x1a\n", 35: b"RIFF"}

# Program that kills itself as the twentieth pair begins.
CHILD = """
import os, signal
from pipeline.run import runner as run
started, begun = run._StageListener.pair_started, []
def start(*arguments):
    begun.append(1)
    if len(begun) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    started(*arguments)
run._StageListener.pair_started = start
from pipeline.cli.main import main
main()
"""


def arguments(folder: Path) -> list[str]:
    settings = ["--set", "image.size=32", "--set", "pyramid.evaluations=2", "--progress", "never"]
    return ["run", str(folder / "night.csv"), "--outbox", str(folder / "out"), *settings]


def told(exit_code: int, *command: str) -> dict[str, Any]:
    """Return the last line of JSON on a command's stdout."""
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == exit_code, result.output
    last: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return last


def counts(said: dict[str, Any]) -> tuple[int, int, int]:
    """Return the numbers of done, failed and damaged pairs that a command reports."""
    return said["done"], said["failed"], said["damaged"]


def on_disk(outbox: Path) -> tuple[int, int, int]:
    """Return the numbers of done, failed and damaged pairs on disk."""
    pictures = {path.name for path in outbox.glob("*.png")}
    described = {path.name.removesuffix(".json") for path in outbox.glob("*.png.json")}
    return len(pictures & described), len(list(outbox.glob("failed/*.json"))), len(pictures ^ described)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_forty_pairs_five_of_them_bad_and_a_kill(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    outbox = tmp_path / "out"
    for number in range(PAIRS):
        path = make_image(f"content/p{number:02}.png", width=32, height=24, seed=number)
        path.write_bytes(POISONED.get(number, path.read_bytes()))
    make_image("swirl.png", seed=99)
    (tmp_path / "night.csv").write_text("content,style\ncontent,swirl.png\n")

    command = [sys.executable, "-c", CHILD, *arguments(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    status = told(0, "status", str(outbox))
    assert counts(status) == on_disk(outbox)
    assert 0 < status["done"] < 35
    assert [(run["command"], run["state"]) for run in status["runs"]] == [("run", "died")]
    said = CliRunner().invoke(app, ["status", str(outbox)]).stdout
    assert f"To continue: impasto run {tmp_path}/night.csv --outbox {outbox}" in said

    assert told(3, *arguments(tmp_path))["failed"] == 5
    status, report = told(0, "status", str(outbox)), told(0, "report", str(outbox))
    assert counts(status) == counts(report) == on_disk(outbox) == (35, 5, 0)
    assert all(error["reason"] and error["remedy"] for error in status["last_errors"])

    for number in (3, 11):
        make_image(f"content/p{number:02}.png", width=32, height=24, seed=number)
    again = told(0, "retry", str(outbox), "--only", "p03__swirl", "--only", "p11*")
    assert [(each["name"], each["action"]) for each in again["retries"]] == [
        ("p03__swirl", "forgotten"),
        ("p11__swirl", "forgotten"),
    ]
    assert again["commands"] == [f"impasto run {tmp_path}/night.csv --outbox {outbox}"]
    told(3, *arguments(tmp_path))
    status, report = told(0, "status", str(outbox)), told(0, "report", str(outbox))
    assert counts(status) == counts(report) == on_disk(outbox) == (37, 3, 0)
    assert {error["name"] for error in status["last_errors"]} == {f"p{n}__swirl" for n in (19, 27, 35)}
    assert [(run["state"], run["exit_code"]) for run in status["runs"]] == [("ended", 3)]


@pytest.mark.parametrize("ask", ["inbox", "out"])
def test_a_drained_inbox_with_bad_files_one_of_which_is_mended(
    ask: str, tmp_path: Path, make_image: Callable[..., Path]
) -> None:
    for number in range(6):
        path = make_image(f"inbox/sea/p{number}.png", width=32, height=24, seed=number)
        if number in (1, 4):
            path.write_bytes(b"no picture at all")
    make_image("styles/sea.png", seed=99)
    quick = ("image.size=32", "pyramid.evaluations=2", "watch.settle_seconds=0.1", "watch.incomplete_seconds=0.1")
    settings = [part for each in quick for part in ("--set", each)]
    to = ["--outbox", str(tmp_path / "out"), "--styles", str(tmp_path / "styles"), "--progress", "never"]
    drain = ["drain", str(tmp_path / "inbox"), *to, *settings]

    assert told(3, *drain)["failed"] == 2
    asked = told(0, "status", str(tmp_path / ask))
    assert (asked["done"], asked["failed"]) == (4, 2)
    assert [bool(each["reason"] and each["remedy"]) for each in asked["last_errors"]] == [True, True]
    (bad,) = tmp_path.glob("inbox/.impasto/failed/*/in/sea/p1.png")
    bad.write_bytes((tmp_path / "styles/sea.png").read_bytes())

    again = told(0, "retry", str(tmp_path / ask))
    assert sorted((each["name"], each["action"]) for each in again["retries"]) == [
        ("sea/p1.png", "back in the inbox"),
        ("sea/p4.png", "back in the inbox"),
    ]
    assert sorted(path.name for path in (tmp_path / "inbox/sea").iterdir()) == ["p1.png", "p4.png"]
    assert told(3, *drain)["failed"] == 1
    for each in ("inbox", "out"):
        status = told(0, "status", str(tmp_path / each))
        assert (status["done"], status["failed"]) == (5, 1)
        assert "p4" in status["last_errors"][0]["name"]
    assert on_disk(tmp_path / "out") == (5, 1, 0)
