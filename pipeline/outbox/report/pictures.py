"""Thumbnails of results that were made before there were any."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImageError, UnreadableError
from pipeline.outbox.report.read import altered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.outbox.report.records import Damaged, Result
    from pipeline.outbox.working_files import Thumbnails

_AT_ONCE: Final = 4
"""A decoded picture takes 12 bytes a pixel."""


@dataclass(frozen=True)
class Filled:
    """What came of it, by result."""

    made: frozenset[str]
    damaged: Mapping[str, Damaged]
    """Pictures that are not those which the metadata speaks of."""
    without: Mapping[str, str]
    """Pictures that could not be read, and why."""


def fill_missing(root: Path, results: Mapping[str, Result], thumbnails: Thumbnails) -> Filled:
    """Make thumbnails of these results from their pictures.

    Raises:
        OSError: a thumbnail cannot be written.
    """
    if not results:
        return Filled(frozenset(), {}, {})

    def fill(name: str) -> Damaged | str | None:
        return _make(root / name, results[name], thumbnails)

    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        came = dict(zip(results, pool.map(fill, results), strict=True))
    return Filled(
        frozenset(name for name, outcome in came.items() if outcome is None),
        {name: outcome for name, outcome in came.items() if outcome is not None and not isinstance(outcome, str)},
        {name: outcome for name, outcome in came.items() if isinstance(outcome, str)},
    )


def _make(path: Path, result: Result, thumbnails: Thumbnails) -> Damaged | str | None:
    from pipeline.images.decode import decode, read_file  # noqa: PLC0415 - heavy, and seldom needed
    from pipeline.images.resize import over_white  # noqa: PLC0415

    try:
        source = read_file(path)
        if source.sha256 != result.output_sha256:
            return altered()
        picture = decode(source, max_pixels=result.size[0] * result.size[1])
    except (ImageError, UnreadableError) as error:
        return f"No preview: {error.message}"
    pixels = picture.pixels if picture.alpha is None else over_white(picture.pixels, picture.alpha)
    thumbnails.put(result.output_sha256, pixels)
    return None
