"""Folders that work will be done in: each is written to as the pipeline would, and what was written is removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.cli.doctor.finding import Finding
from pipeline.disk import NO_HARD_LINKS, Disk
from pipeline.images.formats import endings
from pipeline.run.picture_files import is_ignored
from pipeline.text import memory
from pipeline.watch.inbox.events import WatchdogEvents
from pipeline.watch.inbox.mounts import file_system_of, is_shared
from pipeline.watch.inbox.styles import Styles
from pipeline.watch.spool.workers import PROBE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.doctor.finding import Level
    from pipeline.settings.all_settings import Settings

LITTLE_BYTES: Final = 2 << 30
"""Free space that a night of pictures may need."""
NO_BYTES: Final = 64 << 20
"""Free space below which hardly a picture can be written."""
FEW_FILES: Final = 10_000
"""Free inodes below which a night may run out of them."""
FEW_WATCHES: Final = 2
"""An inbox should have so many times as many watches as it has folders, since others use some as well."""
SKEW_SECONDS: Final = 5.0
"""Between this clock and that of the file system, beyond which ages of files mislead."""
EVENT_SECONDS: Final = 5.0
"""In which an event must arrive."""
NETWORK_SETTLE_SECONDS: Final = 10.0
"""See `watch.settle_seconds`."""
WATCHES: Final = Path("/proc/sys/fs/inotify/max_user_watches")


def folder(path: Path, settings: Settings) -> Iterator[Finding]:
    """An inbox, an outbox, or what will be one."""
    about = str(path)
    if not path.is_dir():
        yield _missing(path)
        return
    yield from _room(path, about)
    yield _mount(path, about, settings)
    written = list(_written(path, about))
    yield from written
    if not any(finding.level == "FAIL" for finding in written) and not settings.watch.polling:
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
            f"A run makes its outbox itself; an inbox is for you to make: mkdir {path}",
        )
    return Finding(
        str(path), "FAIL", f"does not exist, and {above} cannot be written.", "Make it, with its owner's rights."
    )


def _room(path: Path, about: str) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    level: Level = "FAIL" if free < NO_BYTES else "WARN" if free < LITTLE_BYTES else "OK"
    yield Finding(about, level, f"{memory(free)} free", "" if level == "OK" else "Free space.")
    if hasattr(os, "statvfs"):
        facts = os.statvfs(path)
        if facts.f_files and facts.f_favail < FEW_FILES:  # some file systems have no such number
            yield Finding(about, "WARN", f"room for {facts.f_favail} more files only.", "Remove files; see df -i.")


def _mount(path: Path, about: str, settings: Settings) -> Finding:
    kind = file_system_of(path) or "unknown"
    watch = settings.watch
    if not is_shared(path) or (watch.polling and watch.settle_seconds >= NETWORK_SETTLE_SECONDS):
        return Finding(about, "OK", f"file system {kind}")
    return Finding(
        about, "WARN", f"file system {kind}: what other machines do here makes no events, and may be seen late.",
        f"For an inbox set watch.polling = true and watch.settle_seconds = {NETWORK_SETTLE_SECONDS:g} or more.",
    )  # fmt: skip


def _written(path: Path, about: str) -> Iterator[Finding]:
    """A file is written, locked, renamed, given a second name and removed."""
    disk, token = Disk(), uuid.uuid4().hex[:12]
    first, second, third = (path / f"{PROBE_PREFIX}{token}{end}" for end in ("", "-renamed", "-linked"))
    lacks: list[Finding] = []
    try:
        disk.write(first, b"probe")
        skew = abs(disk.lstat(first).st_mtime - time.time())
        disk.rename(first, second)
        disk.sync_folder(path)
        lacks += _lock(second, about)
        lacks += _link(disk, second, third, about)
    except OSError as error:
        yield Finding(
            about, "FAIL", f"cannot be worked in: {error.strerror}.",
            "Mend its owner or its rights (ls -ld), or mount it to be written.",
        )  # fmt: skip
        return
    finally:
        for each in (first, second, third):
            with contextlib.suppress(OSError):  # it could not be made either
                each.unlink()
    if skew > SKEW_SECONDS:
        text = f"its clock and this machine's differ by {skew:.0f} s, so ages of files mislead."
        lacks.append(Finding(about, "WARN", text, "Set both by NTP."))
    yield from lacks or [Finding(about, "OK", "can be written; renames, links and locks work")]


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
    told = threading.Event()
    hints = WatchdogEvents(path, told.set)
    probe = path / f"{PROBE_PREFIX}{uuid.uuid4().hex[:12]}"
    try:
        hints.start()
        probe.touch()
        arrived = told.wait(EVENT_SECONDS)
    except OSError as error:
        yield Finding(
            about, "WARN", f"events cannot be had ({error.strerror}); an inbox here is looked through instead.",
            "Raise fs.inotify.max_user_watches and max_user_instances by sysctl, or set watch.polling = true.",
        )  # fmt: skip
        return
    finally:
        hints.stop()
        with contextlib.suppress(OSError):
            probe.unlink()
    if not arrived:
        yield Finding(
            about, "WARN", "a file that was made here caused no event.", "For an inbox set watch.polling = true."
        )
        return
    yield _watches(path, about)


def _watches(path: Path, about: str) -> Finding:
    folders = sum(1 for _ in _folders(path))
    try:
        limit = int(WATCHES.read_text(encoding="ascii"))
    except OSError:  # not Linux
        return Finding(about, "OK", "events arrive")
    if folders * FEW_WATCHES > limit:
        return Finding(
            about, "WARN", f"events arrive, but {folders} folders need as many of {limit} watches.",
            f"sysctl fs.inotify.max_user_watches={max(524_288, 4 * folders)}, or set watch.polling = true.",
        )  # fmt: skip
    return Finding(about, "OK", f"events arrive; {folders} folder{'s' * (folders != 1)}, {limit} watches")


def _folders(path: Path) -> Iterator[Path]:
    """Those that an inbox here would watch."""
    yield path
    for folder, names, _ in os.walk(path):
        names[:] = [name for name in names if not is_ignored(name)]
        yield from (Path(folder, name) for name in names)


def styles(settings: Settings) -> Iterator[Finding]:
    """The style library of watch and drain."""
    path, default = Path(settings.styles.folder), settings.styles.default
    library = Styles(path, endings(settings.image.kinds), Disk())
    try:
        library.look()
    except OSError as error:
        yield Finding("styles.folder", "FAIL", f"{path}: {error.strerror}.", "Correct the setting, or mend its rights.")
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
