"""All checks, in the order in which work would fail."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.doctor import folder_checks, machine_checks
from pipeline.cli.doctor.finding import Finding, findings_of
from pipeline.monitoring.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.settings import Settings


def examine(settings: Settings, paths: Sequence[Path] = ()) -> Iterator[Finding]:
    """Check the machine, and folders: inboxes, outboxes, or both.

    Nothing is rendered, and trial files are removed.

    Args:
        settings: the settings of the work to come.
        paths: the folders.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("versions", machine_checks.versions),
        ("device", partial(machine_checks.device, settings)),
        ("weights", partial(machine_checks.weights, settings)),
        ("codecs", partial(machine_checks.codecs, settings)),
        ("extras", partial(machine_checks.extras, settings)),
        ("hooks", partial(machine_checks.hooks, settings)),
    ]
    if settings.metrics.textfile:
        checks.append(("metrics.textfile", partial(_metrics, Path(settings.metrics.textfile))))
    if settings.styles.folder:
        checks.append(("styles.folder", partial(folder_checks.styles, settings)))
    checks += [(str(path), partial(folder_checks.folder, path, settings)) for path in paths]
    for about, check in checks:
        yield from findings_of(about, check)


def _metrics(path: Path) -> Iterator[Finding]:
    Metrics(path)
    yield Finding("metrics.textfile", "OK", f"{path}: can be written")
