"""Checks of folders, with trial files that are written as the pipeline would write, and then removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.cli.doctor.finding import Finding
from pipeline.disk import NO_HARD_LINKS, Disk, exists
from pipeline.errors import UsageError
from pipeline.images.formats import endings
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.run.picture_files import is_ignored
from pipeline.system.remedies import remedy_of, remedy_without_events
from pipeline.text import memory
from pipeline.watch.inbox.events import WatchdogEvents
from pipeline.watch.inbox.mounts import file_system_of, is_shared
from pipeline.watch.inbox.rights import Rights
from pipeline.watch.inbox.styles import Styles
from pipeline.watch.inbox.walk import walk_folders
from pipeline.watch.service import SHARED_SETTLE_SECONDS
from pipeline.watch.spool.place import PROBE_PREFIX, check_owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.doctor.finding import Level
    from pipeline.settings import Settings

LOW_SPACE_BYTES: Final = 2 << 30
"""Free space, in bytes, that a long run may need."""
MIN_SPACE_BYTES: Final = 64 << 20
"""Free space, in bytes, below which hardly any picture can be written."""
LOW_INODES: Final = 10_000
"""Number of free inodes below which a long run may run out of them."""
WATCHES_PER_FOLDER: Final = 2
"""Watches that the system should allow for each folder of an inbox, since other programs need some, too."""
SKEW_SECONDS: Final = 5.0
"""Seconds between this clock and the file system's beyond which ages of files mislead."""
EVENT_SECONDS: Final = 5.0
"""Seconds within which an event must arrive."""
WATCH_LIMIT_FILE: Final = Path("/proc/sys/fs/inotify/max_user_watches")
"""File that contains, on Linux, the number of folders that a user may watch."""


def folder(path: Path, settings: Settings) -> Iterator[Finding]:
    """Check a folder that is or will be an inbox or an outbox."""
    about = str(path)
    if not path.is_dir():
        yield _missing(path)
        return
    yield from _room(path, about)
    yield _mount(path, about, settings)
    written = list(_written(path, about))
    yield from written
    yield from _state_folder(path, about, has_spool=not settings.watch.spool)
    if any(finding.level == "FAIL" for finding in written):
        return
    yield from _inner_folders(path, Path(settings.watch.spool or path))
    if not settings.watch.polling:
        yield from _events(path, about)


def _missing(path: Path) -> Finding:
    if os.path.lexists(path):
        return Finding(str(path), "FAIL", "is no folder.", "Name a folder.")
    above = next(each for each in path.absolute().parents if each.exists())
    if os.access(above, os.W_OK | os.X_OK):
        return Finding(
            str(path),
            "WARN",
            "does not exist.",
            f"A run makes its outbox itself; make an inbox yourself: mkdir {path}",
        )
    return Finding(
        str(path), "FAIL", f"does not exist, and {above} cannot be written.", "Make it as the owner of that folder."
    )


def _room(path: Path, about: str) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    level: Level = "FAIL" if free < MIN_SPACE_BYTES else "WARN" if free < LOW_SPACE_BYTES else "OK"
    yield Finding(about, level, f"{memory(free)} free", "" if level == "OK" else "Free space.")
    if hasattr(os, "statvfs"):
        facts = os.statvfs(path)
        if facts.f_files and facts.f_favail < LOW_INODES:  # some file systems do not count them
            yield Finding(about, "WARN", f"room for {facts.f_favail} more files only.", "Remove files; see df -i.")


def _mount(path: Path, about: str, settings: Settings) -> Finding:
    kind = file_system_of(path) or "unknown"
    watch = settings.watch
    if not is_shared(path) or (watch.polling and watch.settle_seconds >= SHARED_SETTLE_SECONDS):
        return Finding(about, "OK", f"file system {kind}")
    return Finding(
        about, "WARN", f"file system {kind}: changes by other machines cause no events here, and may be seen late.",
        f"For an inbox set watch.polling = true and watch.settle_seconds = {SHARED_SETTLE_SECONDS:g} or more.",
    )  # fmt: skip


