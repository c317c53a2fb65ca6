"""An iterator whose items a thread makes in advance."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")

WAIT_SECONDS: Final = 0.05
"""Seconds to wait for the next item before None is yielded instead."""


@dataclass(frozen=True)
class _End:
    """The end of the items, or the error that ended them."""

    error: BaseException | None = None


def prefetch(items: Iterable[T], limit: int) -> Generator[T | None]:
    """Yield items in their order while a thread makes those that follow, and None while the next item is not ready.

    Args:
        items: the items; only the thread uses this iterable, until its end or until the generator is closed.
        limit: largest number of items that are made in advance.

    Raises:
        BaseException: the error of making an item, raised in the place of that item.
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
    """Hand an item over; return False if the generator was closed."""
    while not is_closed.is_set():
        try:
            ready.put(item, timeout=WAIT_SECONDS)
        except queue.Full:
            continue
        return True
    return False
