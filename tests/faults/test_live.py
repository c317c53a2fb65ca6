"""Tests of watchers with real events, real time and several processes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from watchdog.observers.inotify_c import InotifyFD

from pipeline.watch.inbox import events
from tests.faults.world import World, photo

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = {"polling": False, "rescan_seconds": 3600.0}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are about inotify and its like on Linux")


def until(condition: Callable[[], bool], seconds: float, action: Callable[[], None] = lambda: None) -> float:
    """Repeat an action until a condition holds, and return the seconds that this took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, "the condition holds in time"
        action()
        time.sleep(0.01)
    return time.monotonic() - begin


def test_a_burst_that_overflows_the_queue_of_events_is_found(
    tmp_path: Path, tell: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path / "world", {"watch": EVENTS}, clock=time.monotonic)
    (world.inbox / "sea").mkdir()
    worker = world.worker().start()
    names = [f"sea/{number}.jpg" for number in range(5000)]
    observer: Any = worker.scanner._events._observer
    with observer._inotify_fd._lock:  # the reader of events waits, so the kernel has to queue them
        for number in range(20_000):
            world.drop(f"sea/.noise{number % 2}", b"x")
        for name in names:
            world.drop(name, b"x")
    tracked = worker.scanner._files.tracker.files
    seconds = until(lambda: len(tracked) == len(names), 60, worker.watcher.scan_thread.scan)
    assert worker.scanner.mode == "events"
    worker.end()
    if int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) <= 16384:
        assert any("overflow" in message for message in caplog.messages), (
            "the queue overflows, otherwise this test checks nothing"
        )
    tell(f"5000 files with the queue of events overflowing: all found {seconds:.2f} s after")


