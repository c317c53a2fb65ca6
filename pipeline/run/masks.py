"""The mask of each photograph: one picture for all of them, or one of the same name in a folder of masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.run.named_paths import composed, exists, path_errors, spelling_key
from pipeline.run.picture_files import ending_of, entries_of


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


def mask_for(mask: Path, content: str, endings: tuple[str, ...]) -> Path | None:
    """Return the mask of one photograph; see `MaskFinder.find`."""
    return MaskFinder(endings).find(mask, content)


@dataclass(frozen=True)
class MaskFinder:
    """Finds the masks of photographs; it lists each folder of masks once."""

    endings: tuple[str, ...]
    """Endings of pictures, the preferred ones first."""
    _listed: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    """Pictures in each folder, by the `spelling_key` of their names without endings."""

    def find(self, mask: Path, content: str) -> Path | None:
        """Return the mask of a photograph, or None if the folder of masks has none for it.

        A mask has the name of its photograph; if none has exactly this name, Unicode form and case do not matter.

        Args:
            mask: a picture, for all photographs; or a folder of pictures that have the photographs' names.
            content: the photograph's name without its ending.

        Raises:
            OSError: the mask, or the folder of masks, cannot be read.
        """
        if not mask.is_dir():
            return mask
        if mask not in self._listed:
            self._listed[mask] = self._pictures_in(mask)
        alike = [path for path in self._listed[mask].get(spelling_key(content), []) if path.is_file()]
        same = [path for path in alike if composed(path.stem) == composed(content)]
        return next(iter(same or alike), None)

    def _pictures_in(self, folder: Path) -> dict[str, list[Path]]:
        pictures = [path for path in entries_of(folder).paths if ending_of(path.name) in self.endings]
        pictures.sort(key=lambda path: (self.endings.index(ending_of(path.name)), path.name))
        found: dict[str, list[Path]] = {}
        for path in pictures:
            found.setdefault(spelling_key(path.stem), []).append(path)
        return found
