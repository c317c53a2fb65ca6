"""`impasto watch` and `impasto drain`: render the photographs that are dropped into a folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.cli.options import (
    ClusterOption,
    ConfigOption,
    DeviceOption,
    InboxArgument,
    JsonOption,
    LogFormatOption,
    OutboxOption,
    PresetOption,
    PreviewOption,
    ProgressOption,
    SetOption,
    StylesOption,
    VerboseOption,
)
from pipeline.cli.setup import errors_to_exit_codes, observers_of, resolve_settings
from pipeline.run.observer import RunInfo

if TYPE_CHECKING:
    from pipeline.run.observer import Observer
    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import Values
    from pipeline.stage.summary import Summary

DRAIN_HELP = """Process the files that lie in a folder now, and exit; see watch.

    For cron: exits 11 at once if another drain is running.

    Example: impasto drain inbox --outbox out --styles data/styles"""
WATCH_HELP = """Process files that are dropped into a folder, until stopped.

    INBOX/<style>/photo.jpg is painted in the style of that name: a painting in --styles, or INBOX/<style>/_style.jpg.

    Example: impasto watch inbox --outbox out --styles data/styles"""


def watch_command(  # noqa: PLR0913 - one parameter per option
    context: typer.Context,
    inbox: InboxArgument,
    outbox: OutboxOption,
    *,
    styles: StylesOption = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    cluster: ClusterOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    preview: PreviewOption = None,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Watch or drain; the two commands differ only in when they end."""
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        settings = resolve_settings(config, preset, set_, device, styles, preview=preview, cluster=cluster)
        command = context.command.name or ""
        with observers_of(settings[2], progress, as_json=json_, log_format=log_format) as observers:
            summary = _serve(command, inbox, outbox, settings, observers)
            observers.finished(summary)
        raise typer.Exit(summary.exit_code)


def _serve(
    command: str, inbox: Path, outbox: Path, settings: tuple[Values, Values, Settings], observer: Observer
) -> Summary:
    from pipeline.disk import Disk
    from pipeline.stage.pool.stage_pool import make_stage
    from pipeline.transfer.styliser import ENGINE_VERSION
    from pipeline.transfer.weights import find_weights
    from pipeline.watch.jobs.job_pairs import FingerprintReader
    from pipeline.watch.service import Folders, Service

    base_values, overrides, resolved = settings
    folders = Folders.of(inbox, outbox, resolved)
    weights = find_weights(resolved.network.weights, resolved.network.preprocessing)
    service = Service(
        folders=folders,
        settings=resolved,
        base_values=base_values,
        overrides=overrides,
        fingerprints=FingerprintReader(weights.sha256, ENGINE_VERSION),
        observer=observer,
        disk=Disk(),
    )
    observer.started(RunInfo(command, folders.inbox, folders.outbox, resolved, spool=folders.spool))
    with contextlib.ExitStack() as stack:
        return service.run(
            lambda listener, box: stack.enter_context(contextlib.closing(make_stage(resolved, weights, box, listener))),
            drain=command == "drain",
        )
