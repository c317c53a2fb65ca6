"""Tests of SIGKILL at random moments of a live `watch`, with real files and the real engine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.outbox.metadata import Metadata
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS = {
    "image.size": "40",
    "pyramid.evaluations": "2",
    "watch.settle_seconds": "0.05",
    "run.max_attempts": "1000000",
    "run.grace_seconds": "60",
}
"""Settings with many attempts: a photograph must not fail because its process was killed."""


class Zygote:
    """A process that starts the command quickly, by fork."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, *arguments: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "log": str(self._log)}) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def exit_code(self) -> int:
        return int(self._read())

    def end(self) -> None:
        self._process.communicate()
        assert self._process.stdin is not None


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path / "log")
    yield zygote
    zygote.end()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.timeout(1800)
def test_killed_again_and_again_while_files_come(
    tmp_path: Path, zygote: Zygote, tell: Callable[[str], None], *, exhaustive: bool
) -> None:
    kills, moments = 300 if exhaustive else 15, random.Random(7)  # noqa: S311
    inbox, outbox, styles = (tmp_path / name for name in ("inbox", "outbox", "styles"))
    for folder in (inbox / "sea", styles):
        folder.mkdir(parents=True)
    Image.fromarray(photo(50, 40, 99)).save(styles / "sea.png")
    options = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    arguments = [str(inbox), "--outbox", str(outbox), "--styles", str(styles), "--progress", "never", *options]
    dropped: dict[str, str] = {}
    in_work = published = 0
    for number in range(kills):
        for each in range(3):
            name = f"photo{number}-{each}.png"
            Image.fromarray(photo(40, 32, 3 * number + each)).save(tmp_path / name)
            dropped[hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()] = name
            (tmp_path / name).rename(inbox / "sea" / name)
        pid = zygote.start("watch", *arguments)
        time.sleep(moments.uniform(0, 0.9))  # the kill comes at a random moment
        os.kill(pid, signal.SIGKILL)
        assert zygote.exit_code() == -signal.SIGKILL, (tmp_path / "log").read_text()
        in_work += any((inbox / ".impasto/work").glob("*/2*"))
        published = len(check(outbox))
    zygote.start("drain", *arguments)
    assert zygote.exit_code() == 0, (tmp_path / "log").read_text()
    results = check(outbox)
    painted = [record.pair.content.sha256 for record in results]
    assert sorted(painted) == sorted(dropped), "each photograph is painted exactly once"
    archived = [path.name for path in (inbox / ".impasto/done").rglob("*.png")]
    assert sorted(archived) == sorted(dropped.values())
    assert {path.name for path in outbox.iterdir()} == {".impasto"} | {
        name for record in results for name in (record.output.path, f"{record.output.path}.json")
    }
    assert list((outbox / ".impasto/pending").iterdir()) == list((outbox / ".impasto/tmp").iterdir()) == []
    assert in_work > 0, "some kills came while a photograph was in work"
    tell(
        f"{kills} SIGKILLs, {in_work} with jobs in work, {published} of {len(dropped)} done before the last: "
        "0 lost, 0 torn, 0 published twice"
    )


def check(outbox: Path) -> list[Metadata]:
    """Check that every result with metadata is whole; return the results."""
    records = [Metadata.model_validate_json(path.read_bytes()) for path in outbox.glob("*.png.json")]
    for record in records:
        assert hashlib.sha256((outbox / record.output.path).read_bytes()).hexdigest() == record.output.sha256
    return records
