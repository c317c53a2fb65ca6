"""`impasto watch` and `impasto drain`: puts a watcher together from settings and folders."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, make_folders, storage_errors
from pipeline.errors import LockedError, UsageError
from pipeline.images.decode import read_file
from pipeline.images.files import looks_complete
from pipeline.images.formats import endings
from pipeline.outbox.ledger import Fingerprint
from pipeline.outbox.publish import Outbox, check_name
from pipeline.pair import Pair, check_blend
from pipeline.run.manifest import ManifestRules, library_label, read_manifest
from pipeline.run.picture_files import default_mask, mask_for
from pipeline.settings.resolve import for_pair
from pipeline.signals import StopRequest
from pipeline.stage.attempts import Attempts
from pipeline.text import printable
from pipeline.watch.inbox.events import ChangeEvents, NoEvents, WatchdogEvents
from pipeline.watch.inbox.mounts import is_shared
from pipeline.watch.inbox.names import classify
from pipeline.watch.inbox.scanner import Rules, Scanner
from pipeline.watch.inbox.styles import Styles
from pipeline.watch.inbox.tickets import TicketRequirements, requirements_of_ticket
from pipeline.watch.jobs.lifecycle import JobRules, Jobs
from pipeline.watch.jobs.result_names import result_name
from pipeline.watch.spool.accounting import FileAccounting
from pipeline.watch.spool.spool import Spool
from pipeline.watch.systemd import SystemdNotifier
from pipeline.watch.watcher import Renderer, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.run.observer import Observer
    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import Values
    from pipeline.stage.summary import Summary
    from pipeline.watch.spool.records import Job

SHARED_SETTLE_SECONDS: Final = 10.0
"""On a network other machines see sizes and times late."""
SPOOL_FOLDER: Final = ".impasto"


@dataclass(frozen=True)
class Folders:
    """What a watcher works in, as absolute paths."""

    inbox: Path
    outbox: Path
    spool: Path
    styles: Path | None
    mask: Path | None
    """For all photographs, or a folder of masks."""

    @classmethod
    def of(cls, inbox: Path, outbox: Path, settings: Settings) -> Folders:
        """Those of a command; none of them may lie in another, but for the default spool.

        Raises:
            UsageError: the inbox or the mask does not exist, or one folder lies in another.
        """
        if not inbox.is_dir():
            raise UsageError(f"{inbox}: there is no such folder.", "Make it, or mount it, first.")
        inbox = inbox.resolve()
        spool = Path(settings.watch.spool).resolve() if settings.watch.spool else inbox / SPOOL_FOLDER
        styles = Path(settings.styles.folder).resolve() if settings.styles.folder else None
        if styles is not None and not styles.is_dir():
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
    """All that a watcher is made of."""

    folders: Folders
    settings: Settings
    base_values: Values
    """Settings that a ticket's rows override."""
    overrides: Values
    """Settings that override a ticket's rows."""
    weights_sha256: str
    engine_version: str
    observer: Observer
    disk: Disk
    clock: Callable[[], float] = time.monotonic

    def watcher(self, stop: StopRequest, *, drain: bool = False) -> tuple[Watcher, Outbox]:
        """A watcher, and the outbox that the stage is to publish to."""
        folders, watch = self.folders, self.settings.watch
        shared = is_shared(folders.inbox)
        settle_seconds = max(watch.settle_seconds, SHARED_SETTLE_SECONDS if shared else 0.0)
        spool = Spool(folders.spool, folders.inbox, self.disk, shared=shared)
        outbox = Outbox(folders.outbox, self.disk, spool.worker)
        styles = Styles(folders.styles, self._endings, self.disk)
        books = FileAccounting()
        attempts = Attempts(outbox, self.settings.run.max_attempts)
        polling, wake = watch.polling or shared, threading.Event()
        hints: ChangeEvents = NoEvents() if polling else WatchdogEvents(folders.inbox, wake.set)
        intake = Scanner(
            inbox=folders.inbox,
            spool=spool,
            styles=styles,
            hints=hints,
            rules=Rules(
                image_endings=self._endings,
                settle_seconds=settle_seconds,
                rescan_seconds=watch.rescan_seconds,
                poll_seconds=watch.poll_seconds,
                ticket_seconds=watch.ticket_seconds,
                default_style=self.settings.styles.default,
                looks_complete=looks_complete,
                requirements_of_ticket=partial(self._requirements_of_ticket, styles),
            ),
            books=books,
            disk=self.disk,
            clock=self.clock,
            polling=polling,
        )
        jobs = Jobs(
            spool=spool,
            outbox=outbox,
            attempts=attempts,
            books=books,
            rules=JobRules(
                retire=watch.retire,
                max_attempts=self.settings.run.max_attempts,
                incomplete_seconds=watch.incomplete_seconds,
                settle_seconds=settle_seconds,
                pairs_of=partial(self._pairs_of, styles),
                fingerprint=self._fingerprint,
            ),
            disk=self.disk,
            clock=self.clock,
            observer=self.observer,
        )
        watcher = Watcher(
            intake=intake,
            spool=spool,
            jobs=jobs,
            attempts=attempts,
            books=books,
            outbox=outbox,
            inbox=folders.inbox,
            stop=stop,
            observer=self.observer,
            notifier=SystemdNotifier(),
            disk=self.disk,
            wake=wake,
            prefetch=watch.prefetch,
            grace_seconds=self.settings.run.grace_seconds,
            drain_seconds=1.5 * settle_seconds + 0.1 if drain else None,
            clock=self.clock,
        )
        return watcher, outbox

    def run(self, make_stage: Callable[[Watcher, Outbox], Renderer], *, drain: bool = False) -> Summary:
        """Work until a signal comes or, when draining, until what is there is done.

        Raises:
            LockedError: another drain works on this spool.
            MachineError: see `Watcher.run`.
            UsageError: the spool cannot be where it should.
        """
        with StopRequest() as stop, contextlib.ExitStack() as stack:
            stop.listen_for_rescan()
            if drain:
                stack.enter_context(self._only_drain())
            watcher, outbox = self.watcher(stop, drain=drain)
            return watcher.run(lambda: make_stage(watcher, outbox))

    @contextlib.contextmanager
    def _only_drain(self) -> Iterator[None]:
        spool = self.folders.spool
        with storage_errors(spool):
            make_folders(self.disk, spool)
            lock = FileLock(spool / "drain.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(f"{spool}: another drain works on this inbox.", "It will do the work.") from error
        try:
            yield
        finally:
            lock.release()

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return endings(self.settings.image.kinds)

    def _fingerprint(self, pair: Pair) -> Fingerprint:
        return Fingerprint.of(pair, lambda path: read_file(path).sha256, self.weights_sha256, self.engine_version)

    def _confines(self, styles: Styles, roots: tuple[Path, ...] = ()) -> ManifestRules:
        return ManifestRules(self._endings, check_name, roots, styles.find, self.folders.mask)

    def _requirements_of_ticket(self, styles: Styles, ticket: Path) -> TicketRequirements:
        return requirements_of_ticket(ticket, self.base_values, self.overrides, self._confines(styles))

    def _pairs_of(self, styles: Styles, job: Job, files: tuple[str, ...]) -> list[Pair] | None:
        ticket = next((name for name in files if classify(name, self._endings).form == "ticket"), None)
        if ticket is not None:
            needs = self._requirements_of_ticket(styles, job.path(ticket))
            if needs.files - set(files) or any(styles.find(name) is None for name in needs.styles):
                return None  # it was changed, or a style is being replaced
            confines = self._confines(styles, (job.folder / "in",))
            return read_manifest(job.path(ticket), self.base_values, self.overrides, confines)
        if len(files) != 1:  # a ticket's, whose ticket was lost with the power
            return None
        (relative,) = files
        style = classify(relative, self._endings).style or self.settings.styles.default
        paintings = styles.find(style) if style else None
        if paintings is None:
            return None
        settings = for_pair(self.base_values, {}, self.overrides)
        wrong = check_blend(len(paintings), settings, may_be_alone=True)  # the library has others
        if wrong:
            raise UsageError(f"{style}: {wrong}.", "Give one weight for each painting, or none.")
        longest = max(("", *(f"--{mode}" for mode in settings.colour.variants)), key=len)
        extension = settings.output.extension_for(relative)
        name = result_name(relative, style, lambda name: check_name(f"{name}{longest}.{extension}"))
        label = "/".join(printable(part) for part in relative.split("/"))
        mask = self._mask_of(relative)
        pair = Pair(
            job.path(relative),
            paintings,
            label,
            printable(library_label(paintings)),
            name,
            settings,
            mask,
            printable(mask.name) if mask is not None else "",
        )
        return list(pair.variants())

    def _mask_of(self, relative: str) -> Path | None:
        if self.folders.mask is None:
            return None
        name = PurePosixPath(relative).stem
        found = mask_for(self.folders.mask, name, self._endings)
        if found is None:
            raise UsageError(
                f"mask.file = {self.settings.mask.file}: has no mask of the name {printable(name)!r}.",
                "Put one there, all white if the style is to act everywhere; then drop the photograph again.",
            )
        return found.resolve()
