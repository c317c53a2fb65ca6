"""Every error that a user can meet, with its class of fault and the exit code of the command.

    ImpastoError            internal      1    a defect of impasto
      UsageError            input         2    a setting, an option or a manifest is wrong
        ManifestError       input         2    rows of a manifest are wrong
      ImageError            input         3    a content or style image cannot be used
        IncompleteError     input         3    an image is missing, damaged, or not yet complete
      NotFiniteError        input         3    the objective of a pair overflows
      TicketError           input         3    files of a ticket are missing
      FatalPairError        input         3    a pair has ended the process several times
      ProcessDiedError      environment   3    a process of several died during a pair, which is tried again
      ChangedError          environment   3    a photograph was written to while it was in progress
      UnreadableError       environment   3    the machine failed to read a file
      OutOfMemoryError      environment   3    a pair does not fit into memory
      OccupiedError         environment   3    a file that is no result has a result's name
      SupersededError       environment   3    another worker has taken a job over
      MachineError          environment   4    the machine cannot do the work
        WeightsError        environment   4    the network's weights cannot be loaded
        DeviceError         environment   4    the device does not exist or has failed
        StorageError        environment   4    the outbox or the spool cannot be read or written
      EvictedError          environment   4    other workers have taken over the jobs of this one
      LockedError           environment  11    another process holds the outbox, the inbox or the report
      Interrupted           internal    130    Ctrl-C; 143 after SIGTERM

A message says which file or setting is meant and what is wrong; `remedy` says what to do about it.
"""

from __future__ import annotations

import copyreg
import errno
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pipeline.text import single_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ErrorClass = Literal["input", "environment", "internal"]
"""Class of an error, by the party that can fix it: user (input), operator (environment) or developers (internal)."""

REPORT_DEFECT: Final = "This is a defect of impasto; please report it."
"""Remedy of an internal error."""

MACHINE_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EMFILE", "ENFILE", "ENOMEM", "EREMOTEIO")
    if hasattr(errno, name)
)
"""Errors of reading a file that are the machine's fault, not the file's."""


class ExitCode(IntEnum):
    """Exit status of the command; any other status is a failure, too."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PARTIAL = 3
    ENVIRONMENT = 4
    LOCKED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class ImpastoError(Exception):
    """Base of all errors that are explained to the user in words, without a traceback."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    error_class: ClassVar[ErrorClass] = "internal"

    def __init__(self, message: str | Sequence[str], remedy: str = "") -> None:
        """Keep message and remedy without characters that would command a terminal or begin a line of their own.

        Args:
            message: one line, or several; names of files in it may have any characters.
            remedy: one line.
        """
        lines = [message] if isinstance(message, str) else message
        self.message = "\n".join(map(single_line, lines))
        self.remedy = single_line(remedy)
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return message and remedy on one line, as logs need them."""
        first, *more = map(str.strip, self.message.split("\n"))
        return " ".join(filter(None, (first, "; ".join(more), self.remedy)))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all attributes, whatever arguments the constructor of a subclass takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # not in stubs


class UsageError(ImpastoError):
    """A setting, an option or a manifest is wrong; nothing has been rendered."""

    exit_code = ExitCode.USAGE
    error_class = "input"


class ManifestError(UsageError):
    """One or more rows of a manifest are wrong; `problems` names each with its line.

    `is_of_machine` says that a disk or a network failed, so that the manifest may be right.
    """

    def __init__(self, manifest: str, problems: list[str], *, is_of_machine: bool = False) -> None:
        count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        super().__init__([f"{manifest}: {count}, nothing was rendered.", *(f"  {problem}" for problem in problems)])
        self.problems, self.is_of_machine = problems, is_of_machine


class ImageError(ImpastoError):
    """A content or style image cannot be used; the other pairs are not affected."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class IncompleteError(ImageError):
    """An image is missing, truncated, damaged, or not yet complete; `path` says which."""

    def __init__(self, message: str, remedy: str = "", path: Path | None = None) -> None:
        super().__init__(message, remedy)
        self.path = path


class ChangedError(ImpastoError):
    """A photograph was written to while it was in progress; its result is not published."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class UnreadableError(ImpastoError):
    """The machine failed to read a file (I/O error, lost network), which `path` names if it is an image."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"

    def __init__(self, message: str | Sequence[str], remedy: str = "", path: Path | None = None) -> None:
        super().__init__(message, remedy)
        self.path = path


class MachineError(ImpastoError):
    """The machine cannot do the work (weights, disk or device), and another pair would fail as well."""

    exit_code = ExitCode.ENVIRONMENT
    error_class = "environment"


class WeightsError(MachineError):
    """The network's weights cannot be loaded, or do not have the expected hash."""


class DeviceError(MachineError):
    """The requested device does not exist or has failed; `suspects` are the results' file names of the pairs on it."""

    def __init__(self, message: str, remedy: str = "", suspects: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.suspects = suspects


class StorageError(MachineError):
    """The outbox or the spool cannot be read or written: disk full, read-only, no permission."""


class OutOfMemoryError(ImpastoError):
    """One pair does not fit into memory; smaller pairs may."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class NotFiniteError(ImpastoError):
    """The objective of one pair overflows before the first step; the other pairs are not affected."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class TicketError(ImpastoError):
    """Files that a ticket names did not arrive in time."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class FatalPairError(ImpastoError):
    """A pair has ended the process several times; the other pairs are not affected."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class ProcessDiedError(ImpastoError):
    """One of several processes died during a pair, which is tried again; `is_alone` says that it had no other pair."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"

    def __init__(self, message: str, remedy: str = "", *, is_alone: bool = False) -> None:
        super().__init__(message, remedy)
        self.is_alone = is_alone


class OccupiedError(ImpastoError):
    """A result would overwrite a file that is no result; the other pairs are not affected."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class SupersededError(ImpastoError):
    """Another worker has taken a job over, since this one was silent for too long; only the other publishes results."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class EvictedError(ImpastoError):
    """Other workers took this one for dead and have taken over its jobs; the process must be restarted."""

    exit_code = ExitCode.ENVIRONMENT
    error_class = "environment"


class LockedError(ImpastoError):
    """Another run works on the same outbox, another drain on the same inbox, or another report is being written."""

    exit_code = ExitCode.LOCKED
    error_class = "environment"


class Interrupted(ImpastoError):  # noqa: N818 - a request, not an error
    """Ctrl-C or SIGTERM arrived; the pair on the device was stopped without a result."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__("Interrupted.", "Run the same command again to continue.")
        self.code = exit_code


def internal_error(error: Exception, context: str = "") -> ImpastoError:
    """Return an unexpected exception as an error that asks the user to report it.

    Args:
        error: the exception.
        context: words that the message begins with, such as the name of a file.
    """
    return ImpastoError(f"{context}{': ' * bool(context)}{type(error).__name__}: {error}", REPORT_DEFECT)


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit status of a command that this error ended."""
    if isinstance(error, Interrupted):
        return error.code
    if isinstance(error, ImpastoError):
        return error.exit_code
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.INTERNAL
