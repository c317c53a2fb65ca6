"""What the commands print: results to stdout, errors to stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.bench import Measurement
    from pipeline.errors import ExitCode, ImpastoError
    from pipeline.forecast import Forecast, Forecasts
    from pipeline.intake.records import Reason
    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.pair import Pair
    from pipeline.plan import PlannedPair
    from pipeline.run import Summary
    from pipeline.settings import Settings
    from pipeline.stage.task import Outcome
    from pipeline.stage.usage import Usage
    from pipeline.watch import WatchSummary

logger = logging.getLogger(__name__)


class Report:
    """Results on stdout: JSON lines as they come, or one closing line for people."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_gone = False

    def _emit(self, event: str, **fields: Any) -> None:
        if self._as_json:
            self._say(json.dumps({"event": event, **fields}))

    def _say(self, text: str) -> None:
        """On stdout, until nobody reads it any more: then the work goes on all the same."""
        if self._is_gone:
            return
        try:
            typer.echo(text)
        except OSError as error:
            self._is_gone = True
            logger.warning("results are written to stdout no more: %s", error)

    def planned(self, item: PlannedPair) -> None:
        """A pair that is not rendered in this run."""
        self._emit("pair", status=item.action.value, output=item.pair.file_name, reason=item.reason)
        if not self._as_json and item.action.value == "still failed":
            typer.echo(f"{item.action.value}: {item.pair.name}: {item.reason}", err=True)

    def forecast(self, forecast: Forecast) -> None:
        """What a run would do with a pair."""
        item, expected = forecast.item, forecast.expected
        fields = {"status": item.action.value, "output": item.pair.file_name, "reason": item.reason}
        if expected is not None:
            fit = None if expected.fit is None else str(expected.fit)
            numbers = {"expected_seconds": round(expected.seconds, 2), "expected_memory_bytes": expected.bytes}
            self._emit("pair", **fields, evaluations=list(forecast.evaluations), **numbers, fit=fit)
        else:
            self._emit("pair", **fields)

    def outcome(self, outcome: Outcome) -> None:
        """A pair that was rendered, or failed."""
        record: Metadata | Failure = outcome.record
        self._emit("pair", **record.model_dump(mode="json"))

    def duplicate(self, pair: Pair) -> None:
        """A pair of the inbox that was rendered before."""
        self._emit("pair", status="duplicate", output=pair.file_name, content=pair.content_label)
        if not self._as_json:
            typer.echo(f"duplicate: {pair.content_label} is painted already as {pair.file_name}", err=True)

    def failed_job(self, reason: Reason) -> None:
        """A ticket, or a photograph, that failed before its pairs were known."""
        self._emit("job", status="failed", **reason.model_dump(mode="json"))

    def watch_summary(self, summary: WatchSummary, where: Path, failed: Path) -> None:
        """The end of a watch or drain, in files of the inbox."""
        balance = summary.balance
        fields = {name: value for name, value in vars(balance).items() if isinstance(value, int)}
        self._emit(
            "summary",
            **fields,
            missing=list(balance.missing),
            seconds=round(summary.seconds, 3),
            **summary.usage.describe(),
            exit_code=int(summary.exit_code),
        )
        if not balance.is_even:
            names = ", ".join(balance.missing) or "the counts do not add up"
            typer.echo(
                f"Not all files are accounted for: {names}. This is a defect of impasto; please report it.", err=True
            )
        if not self._as_json:
            words = {"in_inbox": "left in the inbox", "waiting": "claimed", "elsewhere": "taken by others"}
            counts = ", ".join(f"{n} {words.get(name, name)}" for name, n in fields.items() if n) or "nothing to do"
            self._say(f"{counts}; {summary.seconds:.0f} s; results in {where}")
            self._where_time_went(summary.usage)
            if balance.failed:
                typer.echo(f"Reasons and remedies are in {failed}.", err=True)

    def summary(self, summary: Summary, where: Path) -> None:
        """The end."""
        fields = {
            "rendered": summary.rendered,
            "skipped": summary.skipped,
            "failed": summary.failed,
            "waiting": summary.waiting,
        }
        self._emit(
            "summary",
            **fields,
            seconds=round(summary.seconds, 3),
            **summary.usage.describe(),
            exit_code=int(summary.exit_code),
        )
        if not self._as_json:
            words = {"skipped": "skipped (done already)", "waiting": "left for later"}
            counts = ", ".join(f"{n} {words.get(name, name)}" for name, n in fields.items() if n) or "nothing to do"
            self._say(f"{counts}; {summary.seconds:.0f} s; results in {where}")
            self._where_time_went(summary.usage)
            if summary.failed:
                typer.echo(f"Reasons and remedies are in {where / 'failed'}.", err=True)

    def _where_time_went(self, usage: Usage) -> None:
        if not usage.pairs:
            return
        peak = "" if usage.peak_memory_bytes is None else f"; at most {usage.peak_memory_bytes / 2**30:.1f} GiB"
        self._say(
            f"{usage.pairs_per_hour:.3g} pairs/h; the device was busy {usage.busy_share:.0%} of the time: "
            f"stylise {usage.stylise_seconds:.0f} s, wait {usage.wait_seconds:.1f} s; meanwhile "
            f"load {usage.load_seconds:.1f} s, save {usage.save_seconds:.1f} s{peak}"
        )


