"""The objects that the threads of one watcher share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.publish import Outbox
    from pipeline.signals import StopRequest
    from pipeline.watch.inbox.scanner import Scanner
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.spool import Spool


@dataclass(frozen=True)
class Workplace:
    """The objects that the threads of one watcher share: its folders and their managers, and its signals and clock.

    `Service` makes it. The documentation of each object says which threads may use it.
    """

    inbox: Path
    scanner: Scanner
    spool: Spool
    accounting: FileAccounting
    outbox: Outbox
    disk: Disk
    stop_request: StopRequest
    wake: threading.Event
    """Event that any thread sets to request a scan at once."""
    clock: Callable[[], float]
    """Monotonic clock, in seconds."""
