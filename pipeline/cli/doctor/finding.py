"""Findings of checks; warnings and errors of a check become findings, too."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import ImpastoError
from pipeline.system.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Level = Literal["OK", "WARN", "FAIL"]

_PACKAGE_LOGGER: Final = logging.getLogger("pipeline")


@dataclass(frozen=True)
class Finding:
    """A result of a check, shown as one line."""

    about: str
    """Subject of the check: a word, or a folder's path."""
    level: Level
    """Level: OK; WARN: work goes on, but not as well as it could; FAIL: work would stop."""
    text: str
    remedy: str = ""
    """Advice to the user; empty only if the level is OK."""


def findings_of(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check and return its findings. Warnings that it logs and an error that ends it become findings, too.

    Args:
        about: the subject of the check.
        check: the check; it may raise an `ImpastoError` or an `OSError`, and other errors are passed on.
    """
    handler = _Warnings()
    findings: list[Finding] = []
    with _only_handled_by(handler):
        try:
            findings += check()
        except ImpastoError as error:
            findings.append(Finding(about, "FAIL", error.message, error.remedy))
        except OSError as error:
            findings.append(Finding(about, "FAIL", f"{error.strerror or error}.", f"{remedy_of(error)}."))
    for message in handler.messages:
        yield Finding(about, "WARN", message, "Work goes on all the same; correct it if you can.")
    yield from findings


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _only_handled_by(handler: logging.Handler) -> Iterator[None]:
    before = _PACKAGE_LOGGER.propagate
    _PACKAGE_LOGGER.addHandler(handler)
    _PACKAGE_LOGGER.propagate = False  # else warnings would be shown twice
    try:
        yield
    finally:
        _PACKAGE_LOGGER.propagate = before
        _PACKAGE_LOGGER.removeHandler(handler)