def _written(path: Path, about: str) -> Iterator[Finding]:
    """Write, lock, rename, link and remove a trial file."""
    disk, token = Disk(), uuid.uuid4().hex[:12]
    first, second, third = (path / f"{PROBE_PREFIX}{token}{end}" for end in ("", "-renamed", "-linked"))
    findings: list[Finding] = []
    try:
        disk.write(first, b"probe")
        skew = abs(disk.lstat(first).st_mtime - time.time())
        disk.rename(first, second)
        disk.sync_folder(path)
        findings += _lock(second, about)
        findings += _link(disk, second, third, about)
    except OSError as error:
        yield Finding(
            about, "FAIL", f"cannot be worked in: {error.strerror}.",
            f"{remedy_of(error)}.",
        )  # fmt: skip
        return
    finally:
        for each in (first, second, third):
            with contextlib.suppress(OSError):  # it was not made
                each.unlink()
    if skew > SKEW_SECONDS:
        text = f"its clock and this machine's differ by {skew:.0f} s, so ages of files mislead."
        findings.append(Finding(about, "WARN", text, "Set both by NTP."))
    yield from findings or [Finding(about, "OK", "can be written; renames, links and locks work")]


def _state_folder(path: Path, about: str, *, has_spool: bool) -> Iterator[Finding]:
    """Check whether other users can exchange impasto's own folder, or what is in it.

    Args:
        path: an inbox or an outbox.
        about: the path as the user gave it.
        has_spool: whether the spool of an inbox is in it.
    """
    state, disk = path / STATE_FOLDER, Disk()
    inbox = path.stat()
    if exists(disk, state):
        try:
            check_owner(disk, state, path)
        except UsageError as error:
            yield Finding(about, "FAIL", error.message, error.remedy)
            return
        if _is_open_to_others(disk.lstat(state)):
            yield Finding(about, "WARN", f"other users may exchange the files in {state}.", f"chmod -R go-w {state}")
    if has_spool and _is_open_to_others(inbox) and not inbox.st_mode & stat.S_ISVTX:
        yield Finding(
            about, "WARN", f"other users may put a folder of theirs in place of {state}.",
            f"Make {path} sticky (chmod +t) and give it to the user who runs impasto, or set watch.spool.",
        )  # fmt: skip


def _is_open_to_others(folder: os.stat_result) -> bool:
    """Whether users other than the owner may write: all, or a group that is not the owner's own."""
    is_own_group = folder.st_gid == os.getegid() and folder.st_uid == os.geteuid()
    return bool(folder.st_mode & (stat.S_IWOTH if is_own_group else stat.S_IWOTH | stat.S_IWGRP))


def _inner_folders(path: Path, spool: Path) -> Iterator[Finding]:
    """Check each folder at the top, since its owner, its permissions or its file system may be others."""
    rights = Rights(Disk(), path, spool)
    yield from _sticky(path, rights)
    for name in sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)):
        if is_ignored(name):
            continue
        folder = path / name
        problem, _, remedy = (rights.why_not_from(folder) or _why_no_rename(folder, path)).partition("; ")
        if problem:
            yield Finding(str(folder), "WARN", f"a file in it {problem}.", f"{remedy[:1].upper()}{remedy[1:]}.")
        else:
            yield from _sticky(folder, rights)


def _sticky(folder: Path, rights: Rights) -> Iterator[Finding]:
    if rights.keeps_files_of_others(folder):
        yield Finding(
            str(folder), "WARN", "is sticky (mode +t) and belongs to another user, so files of others stay in it.",
            "For an inbox remove that bit (chmod -t), or let the user who runs impasto own the folder.",
        )  # fmt: skip


