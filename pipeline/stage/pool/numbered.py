"""Numbered messages, for connections that may repeat messages, or lose and repeat them, or change their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Numbered = tuple[int, object]
"""A message with its number, from 1."""


class Sent:
    """Messages that were sent, until the other side says that it knows them. Not safe for threads."""

    def __init__(self) -> None:
        self._number = 0
        self._kept: list[Numbered] = []

    def add(self, message: object) -> Numbered:
        """Number and keep a message."""
        self._number += 1
        self._kept.append((self._number, message))
        return self._kept[-1]

    def after(self, known: int) -> list[Numbered]:
        """Forget the messages up to the number `known`, and return all others."""
        self._kept = [each for each in self._kept if each[0] > known]
        return list(self._kept)


class Heard:
    """Puts messages into their order, each once. Not safe for threads."""

    def __init__(self) -> None:
        self.known = 0
        """Number of the latest message up to which none is missing."""
        self._early: dict[int, object] = {}
        """Messages that came before an earlier one."""

    def accept(self, messages: Iterable[Numbered]) -> Iterator[object]:
        """Yield what can be heard now: messages that are new and behind which none is missing."""
        self._early.update((number, message) for number, message in messages if number > self.known)
        while self.known + 1 in self._early:
            self.known += 1
            yield self._early.pop(self.known)
