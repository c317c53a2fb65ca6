"""Bring OUTBOX/index.html up to date with the contents of the outbox."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, put, storage_errors
from pipeline.errors import LockedError, StorageError, UsageError
from pipeline.outbox.films import published_films
from pipeline.outbox.listing import list_outbox
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.outbox.report.cache import load_cache, save_cache
from pipeline.outbox.report.clips import clip_views
from pipeline.outbox.report.differences import commonest_settings, settings_of_run
from pipeline.outbox.report.missing_thumbnails import make_missing
from pipeline.outbox.report.page import MARKER, PageContent, may_overwrite, render
from pipeline.outbox.report.page_data import damaged_views, data_of_script, failure_views, style_names, totals
from pipeline.outbox.report.read import Contents, read_outbox
from pipeline.outbox.report.table import HEADER, table
from pipeline.outbox.run_records import read_runs
from pipeline.outbox.working_files import THUMBNAIL_NAME, Thumbnails
from pipeline.text import displayable, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.outbox.report.missing_thumbnails import MadeThumbnails
    from pipeline.outbox.report.page_data import Totals

PAGE: Final = "index.html"
_UNUSED_SECONDS: Final = 24 * 3600.0
"""Age in seconds of a thumbnail below which its result may still be in progress."""
_LOCK_SECONDS: Final = 300.0
"""Longest wait for another report of this outbox, in seconds."""


@dataclass(frozen=True)
class WrittenReport:
    """The path of a report, and figures about it."""

    path: Path
    totals: Totals
    thumbnails_made: int


def update_report(root: Path) -> Path:
    """Write OUTBOX/index.html and return its path; see `write_report`."""
    return write_report(root).path


def write_report(root: Path, disk: Disk | None = None, table_path: Path | None = None) -> WrittenReport:
    """Replace OUTBOX/index.html, whole or not at all, and make missing thumbnails; only new and changed files are read.

    Args:
        root: folder of the outbox.
        disk: disk through which it is read and written.
        table_path: a .csv file for results and failures, which is replaced; None: there is none.

    Raises:
        UsageError: the folder is not an outbox, or the table would replace another program's file.
        LockedError: another report of this outbox takes very long.
        StorageError: the outbox or the table cannot be read or written, or the outbox's index.html was written by
            another program.
    """
    disk = disk or Disk()
    root = root.absolute()  # links are not resolved, so that the page shows the path that the user gave
    state = root / STATE_FOLDER
    with storage_errors(root):
        is_folder, is_outbox = root.is_dir(), state.is_dir()
    if table_path is not None:
        with storage_errors(table_path.parent):
            _check_table(table_path)
    if not is_folder:
        raise UsageError(f"{root}: there is no such folder.", "Name the folder given to --outbox.")
    if not is_outbox:
        raise UsageError(f"{root}: no outbox of impasto; it has no folder {STATE_FOLDER}.", "Name another folder.")
    with storage_errors(root):
        lock = FileLock(state / "report.lock", timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"{root}: another report is being written.", "Wait for it.") from error
        try:
            contents, written = _write(root, state, disk)
        finally:
            lock.release()
    if table_path is not None:
        with storage_errors(table_path.parent):
            temporary = table_path.with_name(f"{table_path.name}.{os.getpid()}.tmp")
            put(disk, table_path, table(contents).encode(), temporary)
    return written


def _check_table(path: Path) -> None:
    """Check that a table may be written before anything else is.

    Raises:
        UsageError: the file is none of ours.
        OSError: it cannot be read.
    """
    is_empty = path.is_file() and path.stat().st_size == 0
    if not is_empty and not may_overwrite(path, HEADER):
        raise UsageError(
            f"{path}: exists already and is no table of impasto report.", "Move it away, or name another file."
        )


def _write(root: Path, state: Path, disk: Disk) -> tuple[Contents, WrittenReport]:
    page, cache_path, folder = root / PAGE, state / "report.json", state / "thumbnails"
    if not may_overwrite(page, MARKER):
        raise StorageError(
            f"{page}: exists already and was not written by impasto report.",
            "Move it away; the report needs this name.",
        )
    old_cache = load_cache(cache_path, disk)
    contents, cache = read_outbox(root, list_outbox(root, disk), old_cache, disk)
    if cache != old_cache:
        save_cache(cache_path, cache, disk, state / "report.json.tmp")
    thumbnails = Thumbnails(folder, disk)
    entries = disk.entries(folder) if folder.is_dir() else []
    present = {entry.name for entry in entries} - _remove_unused(entries, contents, disk)

    def thumbnail_of(sha256: str) -> str:
        name = thumbnails.name(sha256)
        return name if name in present else ""

    missing = {name: result for name, result in contents.results.items() if not thumbnail_of(result.output_sha256)}
    thumbnails_made = make_missing(root, missing, thumbnails)
    present |= {thumbnails.name(missing[name].output_sha256) for name in thumbnails_made.made}
    contents = _corrected(contents, thumbnails_made)
    counts = totals(contents)
    put(disk, page, _page(root, contents, counts, thumbnail_of).encode(), state / "index.html.tmp")
    return contents, WrittenReport(page, counts, len(thumbnails_made.made))


def _remove_unused(entries: list[os.DirEntry[str]], contents: Contents, disk: Disk) -> set[str]:
    """Remove old thumbnails that no result needs: of results that are gone or were replaced, and of their inputs.

    Nothing is removed while a part of the outbox cannot be read, since its results are unknown.

    Returns:
        The names of the thumbnails that are gone.
    """
    if contents.is_partial:
        return set()
    used = set()
    for result in contents.results.values():
        for sha256 in (result.output_sha256, result.content.sha256, *(each.sha256 for each in result.paintings)):
            used.add(Thumbnails.name(sha256))
    removed = set()
    for entry in entries:
        if THUMBNAIL_NAME.fullmatch(entry.name) is not None and entry.name not in used:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _UNUSED_SECONDS:
                    disk.unlink(Path(entry.path))
                    removed.add(entry.name)
    return removed


def _corrected(contents: Contents, thumbnails: MadeThumbnails) -> Contents:
    """Return the contents with the warnings and damage that were found when pictures were read for thumbnails."""
    results = {
        name: result.model_copy(update={"warnings": (*result.warnings, thumbnails.without[name])})
        if name in thumbnails.without
        else result
        for name, result in contents.results.items()
        if name not in thumbnails.damaged
    }
    return replace(contents, results=results, damaged={**contents.damaged, **thumbnails.damaged})


def _page(root: Path, contents: Contents, counts: Totals, thumbnail_of: Callable[[str], str]) -> str:
    run = next(iter(read_runs(root)), None)
    usual = settings_of_run(run) if run else commonest_settings(contents.pairs, contents.settings)
    content = PageContent(
        title=displayable(root.name or str(root)),
        totals=counts,
        failures=failure_views(contents, root, usual),
        damaged=damaged_views(contents),
        clips=clip_views(contents, published_films(root)),
        styles=style_names(contents),
        run=run,
        usual=usual.origin,
        retry_all=f"impasto retry {shell_quoted(str(root))}",
        report_again=f"impasto report {shell_quoted(str(root))}",
        data=data_of_script(contents, usual, thumbnail_of),
    )
    return render(content)