def _why_no_rename(folder: Path, above: Path) -> str:
    """Move a trial file out of a folder, as a claim does; return why that fails and what to do, else an empty text."""
    disk, name = Disk(), f"{PROBE_PREFIX}{uuid.uuid4().hex[:12]}"
    try:
        disk.write(folder / name, b"probe")
        disk.rename(folder / name, above / name)
    except OSError as error:
        return f"cannot be moved: {error.strerror}; correct its owner and permissions, or see whether it is a mount"
    finally:
        for each in (folder / name, above / name):
            with contextlib.suppress(OSError):  # it was not made
                each.unlink()
    return ""


def _lock(path: Path, about: str) -> Iterator[Finding]:
    try:
        with FileLock(path, timeout=0), FileLock(path, timeout=0):
            pass
    except Timeout:
        return  # as it should be
    except (OSError, NotImplementedError) as error:
        yield Finding(
            about, "FAIL", f"files cannot be locked here ({error}), so two runs would not know of each other.",
            "Mount it with locks (of NFS: without nolock), or use another file system.",
        )  # fmt: skip
        return
    yield Finding(
        about, "WARN", "a locked file can be locked once more, so two runs would not know of each other.",
        "See that only one run uses this folder at a time, or use another file system.",
    )  # fmt: skip


def _link(disk: Disk, source: Path, target: Path, about: str) -> Iterator[Finding]:
    try:
        disk.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        yield Finding(
            about, "WARN", "its file system has no hard links: a file of the same name that comes in the very moment "
            "when another is moved there would be replaced.",
            "Use another file system if several programs give files the same names here.",
        )  # fmt: skip


def _events(path: Path, about: str) -> Iterator[Finding]:
    event = threading.Event()
    events = WatchdogEvents(path, event.set)
    probe = path / f"{PROBE_PREFIX}{uuid.uuid4().hex[:12]}"
    try:
        events.start()
        probe.touch()
        arrived = event.wait(EVENT_SECONDS)
    except OSError as error:
        yield Finding(
            about, "WARN", f"events are not available ({error.strerror}); an inbox here is scanned regularly instead.",
            f"{remedy_without_events(error)}, or set watch.polling = true.",
        )  # fmt: skip
        return
    finally:
        events.stop()
        with contextlib.suppress(OSError):
            probe.unlink()
    if not arrived:
        yield Finding(
            about, "WARN", "a file that was made here caused no event.", "For an inbox set watch.polling = true."
        )
        return
    yield _watches(path, about)


def _watches(path: Path, about: str) -> Finding:
    folders = sum(1 for _ in walk_folders(Disk(), path, is_excluded=lambda name: is_ignored(name.rpartition("/")[2])))
    try:
        limit = int(WATCH_LIMIT_FILE.read_text(encoding="ascii"))
    except OSError:  # not Linux
        return Finding(about, "OK", "events arrive")
    if folders * WATCHES_PER_FOLDER > limit:
        return Finding(
            about, "WARN", f"events arrive, but {folders} folders need as many of {limit} watches.",
            f"sysctl fs.inotify.max_user_watches={max(524_288, 4 * folders)}, or set watch.polling = true.",
        )  # fmt: skip
    return Finding(about, "OK", f"events arrive; {folders} folder{'s' * (folders != 1)}, {limit} watches")


def styles(settings: Settings) -> Iterator[Finding]:
    """Check the style library of watch and drain."""
    path, default = Path(settings.styles.folder), settings.styles.default
    library = Styles(path, endings(settings.image.kinds), Disk())
    try:
        library.look()
    except OSError as error:
        yield Finding(
            "styles.folder", "FAIL", f"{path}: {error.strerror}.", f"{remedy_of(error)}, or correct the setting."
        )
        return
    names = library.names()
    if not names:
        yield Finding("styles.folder", "FAIL", f"{path}: has no paintings.", "Put some there.")
    elif default and library.find(default) is None:
        yield Finding(
            "styles.default", "FAIL", f"{default}: is no style of {path}.", f"Name one of: {', '.join(names)}"
        )
    else:
        yield Finding("styles.folder", "OK", f"{path}: {', '.join(names)}")
