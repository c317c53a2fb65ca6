"""Everything that is looked at, in the order in which it would go wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.doctor import folders, machine
from pipeline.doctor.finding import Finding, found_by
from pipeline.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.settings import Settings


def examine(settings: Settings, paths: Sequence[Path] = ()) -> Iterator[Finding]:
    """Look at the machine, and at folders: inboxes, outboxes, or both.

    Nothing is rendered, and what is written for a trial is removed.

    Args:
        settings: as work will be done with.
        paths: of the folders.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("versions", machine.versions),
        ("device", partial(machine.device, settings)),
        ("weights", partial(machine.weights, settings)),
        ("codecs", partial(machine.codecs, settings)),
        ("hooks", partial(machine.hooks, settings)),
    ]
    if settings.metrics.textfile:
        checks.append(("metrics.textfile", partial(_metrics, Path(settings.metrics.textfile))))
    if settings.styles.folder:
        checks.append(("styles.folder", partial(folders.styles, settings)))
    checks += [(str(path), partial(folders.folder, path, settings)) for path in paths]
    for about, check in checks:
        yield from found_by(about, check)


def _metrics(path: Path) -> Iterator[Finding]:
    Metrics(path)
    yield Finding("metrics.textfile", "OK", f"{path}: can be written")
