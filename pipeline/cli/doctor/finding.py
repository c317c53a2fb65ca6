"""What an examination finds, and how an error becomes one."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ImpastoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Level = Literal["OK", "WARN", "FAIL"]

_OURS = logging.getLogger("pipeline")


@dataclass(frozen=True)
class Finding:
    """One line."""

    about: str
    """What was looked at: a word, or a folder's path."""
    level: Level
    """OK; WARN: work goes on, but not as well as it could; FAIL: it would not go on."""
    text: str
    remedy: str = ""
    """What to do about it; never empty unless all is well."""


def found_by(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; warnings that it logs and the error that ends it, if we know its kind, are findings, too."""
    handler = _Warnings()
    findings: list[Finding] = []
    with _only_handled_by(handler):
        try:
            findings += check()
        except ImpastoError as error:
            findings.append(Finding(about, "FAIL", error.message, error.remedy))
        except OSError as error:
            findings.append(Finding(about, "FAIL", f"{error.strerror or error}.", "Mend its rights, or name another."))
    for message in handler.messages:
        yield Finding(about, "WARN", message, "Work goes on all the same; mend it if you can.")
    yield from findings


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _only_handled_by(handler: logging.Handler) -> Iterator[None]:
    before = _OURS.propagate
    _OURS.addHandler(handler)
    _OURS.propagate = False  # else it would be told twice
    try:
        yield
    finally:
        _OURS.propagate = before
        _OURS.removeHandler(handler)
