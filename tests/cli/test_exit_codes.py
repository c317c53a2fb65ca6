"""Tests of every exit code of the command, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BROKEN = """
from pipeline.cli.status import survey
def fail(*_):
    raise RuntimeError("a defect")
survey.survey = fail
from pipeline.cli.main import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """Return a folder with a manifest of one pair."""
    make_image("a.png")
    make_image("swirl.png", seed=9)
    (tmp_path / "m.csv").write_text("content,style\na.png,swirl.png\n")
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    to = ["--outbox", str(folder / "out"), "--progress", "never", "--set", "image.size=40"]
    return [sys.executable, "-m", "pipeline", "run", str(folder / "m.csv"), *to, *more]


def ended(arguments: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its exit code and its stderr."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def all_done(folder: Path) -> int:
    return ended(command(folder, "--set", "pyramid.evaluations=2"))[0]


def a_defect(folder: Path) -> int:
    code, errors = ended([sys.executable, "-c", BROKEN, "status", str(folder)])
    assert "RuntimeError: a defect" in errors
    return code


def a_wrong_setting(folder: Path) -> int:
    return ended(command(folder, "--set", "image.sise=40"))[0]


def a_bad_photograph(folder: Path) -> int:
    (folder / "a.png").write_bytes(b"")
    return ended(command(folder, "--set", "pyramid.evaluations=2"))[0]


def no_weights(folder: Path) -> int:
    return ended(command(folder, "--set", f"network.weights={folder}/none.pth"))[0]


def another_run(folder: Path) -> int:
    (folder / "out/.impasto").mkdir(parents=True)
    with FileLock(folder / "out/.impasto/lock"):
        return ended(command(folder))[0]


def by_signal(number: int) -> Callable[[Path], int]:
    """Return a function that runs a manifest, sends the process a signal, and returns its exit code."""

    def ends(folder: Path) -> int:
        endless = command(folder, "--set", "pyramid.evaluations=100000", "--preview", "0.1")
        with running([*endless, "--set", "run.grace_seconds=0"]) as process:
            until((folder / "out/.impasto/preview/a__swirl.jpg").exists)
            process.send_signal(number)
            return process.wait(60)

    return ends


@contextlib.contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and kill it at the end of the block."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def until(happened: Callable[[], bool]) -> None:
    """Wait until a condition holds, for at most 60 seconds."""
    begin = time.monotonic()
    while not happened():
        assert time.monotonic() - begin < 60
        time.sleep(0.05)


WAYS: dict[ExitCode, Callable[[Path], int]] = {
    ExitCode.OK: all_done,
    ExitCode.INTERNAL: a_defect,
    ExitCode.USAGE: a_wrong_setting,
    ExitCode.PARTIAL: a_bad_photograph,
    ExitCode.ENVIRONMENT: no_weights,
    ExitCode.LOCKED: another_run,
    ExitCode.INTERRUPTED: by_signal(signal.SIGINT),
    ExitCode.TERMINATED: by_signal(signal.SIGTERM),
}


def test_there_is_a_way_to_each() -> None:
    assert set(WAYS) == set(ExitCode)


@pytest.mark.parametrize("code", WAYS, ids=lambda code: code.name)
def test_a_process_ends_with_it(code: ExitCode, folder: Path) -> None:
    assert WAYS[code](folder) == code


EVERY_CALL = """
import json, sys
from pipeline.cli.main import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["impasto", *arguments]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (arguments, end.code)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1:strict"])
def test_no_character_that_an_encoding_lacks_ends_a_command(encoding: str, folder: Path) -> None:
    out = folder / "выход…"
    quick = ["--outbox", str(out), "--set", "image.size=40", "--set", "pyramid.evaluations=2", "--device", "cpu"]
    run = ["run", str(folder / "m.csv"), *quick, "--progress", "always"]
    calls = [["--help"], ["run", "--help"], ["watch", "--help"], [*run, "-n"], run, [*run, "--json"]]
    calls += [["status", str(out)], ["report", str(out)], ["doctor", str(out)], ["retry", str(out)]]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", EVERY_CALL, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:].decode(errors="replace")
    for words in (b"Usage:", b"1 rendered", b"results in", rb"\u0432\u044b\u0445\u043e\u0434\u2026"):
        assert words in done.stdout


def test_windows_is_refused_in_one_sentence() -> None:
    code = "import sys\nfrom pipeline.cli.main import main\nsys.platform = 'win32'\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.ENVIRONMENT, "")
    assert done.stderr.startswith("impasto runs on Linux and macOS.")


LONG = "x" * 300
"""Name of a file that no file system can have, so that it answers by an error, not by "there is no such file"."""


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (("run", f"{LONG}.csv", "--outbox", "out"), (2,)),
        (("run", "m.csv", "--outbox", "out", "--config", LONG), (2,)),
        (("run", "m.csv", "--outbox", "out", "--set", f"mask.file={LONG}"), (2,)),
        (("run", "m.csv", "--outbox", "out", "--set", f"network.weights={LONG}.pth"), (2, 4)),
        (("run", "m.csv", "--outbox", "out", "--set", f"metrics.textfile={LONG}/m.prom"), (2, 4)),
        (("run", "m.csv", "--outbox", "out", "--set", f'hooks.on_pair=["{LONG}/hook"]'), (2, 4)),
        (("run", "m.csv", "--outbox", LONG), (4,)),
        (("pair", f"{LONG}.jpg", "s.png", "-o", "x.png"), (2,)),
        (("pair", "p.png", f"{LONG}.png", "-o", "x.png"), (2,)),
        (("pair", "p.png", "s.png", "-o", f"{LONG}.png"), (2,)),
        (("pair", "p.png", "s.png", "-o", f"{LONG}/x.png"), (4,)),
        (("pair", "p.png", "s.png", "-o", "x.png", "--mask", LONG), (2,)),
        (("proof", LONG, "--styles", "."), (2,)),
        (("proof", "p.png", "--styles", LONG), (2,)),
        (("proof", "p.png", "--styles", ".", "-o", f"{LONG}.png"), (2, 4)),
        (("watch", LONG, "--outbox", "out"), (2,)),
        (("drain", LONG, "--outbox", "out"), (2,)),
        (("drain", ".", "--outbox", f"../{LONG}"), (2, 4)),
        (("drain", "in", "--outbox", "out", "--styles", LONG), (2,)),
        (("drain", "in", "--outbox", "out", "--set", f"watch.spool={LONG}"), (2, 4)),
        (("drain", "in", "--outbox", "out", "--set", f"mask.file={LONG}"), (2,)),
        (("status", LONG), (2, 4)),
        (("report", LONG), (2, 4)),
        (("retry", LONG), (2, 4)),
        (("doctor", LONG, "--outbox", LONG, "--styles", LONG), (2, 4)),
    ],
)
def test_whatever_path_the_file_system_refuses_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: Callable[..., Path], arguments: Any, codes: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p.png", "s.png"):
        make_image(name)
    (tmp_path / "in").mkdir()
    (tmp_path / "m.csv").write_text("content,style\np.png,s.png\n")
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in codes, result.output
    assert "Traceback" not in result.output
