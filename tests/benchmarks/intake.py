"""Measurements of a watcher's own work, without any picture: what does it cost when thousands of files wait?

python -m tests.benchmarks.intake                          all tables below; about ten minutes
python -m tests.benchmarks.intake rounds tickets           some of them: rounds, tickets, drains, jobs, reports

A stage takes the place of the device that publishes without painting. Seconds are those of the processor, so that other
work on the machine counts little. `tests.benchmarks.months` simulates weeks of work.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.outbox.report.update import update_report
from tests.faults.world import Worker, World, photo
from tests.outbox.report.samples import add_result, add_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.stage.task import Task

SIZES = (2_000, 20_000, 100_000)
ROWS = 10_000
MIB = 2**20
SETTLE_SECONDS = 0.05
LIMIT_SECONDS = 60.0
"""Longest time of one drain; the rate of a drain that takes longer is that of its first minute."""


class EnoughError(BaseException):
    """Ends a measurement; a stage takes no error of this kind for a failed pair."""


@contextlib.contextmanager
def new_world(**watch: Any) -> Iterator[World]:
    """Return a world whose clock is the real one and whose files are stable almost at once."""
    root = Path(tempfile.mkdtemp(prefix="intake-"))
    settings = {"settle_seconds": SETTLE_SECONDS, "poll_seconds": 1e9, "rescan_seconds": 1e9, **watch}
    try:
        yield World(root / "world", {"watch": settings}, clock=time.monotonic)
    finally:
        shutil.rmtree(root)


def drop(world: World, folder: str, count: int, data: bytes = b"photo |end") -> list[str]:
    """Put small files into a folder of the inbox; return their paths in the inbox."""
    (world.inbox / folder).mkdir(exist_ok=True)
    names = [f"{folder}/{number:06}.png" for number in range(count)]
    for name in names:
        (world.inbox / name).write_bytes(data)
    return names


def seconds_of(action: Callable[[], Any], times: int = 1) -> float:
    """Return the processor's seconds of an action, the least of several tries."""
    return min(_seconds_once(action) for _ in range(times))


def _seconds_once(action: Callable[[], Any]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin


def settled(world: World, *, drain: bool = False) -> Worker:
    """Return a worker that knows all files of the inbox, when they are stable."""
    worker = world.worker(drain=drain).start()
    time.sleep(2 * SETTLE_SECONDS)
    worker.scanner.round(0)
    return worker


def rounds() -> None:
    """Print what a look at an inbox costs in which nothing changes."""
    print(f"{'files that wait':>34}  idle round  next look  full look  claim of 4  status.json")
    for count in SIZES:
        for kind, folder in (("for their style", "unknown"), ("for room", "sea")):
            with new_world() as world:
                drop(world, folder, count)
                worker = settled(world)
                scanner = worker.scanner
                idle = seconds_of(lambda each=scanner: each.round(0), 3)
                wait = seconds_of(scanner.seconds_until_next, 3)
                status = seconds_of(worker.watcher.status_file.write, 2)
                size = (worker.spool.folder / "status.json").stat().st_size
                scanner.look_again()
                look = seconds_of(lambda each=scanner: each.round(0))
                claim = seconds_of(lambda each=scanner: each.round(4))
                print(
                    f"{count:>9,} {kind:>24}  {idle * 1e3:7.1f} ms {wait * 1e3:7.1f} ms  {look:7.2f} s "
                    f"{claim * 1e3:8.1f} ms  {status * 1e3:6.1f} ms, {size / 1e3:,.0f} kB",
                    flush=True,
                )
                worker.die()


def tickets() -> None:
    """Print what a round costs while a ticket lacks one of its files."""
    print(f"\n{'rows of a ticket, one missing':>34}  idle round")
    for rows in (1_000, ROWS):
        with new_world() as world:
            names = drop(world, "sea", rows)
            lines = [f"{name},sea" for name in [*names, "sea/missing.png"]]
            world.drop("night.csv", "\n".join(["content,style", *lines]).encode())
            worker = settled(world)
            time.sleep(2 * SETTLE_SECONDS)
            for _ in range(2):
                worker.scanner.round(4)
            assert len(worker.scanner.tickets) == 1
            print(f"{rows:>34,}  {seconds_of(lambda each=worker: each.scanner.round(4), 3) * 1e3:7.1f} ms", flush=True)
            worker.die()


def drains() -> None:
    """Print what a photograph costs by the number of photographs in the inbox."""
    print(f"\n{'photographs to drain':>34}  per photograph")
    for count in (200, 2_000, 10_000):
        with new_world() as world:
            drop(world, "sea", count)
            worker = settled(world, drain=True)
            begin, until = time.process_time(), time.monotonic() + LIMIT_SECONDS
            while time.monotonic() < until and not worker.watcher.is_drained():
                worker.step()
            done = len(worker.outcomes) + len(worker.duplicates)
            took = time.process_time() - begin
            note = "" if done == count else f" ({done} of them, {LIMIT_SECONDS:.0f} s)"
            print(f"{count:>34,}  {took / max(done, 1) * 1e3:7.2f} ms{note}", flush=True)
            worker.die()


def jobs() -> None:
    """Print what a pair of a large ticket costs by the number of the ticket's rows."""
    print(f"\n{'rows of a ticket that is painted':>34}  per pair")
    for rows, wanted in ((100, 90), (1_000, 300), (ROWS, 300)):
        with new_world() as world:
            names = drop(world, "sea", rows)
            for name in names:  # so that no pair is a duplicate of another
                (world.inbox / name).write_bytes(photo(name))
            world.drop("night.csv", "\n".join(["content,style", *(f"{name},sea" for name in names)]).encode())
            worker = world.worker().start()
            _let_claim(worker)
            times: list[float] = []

            def note(_: Task, times: list[float] = times, wanted: int = wanted) -> None:
                times.append(time.process_time())
                if len(times) > wanted:
                    raise EnoughError

            worker.stage.on_render = note
            with contextlib.suppress(EnoughError):
                worker.watcher.feeder.render(worker.stage)
            print(f"{rows:>34,}  {(times[-1] - times[0]) / (len(times) - 1) * 1e3:7.2f} ms", flush=True)
            worker.die()


def _let_claim(worker: Worker) -> None:
    while not worker.watcher._queue.ready():
        worker.watcher.scan_thread.scan()
        time.sleep(SETTLE_SECONDS)


def reports(count: int = 20_000) -> None:
    """Print what an update of the report costs when one pair is new."""
    root = Path(tempfile.mkdtemp(prefix="intake-"))
    try:
        for number in range(count):
            record = add_result(root, f"{number // 1000:03}/{number:06}.png", number, content=f"photos/{number}.jpg")
            add_thumbnail(root, record.output.sha256)
        first = seconds_of(lambda: update_report(root))
        nothing = seconds_of(lambda: update_report(root))
        add_thumbnail(root, add_result(root, "new.png", count).output.sha256)
        one = seconds_of(lambda: update_report(root))
        size = (root / ".impasto/report.json").stat().st_size
        print(f"\n{count:,} results: first report {first:.2f} s, unchanged {nothing:.2f} s, one new pair {one:.2f} s")
        print(f"    report.json: {size / MIB:.1f} MiB; peak memory {_peak_mib():.0f} MiB", flush=True)
    finally:
        shutil.rmtree(root)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TABLES: dict[str, Callable[[], None]] = {
    "rounds": rounds,
    "tickets": tickets,
    "drains": drains,
    "jobs": jobs,
    "reports": reports,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*TABLES, []], default=list(TABLES))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    for name in arguments.what:
        TABLES[name]()


if __name__ == "__main__":
    main()
