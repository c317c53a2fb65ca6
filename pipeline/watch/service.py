"""`impasto watch` and `impasto drain`: puts a watcher together from settings and folders."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, storage_errors
from pipeline.errors import LockedError, UsageError
from pipeline.images.files import looks_complete
from pipeline.images.films.av_library import has_av
from pipeline.images.films.description import ENDINGS as FILM_ENDINGS
from pipeline.images.formats import endings
from pipeline.outbox.films import folder_of_frames
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.outbox.publish import Outbox
from pipeline.run.masks import default_mask
from pipeline.run.named_paths import path_errors
from pipeline.signals import StopRequest
from pipeline.stage.attempts import Attempts
from pipeline.watch.inbox.events import ChangeEvents, WatchdogEvents
from pipeline.watch.inbox.mounts import is_shared
from pipeline.watch.inbox.rules import InboxRules
from pipeline.watch.inbox.scanner import Scanner
from pipeline.watch.inbox.styles import Styles
from pipeline.watch.jobs.job_pairs import FingerprintReader, JobPairs
from pipeline.watch.jobs.lifecycle import JobRules, Jobs
from pipeline.watch.spool.accounting import FileAccounting
from pipeline.watch.spool.place import make_spool
from pipeline.watch.spool.spool import Spool
from pipeline.watch.systemd import SystemdNotifier
from pipeline.watch.watcher import Watcher
from pipeline.watch.workplace import Workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.run.observer import Observer
    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import Values
    from pipeline.stage.listener import Listener
    from pipeline.stage.summary import Summary
    from pipeline.watch.stage_feeder import Renderer

SHARED_SETTLE_SECONDS: Final = 10.0
"""Shortest `watch.settle_seconds` on a network, where sizes and times are seen late."""


@dataclass(frozen=True)
class Folders:
    """The folders of a watcher, as absolute paths."""

    inbox: Path
    outbox: Path
    spool: Path
    styles: Path | None
    mask: Path | None
    """Mask of all photographs, or folder of masks."""

    @classmethod
    def of(cls, inbox: Path, outbox: Path, settings: Settings) -> Folders:
        """Return the folders of a command. None may lie in another, except for the default spool.

        Raises:
            UsageError: the inbox or the mask does not exist or cannot be read, or one folder lies in another.
        """
        with path_errors(str(inbox)):
            is_folder = inbox.is_dir()
        if not is_folder:
            raise UsageError(f"{inbox}: there is no such folder.", "Make it, or mount it, first.")
        inbox = inbox.resolve()
        spool = Path(settings.watch.spool).resolve() if settings.watch.spool else inbox / STATE_FOLDER
        styles = Path(settings.styles.folder).resolve() if settings.styles.folder else None
        with path_errors(f"styles.folder = {styles}"):
            is_folder = styles is None or styles.is_dir()
        if not is_folder:
            raise UsageError(f"styles.folder = {styles}: there is no such folder.", "Name the folder of paintings.")
        mask = default_mask(settings.mask.file)
        if mask is not None and mask.is_relative_to(inbox):
            raise UsageError(f"mask.file = {mask}: lies in the inbox.", "Put it beside the inbox.")
        named = {"the inbox": inbox, "the outbox": outbox.resolve(), "styles.folder": styles}
        if settings.watch.spool:
            named["watch.spool"] = spool
        for name, path in named.items():
            for other_name, other in named.items():
                if name != other_name and path and other and path.is_relative_to(other):
                    raise UsageError(
                        f"{name} ({path}) lies in {other_name} ({other}).", "Give them folders beside each other."
                    )
        return cls(inbox, outbox.resolve(), spool, styles, mask)


@dataclass(frozen=True)
class Service:
    """The folders and settings from which a watcher is made."""

    folders: Folders
    settings: Settings
    base_values: Values
    """Settings that a ticket's rows override."""
    overrides: Values
    """Settings that override a ticket's rows."""
    fingerprints: FingerprintReader
    observer: Observer
    disk: Disk
    clock: Callable[[], float] = time.monotonic
    """Monotonic clock, in seconds."""

    def run(self, make_stage: Callable[[Listener, Outbox], Renderer], *, drain: bool = False) -> Summary:
        """Work until a signal comes or, when draining, until all files in the inbox are done.

        Args:
            make_stage: makes the stage, which calls the listener and publishes in the outbox.
            drain: whether to drain.

        Raises:
            LockedError: another drain works on this spool.
            MachineError: see `Watcher.run`.
            UsageError: the spool cannot be this inbox's; see `Worker.enter`.
        """
        with StopRequest() as stop_request, contextlib.ExitStack() as stack:
            stop_request.listen_for_rescan()
            if drain:
                stack.enter_context(self._drain_lock())
            watcher = self.watcher(stop_request, drain=drain)
            return watcher.run(lambda: make_stage(watcher.listener, watcher.workplace.outbox))

    @contextlib.contextmanager
    def _drain_lock(self) -> Iterator[None]:
        spool = self.folders.spool
        with storage_errors(spool):
            make_spool(self.disk, spool, self.folders.inbox)
            lock = FileLock(spool / "drain.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(f"{spool}: another drain works on this inbox.", "It will do the work.") from error
        try:
            yield
        finally:
            lock.release()

    def watcher(self, stop_request: StopRequest, *, drain: bool = False) -> Watcher:
        """Put a watcher together."""
        run, watch = self.settings.run, self.settings.watch
        shared = is_shared(self.folders.inbox)
        settle_seconds = max(watch.settle_seconds, SHARED_SETTLE_SECONDS if shared else 0.0)
        image_endings = endings(self.settings.image.kinds)
        styles = Styles(self.folders.styles, image_endings, self.disk, self.clock)
        activity = _Activity()
        pairs = JobPairs(
            self.settings,
            self.base_values,
            self.overrides,
            image_endings,
            styles,
            self.folders.mask,
            self.fingerprints.made_by,
            FILM_ENDINGS if has_av() else (),
            folder_of_frames(self.folders.outbox),
            activity.note,
        )
        workplace = self._workplace(stop_request, pairs, settle_seconds, shared=shared)
        rules = JobRules(
            retire=watch.retire,
            max_attempts=run.max_attempts,
            incomplete_seconds=watch.incomplete_seconds,
            settle_seconds=settle_seconds,
            pairs_of=pairs.pairs_of,
            fingerprint=self.fingerprints.read,
            basis_of=pairs.basis_of,
            damaged=styles.damaged,
            note_activity=activity.note,
        )
        watcher = Watcher(
            workplace,
            Jobs(workplace, Attempts(workplace.outbox, run.max_attempts), rules, self.observer),
            self.observer,
            SystemdNotifier(),
            prefetch=watch.prefetch,
            grace_seconds=run.grace_seconds,
            drain_seconds=1.5 * settle_seconds + 0.1 if drain else None,
        )
        activity.listeners.append(watcher.listener.note_activity)
        return watcher

    def _workplace(
        self, stop_request: StopRequest, pairs: JobPairs, settle_seconds: float, *, shared: bool
    ) -> Workplace:
        folders, watch, wake = self.folders, self.settings.watch, threading.Event()
        spool = Spool(folders.spool, folders.inbox, self.disk, shared=shared)
        accounting, outbox = FileAccounting(), Outbox(folders.outbox, self.disk, spool.worker.name)
        polling = watch.polling or shared
        events = ChangeEvents() if polling else WatchdogEvents(folders.inbox, wake.set)
        scanner = Scanner(
            spool=spool,
            styles=pairs.styles,
            events=events,
            rules=InboxRules(
                image_endings=pairs.content_endings,
                settle_seconds=settle_seconds,
                rescan_seconds=watch.rescan_seconds,
                poll_seconds=watch.poll_seconds,
                ticket_seconds=watch.ticket_seconds,
                default_style=self.settings.styles.default,
                looks_complete=looks_complete,
                damage_of=pairs.damage_of,
                is_up_to_date=partial(pairs.is_up_to_date, outbox),
                requirements_of_ticket=pairs.requirements_of_ticket,
            ),
            accounting=accounting,
            clock=self.clock,
            polling=polling,
        )
        return Workplace(
            inbox=folders.inbox,
            scanner=scanner,
            spool=spool,
            accounting=accounting,
            outbox=outbox,
            disk=self.disk,
            stop_request=stop_request,
            wake=wake,
            clock=self.clock,
        )


class _Activity:
    """Tells the watcher's listener that the thread that renders is alive, while a film is extracted or written."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[], None]] = []

    def note(self) -> None:
        """Note a sign of life."""
        for listener in self.listeners:
            listener()
