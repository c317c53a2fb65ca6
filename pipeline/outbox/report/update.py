"""Bring OUTBOX/index.html up to date with what is in the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, exists, put, storage_errors
from pipeline.errors import LockedError, StorageError, UsageError
from pipeline.outbox.listing import list_outbox
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.outbox.report.differences import commonest, of_run
from pipeline.outbox.report.page import MARKER, render
from pipeline.outbox.report.pictures import fill_missing
from pipeline.outbox.report.read import Contents, read_outbox
from pipeline.outbox.report.records import load_cache, save_cache
from pipeline.outbox.report.view import damaged_views, data_of_script, failure_views, style_names, totals
from pipeline.outbox.run_records import read_runs
from pipeline.outbox.working_files import Thumbnails
from pipeline.text import displayable, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.outbox.report.pictures import Filled
    from pipeline.outbox.report.view import Totals

PAGE: Final = "index.html"
_MARKED_WITHIN: Final = 2048
"""Bytes from its beginning."""
_LOCK_SECONDS: Final = 300.0
"""So long a report may be at work before another gives up waiting for it."""


@dataclass(frozen=True)
class Written:
    """A report that was written."""

    path: Path
    totals: Totals
    thumbnails_made: int


def update_report(root: Path) -> Path:
    """Write OUTBOX/index.html and give its path; only what is new or changed is read, see `write_report`."""
    return write_report(root).path


def write_report(root: Path, disk: Disk | None = None) -> Written:
    """Write OUTBOX/index.html anew, whole or not at all, and make thumbnails where results have none.

    Args:
        root: the outbox.
        disk: through which it is read and written.

    Raises:
        UsageError: it is no outbox.
        LockedError: another report is written at this moment, and takes very long.
        StorageError: the outbox cannot be read or written, or there is an index.html that is none of ours.
    """
    disk = disk or Disk()
    root = root.absolute()  # as the person named it: links stay in the command that is shown
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder.", "Name the folder given to --outbox.")
    state = root / STATE_FOLDER
    if not state.is_dir():
        raise UsageError(f"{root}: no outbox of impasto; it has no folder {STATE_FOLDER}.", "Name another folder.")
    with storage_errors(root):
        lock = FileLock(state / "report.lock", timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"{root}: another report is being written.", "Wait for it.") from error
        try:
            return _write(root, state, disk)
        finally:
            lock.release()


def _write(root: Path, state: Path, disk: Disk) -> Written:
    page, cache_path, folder = root / PAGE, state / "report.json", state / "thumbnails"
    _check_ours(page, disk)
    known = load_cache(cache_path, disk)
    contents, cache = read_outbox(root, list_outbox(root, disk), known, disk)
    if cache != known:
        save_cache(cache_path, cache, disk, state / "report.json.tmp")
    thumbnails = Thumbnails(folder, disk)
    present = {entry.name for entry in disk.entries(folder)} if folder.is_dir() else set()

    def thumbnail_of(sha256: str) -> str:
        name = thumbnails.path(sha256).name
        return name if name in present else ""

    missing = {name: result for name, result in contents.results.items() if not thumbnail_of(result.output_sha256)}
    filled = fill_missing(root, missing, thumbnails)
    present |= {thumbnails.path(missing[name].output_sha256).name for name in filled.made}
    contents = _corrected(contents, filled)
    counts = totals(contents)
    put(disk, page, _page(root, contents, counts, thumbnail_of).encode(), state / "index.html.tmp")
    return Written(page, counts, len(filled.made))


def _check_ours(page: Path, disk: Disk) -> None:
    """See that nothing of somebody else's is in the page's place."""
    if not exists(disk, page):
        return
    try:
        is_ours = MARKER.encode() in disk.read(page)[:_MARKED_WITHIN]
    except FileNotFoundError:  # a link that leads nowhere
        is_ours = False
    except IsADirectoryError:
        is_ours = False
    if not is_ours:
        raise StorageError(
            f"{page}: is there already and was not written by impasto report.",
            "Move it away; the report has this name.",
        )


def _corrected(contents: Contents, filled: Filled) -> Contents:
    """With what came out only when the pictures themselves were read."""
    results = {
        name: result.model_copy(update={"warnings": (*result.warnings, filled.without[name])})
        if name in filled.without
        else result
        for name, result in contents.results.items()
        if name not in filled.damaged
    }
    return replace(contents, results=results, damaged={**contents.damaged, **filled.damaged})


def _page(root: Path, contents: Contents, counts: Totals, thumbnail_of: Callable[[str], str]) -> str:
    run = next(iter(read_runs(root)), None)
    usual = of_run(run) if run else commonest(contents.pairs, contents.settings)
    return render(
        title=displayable(root.name or str(root)),
        totals=counts,
        failures=failure_views(contents, root, usual),
        damaged=damaged_views(contents),
        styles=style_names(contents),
        run=run,
        usual=usual.said,
        retry_all=f"impasto retry {shell_quoted(str(root))}",
        report_again=f"impasto report {shell_quoted(str(root))}",
        data=data_of_script(contents, usual, thumbnail_of),
    )
