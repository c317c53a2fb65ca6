"""Events about changes in the inbox. They say only where to look; the state of a file is found by a look at it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
"""Events that are requested from the kernel. FileModifiedEvent is not, since one long copy would fill the queue."""


@dataclass
class Changes:
    """Changes that events have reported since the last call of `take`."""

    paths: set[Path] = field(default_factory=set)
    """Paths of files that were created, closed by their writer, or moved here."""
    look_everywhere: bool = False
    """Whether events were lost or a folder appeared, so that single paths do not suffice."""


class ChangeEvents:
    """A source of events. This base class never has any; it is used if the inbox is polled."""

    def start(self) -> None:
        """Start listening; possible again after `stop`.

        Raises:
            OSError: the system cannot watch the inbox.
        """

    def watch(self, folders: set[Path]) -> None:
        """Listen only to these folders of the inbox and their subfolders.

        Raises:
            OSError: the system cannot watch a folder that exists.
        """

    def take(self) -> Changes:
        """Return the changes since the last call."""
        return Changes()

    def is_alive(self) -> bool:
        """Whether all threads that deliver events still run, as far as this process can see."""
        return True

    def stop(self) -> None:
        """Stop listening, and forget changes that were not taken."""


class WatchdogEvents(ChangeEvents):
    """Events from watchdog, which uses the system's own (inotify on Linux).

    Its threads can die silently: an exception in the thread that reads for all of them
    (`watchdog.observers.inotify_c.InotifyFD`) leaves objects that still seem to be alive. The handler therefore only
    stores a path, and the scanner tests with an `EventProbe` whether events still arrive.

    The inbox is not watched recursively, since the spool may be in it, and every job would add watches.

    The scanning thread calls the public methods; watchdog's threads call the handlers.
    """

    def __init__(self, inbox: Path, wake: Callable[[], None]) -> None:
        """Prepare to listen.

        Args:
            inbox: the folder.
            wake: called from a thread of watchdog when there are changes.
        """
        self._inbox, self._wake = inbox, wake
        self._lock = threading.Lock()
        self._changes = Changes()
        self._observer: BaseObserver | None = None
        self._handler = _Handler(self._store)
        self._watches: dict[Path, tuple[ObservedWatch, int]] = {}
        self._overflow = _OverflowHandler(self._look_everywhere)

    def start(self) -> None:
        """See `ChangeEvents`."""
        observer = self._observer = Observer()
        for name in _OverflowHandler.LOGGERS:
            logging.getLogger(name).addHandler(self._overflow)
        try:
            observer.schedule(self._handler, os.fspath(self._inbox), recursive=False, event_filter=_EVENTS)
            observer.start()
        except OSError:
            self.stop()
            raise

    def watch(self, folders: set[Path]) -> None:
        """See `ChangeEvents`."""
        if self._observer is None:
            return
        alive = {emitter.watch for emitter in self._observer.emitters if emitter.is_alive()}
        for folder in [known for known in self._watches if known not in folders or self._inode(known) is None]:
            self._observer.unschedule(self._watches.pop(folder)[0])
        for folder in sorted(folders):
            inode = self._inode(folder)
            known = self._watches.get(folder)
            if inode is None or (known and known[1] == inode and known[0] in alive):
                continue
            if known:  # the folder was removed and made again, perhaps with the same inode, and its emitter has ended
                self._observer.unschedule(self._watches.pop(folder)[0])
            try:
                watch = self._observer.schedule(self._handler, os.fspath(folder), recursive=True, event_filter=_EVENTS)
            except (FileNotFoundError, NotADirectoryError):  # the folder has been removed or exchanged meanwhile
                continue
            except RecursionError as error:  # watchdog lists folders by os.walk, which recurses before Python 3.12
                raise OSError(errno.EOVERFLOW, f"folders in {folder.name} are nested too deep") from error
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
            taken, self._changes = self._changes, Changes()
        return taken

    def is_alive(self) -> bool:
        """See `ChangeEvents`."""
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        # The emitter of a folder that was removed ends by itself; the next look at everything replaces it.
        inbox = os.fspath(self._inbox)
        return all(emitter.is_alive() for emitter in observer.emitters if emitter.watch.path == inbox)

    def stop(self) -> None:
        """See `ChangeEvents`."""
        for name in _OverflowHandler.LOGGERS:
            logging.getLogger(name).removeHandler(self._overflow)
        if self._observer is not None:
            watchdog_logger = logging.getLogger("watchdog")
            level = watchdog_logger.level
            watchdog_logger.setLevel(logging.CRITICAL)  # otherwise each thread would log that the others end
            self._observer.stop()  # ends its other threads even if its own has ended
            if self._observer.is_alive():
                self._observer.join(5)
            watchdog_logger.setLevel(level)
        self._observer = None
        self._watches.clear()
        self.take()

    def _look_everywhere(self) -> None:
        with self._lock:
            self._changes.look_everywhere = True
        self._wake()

    def _store(self, path: Path, *, is_folder: bool) -> None:
        with self._lock:
            if is_folder:
                self._changes.look_everywhere = True
            else:
                self._changes.paths.add(path)
        self._wake()


class _Handler(FileSystemEventHandler):
    def __init__(self, store: Callable[..., None]) -> None:
        self._store = store

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Store the path; an exception here would end the thread."""
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = Path(os.fsdecode(event.dest_path if moved else event.src_path))
        self._store(path, is_folder=event.is_directory)


