"""Flows between the photographs of a shot, which threads that load compute before the frames are needed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.images.flow import flow, moved, still
from pipeline.stage.load.loaded_pair import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from pipeline.images.picture import Pixels, Plane
    from pipeline.pair import Step

_MAX_PIXELS: Final = 16_000_000
"""Largest number of pixels of all flows that are kept until their frames are loaded: 256 MB."""
_KEPT_SECONDS: Final = 600.0
"""Age in seconds from which a flow that nobody has taken gives way to others."""


@dataclass(frozen=True)
class FrameFlow:
    """The flow from a frame to the frame before it, by their photographs."""

    displacement: Pixels
    """The place in the frame before, (H, W, 2) in px, x before y; 0 where nothing changes."""
    trust: Plane
    """Where it can be trusted, (H, W), 0–1."""
    still: Plane
    """Where nothing changes, (H, W), 0–1."""
    difference: float
    """Root of the mean squared difference between the photographs, in levels, where the flow is trusted."""

    @classmethod
    def between(cls, frame: Pixels, before: Pixels, first: Pixels) -> FrameFlow:
        """Return the flow from a frame to the frame before.

        Args:
            frame: the photograph, (H, W, 3), 0–255.
            before: the photograph before, of the same size.
            first: the first photograph of the shot, of the same size.
        """
        displacement, trust = flow(frame, before)
        kept = still(frame, before, first, displacement)
        displacement[kept > 0] = 0  # an interpolation between pixels would blur what stands still
        trust = np.maximum(trust, kept)
        return cls(displacement, trust, kept, difference(frame, moved(before, displacement), trust))


@dataclass(frozen=True)
class FlowKey:
    """The frame that a flow is for."""

    shot: Hashable
    """The shot, which waits for its own flows only."""
    step: Step
    size: Hashable
    """Settings on which the size of the photographs depends."""


@dataclass(frozen=True)
class _Ahead:
    """A flow that is computed, or will be."""

    pixels: int
    begun: float
    """Time by the clock."""
    future: Future[tuple[tuple[str, ...], FrameFlow] | None]
    """Hashes of the photographs, and the flow; None if it could not be computed."""


class FlowsAhead:
    """Flows of frames that are loaded soon. Several threads may use it at the same time."""

    def __init__(self, max_pixels: int = _MAX_PIXELS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_pixels, self._clock = max_pixels, clock
        self._lock = threading.Lock()
        self._flows: dict[FlowKey, _Ahead] = {}

    def __contains__(self, key: FlowKey) -> bool:
        """Whether a flow is computed, or will be."""
        return key in self._flows

    def expect(self, shot: Hashable, steps: Collection[Step]) -> None:
        """Forget the flows of a shot, except those of the frames that come next."""
        with self._lock:
            for key in [key for key in self._flows if key.shot == shot and key.step not in steps]:
                del self._flows[key]

    def compute(self, key: FlowKey, pixels: int, hashes: tuple[str, ...], make: Callable[[], FrameFlow]) -> None:
        """Compute a flow that will be taken later, unless another thread does, or too many are kept.

        Args:
            key: its frame.
            pixels: number of its pixels.
            hashes: hashes of its photographs.
            make: returns the flow; its exceptions are passed on.
        """
        ahead = _Ahead(pixels, self._clock(), Future())
        with self._lock:
            if key in self._flows or not self._has_room(pixels):
                return
            self._flows[key] = ahead
        flow = None
        try:
            flow = make()
        finally:
            with self._lock:
                if flow is None and self._flows.get(key) is ahead:
                    del self._flows[key]
            ahead.future.set_result((hashes, flow) if flow is not None else None)

    def _has_room(self, pixels: int) -> bool:
        """Whether another flow may be kept. If not, flows that nobody has taken for long are forgotten first."""
        if self._taken + pixels > self._max_pixels:
            old = self._clock() - _KEPT_SECONDS
            for key in [key for key, ahead in self._flows.items() if ahead.begun < old]:
                del self._flows[key]
        return self._taken + pixels <= self._max_pixels

    @property
    def _taken(self) -> int:
        return sum(ahead.pixels for ahead in self._flows.values())

    def take(self, key: FlowKey, hashes: tuple[str, ...], make: Callable[[], FrameFlow]) -> FrameFlow:
        """Return a flow, which is not kept any longer; make it if there is none, or if photographs have changed."""
        with self._lock:
            ahead = self._flows.pop(key, None)
        found = ahead.future.result() if ahead is not None else None
        return found[1] if found is not None and found[0] == hashes else make()
