"""The output of a run or a watcher: results to stdout, notes for people to stderr."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import typer

from pipeline.errors import REPORT_DEFECT, ExitCode
from pipeline.monitoring.stdio import print_result
from pipeline.run.observer import Observer
from pipeline.text import memory, rate, single_line

if TYPE_CHECKING:
    from pipeline.monitoring.hooks import Hooks
    from pipeline.outbox.metadata import Failure, JobFailure, Metadata
    from pipeline.pair import Pair
    from pipeline.run.forecast import Forecast, Forecasts
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary, Usage
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)

_RUN_WORDS: Final = {
    "rendered": "rendered",
    "skipped": "skipped (done already)",
    "failed": "failed",
    "waiting": "left for later",
}
_WATCHER_WORDS: Final = {
    "seen": "seen",
    "done": "done",
    "duplicate": "duplicate",
    "failed": "failed",
    "waiting": "claimed",
    "in_inbox": "left in the inbox",
    "elsewhere": "taken by others",
}


class ConsoleObserver(Observer):
    """Prints results to stdout, as JSON lines or as a closing line for people, and notes for people to stderr."""

    def __init__(self, *, as_json: bool, is_quiet: bool = False, hooks: Hooks | None = None) -> None:
        """Prepare to print.

        Args:
            as_json: print JSON lines.
            is_quiet: print nothing to stderr, since the log there says the same.
            hooks: the hooks whose failures the closing line counts.
        """
        self._as_json, self._is_quiet, self._hooks = as_json, is_quiet, hooks
        self._is_gone = False
        self._warnings = 0
        self._info: RunInfo | None = None

    def _emit(self, event: str, **fields: Any) -> None:
        if self._as_json:
            self._print(json.dumps({"event": event, **fields}))

    def _print(self, text: str) -> None:
        """Print to stdout until nobody reads it any more; the work continues without it."""
        if self._is_gone:
            return
        try:
            print_result(text)
        except OSError as error:
            self._is_gone = True
            logger.warning("results are no longer written to stdout: %s", error)

    def _note(self, text: str) -> None:
        """Print a note for people to stderr, on one line whatever names it has."""
        if not self._is_quiet:
            typer.echo(single_line(text), err=True)

    def started(self, info: RunInfo) -> None:
        """Print which inbox is watched."""
        self._info = info
        if info.command == "watch" and not self._as_json:
            library = info.settings.styles.folder or "INBOX/<style>/_style.jpg"
            self._note(f"Watching {info.source}; styles: {library}; results: {info.outbox}; Ctrl-C stops.")

    def planned(self, item: PlannedPair) -> None:
        """Print a pair that is not rendered in this run."""
        self._emit("pair", status=item.action.value, output=item.pair.file_name, reason=item.reason)
        if not self._as_json and item.action.value == "still failed":
            self._note(f"{item.action.value}: {item.pair.name}: {item.reason}")

    def forecast(self, forecast: Forecast) -> None:
        """Print what a run would do with a pair."""
        item, expected = forecast.item, forecast.expected
        fields = {"status": item.action.value, "output": item.pair.file_name, "reason": item.reason}
        if expected is not None:
            fit = None if expected.fit is None else str(expected.fit)
            numbers = {"expected_seconds": round(expected.seconds, 2), "expected_memory_bytes": expected.bytes}
            self._emit("pair", **fields, evaluations=list(forecast.evaluations), **numbers, fit=fit)
        else:
            self._emit("pair", **fields)

    def forecast_summary(self, forecasts: Forecasts) -> None:
        """Print how many pairs a run would render, skip or leave, and how long it would take."""
        counts = Counter(each.item.action.value for each in forecasts.pairs)
        self._emit(
            "summary",
            dry_run=True,
            to_render=counts["render"],
            skipped=counts["skip"],
            failed=counts["still failed"],
            waiting=counts["wait"],
            expected_seconds=round(forecasts.seconds, 2),
            is_time_short=forecasts.is_short,
            exit_code=int(ExitCode.OK),
        )

    def outcome(self, outcome: Outcome) -> None:
        """Print a pair that was rendered or failed, and its warnings."""
        record: Metadata | Failure = outcome.record
        self._emit("pair", **record.model_dump(mode="json"))
        for warning in record.warnings if record.status == "done" else ():
            self._warnings += 1
            self._note(f"warning: {outcome.pair.name}: {warning}")

    def duplicate(self, pair: Pair) -> None:
        """Print a pair of an inbox that was rendered before."""
        self._emit("pair", status="duplicate", output=pair.file_name, content=pair.content_label)
        if not self._as_json:
            self._note(f"duplicate: {pair.content_label} is painted already as {pair.file_name}")

    def failed_job(self, failure: JobFailure) -> None:
        """Print a job that failed before its pairs were known."""
        self._emit("job", status="failed", **failure.model_dump(mode="json"))

    def finished(self, summary: Summary) -> None:
        """Print the summary or the closing line, and files that are not accounted for."""
        described, hooks = summary.describe(), self._hooks
        hook_counts = {} if hooks is None else {"hooks_failed": hooks.failed, "hooks_left_out": hooks.left_out}
        self._emit("summary", **described, warnings=self._warnings, **hook_counts)
        if "missing" in described and described["exit_code"] == ExitCode.INTERNAL:
            names = ", ".join(described["missing"]) or "the counts do not add up"
            self._note(f"Not all files are accounted for: {names}. {REPORT_DEFECT}")
        if not self._as_json:
            self._print_closing_line(summary, described)

    def _print_closing_line(self, summary: Summary, described: dict[str, Any]) -> None:
        assert self._info is not None  # noqa: S101 - it was started
        outbox, spool = self._info.outbox, self._info.spool
        words = _RUN_WORDS if spool is None else _WATCHER_WORDS
        counts = [f"{described[name]} {word}" for name, word in words.items() if described[name]]
        ends = ", ".join((*(counts or ["nothing to do"]), *self._troubles()))
        self._print(f"{ends}; {summary.seconds:.0f} s; results in {single_line(str(outbox))}")
        for film in summary.films:
            self._print(f"film: {single_line(str(outbox / film))}")
        self._print_usage(summary.usage)
        if described["failed"]:
            self._note(f"Reasons and remedies are in {(spool or outbox) / 'failed'}.")

    def _troubles(self) -> list[str]:
        """Return the troubles that made no pair fail."""
        failed, left_out = (self._hooks.failed, self._hooks.left_out) if self._hooks is not None else (0, 0)
        numbers = {"with {} warning{}": self._warnings, "{} hook{} failed": failed, "{} hook{} left out": left_out}
        return [text.format(number, "s" * (number != 1)) for text, number in numbers.items() if number]

    def _print_usage(self, usage: Usage) -> None:
        if not usage.pairs:
            return
        peak = "" if usage.peak_memory_bytes is None else f"; at most {memory(usage.peak_memory_bytes)}"
        self._print(
            f"{rate(usage.pairs_per_hour)}; the device was busy {usage.busy_share:.0%} of the time: "
            f"stylise {usage.stylise_seconds:.0f} s, wait {usage.wait_seconds:.1f} s; meanwhile "
            f"load {usage.load_seconds:.1f} s, save {usage.save_seconds:.1f} s{peak}"
        )
