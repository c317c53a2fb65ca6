"""Tests of the events of a real file system."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

import pytest
from watchdog.observers.api import BaseObserver

from pipeline.watch.inbox.events import WatchdogEvents

if TYPE_CHECKING:
    from pathlib import Path


def test_after_a_stop_no_thread_is_left_and_no_path_is_remembered(tmp_path: Path) -> None:
    threads, woken = threading.active_count(), threading.Event()
    events = WatchdogEvents(tmp_path, woken.set)
    for _ in range(2):  # they can be started again
        events.start()
        (tmp_path / "sea").mkdir(exist_ok=True)
        events.watch({tmp_path / "sea"})
        woken.clear()
        (tmp_path / "sea/a.jpg").write_bytes(b"a")
        assert woken.wait(60), "events arrive"
        events.stop()
        assert threading.active_count() == threads
        assert not events.take().paths
        assert not events.is_alive()


def test_a_folder_that_was_removed_and_made_again_is_watched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        WatchdogEvents, "_inode", lambda *_: 7
    )  # as a file system may give the new folder the old inode
    threads, woken, folder = threading.active_count(), threading.Event(), tmp_path / "sea"
    events = WatchdogEvents(tmp_path, woken.set)
    folder.mkdir()
    events.start()
    events.watch({folder})
    assert events._observer is not None
    (emitter,) = (each for each in events._observer.emitters if each.watch.path == str(folder))
    folder.rmdir()
    folder.mkdir()
    emitter.join(60)
    assert events.is_alive(), "only one folder has lost its emitter"
    events.watch({folder})
    events.take()
    woken.clear()
    (folder / "a.jpg").write_bytes(b"a")
    found: set[Path] = set()
    while folder / "a.jpg" not in found:
        assert woken.wait(60), "events arrive"
        woken.clear()
        found |= events.take().paths
    events.stop()
    assert threading.active_count() == threads


def test_a_start_that_fails_leaves_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: BaseObserver) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    threads = threading.active_count()
    monkeypatch.setattr(BaseObserver, "start", fail)
    with pytest.raises(OSError, match="No space left"):
        WatchdogEvents(tmp_path, lambda: None).start()
    assert threading.active_count() == threads


def test_folders_that_are_nested_too_deep_for_watchdog_are_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    (tmp_path / "sea").mkdir()
    events = WatchdogEvents(tmp_path, lambda: None)
    events.start()
    monkeypatch.setattr(BaseObserver, "schedule", fail)
    with pytest.raises(OSError, match="nested too deep"):
        events.watch({tmp_path / "sea"})
    events.stop()
