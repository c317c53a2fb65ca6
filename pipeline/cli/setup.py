"""The parts that commands share: settings from options, observers, and errors that become exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import REPORT_DEFECT, ExitCode, ImpastoError, exit_code_of
from pipeline.monitoring.console import ConsoleObserver
from pipeline.monitoring.logs import LogFormat, LogObserver, logging_to_stderr
from pipeline.monitoring.observers import Observers
from pipeline.monitoring.stdio import print_result, protect_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.options import ProgressMode
    from pipeline.run.manifest import ManifestRules
    from pipeline.run.observer import Observer
    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import Values

logger = logging.getLogger(__name__)


def resolve_settings(  # noqa: PLR0913, PLR0917 - the options that are settings
    config: Path | None,
    preset: str | None,
    set_: list[str] | None,
    device: str | None,
    styles: Path | None = None,
    mask: Path | None = None,
    preview: float | None = None,
    cluster: str | None = None,
) -> tuple[Values, Values, Settings]:
    """Return the base values, which a manifest's rows override, the command line's overrides, and the merged settings.

    Raises:
        UsageError: the configuration or an option is wrong.
    """
    from pipeline.settings.resolve import from_set_options, load_settings

    overrides = from_set_options(set_ or [])
    if preset is not None:
        overrides["preset"] = preset
    if device is not None:
        overrides.setdefault("run", {})["device"] = device
    if cluster is not None:
        overrides.setdefault("run", {})["cluster"] = cluster
    if preview is not None:
        overrides.setdefault("run", {})["preview_seconds"] = preview
    if styles is not None:
        overrides.setdefault("styles", {})["folder"] = str(styles)
    if mask is not None:
        overrides.setdefault("mask", {})["file"] = str(mask)
    base_values, settings = load_settings(config, overrides)
    return base_values, overrides, settings


def manifest_rules_of(settings: Settings, outbox: Path | None = None, frames: Path | None = None) -> ManifestRules:
    """Return the rules for the files and names that a manifest or a command line may contain.

    Args:
        settings: the settings of the run.
        outbox: the outbox whose results keep their names; None: there is none.
        frames: folder into which the frames of films are extracted; None: films are not allowed.
    """
    from pipeline.images.formats import endings
    from pipeline.outbox.paths import check_name
    from pipeline.run.earlier_results import EarlierResults
    from pipeline.run.films import frames_of
    from pipeline.run.manifest import ManifestRules
    from pipeline.run.masks import default_mask

    roots = tuple(Path(root) for root in settings.run.roots)
    mask, earlier = default_mask(settings.mask.file), EarlierResults(outbox)
    films = partial(frames_of, folder=frames) if frames is not None else None
    return ManifestRules(endings(settings.image.kinds), check_name, roots, films=films, mask=mask, earlier=earlier)


def display_of(mode: ProgressMode, log_format: LogFormat = "human") -> Observer:
    """Return the display that a person sees on stderr; with a log in JSON, nothing else is shown there."""
    from pipeline.monitoring.progress import make_display

    return make_display(mode, is_logged=log_format == "json")


def observers_of(settings: Settings, progress: ProgressMode, *, as_json: bool, log_format: LogFormat) -> Observers:
    """Return all observers of a run or a watcher: displays, records, hooks, metrics, report, log and console.

    Raises:
        UsageError: the program of a hook, or the folder for metrics, does not exist.
        StorageError: metrics cannot be written.
    """
    from pipeline.monitoring.live_report import LiveReport
    from pipeline.monitoring.run_record import RunRecorder

    observers: list[Observer] = [display_of(progress, log_format), RunRecorder()]
    hooks = None
    if settings.hooks.on_pair or settings.hooks.on_finish:
        from pipeline.monitoring.hooks import Hooks

        hooks = Hooks(settings.hooks, settings.run.grace_seconds)
        observers.append(hooks)
    if settings.metrics.textfile:
        from pipeline.monitoring.metrics import Metrics

        observers.append(Metrics(Path(settings.metrics.textfile)))
    if settings.run.report:
        observers.append(LiveReport())
    if log_format == "json":
        observers.append(LogObserver())
    console = ConsoleObserver(as_json=as_json, is_quiet=log_format == "json", hooks=hooks)
    return Observers([*observers, console])  # the console is last, so that its closing line counts failed hooks


@contextlib.contextmanager
def errors_to_exit_codes(*, as_json: bool, verbose: bool, log_format: LogFormat = "human") -> Iterator[None]:
    """Keep stdout for results, log to stderr, and turn an `ImpastoError` into a message and its exit code."""
    protect_stdout()
    is_logged = log_format == "json"
    with logging_to_stderr(log_format, verbose=verbose):
        try:
            yield
        except ImpastoError as error:
            code = exit_code_of(error)
            say_error(error, code, as_json=as_json, is_logged=is_logged)
            raise typer.Exit(code) from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            text = "%s: %s. %s"
            logger.critical(text, type(error).__name__, error, REPORT_DEFECT, exc_info=True, extra={"event": "defect"})
            raise typer.Exit(ExitCode.INTERNAL) from error


def say_error(error: ImpastoError, code: ExitCode, *, as_json: bool, is_logged: bool = False) -> None:
    """Print an error to stderr, or log it there in JSON; for programs, print it to stdout as well."""
    if as_json:
        fields = {"message": error.message, "remedy": error.remedy, "exit_code": int(code)}
        try:
            print_result(json.dumps({"event": "error", **fields}))
        except OSError as gone:
            logger.warning("results are no longer written to stdout: %s", gone)
    if is_logged:
        about = {"remedy": error.remedy, "error_class": error.error_class, "exit_code": int(code)}
        logger.error("%s", error.message, extra={"event": "error", **about})
        return
    typer.echo(f"impasto: {error.message}", err=True)
    if error.remedy:
        typer.echo(error.remedy, err=True)
