"""The photographs that wait in the inbox: for room among the claimed jobs, or for a style. The module is pure."""

from __future__ import annotations

from collections import OrderedDict


class ClaimQueue:
    """Photographs by their paths in the inbox; each is in at most one of the two groups."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, None] = OrderedDict()
        """Photographs that are claimed as soon as there is room, in this order."""
        self._without_style: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Let a photograph wait for room, behind all others."""
        self._ready[name] = None

    def wait_for_style(self, name: str) -> None:
        """Let a photograph wait until a style changes."""
        self._ready.pop(name, None)
        self._without_style[name] = None

    def first(self) -> str | None:
        """Return the photograph that is claimed next; None if there is none."""
        return next(iter(self._ready), None)

    def remove_ready(self, name: str) -> None:
        """Remove a photograph from those that wait for room, if it is one of them."""
        self._ready.pop(name, None)

    def discard(self, name: str) -> None:
        """Remove a photograph, if it is there."""
        self._ready.pop(name, None)
        self._without_style.pop(name, None)

    def take_waiting_for_style(self) -> list[str]:
        """Remove and return the photographs that wait for a style."""
        names = list(self._without_style)
        self._without_style.clear()
        return names
