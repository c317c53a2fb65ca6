"""Hints that something happened in the inbox. They say where to look, never what is there: that is found by looking."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.observers.api import BaseObserver, ObservedWatch

    from pipeline.disk import Disk

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
"""Without FileModifiedEvent and FileOpenedEvent, so that the kernel does not even send those: a long copy would fill
its queue."""


@dataclass
class Changes:
    """What events told since they were last taken."""

    paths: set[Path] = field(default_factory=set)
    """Of files that were created, closed by their writer, or moved to here."""
    look_everywhere: bool = False
    """Events were lost, or a folder came."""


class ChangeEvents(Protocol):
    """Where hints come from."""

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the system cannot watch the folder.
        """

    def watch(self, folders: set[Path]) -> None:
        """Listen to these folders of the inbox, with all below them, and to no others.

        Raises:
            OSError: the system cannot watch one that is there.
        """

    def take(self) -> Changes:
        """What was told since the last call."""

    def is_alive(self) -> bool:
        """Whether all that brings hints still runs, as far as it can be seen from here."""

    def stop(self) -> None:
        """Listen no more."""


class NoEvents:
    """Where only looking helps."""

    def start(self) -> None:
        """Nothing."""

    def watch(self, folders: set[Path]) -> None:
        """Nothing."""

    def take(self) -> Changes:
        """Nothing, ever."""
        return Changes()

    def is_alive(self) -> bool:
        """Yes."""
        return True

    def stop(self) -> None:
        """Nothing."""


class WatchdogEvents:
    """Hints by watchdog, which uses what the system has (inotify on Linux).

    Its threads can die without a word: an exception in the one that reads for all of them
    (`watchdog.observers.inotify_c.InotifyFD`) leaves objects that claim to be alive. So the handler does nothing but
    remember a path, and whoever uses this asks for a sign of life from time to time.

    The inbox itself is not watched with all below it, since the spool may be there: every job would leave watches.
    """

    def __init__(self, inbox: Path, wake: Callable[[], None]) -> None:
        """`wake` is called from another thread when there is something to take."""
        self._inbox, self._wake = inbox, wake
        self._lock = threading.Lock()
        self._hint = Changes()
        self._observer: BaseObserver | None = None
        self._handler = _Handler(self._remember)
        self._watches: dict[Path, tuple[ObservedWatch, int]] = {}
        self._overflow = _OverflowHandler(self._look_everywhere)

    def start(self) -> None:
        """See `ChangeEvents`."""
        observer = Observer()
        observer.schedule(self._handler, os.fspath(self._inbox), recursive=False, event_filter=_EVENTS)
        for name in _OverflowHandler.LOGGERS:
            logging.getLogger(name).addHandler(self._overflow)
        observer.start()
        self._observer = observer

    def watch(self, folders: set[Path]) -> None:
        """See `ChangeEvents`."""
        if self._observer is None:
            return
        for folder in [known for known in self._watches if known not in folders or self._inode(known) is None]:
            self._observer.unschedule(self._watches.pop(folder)[0])
        for folder in sorted(folders):
            inode = self._inode(folder)
            known = self._watches.get(folder)
            if inode is None or (known and known[1] == inode):
                continue
            if known:  # removed and made again
                self._observer.unschedule(self._watches.pop(folder)[0])
            try:
                watch = self._observer.schedule(self._handler, os.fspath(folder), recursive=True, event_filter=_EVENTS)
            except FileNotFoundError:  # gone again
                continue
            self._watches[folder] = watch, inode

    @staticmethod
    def _inode(folder: Path) -> int | None:
        try:
            return folder.stat().st_ino
        except OSError:
            return None

    def take(self) -> Changes:
        """See `ChangeEvents`."""
        with self._lock:
            taken, self._hint = self._hint, Changes()
        return taken

    def is_alive(self) -> bool:
        """See `ChangeEvents`."""
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        # That of a folder that was removed ends by itself, and is replaced with the next look at everything.
        alive = {os.fspath(folder) for folder, (_, inode) in self._watches.items() if self._inode(folder) == inode}
        alive.add(os.fspath(self._inbox))
        return all(each.is_alive() or each.watch.path not in alive for each in observer.emitters)

    def stop(self) -> None:
        """See `ChangeEvents`."""
        for name in _OverflowHandler.LOGGERS:
            logging.getLogger(name).removeHandler(self._overflow)
        if self._observer is not None and self._observer.is_alive():
            noise = logging.getLogger("watchdog")
            level = noise.level
            noise.setLevel(logging.CRITICAL)  # its threads complain of each other's end
            self._observer.stop()
            self._observer.join(5)
            noise.setLevel(level)
        self._observer = None
        self._watches.clear()

    def _look_everywhere(self) -> None:
        with self._lock:
            self._hint.look_everywhere = True
        self._wake()

    def _remember(self, path: Path, *, folder: bool) -> None:
        with self._lock:
            if folder:
                self._hint.look_everywhere = True
            else:
                self._hint.paths.add(path)
        self._wake()


class _Handler(FileSystemEventHandler):
    def __init__(self, remember: Callable[..., None]) -> None:
        self._remember = remember

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Remember where; an exception here would end the thread."""
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = Path(os.fsdecode(event.dest_path if moved else event.src_path))
        self._remember(path, folder=event.is_directory)


class _OverflowHandler(logging.Handler):
    """watchdog says in its log alone that the kernel's queue ran over and events are lost."""

    LOGGERS = ("watchdog.observers.inotify_c", "watchdog.observers.inotify")

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed

    def emit(self, record: logging.LogRecord) -> None:
        """Look everywhere."""
        if "overflow" in record.getMessage().lower():
            self._overflowed()


INTERVAL_SECONDS: Final = 30.0
"""So often a file of our own is to come back as a hint."""


PATIENCE_SECONDS: Final = 4.0
"""So long that may take."""


class EventProbe:
    """A file that is made in the inbox now and then, to see whether that is noticed."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self.next_time = 0.0
        """When it is made again."""
        self._due: float | None = None

    def begin(self, now: float) -> None:
        """The first is made an interval from now."""
        self.next_time = now + INTERVAL_SECONDS

    def check(self, hints: ChangeEvents, hint: Changes, now: float) -> str:
        """Why hints cannot be relied on any more; empty as long as they can.

        Raises:
            OSError: the file cannot be made.
        """
        if not hints.is_alive():
            return "the threads that bring events have ended"
        if self._due is not None:
            if self.path in hint.paths:
                self.end()
            elif now > self._due:
                return "a file of our own was not noticed: events do not come any more"
        elif now >= self.next_time:
            self._disk.write(self.path, b"")
            self.next_time, self._due = now + INTERVAL_SECONDS, now + PATIENCE_SECONDS
        return ""

    def end(self) -> None:
        """Remove it."""
        if self._due is not None:
            self._due = None
            self.path.unlink(missing_ok=True)
