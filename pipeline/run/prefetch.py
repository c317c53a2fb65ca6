"""An iterator that another thread runs ahead of its user."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")

WAIT_SECONDS: Final = 0.05
"""For the next item, before it is said that there is none for the moment."""


@dataclass(frozen=True)
class _End:
    """There are no more items."""

    error: BaseException | None = None


def prefetch(items: Iterable[T], most: int) -> Generator[T | None]:
    """The same items in the same order, made in a thread; None where the next one is not ready yet.

    Args:
        items: touched by the thread only, from the first item that is asked for until the last or until this is closed.
        most: items that are made ahead.

    Raises:
        BaseException: what making an item raised, when it is the item's turn.
    """
    made: queue.Queue[T | _End] = queue.Queue(most)
    is_closed = threading.Event()
    thread = threading.Thread(target=_make, args=(items, made, is_closed), name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = made.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        is_closed.set()
        thread.join()


def _make(items: Iterable[T], made: queue.Queue[T | _End], is_closed: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(item, made, is_closed):
                return
    except BaseException as error:  # noqa: BLE001 - the user of the items gets it
        end = _End(error)
    _put(end, made, is_closed)


def _put(item: T | _End, made: queue.Queue[T | _End], is_closed: threading.Event) -> bool:
    """False if nobody wants it any more."""
    while not is_closed.is_set():
        try:
            made.put(item, timeout=WAIT_SECONDS)
        except queue.Full:
            continue
        return True
    return False
