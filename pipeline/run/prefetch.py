"""An iterator whose items a thread makes ahead of its user."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")

WAIT_SECONDS: Final = 0.05
"""Seconds to wait for the next item before None is given in its place."""


@dataclass(frozen=True)
class _End:
    """The end of the items, or the error that ended them."""

    error: BaseException | None = None


def prefetch(items: Iterable[T], limit: int) -> Generator[T | None]:
    """Yield items in their order while a thread makes those that follow, and None while the next one is not ready.

    Args:
        items: touched by the thread alone, from the first item that is asked for until the last, or until the
            generator is closed.
        limit: largest number of items that are made ahead.

    Raises:
        BaseException: what making an item raised, when it is the item's turn.
    """
    ready: queue.Queue[T | _End] = queue.Queue(limit)
    is_closed = threading.Event()
    thread = threading.Thread(target=_make, args=(items, ready, is_closed), name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = ready.get(timeout=WAIT_SECONDS)
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


def _make(items: Iterable[T], ready: queue.Queue[T | _End], is_closed: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(item, ready, is_closed):
                return
    except BaseException as error:  # noqa: BLE001 - the user of the items gets it
        end = _End(error)
    _put(end, ready, is_closed)


def _put(item: T | _End, ready: queue.Queue[T | _End], is_closed: threading.Event) -> bool:
    """Hand an item over; False if nobody wants it any more."""
    while not is_closed.is_set():
        try:
            ready.put(item, timeout=WAIT_SECONDS)
        except queue.Full:
            continue
        return True
    return False
