"""Weeks of a watcher in minutes: does anything grow that should not?

python -m tests.benchmarks.months                  50,000 pairs: two weeks of 150 photographs an hour
python -m tests.benchmarks.months --pairs 5000     fewer
python -m tests.benchmarks.months --real           with the engine, at 32 px

A person drops photographs: new ones, ones that were painted already, broken ones, ones of an unknown style, which the
person takes away again, and tickets. At several points the program prints the watcher's memory, descriptors and
threads, the lines of its log, and the number of files in the state folders; a failed job has three. `watch.retire` is
"delete". Without `--real` a stage publishes results without painting them, no thumbnails are made, and nothing waits
until data reach the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from pipeline.monitoring.logs import logging_to_stderr
from pipeline.monitoring.metrics import Metrics
from pipeline.monitoring.observers import Observers
from pipeline.monitoring.run_record import RunRecorder
from pipeline.run.observer import RunInfo
from pipeline.settings.all_settings import validate
from pipeline.watch.jobs.job_pairs import FingerprintReader
from pipeline.watch.service import Folders, Service
from tests.faults.disk import HastyDisk
from tests.faults.world import WEIGHTS, FakeStage

BATCH = 100
"""Photographs that the person drops at once."""
POINTS = 8
MIB = 2**20
WATCH = {"settle_seconds": 0.1, "rescan_seconds": 5.0, "retire": "delete"}
BROKEN = b"poison\xff\xd9"


def jpeg(seed: int) -> bytes:
    """Return a small photograph, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg")
    return file.getvalue()


def serve(root: Path) -> int:
    """Watch ROOT/inbox until SIGTERM, with a stage that does not paint."""
    values = {"watch": WATCH, "styles": {"folder": str(root / "styles")}}
    settings = validate(values)
    with logging_to_stderr():
        observers = Observers([RunRecorder(), Metrics(root / "metrics.prom")])
        service = Service(
            folders=Folders.of(root / "inbox", root / "out", settings),
            settings=settings,
            base_values=values,
            overrides={},
            fingerprints=FingerprintReader(WEIGHTS, "1"),
            observer=observers,
            disk=HastyDisk(),
        )
        folders = service.folders
        observers.started(RunInfo("watch", folders.inbox, folders.outbox, settings, spool=folders.spool))
        summary = service.run(FakeStage)
        observers.finished(summary)
    return int(summary.exit_code)


def command(root: Path, *, real: bool) -> list[str]:
    """Return the command of the watcher."""
    if not real:
        return [sys.executable, "-m", "tests.benchmarks.months", "--serve", str(root)]
    sections = {
        "watch": WATCH,
        "image": {"size": 32},
        "pyramid": {"evaluations": 2, "scales": 1},
        "metrics": {"textfile": root / "metrics.prom"},
        "run": {"report": "true"},
    }
    options = [f"--set={section}.{key}={value}" for section, keys in sections.items() for key, value in keys.items()]
    folders = [str(root / "inbox"), "--outbox", str(root / "out"), "--styles", str(root / "styles")]
    return [sys.executable, "-m", "pipeline", "watch", *folders, "--progress=never", "--device=cpu", *options]


