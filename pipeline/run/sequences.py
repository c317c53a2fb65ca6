"""The frames of a sequence: numbered pictures, or those of a film."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from PIL import Image, UnidentifiedImageError

from pipeline.errors import UsageError
from pipeline.images.films.writing import ending_of_film
from pipeline.pair import Film, Frame
from pipeline.run.picture_files import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.pair import Pair

_NUMBER: Final = re.compile(r"(.*?)(\d+)(\D*)")
"""A name without its ending: what comes before its last number, the number, and what comes after it."""


def in_order(files: Sequence[Path]) -> list[Path]:
    """Return the frames in the order of their numbers: `frame2.png` comes before `frame10.png`.

    Raises:
        UsageError: a frame has no number, two frames have the same, some are missing, or their sizes differ.
    """
    parts = {path: _NUMBER.fullmatch(path.stem) for path in files}
    without = [path.name for path, found in parts.items() if found is None]
    if without:
        raise UsageError(
            f"frames without a number in the name: {listed(without)}", "number all frames, such as 0001.png"
        )
    numbers = {path: int(found[2]) for path, found in parts.items() if found is not None}
    patterns = {path: f"{found[1]}…{found[3]}{path.suffix}" for path, found in parts.items() if found is not None}
    (usual, _), *others = Counter(patterns.values()).most_common()
    if others:
        odd = [path.name for path, pattern in patterns.items() if pattern != usual]
        remedy = "put each sequence into a folder of its own"
        raise UsageError(f"frames not named like the other frames ({usual}): {listed(odd)}", remedy)
    counts = Counter(numbers.values())
    repeated = [path.name for path, number in numbers.items() if counts[number] > 1]
    if repeated:
        raise UsageError(f"frames with the same number: {listed(repeated)}", "leave one of them")
    ordered = sorted(files, key=numbers.__getitem__)
    _check_complete([numbers[path] for path in ordered], ordered)
    _check_sizes(ordered)
    return ordered


def framed(clip: str, frames: Sequence[Sequence[Pair]], film: Path | None = None) -> list[tuple[Pair, ...]]:
    """Return the pairs of a sequence as frames of which each knows the one before.

    Args:
        clip: name of the sequence's results: the folder of the frames in the outbox.
        frames: for each frame its pair and the variants of that.
        film: the film of the frames; None: they are files of their own.
    """
    before: list[str] = []
    found = []
    for number, variants in enumerate(frames):
        placed = []
        for index, pair in enumerate(variants):
            ending = ending_of_film(film, pair.settings.sequence.film) if film is not None else ""
            suffix = pair.name.removeprefix(variants[0].name)
            painted = Film(film, f"{clip}{suffix}{ending or film.suffix}") if film is not None else None
            previous = before[index] if before else ""
            placed.append(replace(pair, frame=Frame(clip, number, len(frames), previous, film=painted)))
        before = [pair.file_name for pair in placed]
        found.append(tuple(placed))
    return found


def frames_of_film(pairs: Sequence[Pair], frames: Sequence[Path], film: Path) -> list[tuple[Pair, ...]]:
    """Return the pairs of a film's frames.

    Args:
        pairs: the pair of the film, whose name is that of the frames' folder, and its variants.
        frames: the files of the frames, in order.
        film: the film.
    """
    clip = pairs[0].name if pairs else ""

    def of_frame(pair: Pair, frame: Path) -> Pair:
        name = f"{clip}/{frame.stem}{pair.name.removeprefix(clip)}"
        return replace(pair, content=frame, content_label=f"{pair.content_label}/{frame.name}", name=name)

    return framed(clip, [[of_frame(pair, frame) for pair in pairs] for frame in frames], film)


def _check_complete(numbers: Sequence[int], files: Sequence[Path]) -> None:
    for before, after, one, other in zip(numbers, numbers[1:], files, files[1:], strict=False):
        if after != before + 1:
            missing = f"frame {before + 1} is" if after == before + 2 else f"frames {before + 1} to {after - 1} are"
            raise UsageError(
                f"{missing} missing between {one.name} and {other.name}", "add what is missing, or renumber"
            )


def _check_sizes(files: Sequence[Path]) -> None:
    sizes = {path: size for path in files if (size := _size_of(path)) is not None}
    if len(set(sizes.values())) > 1:
        (usual, _), *_ = Counter(sizes.values()).most_common()
        odd = [f"{path.name} ({size[0]}×{size[1]} px)" for path, size in sizes.items() if size != usual]
        raise UsageError(
            f"frames not of {usual[0]}×{usual[1]} px like the other frames: {listed(odd)}", "give all one size"
        )


def _size_of(path: Path) -> tuple[int, int] | None:
    """Return the size in a file's header; None if it cannot be read, which is told when the frame is loaded."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return None
