"""The pair of a command line: `impasto pair CONTENT STYLE -o OUT`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.pair import InputFile, Style, make_pairs
from pipeline.run.earlier_results import IN_NO_OUTBOX
from pipeline.run.masks import mask_for
from pipeline.run.named_paths import path_errors
from pipeline.run.picture_files import Pictures, entries_of
from pipeline.settings.all_settings import explain
from pipeline.settings.pair_settings import OUTPUT_FORMATS
from pipeline.settings.resolve import for_pair

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.pair import Pair
    from pipeline.run.manifest import ManifestRules
    from pipeline.settings import Values


def single_pair(  # noqa: PLR0913, PLR0917 - the parts of a command line
    content: Path, style: Path, out: Path, base_values: Values, overrides: Values, rules: ManifestRules
) -> list[Pair]:
    """Build the pair of a command line, and its variants.

    Args:
        content: the photograph.
        style: the painting, or a folder of paintings that are blended.
        out: path of the result; its ending is its format.
        base_values: settings weaker than the command line's.
        overrides: the settings of the command line.
        rules: the endings of pictures, the names that results may have, and the mask.

    Raises:
        UsageError: a file does not exist, or a name or a setting cannot be used.
    """
    with path_errors(str(content)):
        if content.is_dir():
            raise UsageError(
                f"{content}: is a folder.", "Name one photograph; for many, write a manifest: impasto run."
            )
        if not content.is_file():
            raise UsageError(f"{content}: there is no such file.", "Name a photograph.")
    ending = out.suffix.lower()
    if ending not in OUTPUT_FORMATS:
        raise UsageError(f"-o {out}: should end in {', '.join(OUTPUT_FORMATS)}.")
    output = {**overrides.get("output", {}), "format": OUTPUT_FORMATS[ending]}
    try:
        settings = for_pair(base_values, {}, {**overrides, "output": output})
    except ValidationError as error:
        raise UsageError(explain(error)) from error
    paintings = paintings_of(style, rules.endings)
    mask = mask_of(content, rules.mask, rules.endings)
    pairs = make_pairs(
        content=InputFile(content.resolve(), content.name),
        style=Style(style.stem, style.absolute().name, paintings),
        name=out.stem,
        settings=settings,
        mask=InputFile(mask, mask.name) if mask is not None else None,
    )
    if ending.removeprefix(".") != pairs[0].extension:
        raise UsageError(f"-o {out}: use the ending .{pairs[0].extension}.")
    for each in pairs:
        wrong = rules.check_name(each.file_name)
        if wrong:
            raise UsageError(f"-o {out}: the name {each.file_name!r} {wrong}.", "Use another name.")
    return pairs


def paintings_of(style: Path, endings: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the painting, or the paintings of a folder, as absolute paths.

    Raises:
        UsageError: there is no painting, or it cannot be read.
    """
    with path_errors(str(style)):
        if not style.is_dir():
            if not style.is_file():
                raise UsageError(f"{style}: there is no such file.", "Name a painting, or a folder of paintings.")
            return (style.resolve(),)
        pictures = Pictures.among(entries_of(style), endings, IN_NO_OUTBOX)
    pictures.warn_about_left_out(str(style))
    if not pictures.taken:
        raise UsageError(f"{style}: there are no pictures ({', '.join(endings)}) in this folder.", "Name another.")
    return tuple(each.resolve() for each in pictures.taken)


def mask_of(content: Path, mask: Path | None, endings: tuple[str, ...]) -> Path | None:
    """Return the mask of a photograph as an absolute path, or None if there is no mask at all.

    Args:
        content: the photograph.
        mask: a mask, or a folder of masks.
        endings: endings of pictures.

    Raises:
        UsageError: the folder of masks has none for this photograph, or cannot be read.
    """
    if mask is None:
        return None
    with path_errors(str(mask)):
        found = mask_for(mask, content.stem, endings)
    if found is None:
        raise UsageError(f"{mask}: has no mask of the name {content.stem!r}.", "Make one, or name one picture.")
    return found.resolve()
