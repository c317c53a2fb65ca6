"""Every error a user can meet, with its class and its exit code.

An error message says which file or setting and what is wrong; `remedy` says what to do about it.
"""

from __future__ import annotations

import copyreg
import errno
import re
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

ErrorClass = Literal["input", "environment", "internal"]
"""Who can mend it: the input's owner, the machine's keeper, or we."""


MACHINE_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EMFILE", "ENFILE", "ENOMEM", "EREMOTEIO")
    if hasattr(errno, name)
)
"""What the machine is to blame for when a file cannot be read."""


class ExitCode(IntEnum):
    """Exit status of the command; any other value is to be read as a failure."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PARTIAL = 3
    ENVIRONMENT = 4
    LOCKED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class ImpastoError(Exception):
    """Base of all errors that are explained to the user instead of shown as a traceback."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    error_class: ClassVar[ErrorClass] = "internal"

    def __init__(self, message: str, remedy: str = "") -> None:
        message = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", message)  # of names that are not UTF-8
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        """Whole through a pipe between processes, whatever a subclass is made from."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # it is there


class UsageError(ImpastoError):
    """A setting, an option or a manifest is wrong; nothing has been rendered."""

    exit_code = ExitCode.USAGE
    error_class = "input"


class ManifestError(UsageError):
    """One or more rows of a manifest are wrong; `problems` names each with its line."""

    def __init__(self, manifest: str, problems: list[str]) -> None:
        super().__init__(
            f"{manifest}: {len(problems)} problem{'s' * (len(problems) != 1)}, nothing was rendered.\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )
        self.problems = problems


class ImageError(ImpastoError):
    """A content or style image cannot be used; the other pairs go on."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class IncompleteError(ImageError):
    """An image is missing, truncated or damaged, or not yet all there; `path` says which."""

    def __init__(self, message: str, remedy: str = "", path: Path | None = None) -> None:
        super().__init__(message, remedy)
        self.path = path


class ChangedError(ImpastoError):
    """A photograph was written to while it was in work; its result is not published."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class UnreadableError(ImpastoError):
    """The machine failed to read a file (I/O error, lost network); the other pairs go on."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class MachineError(ImpastoError):
    """The machine cannot do the work: weights, disk or device. Trying another pair would not help."""

    exit_code = ExitCode.ENVIRONMENT
    error_class = "environment"


class WeightsError(MachineError):
    """The network's weights cannot be had, or are not what they should be."""


class DeviceError(MachineError):
    """The requested device does not exist or has failed."""


class StorageError(MachineError):
    """The outbox cannot be written: disk full, read-only, no permission."""


class OutOfMemoryError(ImpastoError):
    """One pair does not fit into memory; smaller ones may."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class NotFiniteError(ImpastoError):
    """The objective of one pair overflows before the first step; the other pairs go on."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class TicketError(ImpastoError):
    """The files of a ticket did not come."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class FatalPairError(ImpastoError):
    """A pair ended the process again and again; the other pairs go on."""

    exit_code = ExitCode.PARTIAL
    error_class = "input"


class OccupiedError(ImpastoError):
    """A result would overwrite a file that is none; the other pairs go on."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class SupersededError(ImpastoError):
    """Another worker has taken a job over, since this one was silent for too long; it publishes the result."""

    exit_code = ExitCode.PARTIAL
    error_class = "environment"


class EvictedError(ImpastoError):
    """Other workers took this one for dead and have its jobs; the process ends, to begin anew."""

    exit_code = ExitCode.ENVIRONMENT
    error_class = "environment"


class LockedError(ImpastoError):
    """Another run works on the same outbox."""

    exit_code = ExitCode.LOCKED
    error_class = "environment"


class Interrupted(ImpastoError):  # noqa: N818 - a request, not an error
    """Ctrl-C or SIGTERM arrived; the pair on the device was given up and nothing of it was published."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__("Interrupted.", "Run the same command again to continue.")
        self.code = exit_code


def exit_code_of(error: BaseException) -> ExitCode:
    """What a command ends with after this error."""
    if isinstance(error, Interrupted):
        return error.code
    if isinstance(error, ImpastoError):
        return error.exit_code
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.INTERNAL
