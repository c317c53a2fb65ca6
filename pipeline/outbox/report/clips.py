"""The sequences of an outbox: how much their frames flicker, beside the photographs' own flicker."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, get_args

from pipeline.outbox.report.links import href
from pipeline.settings.pair_settings import ColourMode
from pipeline.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.outbox.report.cache import FramePlace
    from pipeline.outbox.report.read import Contents

WIDTH, HEIGHT = 600, 60
"""Size of a curve in units of its SVG."""
OUTLIER: Final = 3.0
"""Flicker of a frame that is told, as a multiple of its clip's median."""
_MODES: Final = frozenset(get_args(ColourMode))
"""Ends of the names of variants."""
_SHOWN: Final = 12
"""Largest number of frames that are named."""


@dataclass(frozen=True)
class ClipView:
    """A sequence, as text and curves."""

    name: str
    done: int
    frames: int
    shots: int
    film: str
    """Relative URL of the film; empty if there is none."""
    flicker: tuple[str, ...]
    """Points of the results' curve in the SVG, for each stretch of frames that follow each other."""
    of_photographs: tuple[str, ...]
    """Points of the photographs' curve."""
    median: float
    """Median flicker of the results, in levels."""
    median_of_photographs: float
    highest: float
    """Flicker at the top of the curves, in levels."""
    outliers: tuple[str, ...]
    """Names of the frames that flicker far more than the others."""


def clip_views(contents: Contents, films: Iterable[str]) -> list[ClipView]:
    """Return the sequences of an outbox by name.

    Args:
        contents: files of the outbox.
        films: paths of the painted films in the outbox.
    """
    clips: dict[str, list[tuple[str, FramePlace]]] = {}
    for path, result in contents.results.items():
        if result.frame is not None:
            _, dashes, mode = PurePosixPath(path).stem.rpartition("--")
            variant = f"{dashes}{mode}" if mode in _MODES else ""
            clips.setdefault(f"{result.frame.clip}{variant}", []).append((path, result.frame))
    by_name = {film.rpartition(".")[0]: film for film in films}
    return [_view(name, frames, by_name.get(name, "")) for name, frames in sorted(clips.items())]


def _view(name: str, frames: Sequence[tuple[str, FramePlace]], film: str) -> ClipView:
    ordered = sorted(frames, key=lambda frame: frame[1].number)
    following = [(path, place) for path, place in ordered if place.follows]
    flicker = [place.flicker for _, place in following]
    photographs = [place.flicker_of_photographs for _, place in following]
    highest = max([*flicker, *photographs], default=0.0)
    median = statistics.median(flicker) if flicker else 0.0
    numbers = [place.number for _, place in following]
    last = max((place.number for _, place in ordered), default=0)
    outliers = [path for path, place in following if not place.renewed and place.flicker > OUTLIER * median > 0]
    names = [displayable(PurePosixPath(path).name) for path in outliers]
    return ClipView(
        name=displayable(name),
        done=len(ordered),
        frames=ordered[0][1].frames,
        shots=sum(not place.follows for _, place in ordered),
        film=href(film) if film else "",
        flicker=_points(numbers, flicker, last, highest),
        of_photographs=_points(numbers, photographs, last, highest),
        median=median,
        median_of_photographs=statistics.median(photographs) if photographs else 0.0,
        highest=highest,
        outliers=(*names[:_SHOWN], *([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])),
    )


def _points(numbers: Sequence[int], values: Sequence[float], last: int, highest: float) -> tuple[str, ...]:
    stretches: list[list[str]] = []
    for position, (number, value) in enumerate(zip(numbers, values, strict=True)):
        if not position or numbers[position - 1] != number - 1:
            stretches.append([])
        stretches[-1].append(f"{WIDTH * number / last:.1f},{HEIGHT * (1 - value / (highest or 1)):.1f}")
    return tuple(" ".join(stretch) for stretch in stretches if len(stretch) > 1)