def show_plan(forecasts: Forecasts, *, as_json: bool) -> None:
    """What a run would do, as a table or as JSON lines."""
    if as_json:
        report = Report(as_json=True)
        for each in forecasts.pairs:
            report.forecast(each)
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("content", "style", "result", "action", "why", "evaluations", "time", "memory")
    for each in forecasts.pairs:
        item, expected = each.item, each.expected
        cells = [item.pair.content_label, item.pair.style_label, item.pair.file_name, item.action.value, item.reason]
        if expected is not None:
            fit = "too large" if expected.fit is None else "" if str(expected.fit) == "whole" else str(expected.fit)
            memory = f"{expected.bytes / 2**30:.2g} GiB {fit}".strip()
            cells += ["+".join(map(str, each.evaluations)), _duration(expected.seconds), memory]
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)  # a file has no edge to fold at
    console.print(table)
    actions = [each.item.action for each in forecasts.pairs]
    counts = ", ".join(f"{action.value}: {actions.count(action)}" for action in sorted(set(actions)))
    takes = f"; about {_duration(forecasts.seconds)} on this machine" if forecasts.seconds else ""
    console.print(f"{counts}; nothing was written{takes}", highlight=False)
    if forecasts.is_short:
        console.print("The time budget is too short, even with the fewest evaluations: pairs will be left for later.")


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


def show_measurements(where: dict[str, str | int], settings: Settings, found: Iterator[Measurement]) -> None:
    """The table of `impasto bench`, row by row as it is measured."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), highlight=False)
    columns = (
        "px", "evaluation", "its convolutions", "ratio", "with optimiser", "TFLOP/s", "of peak", "bytes/px", "pairs/h",
    )  # fmt: skip
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    with Console(stderr=True).status("measuring"):
        for each in found:
            table.add_row(
                f"{each.side}²",
                f"{each.evaluation_seconds:.3g} s",
                f"{each.convolution_seconds:.3g} s",
                f"{each.evaluation_seconds / each.convolution_seconds:.2f}",
                f"{each.iteration_seconds:.3g} s",
                f"{each.teraflops:.3g}",
                f"{each.share_of_peak:.0%}",
                "unknown" if each.bytes_per_pixel is None else f"{each.bytes_per_pixel:.0f}",
                f"{each.pairs_per_hour:.3g}",
            )
    console.print(table)
    planned = ", ".join(map(str, settings.pyramid.planned))
    console.print(f"pairs/h with {planned} evaluations, coarse to fine, the last at this size")


def say_error(error: ImpastoError, code: ExitCode, *, as_json: bool) -> None:
    """An error on stderr and, for programs, on stdout."""
    if as_json:
        typer.echo(
            json.dumps({"event": "error", "message": error.message, "remedy": error.remedy, "exit_code": int(code)})
        )
    typer.echo(f"impasto: {error.message}", err=True)
    if error.remedy:
        typer.echo(error.remedy, err=True)
