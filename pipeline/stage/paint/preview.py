"""Long pairs can be watched: what a pair looks like, as a picture in the outbox, every so often."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImpastoError
from pipeline.images.encode import Encoding, encode
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.engine_config import colour_of
from pipeline.stage.paint.checkpoint import LARGEST_SHARE
from pipeline.stage.paint.postprocess import finished_so_far

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pipeline.outbox.working_files import Previews
    from pipeline.stage.load.loader import Loading

logger = logging.getLogger(__name__)

_JPEG: Final = Encoding("jpeg", jpeg_quality=90)


class Preview:
    """That of one pair, which goes on without if there is no room for it, on disk or in memory."""

    def __init__(
        self, files: Previews | None, seconds: float, loading: Loading, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is written yet.

        Args:
            files: where they are; None: none is ever written.
            seconds: between two; 0: likewise.
            loading: the pair.
            clock: in seconds.
        """
        self._files, self._loading, self._clock = files if seconds else None, loading, clock
        self._name = loading.task.pair.name
        self._seconds = self._wait = seconds
        self._last = clock()
        self._has_failed = False

    def write_if_due(self, image: Callable[[], Tensor]) -> None:
        """Write what the pair looks like, if that was last done long ago.

        Args:
            image: gives it, (1, 3, h, w) float32, sRGB 0–255, of any size.
        """
        begin, files = self._clock(), self._files
        if files is None or begin - self._last < self._wait:
            return
        self._try(lambda: files.write(self._name, self._jpeg_of(image())))
        self._last = self._clock()
        self._wait = max(self._seconds, (self._last - begin) / LARGEST_SHARE)

    def remove(self) -> None:
        """The pair is done, or was given up."""
        files = self._files
        if files is not None:
            self._try(lambda: files.remove(self._name))

    def _jpeg_of(self, image: Tensor) -> bytes:
        colour = colour_of(self._loading.task.pair.settings.colour)
        return encode(finished_so_far(image.cpu(), self._loading.loaded, colour), _JPEG)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if not isinstance(error, OSError | ImpastoError) and not is_out_of_memory(error):
                raise
            if not self._has_failed:
                logger.warning("no preview of %s can be had: %s", self._name, error)
            self._has_failed = True
