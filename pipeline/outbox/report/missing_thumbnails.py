"""Thumbnails of results that have none, because an older version made them or a thumbnail was lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.files import read_file
from pipeline.outbox.report.read import altered_picture
from pipeline.outbox.working_files import mode_like

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.outbox.report.cache import DamagedFile, Result
    from pipeline.outbox.working_files import Thumbnails

_THREADS: Final = 4
"""Largest number of threads that decode, since a decoded picture takes 12 bytes per pixel."""


@dataclass(frozen=True)
class MadeThumbnails:
    """The outcome of making thumbnails, by the result's name."""

    made: frozenset[str]
    damaged: Mapping[str, DamagedFile]
    """Pictures that differ from their metadata."""
    without: Mapping[str, str]
    """Reasons why pictures could not be read."""


def make_missing(root: Path, results: Mapping[str, Result], thumbnails: Thumbnails) -> MadeThumbnails:
    """Make thumbnails of these results from their pictures, in several threads.

    Raises:
        OSError: a thumbnail cannot be written.
    """
    if not results:
        return MadeThumbnails(frozenset(), {}, {})

    folder = root.resolve()  # pictures are read by paths without links

    def make(name: str) -> DamagedFile | str | None:
        return _make(folder / name, results[name], thumbnails)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        outcomes = dict(zip(results, pool.map(make, results), strict=True))
    return MadeThumbnails(
        frozenset(name for name, outcome in outcomes.items() if outcome is None),
        {name: outcome for name, outcome in outcomes.items() if outcome is not None and not isinstance(outcome, str)},
        {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, str)},
    )


def _make(path: Path, result: Result, thumbnails: Thumbnails) -> DamagedFile | str | None:
    from pipeline.images.decode import decode  # noqa: PLC0415 - heavy, and seldom needed
    from pipeline.images.resize import over_white  # noqa: PLC0415

    try:
        source = read_file(path)
        if source.sha256 != result.output_sha256:
            return altered_picture()
        picture = decode(source, max_pixels=result.size[0] * result.size[1])
    except (ImageError, UnreadableError) as error:
        return f"No preview: {error.message}"
    pixels = picture.pixels if picture.alpha is None else over_white(picture.pixels, picture.alpha)
    thumbnails.put(result.output_sha256, pixels, mode_like(path))
    return None
