"""The grid of a sheet: photographs down, paintings across, and a pair in each cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.run.earlier_results import IN_NO_OUTBOX
from pipeline.run.manifest import Expander
from pipeline.run.manifest_rows import Problems, Row
from pipeline.run.named_paths import path_errors
from pipeline.run.picture_files import Pictures, entries_of
from pipeline.settings.resolve import for_pair, merge
from pipeline.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.pair import Pair
    from pipeline.run.manifest import ManifestRules
    from pipeline.settings import PairSettings, Values
    from pipeline.settings.pair_settings import ColourMode, Quality


@dataclass(frozen=True)
class Cell:
    """A pair of the full run, and its small version for the proof."""

    row: int
    column: int
    full: Pair
    small: Pair


@dataclass(frozen=True)
class Column:
    """A painting or a blend, with a colour mode."""

    style: str
    paintings: tuple[Path, ...]
    mode: ColourMode


@dataclass(frozen=True)
class Grid:
    """Photographs × paintings, and the pairs."""

    rows: tuple[Path, ...]
    """The photographs."""
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]
    """The cells, row by row."""


def reductions(size: int, quality: Quality, full_size: int | str) -> Values:
    """Return the settings of a proof that differ from the full run's.

    Args:
        size: the longest side of a proof in px.
        quality: the quality of a proof.
        full_size: `image.size` of the full run; a proof is never larger.
    """
    return {
        "image": {"size": min(size, full_size) if isinstance(full_size, int) else size, "upscale": "none"},
        "pyramid": {"quality": quality, "evaluations": []},
        "output": {"format": "png", "bit_depth": 8},
        "run": {"time_budget": ""},
    }


def read_grid(  # noqa: PLR0913, PLR0917 - the parts of a command line
    contents: Sequence[str],
    styles: Path,
    base_values: Values,
    overrides: Values,
    reduced: Values,
    rules: ManifestRules,
    *,
    sequences: bool = False,
) -> Grid:
    """Pair every photograph with every painting, and with every mode of `colour.variants`.

    Args:
        contents: files, folders or patterns.
        sequences: whether folders and patterns are sequences of frames. Of a sequence, and of a film, the first, the
            middle and the last frame are taken.
        styles: a folder of paintings; a folder in it is a blend, as in a drop folder.
        base_values: settings weaker than the command line's.
        overrides: the settings of the command line.
        reduced: the settings of a proof; see `reductions`.
        rules: the endings of pictures, and the mask.

    Raises:
        UsageError: there are no pictures, or a setting cannot be used.
    """
    library = _library(styles, rules.endings)
    expander = Expander(Path.cwd(), base_values, overrides, replace(rules, find_style=library.get), Problems())
    pairs = [
        pair
        for content in contents
        for style in library
        for group in expander.groups(Row(1, content, style, "", "", {}, is_sequence=sequences))
        for pair in group.pairs
        if pair.frame is None or pair.frame.number in _shown(pair.frame.frames)
    ]
    if expander.problems.found:
        raise UsageError(list(dict.fromkeys(problem for _, problem in expander.problems.found)))
    if not pairs:
        raise UsageError(f"{', '.join(contents)}: there are no photographs.", "Name others.")
    return _arranged(pairs, list(library), for_pair(base_values, {}, merge(overrides, reduced)))


def _shown(frames: int) -> set[int]:
    """Return the numbers of the frames of a sequence that a sheet shows."""
    return {0, frames // 2, frames - 1}


def _library(folder: Path, endings: tuple[str, ...]) -> dict[str, tuple[Path, ...]]:
    """Return the paintings and blends of a folder, by the names of their files and folders."""
    found: dict[str, tuple[Path, ...]] = {}
    with path_errors(f"--styles {folder}"):
        entries = entries_of(folder)
        pictures = Pictures.among(entries, endings, IN_NO_OUTBOX)
        for path in entries.paths:
            paintings = [path] if path in pictures.taken else []
            if not paintings and _is_folder(path, pictures):
                paintings = _paintings_in(path, endings, pictures)
            resolved = tuple(each.resolve() for each in paintings)
            if resolved and resolved not in found.values():  # else it is a link to one of them
                found[path.name] = resolved
    pictures.warn_about_left_out(f"--styles {folder}")
    if not found:
        raise UsageError(f"--styles {folder}: there are no paintings ({', '.join(endings)}) in this folder.")
    return found


def _is_folder(path: Path, pictures: Pictures) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a link to a place that may not be read
        pictures.unreadable[path] = error.strerror or type(error).__name__
        return False


def _paintings_in(folder: Path, endings: tuple[str, ...], of_library: Pictures) -> list[Path]:
    """Return the paintings of a blend; one whose folder cannot be read is left out of the library."""
    try:
        pictures = Pictures.among(entries_of(folder), endings, IN_NO_OUTBOX)
    except OSError as error:
        of_library.unreadable[folder] = error.strerror or type(error).__name__
        return []
    pictures.warn_about_left_out(f"--styles {folder}")
    return pictures.taken


def _arranged(pairs: Iterable[Pair], styles: list[str], settings: PairSettings) -> Grid:
    by_position = {(pair.content, pair.styles, pair.settings.colour.mode): pair for pair in pairs}
    rows = tuple(dict.fromkeys(content for content, _, _ in by_position))
    kinds = dict.fromkeys((paintings, mode) for _, paintings, mode in by_position)
    names = dict(zip(dict.fromkeys(paintings for paintings, _ in kinds), styles, strict=True))
    columns = tuple(Column(printable(_stem(names[paintings], styles)), paintings, mode) for paintings, mode in kinds)
    cells: list[Cell] = []
    for row, content in enumerate(rows):
        for column, kind in enumerate(columns):
            full = by_position[content, kind.paintings, kind.mode]
            proof_settings = settings.model_copy(update={"colour": full.settings.colour})
            name = f"{len(cells) + 1}/{printable(content.stem)}__{kind.style}"  # names may be alike but for the number
            small = replace(full, name=name, settings=proof_settings, frame=None)
            cells.append(Cell(row, column, full, small))
    return Grid(rows, columns, tuple(cells))


def _stem(name: str, names: list[str]) -> str:
    """Return a name without its ending, unless another name would then be equal."""
    stem = Path(name).stem
    return stem if sum(Path(each).stem == stem for each in names) == 1 else name