@pytest.mark.timeout(120)
def test_a_dead_reader_of_events_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None], *, exhaustive: bool
) -> None:
    if not exhaustive:
        monkeypatch.setattr(events, "PROBE_INTERVAL_SECONDS", 0.3)
        monkeypatch.setattr(events, "PROBE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def die(*_: object) -> None:
        raise ZeroDivisionError

    world = World(tmp_path / "world", {"watch": {**EVENTS, "settle_seconds": 0.1}}, clock=time.monotonic)
    worker = world.worker().start()
    intake = worker.scanner
    monkeypatch.setattr(InotifyFD, "handle_event", die)
    world.drop("sea/a.jpg")
    assert intake._events.is_alive(), "the thread still seems alive, so only the missing events show the fault"
    seconds = until(lambda: bool(intake.degraded), 40, worker.watcher.scan_thread.scan)
    assert intake.mode == "polling"
    until(lambda: len(world.results()) == 1, 10, worker.step)
    worker.end()
    world.check_settled()
    tell(f"the reader of events died: noticed after {seconds:.1f} s, nothing lost")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("polling", [False, True], ids=["events", "polling"])
def test_from_drop_to_claim(tmp_path: Path, tell: Callable[[str], None], *, polling: bool, exhaustive: bool) -> None:
    count = 500 if exhaustive else 40
    seconds = {} if exhaustive else {"settle_seconds": 0.2, "poll_seconds": 0.3}
    defaults = {"settle_seconds": 2.0, "poll_seconds": 5.0}
    watch = {**EVENTS, **defaults, **seconds, "polling": polling, "prefetch": 10_000}
    world = World(tmp_path / "world", {"watch": watch}, clock=time.monotonic)
    (world.inbox / "sea").mkdir()
    worker = world.worker().start()
    dropped: dict[str, float] = {}
    claimed: dict[str, float] = {}
    worker.watcher.scan_thread.start()
    complete = b"\x89PNG\r\n\x1a\n" + b"." * 50 + b"\0\0\0\0IEND\xae\x42\x60\x82"
    for number in range(count):
        outside = world.root / "outside.png"
        outside.write_bytes(complete)
        outside.rename(world.inbox / f"sea/{number}.png")
        dropped[f"{number}.png"] = time.monotonic()
        note_claims(world, claimed)
        time.sleep(0.02)
    until(lambda: len(claimed) == count, 60, lambda: note_claims(world, claimed))
    worker.watcher.scan_thread.end()
    worker.end()
    waits = sorted(claimed[name] - at for name, at in dropped.items())
    middle, late = statistics.median(waits), waits[int(0.99 * count)]
    limit = watch["settle_seconds"] + (watch["poll_seconds"] if polling else 0)
    assert middle < limit + 10, "claims do not wait for the complete scan, which comes after an hour"
    how = f"polling every {watch['poll_seconds']:g} s" if polling else "events"
    tell(
        f"{count} drops, {how}, settle_seconds {watch['settle_seconds']:g}: "
        f"from drop to claim {middle:.2f} s (p50), {late:.2f} s (p99)"
    )


def note_claims(world: World, claimed: dict[str, float]) -> None:
    """Record the time at which each claimed photograph was first seen, by its name."""
    for path in (world.inbox / ".impasto/work").glob("*/*/in/sea/*.png"):
        claimed.setdefault(path.name, time.monotonic())


@pytest.mark.timeout(300)
def test_four_watchers_share_an_inbox(tmp_path: Path, tell: Callable[[str], None], *, exhaustive: bool) -> None:
    count = 2000 if exhaustive else 200
    world = World(tmp_path / "world")
    (world.inbox / "sea").mkdir()
    command = [sys.executable, "-m", "tests.faults.watcher_process", str(world.root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    until(lambda: len(list((world.inbox / ".impasto/work").glob("[!.]*"))) == 4, 60)
    for number in range(count):
        world.drop(f"sea/{number}.jpg")
    until(lambda: len(list(world.outbox.glob("*.json"))) == count and not world.spooled("work"), 200)
    painted = []
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        output, _ = process.communicate()
        number, even = output.split()[-2:]
        assert (process.returncode, even) == (143, "True")
        painted.append(int(number))
    assert sum(painted) == count
    assert len(world.check_settled()) == len(world.spooled("done")) == count
    assert min(painted) > 0
    tell(f"four watchers, {count} files: each done once, by worker {painted}")


def test_hostile_names_and_things_do_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path / "world")
    sea = world.inbox / "sea"
    sea.mkdir()
    good = [
        "newline\n.jpg", "\x1b[31mred.jpg", "🎨.jpg", unicodedata.normalize("NFC", "é.jpg"),
        unicodedata.normalize("NFD", "é.jpg"), "Case.jpg", "case.jpg", "a" * 251 + ".jpg", "ü" * 125 + ".jpg",
        " .jpg", "-rf.jpg", "con.jpg", "a:b.jpg", "a\\b.jpg", "$(x).jpg", os.fsdecode(b"\xff\xfe.jpg"),
    ]  # fmt: skip
    for number, name in enumerate(good):
        world.drop(f"sea/{name}", photo(str(number)))
    for name in ("..jpg", ".hidden.jpg"):
        world.drop(f"sea/{name}", photo("hidden"))
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(photo("outside"))
    os.mkfifo(sea / "fifo.jpg")
    (sea / "link.jpg").symlink_to(outside)
    (sea / "up").symlink_to(tmp_path)
    (sea / "folder.jpg").mkdir()
    world.drop("sea/folder.jpg/inside.jpg", photo("inside"))
    with socket.socket(socket.AF_UNIX) as plug:
        here = os.open(sea, os.O_RDONLY)
        plug.bind(f"/proc/self/fd/{here}/plug.jpg")
        os.close(here)
    with caplog.at_level(logging.WARNING):
        worker = world.worker().start()
        worker.work(30)
        balance = worker.end()
    left = {path.name for path in sea.iterdir()} - {"folder.jpg"}
    assert left == {"..jpg", ".hidden.jpg", "fifo.jpg", "link.jpg", "up", "plug.jpg"}
    results = world.check_settled()
    assert balance.done == len(good) + 1 == len(results)
    assert {name.removeprefix("sea/") for name in world.spooled("done")} == {*good, "folder.jpg/inside.jpg"}
    assert outside.read_bytes() == photo("outside")
    for name in results:
        assert name.isprintable()
    for name in ("fifo.jpg", "link.jpg", "plug.jpg"):
        assert len([line for line in caplog.messages if line.startswith(f"sea/{name} is no regular file")]) == 1
