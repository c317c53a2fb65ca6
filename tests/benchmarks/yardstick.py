"""Pictures of the default preset against those of the pastiche package, by the measures of pictures, and by seconds.

Only S and C are compared, which are computed from luma (`measures`): the package hands on the painting's colours, and
the colour mode of ours would give both the photograph's.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.api import stylise
from pipeline.settings.api import Settings
from tests.benchmarks.candidates import read_picture
from tests.benchmarks.engines import pastiche
from tests.benchmarks.judge import Judge
from tests.benchmarks.shares import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.images.picture import Pixels
    from tests.benchmarks.engines import Prepared
    from tests.benchmarks.resumable import Row

PEER_EVALUATIONS: Final = (100, 300, 500)
BUDGETS: Final = (0.25, 0.5, 1.0)
"""Evaluations of ours as shares of those of the default preset."""
COLUMNS: Final = (
    "content", "style", "size", "engine", "evaluations", "seconds", "S", "C", "S(1+C)", "precision", "threads",
)  # fmt: skip


class Picture(NamedTuple):
    """A finished picture: who made it in how many evaluations, the seconds that it took, and its measures."""

    engine: str
    evaluations: str
    """Of ours by scale, coarse to fine, as `14+22+36`."""
    seconds: float
    style: float
    """S."""
    structure: float
    """C."""


def budget(share: float, planned: Sequence[int]) -> tuple[int, ...]:
    """Return evaluations by scale: a share of the planned ones, at least two each."""
    return tuple(max(2, round(share * count)) for count in planned)


def seconds_to_beat(peer: Picture, pictures: Iterable[Picture]) -> float:
    """Return the fewest seconds of a picture of ours that is as good on both axes; infinity if there is none."""
    good = [each for each in pictures if each.style <= peer.style and each.structure <= peer.structure]
    return min((each.seconds for each in good if each.engine == "ours"), default=math.inf)


def pictures_of(pair: Prepared, precision: str, after: Sequence[int] = PEER_EVALUATIONS) -> Iterator[Picture]:
    """Yield the pictures of a pair by the package, and by ours.

    The seconds of ours are those of the whole call, after the network is loaded: reading, targets, painting and
    colours; only the painting's statistics are those of the smallest budget. Those of the package are without reading
    and targets.
    """
    judge = Judge(read_picture(pair.content_file), read_picture(pair.style_file))
    for number, moment in enumerate(pastiche(pair, max(after) + 1)):  # the last one is made, but not evaluated
        if number in after:
            picture = moment.image[0].permute(1, 2, 0).numpy()
            yield _judged("pastiche", str(number), moment.seconds, picture, judge)
    _load_network(pair, precision)
    for share in BUDGETS:
        evaluations = budget(share, Settings().pyramid.planned)
        settings = {"image.size": "native", "pyramid.evaluations": evaluations, "network.precision": precision}
        begin = time.perf_counter()
        picture = stylise(pair.content_file, pair.style_file, Settings(settings, preset="painting")).pixels
        seconds = time.perf_counter() - begin
        yield _judged("ours", "+".join(map(str, evaluations)), seconds, picture, judge)


def _load_network(pair: Prepared, precision: str) -> None:
    """Paint something else, so that neither the network's loading is counted, nor is the painting known already."""
    settings = {"image.size": "native", "pyramid.evaluations": 2, "network.precision": precision}
    stylise(pair.content_file, pair.content_file, Settings(settings))


def _judged(engine: str, evaluations: str, seconds: float, picture: Pixels, judge: Judge) -> Picture:
    measured = judge.measure(np.clip(picture, 0, 255).astype(np.float32))
    return Picture(engine, evaluations, seconds, measured.style, measured.structure)


def as_row(picture: Picture) -> Row:
    """Return a picture as strings by column."""
    return {
        "engine": picture.engine,
        "evaluations": picture.evaluations,
        "seconds": f"{picture.seconds:.3f}",
        "S": f"{picture.style:.5f}",
        "C": f"{picture.structure:.5f}",
        "S(1+C)": f"{picture.style * (1 + picture.structure):.5f}",
    }


def from_row(row: Row) -> Picture:
    """Return the picture of a row."""
    return Picture(row["engine"], row["evaluations"], float(row["seconds"]), float(row["S"]), float(row["C"]))


def conclusions(rows: Sequence[Row]) -> list[str]:
    """Return, for each pair and picture of the package, a line with the fewest seconds of ours that are as good."""
    lines = []
    for row in rows:
        if row["engine"] != "pastiche":
            continue
        own = [from_row(each) for each in rows if (each["content"], each["style"]) == (row["content"], row["style"])]
        peer = from_row(row)
        lines.append(
            f"{row['content']} × {row['style']}: pastiche with {peer.evaluations} evaluations {peer.seconds:.3f} s; "
            f"ours as good in S and C: {in_words(seconds_to_beat(peer, own))}"
        )
    return lines
