"""The log on stderr: lines for people, or one JSON object per line for programs.

A call may name an event and give fields of its own, `extra={"event": "step", "pair": …}`. The JSON has them; the lines
for people do not. A field that is None is not known and is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from pipeline.errors import exit_code_of
from pipeline.monitoring.stdio import is_stdout_protected, noise_to_log
from pipeline.run.observer import Observer
from pipeline.text import displayable, displayable_values, single_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.outbox.metadata import Failure, JobFailure, Metadata
    from pipeline.pair import Pair
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)

LogFormat = Literal["human", "json"]

STEPS: Final = ("load", "queue", "stylise", "save")
"""Steps of a pair, by the names that its metadata gives to their seconds."""
_PIPELINE: Final = logging.getLogger("pipeline")
_HOOKS: Final = logging.getLogger("pipeline.monitoring.hooks")
_WARNINGS: Final = "py.warnings"
"""Name of the logger that gets the warnings of the module `warnings`."""
_ADDED_LATER: Final = {"message", "asctime", "event"}
"""Attributes of a record that are not fields: formatters add the first two, and the event has a place of its own."""


@contextlib.contextmanager
def logging_to_stderr(log_format: LogFormat = "human", *, verbose: bool = False) -> Iterator[None]:
    """Log to stderr, and with it Python's warnings and errors of threads, which would write there by themselves.

    Args:
        log_format: `human` shows warnings, as lines; `json` shows each event, as JSON, and also what libraries write.
        verbose: show details as well.
    """
    handler = _StderrHandler()
    if log_format == "human":
        handler.setFormatter(HumanFormatter())
        with _handled_by(handler, logging.INFO if verbose else logging.WARNING, logging.NOTSET):
            yield
        return
    handler.setFormatter(JsonFormatter())
    levels = (logging.INFO, logging.DEBUG) if verbose else (logging.WARNING, logging.INFO)
    with _handled_by(handler, *levels):
        threading.excepthook = _log_thread
        try:
            with noise_to_log(of_stdout=is_stdout_protected()) as handler.real:
                yield
        finally:
            handler.real = None


@contextlib.contextmanager
def _handled_by(handler: logging.Handler, level: int, pipeline_level: int) -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    levels = root.level, _PIPELINE.level
    root.addHandler(handler)
    root.setLevel(level)
    _PIPELINE.setLevel(pipeline_level)
    _HOOKS.setLevel(logging.INFO)  # what a hook prints is meant to be seen
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        threading.excepthook = hook
        root.removeHandler(handler)
        root.setLevel(levels[0])
        _PIPELINE.setLevel(levels[1])
        _HOOKS.setLevel(logging.NOTSET)


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread is not None else "a thread"
    error = arguments.exc_value
    logger.critical("The thread %s failed: %s", name, error, exc_info=error, extra={"event": "defect"})


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to `sys.stderr` as it is at the moment: while bars are shown, it puts lines above them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.real: TextIO | None = None
        """The real stderr while file descriptor 2 leads into the log, otherwise None."""
        self._is_gone = False

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # looked up for each record
        return self.real or sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, until nobody reads stderr any more."""
        if not self._is_gone:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Print a defect to stderr. After an error of the pipe or the disk write nothing more: nobody would read it."""
        if isinstance(sys.exception(), OSError):
            self._is_gone = True
        else:
            super().handleError(record)


class HumanFormatter(logging.Formatter):
    """Formats `WARNING what happened` on one line, and a traceback where there is one.

    Names of files in a message can neither command the terminal nor begin a line of their own.
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line; a warning of Python without the source line that follows it."""
        text = _first_line(record.message) if record.name == _WARNINGS else record.message
        record.message = single_line(text)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback."""
        return displayable(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """Formats one JSON object on one line: time (UTC, ISO 8601), level, event, message, and the fields of the call."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a newline at its end."""
        message = record.getMessage()
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": _first_line(message) if record.name == _WARNINGS else message,
            **(_fields(record) if record.name.partition(".")[0] == _PIPELINE.name else {}),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(displayable_values(entry), default=lambda value: displayable(str(value)))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that the call gave.

    Libraries that replace the factory of records, as Ray does, add attributes to each record: a bare one has them, too.
    """
    bare = vars(logging.getLogRecordFactory()("", 0, "", 0, "", (), None)).keys() | _ADDED_LATER
    return {name: value for name, value in vars(record).items() if name not in bare and value is not None}


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


class LogObserver(Observer):
    """Logs what becomes of each pair, and when the work begins and ends."""

    def started(self, info: RunInfo) -> None:
        """Log the beginning."""
        logger.info(
            "%s of %s begins.",
            info.command,
            info.source,
            extra={
                "event": "started",
                "command": info.command,
                "source": str(info.source),
                "outbox": str(info.outbox),
                "preset": info.settings.preset,
                "pairs": info.pairs,
            },
        )

    def planned(self, item: PlannedPair) -> None:
        """Log a pair that is not rendered; as an error if it failed in an earlier run."""
        level = logging.ERROR if item.action.value == "still failed" else logging.INFO
        fields = {"event": item.action.value, "pair": item.pair.name, "key": item.key, "reason": item.reason}
        logger.log(level, "%s: %s: %s", item.action.value, item.pair.name, item.reason, extra=fields)

    def outcome(self, outcome: Outcome) -> None:
        """Log the steps of a pair with their seconds, its warnings, and its end."""
        record = outcome.record
        if record.status == "done":
            self._done(outcome, record)
        else:
            self._failed(outcome, record)

    def _done(self, outcome: Outcome, record: Metadata) -> None:
        identity = _identity(outcome, record)
        for step in STEPS:
            seconds = getattr(record.seconds, step)
            fields = {"event": "step", **identity, "step": step, "seconds": round(seconds, 3)}
            logger.info("%s: %s took %.3g s", outcome.pair.name, step, seconds, extra=fields)
        for warning in record.warnings:
            fields = {"event": "warning", **identity, "warning": warning}
            logger.warning("%s: %s", outcome.pair.name, warning, extra=fields)
        seconds = sum(getattr(record.seconds, step) for step in STEPS)
        result = {"seconds": round(seconds, 3), "output": record.output.path, "evaluations": record.evaluations}
        logger.info("done: %s", outcome.pair.name, extra={"event": "done", **identity, **result})

    def _failed(self, outcome: Outcome, record: Failure) -> None:
        fields = {
            "event": "failed",
            **_identity(outcome, record),
            "reason": record.reason,
            "remedy": record.remedy,
            "error_class": record.error_class,
        }
        logger.error("failed: %s: %s %s", outcome.pair.name, record.reason, record.remedy, extra=fields)

    def duplicate(self, pair: Pair) -> None:
        """Log a pair of an inbox that was rendered before."""
        fields = {"event": "duplicate", "pair": pair.name, "content": pair.content_label}
        logger.info("duplicate: %s is painted already as %s", pair.content_label, pair.file_name, extra=fields)

    def failed_job(self, failure: JobFailure) -> None:
        """Log a job that failed before its pairs were known."""
        fields = failure.model_dump(mode="json", exclude={"schema_version", "attempts", "failed"})
        names = ", ".join(failure.files)
        logger.error(
            "failed: %s: %s %s",
            names,
            failure.reason,
            failure.remedy,
            extra={"event": "failed_job", **fields, "attempt": failure.attempts},
        )

    def finished(self, summary: Summary) -> None:
        """Log the end with all counts; as a warning if the exit code is not 0."""
        described = summary.describe()
        code = described["exit_code"]
        logger.log(
            logging.WARNING if code else logging.INFO,
            "The end, with exit code %d.",
            code,
            extra={"event": "finished", **described},
        )

    def aborted(self, error: BaseException) -> None:
        """Log an end by an error or a signal."""
        code = exit_code_of(error)
        logger.error("Ended: %s", error, extra={"event": "finished", "exit_code": int(code), "reason": str(error)})


def _identity(outcome: Outcome, record: Metadata | Failure) -> dict[str, Any]:
    worker, _, job = outcome.task.owner.partition("/")  # a run has neither a worker's name nor jobs
    return {
        "pair": outcome.pair.name,
        "key": record.key,
        "worker": worker if job else None,
        "job": job or None,
        "attempt": record.attempt,
    }
