"""Tests of SIGKILL at random moments of a run: no result may be lost or torn, and no file left over."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.outbox.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 10
"""Number of kills with `--exhaustive`; otherwise there are two."""
PAIRS = 8

EVALUATIONS = 6

# Program that is started once per kill; it prints each evaluation, so that kills come during work, not during imports.
CHILD = """
from pipeline.run import runner as run
evaluated = run._StageListener.evaluated
from pipeline.monitoring.stdio import print_result
def announce(*arguments):
    print_result("evaluated")  # stdout is the command's own
    evaluated(*arguments)
run._StageListener.evaluated = announce
from pipeline.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.timeout(240)
def test_killed_at_random_moments_all_pairs_are_there_exactly_once(
    tmp_path: Path, make_image: Callable[..., Path], *, exhaustive: bool
) -> None:
    for seed in range(PAIRS):
        make_image(f"content/photo{seed}.png", seed=seed)
    make_image("swirl.png", seed=99)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("content,style\ncontent,swirl.png\n")
    moments = random.Random(20)  # noqa: S311
    for number in range(KILLS if exhaustive else 2):
        outbox = tmp_path / f"out{number}"
        run_and_kill(manifest, outbox, moments.randrange(PAIRS * EVALUATIONS), moments.uniform(0, 0.03))
        run(manifest, outbox)
        check(outbox)


POISON = """
import os, signal
from pipeline.stage.load import loader as module
load = module.load
def load_or_die(pair, *more):
    if "poison" in pair.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(pair, *more)
module.load = load_or_die
from pipeline.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.timeout(240)
def test_a_pair_that_ends_the_process_is_found_out_and_its_neighbours_are_not_blamed(
    tmp_path: Path, make_image: Callable[..., Path]
) -> None:
    for name in ("a", "poison", "z"):
        make_image(f"content/{name}.png")
    make_image("swirl.png", seed=99)
    manifest, outbox = tmp_path / "manifest.csv", tmp_path / "out"
    manifest.write_text("content,style\ncontent,swirl.png\n")
    command = [sys.executable, "-c", POISON, *arguments(manifest, outbox), "--set", "run.max_attempts=2"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(4)]
    assert [each.returncode for each in runs] == [-signal.SIGKILL] * 3 + [3]
    assert "failed: poison__swirl: " in runs[-1].stderr, "the failure is shown, though the pair never reached the stage"
    failure = json.loads((outbox / "failed/poison__swirl.json").read_text())
    assert "died 2 times" in failure["reason"], "the first process died while it worked on other pairs, too"
    assert sorted(path.name for path in outbox.glob("*.png")) == ["a__swirl.png", "z__swirl.png"]
    assert list((outbox / ".impasto/pending").iterdir()) == []


def arguments(manifest: Path, outbox: Path) -> list[str]:
    settings = ["--set", "image.size=40", "--set", f"pyramid.evaluations={EVALUATIONS}", "--progress", "never"]
    return ["run", str(manifest), "--outbox", str(outbox), *settings]


def run(manifest: Path, outbox: Path) -> None:
    result = CliRunner().invoke(app, arguments(manifest, outbox))
    assert result.exit_code == 0, result.output


def run_and_kill(manifest: Path, outbox: Path, evaluations: int, seconds: float) -> None:
    """Run the manifest, and kill it a number of seconds after a number of evaluations."""
    command = [sys.executable, "-c", CHILD, *arguments(manifest, outbox)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(evaluations + 1):
            assert process.stdout.readline() == "evaluated\n", process.stderr.read() if process.stderr else ""
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        _, errors = process.communicate()
        killer.cancel()
    assert process.returncode in (0, -signal.SIGKILL), errors


def check(outbox: Path) -> None:
    """Check that all results are whole and that no other files are left."""
    names = {f"photo{seed}__swirl.png" for seed in range(PAIRS)}
    files = {p.relative_to(outbox).as_posix() for p in outbox.rglob("*") if p.is_file()}
    kept = (".impasto/lock", ".impasto/names.lock", ".impasto/runs/", ".impasto/thumbnails/")
    assert {name for name in files if not name.startswith(kept)} == names | {f"{name}.json" for name in names}
    for name in names:
        record = Metadata.model_validate(json.loads((outbox / f"{name}.json").read_text()))
        assert record.output.sha256 == hashlib.sha256((outbox / name).read_bytes()).hexdigest()
