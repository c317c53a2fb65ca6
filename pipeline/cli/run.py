"""`impasto run` and `impasto pair`: render the pairs of a manifest, or one pair, and exit."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from pipeline.cli.options import (
    ClusterOption,
    ConfigOption,
    DeviceOption,
    JsonOption,
    LogFormatOption,
    OutboxOption,
    PresetOption,
    PreviewOption,
    ProgressOption,
    SetOption,
    VerboseOption,
)
from pipeline.cli.setup import errors_to_exit_codes, manifest_rules_of, observers_of, resolve_settings
from pipeline.monitoring.console import ConsoleObserver
from pipeline.monitoring.stdio import results
from pipeline.run.observer import RunInfo
from pipeline.text import duration, memory, single_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.run.forecast import Forecasts

_WAIT_SECONDS: Final = 3600.0
"""Longest time that `pair` waits for another run with the same folder, as when several are started at once."""


def run_command(  # noqa: PLR0913 - one parameter per option
    manifest: Annotated[Path, typer.Argument(help="CSV (content,style,…) or JSON Lines.")],
    outbox: OutboxOption,
    *,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    preview: PreviewOption = None,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done; write nothing.")] = False,
    redo: Annotated[Literal["failed", "all"] | None, typer.Option(help="Render failed pairs, or all, again.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first pair that fails.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Render at most N pairs.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="8h", help="Fewer evaluations per pair where the time is short.")
    ] = None,
    cluster: ClusterOption = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Render one of N parts.")] = None,
) -> None:
    """Process a manifest and exit; pairs that are done already are skipped.

    Example: impasto run data/manifest.csv --outbox out
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.outbox.mark_files import RUN
        from pipeline.outbox.publish import Outbox
        from pipeline.outbox.run_lock import Shard
        from pipeline.run.films import check_encoders
        from pipeline.run.forecast import forecast
        from pipeline.run.manifest import read_manifest
        from pipeline.run.plan import plan
        from pipeline.run.runner import run
        from pipeline.transfer.weights import find_weights

        if time_budget is not None:
            set_ = [*(set_ or []), f"run.time_budget={time_budget}"]
        part = Shard.parse(shard) if shard is not None else None
        base_values, overrides, settings = resolve_settings(
            config, preset, set_, device, preview=preview, cluster=cluster
        )
        box = Outbox(outbox, process=f"{RUN}-{part.name}" if part is not None else RUN)
        with _folder_of_frames(outbox, dry_run=dry_run) as frames:
            pairs = read_manifest(manifest, base_values, overrides, manifest_rules_of(settings, outbox, frames))
            check_encoders(pairs)
            if part is not None:
                pairs = [each for each in pairs if part.has(each.frame.clip if each.frame else each.file_name)]
            if dry_run:
                weights = find_weights(settings.network.weights, settings.network.preprocessing)
                planned = list(plan(pairs, box, weights, redo=redo, limit=limit))
                show_plan(forecast(planned, settings, weights), as_json=json_)
                return
        with observers_of(settings, progress, as_json=json_, log_format=log_format) as observers:
            about = RunInfo("run", manifest.absolute(), outbox.absolute(), settings, len(pairs), shard=shard or "")
            observers.started(about)
            summary = run(pairs, box, settings, observers, redo=redo, limit=limit, fail_fast=fail_fast, shard=part)
            observers.finished(summary)
        raise typer.Exit(summary.exit_code)


@contextlib.contextmanager
def _folder_of_frames(outbox: Path, *, dry_run: bool) -> Iterator[Path]:
    """Return the folder for the frames of films: in the outbox, or a temporary one if nothing is written there."""
    from pipeline.outbox.films import folder_of_frames

    if not dry_run:
        yield folder_of_frames(outbox)
        return
    with tempfile.TemporaryDirectory(prefix="impasto-frames-") as folder:
        yield Path(folder)


def pair_command(  # noqa: PLR0913 - one parameter per option
    content: Annotated[Path, typer.Argument(help="The photograph.")],
    style: Annotated[Path, typer.Argument(help="The painting, or a folder of paintings to blend.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The result: .png, .jpg, .webp or .tif.")],
    *,
    mask: Annotated[Path | None, typer.Option(help="Painted where it is white, the photograph where black.")] = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    preview: PreviewOption = None,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Render one pair, now, even if it is there already.

    Example: impasto pair data/content/chelsea.jpg data/styles/nocturne.jpg -o cat.png
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.outbox.publish import Outbox
        from pipeline.run.runner import run
        from pipeline.run.single_pair import single_pair

        base_values, overrides, settings = resolve_settings(config, preset, set_, device, mask=mask, preview=preview)
        pairs = single_pair(content, style, out, base_values, overrides, manifest_rules_of(settings))
        with observers_of(settings, progress, as_json=json_, log_format=log_format) as observers:
            observers.started(RunInfo("pair", content.absolute(), out.parent.absolute(), settings, len(pairs)))
            summary = run(pairs, Outbox(out.parent), settings, observers, redo="all", wait_seconds=_WAIT_SECONDS)
            observers.finished(summary)
        raise typer.Exit(summary.exit_code)


def show_plan(forecasts: Forecasts, *, as_json: bool) -> None:
    """Print what a run would do, as a table or as JSON lines."""
    if as_json:
        console_observer = ConsoleObserver(as_json=True)
        for each in forecasts.pairs:
            console_observer.forecast(each)
        console_observer.forecast_summary(forecasts)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("content", "style", "result", "action", "why", "evaluations", "time", "memory")
    for each in forecasts.pairs:
        item, expected = each.item, each.expected
        cells = [item.pair.content_label, item.pair.style_label, item.pair.file_name, item.action.value, item.reason]
        if expected is not None:
            fit = "too large" if expected.fit is None else "" if str(expected.fit) == "whole" else str(expected.fit)
            needed = f"{memory(expected.bytes)} {fit}".strip()
            cells += ["+".join(map(str, each.evaluations)), duration(expected.seconds), needed]
        table.add_row(*(Text(single_line(cell), overflow="fold") for cell in cells))
    console = Console(file=results(), width=None if results().isatty() else 200)  # a file has no width
    console.print(table)
    actions = [each.item.action for each in forecasts.pairs]
    counts = ", ".join(f"{action.value}: {actions.count(action)}" for action in sorted(set(actions))) or "nothing to do"
    takes = f"; about {duration(forecasts.seconds)} on this machine" if forecasts.seconds else ""
    console.print(f"{counts}; nothing was written{takes}", highlight=False)
    if forecasts.is_short:
        console.print("The time budget is too short, even with the fewest evaluations: pairs will be left for later.")