class _OverflowHandler(logging.Handler):
    """Notices in watchdog's log, its only trace, that the kernel's queue overflowed and events are lost."""

    LOGGERS = ("watchdog.observers.inotify_c", "watchdog.observers.inotify")

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_overflow = on_overflow

    def emit(self, record: logging.LogRecord) -> None:
        """Report an overflow."""
        if "overflow" in record.getMessage().lower():
            self._on_overflow()


PROBE_INTERVAL_SECONDS: Final = 30.0
"""Seconds between two probe files, which test whether events arrive."""
PROBE_TIMEOUT_SECONDS: Final = 4.0
"""Seconds within which the event of a probe file must arrive."""


class EventProbe:
    """A probe file that is made in the inbox at regular intervals, to test whether its event arrives.

    Times are in monotonic seconds.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self.next_time = 0.0
        """Time at which the file is made next."""
        self._deadline: float | None = None
        """Time by which the event of the file must have arrived; None while there is no file."""

    def begin(self, now: float) -> None:
        """Schedule the first file, one interval from now."""
        self.next_time = now + PROBE_INTERVAL_SECONDS

    def check(self, events: ChangeEvents, changes: Changes, now: float) -> str:
        """Return why events are no longer reliable; an empty text while they are.

        Args:
            events: the source of events.
            changes: the changes that were just taken from it.
            now: the time.

        Raises:
            OSError: the file cannot be made.
        """
        if not events.is_alive():
            return "the threads that deliver events have ended"
        if self._deadline is not None:
            if self.path in changes.paths:
                self.end()
            elif now > self._deadline:
                return "a probe file caused no event, so events no longer arrive"
        elif now >= self.next_time:
            if not self._make():
                return f"events cannot be tested, since {self.path.name} is taken"
            self.next_time, self._deadline = now + PROBE_INTERVAL_SECONDS, now + PROBE_TIMEOUT_SECONDS
        return ""

    def _make(self) -> bool:
        """Make the file; return False if its name is taken by something that cannot be removed."""
        self._remove()
        try:
            self._disk.create(self.path)  # writes to no file of others, to which a link of this name may lead
        except FileExistsError:
            return False
        return True

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            self._disk.unlink(self.path)

    def end(self) -> None:
        """Remove the file."""
        if self._deadline is not None:
            self._deadline = None
            self._remove()
