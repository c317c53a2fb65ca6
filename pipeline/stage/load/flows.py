"""Flows between the photographs of a shot, which threads that load compute before the frames are needed."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.images.flow import flow, moved, still
from pipeline.stage.load.loaded_pair import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pipeline.images.picture import Pixels, Plane

_MAX_PIXELS: Final = 16_000_000
"""Largest number of pixels of all flows that are kept until their frames are loaded: 256 MB."""


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


class FlowsAhead:
    """Flows of frames that are loaded soon. Several threads may use it at the same time."""

    def __init__(self, max_pixels: int = _MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._flows: dict[Hashable, tuple[int, Future[FrameFlow]]] = {}
        """Numbers of pixels and flows that are computed, or will be, by their keys, the oldest first."""

    def __contains__(self, key: Hashable) -> bool:
        """Whether a flow is computed, or will be."""
        return key in self._flows

    def compute(self, key: Hashable, pixels: int, make: Callable[[], FrameFlow]) -> None:
        """Compute a flow that will be taken later, unless another thread does.

        Args:
            key: key of its photographs.
            pixels: number of its pixels. If too many are kept, the oldest flow is forgotten.
            make: returns the flow; its exceptions are passed on.
        """
        future: Future[FrameFlow] = Future()
        with self._lock:
            if key in self._flows or pixels > self._max_pixels:
                return
            self._flows[key] = pixels, future
            while sum(each for each, _ in self._flows.values()) > self._max_pixels:
                del self._flows[next(iter(self._flows))]
        try:
            future.set_result(make())
        except BaseException as error:
            future.set_exception(error)
            raise

    def take(self, key: Hashable, make: Callable[[], FrameFlow]) -> FrameFlow:
        """Return a flow, which is not kept any longer, or make it if there is none."""
        with self._lock:
            _, future = self._flows.pop(key, (0, None))
        return make() if future is None or future.exception() is not None else future.result()
