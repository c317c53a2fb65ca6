"""The process of one device of a Ray cluster: a Ray actor that hosts the same `DeviceProcess` as a local process.

Only machines of the cluster import this module.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from pipeline.stage.pool.numbered import Heard, Sent
from pipeline.stage.pool.process import DeviceProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.stage.pool.messages import Assignment
    from pipeline.stage.pool.numbered import Numbered


class _Queues:
    """A pipe within the process, between the actor's methods and `DeviceProcess`."""

    def __init__(self) -> None:
        self.to_device: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.from_device: queue.SimpleQueue[object] = queue.SimpleQueue()

    def send(self, message: object) -> None:
        self.from_device.put(message)

    def recv(self) -> object:
        return self.to_device.get()


class SeatActor:
    """Ray may call each method again if a connection breaks; the numbers of the messages make that harmless.

    Ray calls `hear` and `say` in one thread each, as `RayVenue` declares.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._queues, self._heard, self._sent = _Queues(), Heard(), Sent()
        device = DeviceProcess(self._queues, assignment)
        threading.Thread(target=device.run, name="stage", daemon=True).start()

    def hear(self, messages: Iterable[Numbered]) -> None:
        """Take messages of the pool."""
        for message in self._heard.accept(messages):
            self._queues.to_device.put(message)

    def say(self, known: int, seconds: float) -> tuple[int, list[Numbered]]:
        """Return the number up to which the pool's messages are known, and messages for the pool.

        Args:
            known: number of the latest message that the pool knows, after which the others come.
            seconds: longest wait if there are none.
        """
        timeout = 0.0 if self._sent.after(known) else seconds
        try:
            self._sent.add(self._queues.from_device.get(timeout=timeout))
            while True:
                self._sent.add(self._queues.from_device.get_nowait())
        except queue.Empty:
            return self._heard.known, self._sent.after(known)