class Person:
    """A person who drops photographs into an inbox."""

    def __init__(self, root: Path) -> None:
        self._inbox = root / "inbox"
        self._random = random.Random(0)  # noqa: S311 - the same drops in each simulation
        self._numbers = itertools.count()
        self._batches = itertools.count()
        self.dropped: Counter[str] = Counter()

    def drop_batch(self) -> None:
        """Drop photographs and a ticket, and take away what lay in the folder of an unknown style."""
        shutil.rmtree(self._inbox / "unknown", ignore_errors=True)
        folder = self._inbox / "sea" / f"walk-{next(self._batches) % 20}"
        for path in (folder, self._inbox / "unknown"):
            path.mkdir(parents=True, exist_ok=True)
        kinds = self._random.choices(["new", "again", "broken", "unknown"], [90, 5, 2, 3], k=BATCH)
        for kind in kinds:
            self.dropped[kind] += 1
            number = next(self._numbers)
            if kind == "again" and number > BATCH:
                earlier = self._random.randrange(number - BATCH)
                self._put(folder / f"again-{number}.jpg", jpeg(earlier))
            elif kind == "unknown":
                self._put(self._inbox / "unknown" / f"{number}.jpg", jpeg(number))
            else:
                self._put(folder / f"{number}.jpg", BROKEN if kind == "broken" else jpeg(number))
        self.dropped["ticket"] += 1
        names = [f"ticket-{next(self._numbers)}.jpg" for _ in range(3)]
        for name in names:
            self._put(self._inbox / name, jpeg(next(self._numbers)))
        rows = "\n".join(["content,style", *(f"{name},sea" for name in names)])
        self._put(self._inbox / f"{names[0]}.csv", rows.encode())

    @staticmethod
    def _put(path: Path, data: bytes) -> None:
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(data)
        part.rename(path)

    def waits(self) -> bool:
        """Whether photographs that can be painted are still in the inbox."""
        work = self._inbox / ".impasto/work"
        claimed = (entry for worker in work.iterdir() if not worker.name.startswith(".") for entry in worker.iterdir())
        with contextlib.suppress(FileNotFoundError):
            if any(entry.is_dir() for entry in claimed):
                return True
        return any(path.is_file() for path in self._inbox.glob("*.*")) or any((self._inbox / "sea").rglob("*.*"))


def count_files(folder: Path) -> Counter[str]:
    """Count the files below a state folder, by its subfolders."""
    counts: Counter[str] = Counter()
    for path, _, names in os.walk(folder):
        parts = Path(path).relative_to(folder).parts
        counts[parts[0] if parts else "."] += len(names)
    return +counts


def simulate(root: Path, pairs: int, *, real: bool) -> None:
    """Let a person and a watcher work, and print what the watcher holds at several points."""
    for name in ("inbox", "styles"):
        (root / name).mkdir()
    (root / "styles/sea.jpg").write_bytes(jpeg(-1 % 2**32))
    person = Person(root)
    log = root / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command(root, real=real), stdout=subprocess.DEVNULL, stderr=stderr) as watcher,
    ):
        try:
            while watcher.poll() is None and not (root / "inbox/.impasto/work").is_dir():
                time.sleep(0.1)
            points = iter([0, *(pairs * (point + 1) // POINTS for point in range(POINTS))])
            due, begin = next(points), time.monotonic()
            print("  dropped  seconds     MiB  descriptors  threads  log lines  files")
            while watcher.poll() is None:
                while watcher.poll() is None and person.waits():
                    time.sleep(0.02)
                dropped = person.dropped.total()
                if dropped >= due:
                    show(watcher.pid, root, dropped, time.monotonic() - begin)
                    due = next(points, 0)
                    if not due:
                        break
                person.drop_batch()
        finally:
            watcher.send_signal(signal.SIGTERM)
            code = watcher.wait(60)
    print(f"The watcher ended with exit code {code}. Dropped: {dict(person.dropped)}.")
    print(log.read_text(errors="replace").splitlines()[-1])


def show(pid: int, root: Path, dropped: int, seconds: float) -> None:
    """Print what a watcher holds."""
    process = psutil.Process(pid)
    states = {"inbox": count_files(root / "inbox/.impasto"), "out": count_files(root / "out/.impasto")}
    files = "; ".join(
        f"{name}: " + ", ".join(f"{count:,} {folder}" for folder, count in sorted(counts.items()))
        for name, counts in states.items()
    )
    lines = (root / "log").read_bytes().count(b"\n")
    print(
        f"{dropped:>9,} {seconds:>8.0f} {process.memory_info().rss / MIB:>7.1f} {process.num_fds():>12} "
        f"{process.num_threads():>8} {lines:>10,}  {files}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        return serve(arguments.serve)
    root = Path(tempfile.mkdtemp(prefix="months-"))
    try:
        simulate(root, arguments.pairs, real=arguments.real)
    finally:
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
