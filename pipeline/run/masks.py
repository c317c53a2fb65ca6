"""The mask of each photograph: one picture for all of them, or one of the same name in a folder of masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.run.named_paths import composed, exists, path_errors, spelling_key
from pipeline.run.picture_files import ending_of, entries_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def default_mask(file: str) -> Path | None:
    """Return the setting `mask.file` as an absolute path; None if it is empty.

    Raises:
        UsageError: there is no such file or folder.
    """
    if not file:
        return None
    path = Path(file)
    with path_errors(f"mask.file = {file}"):
        if not exists(path):
            raise UsageError(f"mask.file = {file}: there is no such file or folder.", "Name a grey picture.")
        return path.resolve()


def mask_for(mask: Path, content: str, endings: Sequence[str]) -> Path | None:
    """Return the mask of a photograph, or None if the folder of masks has none for it; see `masks_for`.

    Raises:
        OSError: the mask, or the folder of masks, cannot be read.
    """
    return masks_for(mask, [content], endings).get(content)


def masks_for(mask: Path, contents: Iterable[str], endings: Sequence[str]) -> dict[str, Path]:
    """Return the masks of photographs; a photograph for which the folder of masks has none is left out.

    A mask has the name of its photograph; if none has exactly this name, Unicode form and case do not matter.

    Args:
        mask: a picture, for all photographs; or a folder of pictures that have the photographs' names.
        contents: the photographs' names without their endings.
        endings: those of pictures, the preferred ones first.

    Raises:
        OSError: the mask, or the folder of masks, cannot be read.
    """
    if not mask.is_dir():
        return dict.fromkeys(contents, mask)
    masks: dict[str, list[Path]] = {}
    for path in sorted(entries_of(mask).paths, key=lambda path: _rank(path, endings)):
        if ending_of(path.name) in endings:
            masks.setdefault(spelling_key(path.stem), []).append(path)
    found = {}
    for content in contents:
        alike = [path for path in masks.get(spelling_key(content), []) if path.is_file()]
        same = [path for path in alike if composed(path.stem) == composed(content)]
        if same or alike:
            found[content] = (same or alike)[0]
    return found


def _rank(path: Path, endings: Sequence[str]) -> tuple[int, str]:
    ending = ending_of(path.name)
    return (endings.index(ending) if ending in endings else len(endings)), path.name
