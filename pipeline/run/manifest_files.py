"""The files that the cells of a manifest name: one file, all pictures of a folder, or all matches of a pattern."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.run.picture_files import (
    FoundFiles,
    earlier_results,
    entries_of,
    is_image,
    listed,
    mask_for,
    matches_of,
    warn_about_left_out,
)
from pipeline.text import encodable

if TYPE_CHECKING:
    from pipeline.run.manifest_rows import Problems, Row


@dataclass(frozen=True)
class FileFinder:
    """Finds the files of one manifest, and adds to its problems what cannot be found or may not be used."""

    folder: Path
    """The manifest's folder, at which relative paths start."""
    endings: tuple[str, ...]
    """Endings of pictures, such as `.jpg`."""
    roots: tuple[Path, ...]
    """Folders outside of which no file may be named; empty: any file may."""
    problems: Problems
    _warned: set[str] = field(default_factory=set)
    """Folders and patterns for which left-out pictures have been logged."""

    def find(self, line: int, column: str, text: str) -> list[Path]:
        """Return the files that a cell names, by path."""
        path = Path(os.path.normpath(self.folder / text))
        if path.is_dir():
            found = entries_of(path)
            complaint = f"{column} folder {text!r} has no images ({', '.join(self.endings)})"
        elif path.exists():
            found, complaint = FoundFiles([], []), ""
        elif glob.has_magic(text):
            found = matches_of(text, self.folder)
            complaint = f"{column} {text!r} matches no images"
        else:
            found, complaint = FoundFiles([], []), f"{column} {text!r} does not exist"
        files = [each for each in found.paths if is_image(each, self.endings)] if complaint else [path]
        if text not in self._warned:
            self._warned.add(text)
            warn_about_left_out(text, found, self.endings)
        if not files:
            self.problems.add(line, complaint)
        results = earlier_results(files) if complaint else []
        if results:
            self.problems.add(line, f"{column} {text!r} holds results of an earlier run: {', '.join(results[:3])}")
        outside = [each for each in files if self.is_outside(each)]
        for each in outside:
            self.problems.add(line, f"{column} {self.label(each)!r} is outside of run.roots")
        return [each for each in files if each not in outside]

    def masks(self, row: Row, contents: list[Path], default: Path | None) -> dict[Path, Path]:
        """Return the masks of a row's photographs, by photograph; a mask that is missing is a problem.

        Args:
            row: it may name a mask, or a folder of masks.
            contents: the row's photographs.
            default: the mask or the folder of masks for rows that name none.
        """
        if row.mask:
            masks: Path | None = Path(os.path.normpath(self.folder / row.mask))
            named = f"mask folder {row.mask!r}"
        else:
            masks, named = default, f"mask.file {str(default)!r}"
        if masks is None:
            return {}
        if not masks.exists():
            self.problems.add(row.line, f"mask {row.mask!r} does not exist")
            return {}
        found = {content: mask_for(masks, content.stem, self.endings) for content in contents}
        missing = [content.stem for content, mask in found.items() if mask is None]
        if missing:
            self.problems.add(row.line, _missing_masks(named, missing, is_of_row=bool(row.mask)))
        usable = {content: mask for content, mask in found.items() if mask is not None}
        outside = [content for content, mask in usable.items() if row.mask and self.is_outside(mask)]
        for mask in dict.fromkeys(usable.pop(content) for content in outside):
            self.problems.add(row.line, f"mask {self.label(mask)!r} is outside of run.roots")
        return usable

    def label(self, path: Path) -> str:
        """Return a path relative to the manifest, as messages and the metadata show it."""
        try:
            relative = os.path.relpath(path, self.folder)
        except ValueError:  # another drive on Windows
            relative = path.name
        return encodable(relative.replace(os.sep, "/"))

    def is_outside(self, path: Path) -> bool:
        """Whether a file may not be used because it lies outside of the roots, links followed."""
        roots = (root.resolve() for root in self.roots)
        return bool(self.roots) and not any(path.resolve().is_relative_to(root) for root in roots)


def _missing_masks(masks: str, missing: list[str], *, is_of_row: bool) -> str:
    names = "s" * (len(missing) != 1)
    otherwise = ", or leave the mask empty in a row of its own" if is_of_row else ""
    return (
        f"{masks} has no mask of the name{names} {listed([repr(name) for name in missing])}; "
        f"make one, all white if the style is to act everywhere{otherwise}"
    )
