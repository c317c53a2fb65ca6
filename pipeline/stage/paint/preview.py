"""Previews: unfinished pictures of a pair in progress, in the outbox, so that a person can watch a long pair."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImpastoError
from pipeline.images.encode import Encoding, encode
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.engine_config import colour_of
from pipeline.stage.paint.interval import WriteInterval
from pipeline.stage.paint.postprocess import finished_so_far

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pipeline.outbox.working_files import Previews
    from pipeline.stage.load.loader import Loading

logger = logging.getLogger(__name__)

_JPEG: Final = Encoding("jpeg", jpeg_quality=90)


class Preview:
    """The preview of one pair. The pair continues without a preview if disk or memory does not suffice for one."""

    def __init__(
        self,
        files: Previews | None,
        seconds: float,
        loading: Loading,
        *,
        clock: Callable[[], float] = time.monotonic,
        batch: int = 1,
    ) -> None:
        """Prepare, without writing.

        Args:
            files: files of all previews; None: no preview is written.
            seconds: seconds between two writes; 0: no preview is written.
            loading: the pair.
            clock: returns the time in seconds.
            batch: number of pairs that advance together.
        """
        self._files, self._loading = files if seconds else None, loading
        self._name = loading.task.pair.name
        self._interval = WriteInterval(seconds, clock, batch)
        self._has_failed = False

    def write_if_due(self, image: Callable[[], Tensor]) -> None:
        """Write a preview if the interval since the last write is over.

        Args:
            image: returns the image so far, (1, 3, h, w) float32, sRGB 0–255, of any size.
        """
        files = self._files
        if files is None or not self._interval.is_over:
            return
        with self._interval.writing():
            self._try(lambda: files.write(self._name, self._jpeg_of(image())))

    def remove(self) -> None:
        """Remove the preview, since the pair is no longer in progress."""
        files = self._files
        if files is not None:
            self._try(lambda: files.remove(self._name))

    def _jpeg_of(self, image: Tensor) -> bytes:
        colour = colour_of(self._loading.task.pair.settings.colour)
        return encode(finished_so_far(image.cpu(), self._loading.loaded, colour), _JPEG)

    def _try(self, work: Callable[[], None]) -> None:
        """Do some work; log its first failure for lack of disk or memory as a warning."""
        try:
            work()
        except Exception as error:
            if not isinstance(error, OSError | ImpastoError) and not is_out_of_memory(error):
                raise
            if not self._has_failed:
                logger.warning("no preview of %s can be made: %s", self._name, error)
            self._has_failed = True
