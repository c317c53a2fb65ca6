"""Saving: the result of a pair to a picture and its metadata in the outbox."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.images.encode import Encoding, encode, has_alpha, max_bits
from pipeline.images.metadata.tags import tags_of_result
from pipeline.outbox.metadata import (
    Metadata,
    OutputFile,
    Seconds,
)
from pipeline.outbox.working_files import mode_like
from pipeline.stage.engine_config import colour_of
from pipeline.stage.paint.postprocess import finished
from pipeline.stage.save.rendering_record import Maker, describe
from pipeline.stage.task import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.images.picture import Bits, Pixels
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.stage.load.loaded_pair import Original
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saver:
    """Publishes results. Several threads may call it at the same time."""

    outbox: Outbox
    maker: Maker

    def save(self, loading: Loading, painted: Painted, queue_seconds: float) -> Metadata:
        """Encode and publish a picture, then its metadata.

        Args:
            loading: the pair.
            painted: the result of its optimisation.
            queue_seconds: seconds between the end of loading and the start on the device.

        Returns:
            The metadata.

        Raises:
            ImpastoError: the result is no longer wanted, its name is taken, or the disk failed.
        """
        begin = time.perf_counter()
        task = loading.task
        pair, original = task.pair, loading.loaded.original
        pixels, moved = finished(painted.result.image, loading.loaded, colour_of(pair.settings.colour))
        task.fence()
        encoded = encode_result(pixels, original, pair, loading.key)
        written = OutputFile(
            path=pair.file_name,
            sha256=self.outbox.publish_picture(pair.file_name, encoded.data, task.owner),
            width=pixels.shape[1],
            height=pixels.shape[0],
            bits=encoded.bits,
        )
        seconds = Seconds(
            load=loading.seconds,
            queue=queue_seconds,
            stylise=painted.seconds,
            save=time.perf_counter() - begin,
        )
        motion = loading.loaded.motion
        flicker = motion.flicker(pixels) if motion is not None else 0.0
        rendering = describe(loading, painted, self.maker, seconds, luma_moved=moved, flicker=flicker)
        small = {**loading.loaded.small, written.sha256: pixels}
        metadata = rendering.written(written, (*encoded.lost, *self._keep_thumbnails(small, _files_of(loading))))
        self.outbox.publish_metadata(pair.name, pair.file_name, metadata, task.owner)
        return metadata

    def remove_checkpoint(self, loading: Loading) -> None:
        """Remove the checkpoint of a published pair; log a failing disk as a warning."""
        try:
            self.outbox.checkpoints.remove(loading.key)
        except OSError as error:  # the pair itself is published, and old checkpoints are removed later
            logger.warning("the checkpoint of %s could not be removed: %s", loading.task.pair.name, error)

    def _keep_thumbnails(self, pictures: Mapping[str, Pixels], files: Mapping[str, Path]) -> list[str]:
        """Write missing thumbnails; return a warning if that fails, since the report does not need them.

        Args:
            pictures: small pictures, by SHA-256.
            files: files of those that are inputs, whose thumbnails are as private as the files, by SHA-256.
        """
        try:
            for sha256, pixels in pictures.items():
                if not self.outbox.thumbnails.has(sha256):
                    mode = mode_like(files[sha256]) if sha256 in files else 0o666
                    self.outbox.thumbnails.put(sha256, pixels, mode)
        except OSError as error:
            return [f"no thumbnail could be written: {error.strerror}"]
        return []


def _files_of(loading: Loading) -> dict[str, Path]:
    """Return the photograph and the paintings of a pair by SHA-256."""
    inputs, pair = loading.loaded.inputs, loading.task.pair
    paintings = inputs.blend or (inputs.style,)
    hashes = (inputs.content.sha256, *(each.sha256 for each in paintings))
    return dict(zip(hashes, (pair.content, *pair.styles), strict=True))


@dataclass(frozen=True)
class Encoded:
    """A result as a file."""

    data: bytes
    bits: Bits
    """Bits per channel."""
    lost: tuple[str, ...]
    """Warnings about information that the file cannot hold."""


def encode_result(pixels: Pixels, original: Original, pair: Pair, key: str) -> Encoded:
    """Encode a result in the pair's format, with the photograph's transparency and tags.

    Args:
        pixels: (H, W, 3), sRGB, nominally 0–255.
        original: the photograph.
        pair: the pair.
        key: key of the pair, which is written into the file.

    Raises:
        ImageError: the result is larger than the format allows.
    """
    height, width = pixels.shape[:2]
    encoding = _encoding(pair, original)
    tags, lost = tags_of_result(
        original.tags,
        width=width,
        height=height,
        software=f"impasto {VERSIONS['impasto']}",
        key=key,
        strip_gps=pair.settings.output.strip_gps,
    )
    data = encode(pixels, encoding, alpha=original.alpha, tags=tags)
    return Encoded(data, encoding.bits, (*lost, *_reduced(pair, original, encoding)))


def _encoding(pair: Pair, original: Original) -> Encoding:
    output, largest = pair.settings.output, max_bits(pair.format)
    wanted = original.bits if output.bit_depth == "same" else output.bit_depth
    return Encoding(pair.format, 16 if wanted == largest == 16 else 8, output.jpeg_quality)  # noqa: PLR2004 - bits


def _reduced(pair: Pair, original: Original, encoding: Encoding) -> list[str]:
    """Return warnings about information that the result's format cannot hold."""
    reduced = []
    wanted = pair.settings.output.bit_depth
    if encoding.bits < (original.bits if wanted == "same" else wanted):
        reduced.append(f"16 bits per channel were reduced to 8, which is all that {encoding.format} has")
    if original.alpha is not None and not has_alpha(encoding.format):
        reduced.append(f"transparency was laid over white, since {encoding.format} has none")
    return reduced
