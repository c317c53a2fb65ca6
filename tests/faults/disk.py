"""A disk on which one operation fails, or all operations from a point on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHANGES = ("mkdir", "create", "write", "rename", "link", "unlink", "rmdir", "sync_folder")
LOOKS = ("read", "lstat", "entries", "statuses")


class Crash(BaseException):
    """The simulated end of the process: no handler of errors catches it, and no operation reaches the disk after it."""


@dataclass
class Operation:
    """An operation on disk: its name and its path."""

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


class HastyDisk(Disk):
    """A disk that does not wait until data reach the medium: waiting takes most of the time, and no test cuts power."""

    def _sync(self, descriptor: int, path: Path) -> None:
        pass


@dataclass
class FaultyDisk(HastyDisk):
    """A disk that logs its operations, and fails at the chosen ones."""

    fault: Callable[[Operation, int], BaseException | None] = lambda _operation, _number: None
    """Function of each operation and its number, from 0: the error to raise in place of the operation, or None."""
    fault_after: Callable[[Operation, int], BaseException | None] = lambda _operation, _number: None
    """Function like `fault` whose error is raised after the operation was done."""
    watched: tuple[str, ...] = CHANGES
    log: list[Operation] = field(default_factory=list)
    dead: bool = False

    def _do(self, name: str, path: Path, *arguments: Any) -> Any:
        if self.dead:
            raise Crash
        if name not in self.watched:
            return getattr(super(), name)(path, *arguments)
        operation, number = Operation(name, path), len(self.log)
        self.log.append(operation)
        self._raise(self.fault(operation, number), name, path, arguments)
        try:
            return getattr(super(), name)(path, *arguments)
        finally:
            self._raise(self.fault_after(operation, number))

    def _raise(
        self, error: BaseException | None, name: str = "", path: Path | None = None, arguments: tuple[Any, ...] = ()
    ) -> None:
        if error is None:
            return
        if path is not None and name == "write":  # the file has half of its data
            data: bytes = arguments[0]
            path.write_bytes(data[: len(data) // 2])
        self.dead = isinstance(error, Crash)
        raise error


def _forward(name: str) -> Callable[..., Any]:
    """Return a method that passes a call on to the disk by its name."""

    def call(self: FaultyDisk, path: Path, *arguments: Any) -> Any:
        return self._do(name, path, *arguments)

    return call


for _name in CHANGES + LOOKS:
    setattr(FaultyDisk, _name, _forward(_name))


def changed(status: os.stat_result, changes: dict[int, int]) -> os.stat_result:
    """Return a status with some of its values changed, by the constants of `stat`."""
    values, further = status.__reduce__()[1]
    return os.stat_result([changes.get(index, value) for index, value in enumerate(values)], further)


def failing(number: int, at: int, *, lasting: bool = False) -> Callable[[Operation, int], BaseException | None]:
    """Return a fault: the operation at an index fails with an errno; if lasting, all later operations fail, too."""

    def fault(operation: Operation, index: int) -> BaseException | None:
        fails = index >= at if lasting else index == at
        return OSError(number, os.strerror(number), str(operation.path)) if fails else None

    return fault


def crashing(at: int) -> Callable[[Operation, int], BaseException | None]:
    """Return a fault: the process ends at the operation of this number."""
    return lambda _, index: Crash() if index == at else None
