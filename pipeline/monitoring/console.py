"""What the commands print: results to stdout, errors to stderr."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final

import typer

from pipeline.errors import ExitCode
from pipeline.monitoring.logs import about
from pipeline.monitoring.observer import Observer
from pipeline.monitoring.stdio import results, say
from pipeline.text import duration, memory, rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.bench.measure import Measurement
    from pipeline.errors import ImpastoError
    from pipeline.monitoring.hooks import Hooks
    from pipeline.monitoring.observer import Work
    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.pair import Pair
    from pipeline.run.forecast import Forecast, Forecasts
    from pipeline.run.plan import PlannedPair
    from pipeline.run.runner import Summary
    from pipeline.settings.pair_settings import Settings
    from pipeline.stage.summary import Usage
    from pipeline.stage.task import Outcome
    from pipeline.watch.spool.records import Reason
    from pipeline.watch.watcher import WatchSummary

logger = logging.getLogger(__name__)

_WORDS: Final = {
    "rendered": "rendered",
    "skipped": "skipped (done already)",
    "failed": "failed",
    "waiting": "left for later",
}
_WORDS_OF_WATCHER: Final = {
    "seen": "seen",
    "done": "done",
    "duplicate": "duplicate",
    "failed": "failed",
    "waiting": "claimed",
    "in_inbox": "left in the inbox",
    "elsewhere": "taken by others",
}


class Report(Observer):
    """On stdout results: JSON lines as they come, or a closing line for people. On stderr what people should see."""

    def __init__(self, *, as_json: bool, is_quiet: bool = False, hooks: Hooks | None = None) -> None:
        """With `is_quiet`, nothing on stderr, since the log tells the same there; `hooks` are counted at the end."""
        self._as_json, self._is_quiet, self._hooks = as_json, is_quiet, hooks
        self._is_gone = False
        self._warnings = 0
        self._work: Work | None = None

    def _emit(self, event: str, **fields: Any) -> None:
        if self._as_json:
            self._say(json.dumps({"event": event, **fields}))

    def _say(self, text: str) -> None:
        """On stdout, until nobody reads it any more: then the work goes on all the same."""
        if self._is_gone:
            return
        try:
            say(text)
        except OSError as error:
            self._is_gone = True
            logger.warning("results are written to stdout no more: %s", error)

    def _note(self, text: str) -> None:
        """On stderr, for people."""
        if not self._is_quiet:
            typer.echo(text, err=True)

    def started(self, work: Work) -> None:
        """What a watcher waits for."""
        self._work = work
        if work.command == "watch" and not self._as_json:
            library = work.settings.styles.folder or "INBOX/<style>/_style.jpg"
            self._note(f"Watching {work.source}; styles: {library}; results: {work.outbox}; Ctrl-C stops.")

    def planned(self, item: PlannedPair) -> None:
        """A pair that is not rendered in this run."""
        self._emit("pair", status=item.action.value, output=item.pair.file_name, reason=item.reason)
        if not self._as_json and item.action.value == "still failed":
            self._note(f"{item.action.value}: {item.pair.name}: {item.reason}")

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
        for warning in record.warnings if record.status == "done" else ():
            self._warnings += 1
            self._note(f"warning: {outcome.pair.name}: {warning}")

    def duplicate(self, pair: Pair) -> None:
        """A pair of the inbox that was rendered before."""
        self._emit("pair", status="duplicate", output=pair.file_name, content=pair.content_label)
        if not self._as_json:
            self._note(f"duplicate: {pair.content_label} is painted already as {pair.file_name}")

    def failed_job(self, reason: Reason) -> None:
        """A ticket, or a photograph, that failed before its pairs were known."""
        self._emit("job", status="failed", **reason.model_dump(mode="json"))

    def finished(self, summary: Summary | WatchSummary) -> None:
        """The end, with all counts: of pairs, or of a watcher's files."""
        described, hooks = summary.describe(), self._hooks
        of_hooks = {} if hooks is None else {"hooks_failed": hooks.failed, "hooks_left_out": hooks.left_out}
        self._emit("summary", **described, warnings=self._warnings, **of_hooks)
        if "missing" in described and described["exit_code"] == ExitCode.INTERNAL:
            names = ", ".join(described["missing"]) or "the counts do not add up"
            self._note(f"Not all files are accounted for: {names}. This is a defect of impasto; please report it.")
        if not self._as_json:
            self._closing_line(summary, described)

    def _closing_line(self, summary: Summary | WatchSummary, described: dict[str, Any]) -> None:
        assert self._work is not None  # noqa: S101 - it was started
        outbox, spool = self._work.outbox, self._work.spool
        words = _WORDS if spool is None else _WORDS_OF_WATCHER
        counts = [f"{described[name]} {word}" for name, word in words.items() if described[name]]
        said = ", ".join((*(counts or ["nothing to do"]), *self._troubles()))
        self._say(f"{said}; {summary.seconds:.0f} s; results in {outbox}")
        self._where_time_went(summary.usage)
        if described["failed"]:
            self._note(f"Reasons and remedies are in {(spool or outbox) / 'failed'}.")

    def _troubles(self) -> list[str]:
        """What was not as it should be, though no pair failed of it."""
        failed, left_out = (self._hooks.failed, self._hooks.left_out) if self._hooks is not None else (0, 0)
        counted = {"with {} warning{}": self._warnings, "{} hook{} failed": failed, "{} hook{} left out": left_out}
        return [text.format(number, "s" * (number != 1)) for text, number in counted.items() if number]

    def _where_time_went(self, usage: Usage) -> None:
        if not usage.pairs:
            return
        peak = "" if usage.peak_memory_bytes is None else f"; at most {memory(usage.peak_memory_bytes)}"
        self._say(
            f"{rate(usage.pairs_per_hour)}; the device was busy {usage.busy_share:.0%} of the time: "
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
            needed = f"{memory(expected.bytes)} {fit}".strip()
            cells += ["+".join(map(str, each.evaluations)), duration(expected.seconds), needed]
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console = Console(file=results(), width=None if results().isatty() else 200)  # a file has no edge to fold at
    console.print(table)
    actions = [each.item.action for each in forecasts.pairs]
    counts = ", ".join(f"{action.value}: {actions.count(action)}" for action in sorted(set(actions)))
    takes = f"; about {duration(forecasts.seconds)} on this machine" if forecasts.seconds else ""
    console.print(f"{counts}; nothing was written{takes}", highlight=False)
    if forecasts.is_short:
        console.print("The time budget is too short, even with the fewest evaluations: pairs will be left for later.")


def show_measurements(
    where: dict[str, str | int], settings: Settings, found: Iterator[Measurement], *, is_quiet: bool = False
) -> None:
    """The table of `impasto bench`; with `is_quiet` stderr does not show meanwhile that it is at work."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(file=results(), width=None if results().isatty() else 200)
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), highlight=False)
    columns = (
        "px", "evaluation", "its convolutions", "ratio", "with optimiser", "TFLOP/s", "of peak", "bytes/px", "pairs/h",
    )  # fmt: skip
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    with contextlib.nullcontext() if is_quiet else Console(stderr=True).status("measuring"):
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
                rate(each.pairs_per_hour).removesuffix(" pairs/h"),
            )
    console.print(table)
    planned = ", ".join(map(str, settings.pyramid.planned))
    console.print(f"pairs/h with {planned} evaluations, coarse to fine, the last at this size")


def say_error(error: ImpastoError, code: ExitCode, *, as_json: bool, is_logged: bool = False) -> None:
    """An error on stderr, or in the log instead, and for programs on stdout."""
    if as_json:
        fields = {"message": error.message, "remedy": error.remedy, "exit_code": int(code)}
        try:
            say(json.dumps({"event": "error", **fields}))
        except OSError as gone:
            logger.warning("results are written to stdout no more: %s", gone)
    if is_logged:
        fields = about("error", remedy=error.remedy, error_class=error.error_class, exit_code=int(code))
        logger.error("%s", error.message, extra=fields)
        return
    typer.echo(f"impasto: {error.message}", err=True)
    if error.remedy:
        typer.echo(error.remedy, err=True)
