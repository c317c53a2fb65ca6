"""A function that is called at regular intervals, whatever else the process does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """Calls a function every few seconds in a thread of its own, from `start` to `end`."""

    def __init__(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        """Prepare the thread.

        Args:
            name: name of the thread.
            seconds: seconds between two calls.
            act: the function; an exception of it ends the thread, and `end` raises it.
        """
        self._seconds, self._act = seconds, act
        self._is_over = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call comes after one interval."""
        self._thread.start()

    def end(self) -> None:
        """End the thread, if it was started, and wait for it.

        Raises:
            Exception: the function failed.
        """
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._is_over.wait(self._seconds):
                self._act()
        except Exception as error:  # noqa: BLE001 - raised by `end`
            self._error = error
