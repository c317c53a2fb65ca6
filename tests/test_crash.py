"""SIGKILL at random moments: nothing lost, nothing torn, nothing left over."""

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

from pipeline.outbox.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 10
PAIRS = 8

# Started once per kill; says when it begins to work, so that the kills fall into the work and not into the imports.
CHILD = """
import sys
from pipeline import run
plan = run.plan
def announce(*arguments, **keywords):
    print("working", flush=True)
    return plan(*arguments, **keywords)
run.plan = announce
from pipeline.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.timeout(240)
def test_killed_at_ten_random_moments_all_pairs_are_there_exactly_once(
    tmp_path: Path, make_image: Callable[..., Path]
) -> None:
    for seed in range(PAIRS):
        make_image(f"content/photo{seed}.png", seed=seed)
    make_image("swirl.png", seed=99)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("content,style\ncontent,swirl.png\n")
    moments, outboxes, interrupted = random.Random(20), [tmp_path / "out0"], 0  # noqa: S311
    seconds_of_work = 2.5
    for _ in range(KILLS):
        finished = run_and_kill(manifest, outboxes[-1], moments.uniform(0, seconds_of_work))
        interrupted += not finished
        if finished:
            outboxes.append(tmp_path / f"out{len(outboxes)}")
    for outbox in outboxes:
        assert run_and_kill(manifest, outbox, None)
        check(outbox)
    assert interrupted >= KILLS / 2, "most kills should have fallen into the work"


def run_and_kill(manifest: Path, outbox: Path, after_seconds: float | None) -> bool:
    """Run the manifest, kill it so long after it began to work; True if it ended by itself."""
    settings = ["--set", "image.size=40", "--set", "optimiser.evaluations=6"]
    command = [sys.executable, "-c", CHILD, "run", str(manifest), "--outbox", str(outbox), *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n", process.stderr.read() if process.stderr else ""
        killer = threading.Timer(after_seconds or 0, process.kill)
        if after_seconds is not None:
            killer.start()
        _, errors = process.communicate()
        killer.cancel()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode == 0


def check(outbox: Path) -> None:
    names = {f"photo{seed}__swirl.png" for seed in range(PAIRS)}
    files = {p.relative_to(outbox).as_posix() for p in outbox.rglob("*") if p.is_file()}
    assert files - {".impasto/lock"} == names | {f"{name}.json" for name in names}
    for name in names:
        record = Metadata.model_validate(json.loads((outbox / f"{name}.json").read_text()))
        assert record.output.sha256 == hashlib.sha256((outbox / name).read_bytes()).hexdigest()
