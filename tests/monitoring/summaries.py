"""Summaries of runs and watchers for the tests of observers."""

from __future__ import annotations

from pipeline.errors import ExitCode
from pipeline.stage.summary import Summary, Usage


def run_summary(*counts: int, seconds: float = 1.0, usage: Usage | None = None) -> Summary:
    """Return the summary of a run from its numbers of pairs; its exit code follows from the failures."""
    by_name = dict(zip(("rendered", "skipped", "failed", "waiting"), counts, strict=True))
    exit_code = ExitCode.PARTIAL if by_name["failed"] else ExitCode.OK
    return Summary(by_name, seconds, exit_code, usage or Usage())


def watcher_summary(exit_code: ExitCode = ExitCode.OK, missing: tuple[str, ...] = (), **counts: int) -> Summary:
    """Return the summary of a watcher; counts of files that are not given are 0."""
    every = dict.fromkeys(("seen", "done", "duplicate", "failed", "waiting", "in_inbox", "elsewhere"), 0)
    return Summary({**every, **counts}, 1.0, exit_code, Usage(), missing)
