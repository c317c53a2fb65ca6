"""A disk that fails when it is told to: one operation, or for good."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHANGES = ("mkdir", "write", "rename", "link", "unlink", "rmdir", "sync_folder")
LOOKS = ("read", "lstat", "entries")


class Crash(BaseException):
    """The process is gone: no handler for errors may catch it, and nothing reaches the disk after it."""


@dataclass
class Operation:
    """One call to the disk."""

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


class HastyDisk(Disk):
    """Waits for nothing to reach the medium: no test here pulls the plug, and most of the time goes into that."""

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def sync_folder(self, path: Path) -> None:
        path.stat()


@dataclass
class FaultyDisk(HastyDisk):
    """Does what a disk does and takes notes, until something is to go wrong."""

    fault: Callable[[Operation, int], BaseException | None] = lambda _operation, _number: None
    """Given each operation with its number, from 0: what to raise instead of doing it."""
    fault_after: Callable[[Operation, int], BaseException | None] = lambda _operation, _number: None
    """The same, after it was done."""
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
        if path is not None and name == "write":  # what was to be written is there by half
            data: bytes = arguments[0]
            path.write_bytes(data[: len(data) // 2])
        self.dead = isinstance(error, Crash)
        raise error


def _forward(name: str) -> Callable[..., Any]:
    def call(self: FaultyDisk, path: Path, *arguments: Any) -> Any:
        return self._do(name, path, *arguments)

    return call


for _name in CHANGES + LOOKS:
    setattr(FaultyDisk, _name, _forward(_name))


def failing(number: int, at: int, *, lasting: bool = False) -> Callable[[Operation, int], BaseException | None]:
    """The operation of this number fails with this errno, and perhaps all that follow."""

    def fault(operation: Operation, index: int) -> BaseException | None:
        fails = index >= at if lasting else index == at
        return OSError(number, os.strerror(number), str(operation.path)) if fails else None

    return fault


def crashing(at: int) -> Callable[[Operation, int], BaseException | None]:
    """The process ends at the operation of this number."""
    return lambda _, index: Crash() if index == at else None
