"""`impasto status`: the state of an outbox or an inbox."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.options import ConfigOption, FolderArgument, LogFormatOption, SetOption, VerboseOption
from pipeline.cli.setup import errors_to_exit_codes, resolve_settings
from pipeline.monitoring.stdio import print_result, results

if TYPE_CHECKING:
    from pipeline.cli.status.inbox import InboxSurvey
    from pipeline.cli.status.outbox import OutboxSurvey, RunState
    from pipeline.cli.status.survey import Survey

SHOWN_ON_DEVICE: Final = 8
"""Largest number of pairs on the devices that are named; a batch may have more."""
FOLLOW_SECONDS: Final = 5.0
"""Seconds between two outputs of --follow."""


def status_command(  # noqa: PLR0913 - one parameter per option
    folder: FolderArgument,
    *,
    config: ConfigOption = None,
    set_: SetOption = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Repeat every 5 s until nobody is at work.")] = False,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Show what is done, failed and waiting, who is at work, and the last errors.

    Changes nothing; works beside a run, and after one that died. Of the settings, watch.spool and image.formats count.

    Example: impasto status out
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.cli.status.survey import survey

        _, _, settings = resolve_settings(config, None, set_, None)
        while True:
            found = survey(folder, settings)
            _show(found, as_json=json_, clears=follow)
            if not (follow and found.is_at_work):
                return
            time.sleep(FOLLOW_SECONDS)


def _show(found: Survey, *, as_json: bool, clears: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_result(json.dumps({"event": "status", **asdict(found)}))
        return
    if clears and results().isatty():
        from rich.console import Console

        Console(file=results()).clear()
    print_result("\n".join(lines_of(found)))


def lines_of(found: Survey) -> list[str]:
    """Return a survey as lines for people."""
    lines = _lines_of_inbox(found) if found.kind == "inbox" else _lines_of_outbox(found)
    if found.last_errors:
        more = f", the last {len(found.last_errors)} of {found.failed}" if found.failed > len(found.last_errors) else ""
        lines.append(f"Failed{more}:")
        for error in found.last_errors:
            lines += _indented(f"  {error.name}: {error.reason}")
            lines += _indented(f"    {error.remedy}") if error.remedy else []
    return lines


def _indented(text: str) -> list[str]:
    """Return a text as lines; further ones, such as the problems of a manifest, are indented."""
    first, *more = text.split("\n")
    return [first, *(f"    {line}" for line in more)]


def _lines_of_outbox(found: OutboxSurvey) -> list[str]:
    lines = [
        (
            f"{found.path}: {found.done} done, {found.failed} failed, {found.damaged} damaged; "
            f"{found.done_last_hour} done in the last hour"
        )
    ]
    for run in found.runs:
        lines += _lines_of_run(run)
    if found.failed:
        lines.append(f"To try again what failed: {found.retry}")
    for inbox in found.inboxes:
        lines += lines_of(inbox)
    return lines


def _lines_of_run(run: RunState) -> list[str]:
    from pipeline.text import duration, rate

    counts = ", ".join(f"{number} {word}" for word, number in run.counts.items()) or "nothing yet"
    head = f"{run.command} {run.source}{f', part {run.shard}' if run.shard else ''}"
    if run.state == "died":
        where = f"process {run.pid} on {run.host}"
        return [
            f"{head}: died ({where}), last heard of at {run.written}: {counts}",
            f"  To continue: {run.again}, with the same options",
        ]
    if run.state == "ended":
        why = f": {run.reason}" if run.reason else ""
        return [f"{head}: ended with exit code {run.exit_code}{why}; {counts}"]
    why = f" ({run.reason})" if run.reason else ""
    at = [f"{head}: {run.state}{why}; {counts}"]
    if run.pairs_per_hour is not None:
        left = "" if run.seconds_left is None else f", about {duration(run.seconds_left)} left"
        at[0] += f"; {rate(run.pairs_per_hour)}{left}"
    more = len(run.on_device) - SHOWN_ON_DEVICE
    names = [f"  on the device: {name}" for name in run.on_device[:SHOWN_ON_DEVICE]]
    return [*at, *names, *([f"  and {more} more"] if more > 0 else [])]


def _lines_of_inbox(found: InboxSurvey) -> list[str]:
    from pipeline.text import duration

    oldest = found.oldest_waiting_seconds
    age = "" if oldest is None else f" (the oldest for {duration(oldest)})"
    lines = [
        (
            f"{found.path}: {found.waiting} waiting{age}, {found.claimed} claimed, {found.done} done, "
            f"{found.failed} failed; {found.done_last_hour} done in the last hour"
        )
    ]
    for worker in found.workers:
        why = f" ({worker.reason})" if worker.reason else ""
        device = f"; on the device: {worker.on_device}" if worker.on_device else ""
        lines.append(f"watcher {worker.name}: {worker.state}{why}, {worker.claimed} claimed{device}")
        if worker.state == "died" and worker.claimed:
            lines.append("  The next watcher that starts here takes its jobs over.")
    if not found.is_at_work:
        lines.append("No watcher is running on this inbox.")
    if found.failed:
        lines.append(f"To try again what failed: {found.retry}")
    return lines
