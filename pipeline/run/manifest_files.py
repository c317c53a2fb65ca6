"""The files that the cells of a manifest name: one file, all pictures of a folder, or all matches of a pattern."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.images.films.description import ENDINGS as FILM_ENDINGS
from pipeline.run.masks import MaskFinder
from pipeline.run.named_paths import PathFinder, is_windows_path, slashed
from pipeline.run.patterns import ending_of_pattern, is_pattern, matches_of
from pipeline.run.picture_files import FoundFiles, Pictures, entries_of, listed
from pipeline.system.remedies import remedy_of
from pipeline.text import encodable

if TYPE_CHECKING:
    from pipeline.run.earlier_results import EarlierResults
    from pipeline.run.manifest_rows import Problems, Row

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Named:
    """The files that a cell of a manifest names."""

    files: tuple[Path, ...] = ()
    problem: str = ""
    """Why there are no files, which continues the name of the column; empty if there are some."""
    may_be_empty: bool = False
    """Whether the folder or the pattern may bring pictures another day: it is there, and nothing in it is left out."""
    error: OSError | None = None
    """The error of the file system, if it is the problem."""
    unreadable: tuple[str, ...] = ()
    """Names of files and folders that are left out because they cannot be read."""


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
    earlier: EarlierResults
    """Tells which files are results, which are never taken from a folder or by a pattern."""
    _known: dict[tuple[str, bool], Named] = field(default_factory=dict)
    """The files that each text names, and whether they may be films, so that a folder that many rows name is read, and
    warned about, once."""
    _empty: set[str] = field(default_factory=set)
    """Contents that bring no pictures now and have been warned about."""

    @cached_property
    def paths(self) -> PathFinder:
        """Finds single files and folders."""
        return PathFinder(self.folder)

    @cached_property
    def _mask_finder(self) -> MaskFinder:
        return MaskFinder(self.endings)

    def find(self, line: int, column: str, text: str) -> list[Path]:
        """Return the files that a cell names, by path."""
        named = self._named(text, takes_films=column == "content")
        if not named.files:
            if named.may_be_empty and column == "content":
                self._warn_about_empty(named.problem)
            else:
                self.problems.add(line, f"{column} {named.problem}", named.error)
        if named.files and named.unreadable and column == "style":  # without them a blend would be another one
            self.problems.add(line, f"style {text!r}: {listed(list(named.unreadable))} cannot be read")
        inside = []
        for each in named.files:
            if self.is_outside(each):
                self.problems.add(line, f"{column} {self.label(each)!r} is outside of run.roots")
            else:
                inside.append(each)
        return inside

    def _warn_about_empty(self, problem: str) -> None:
        if problem not in self._empty:
            self._empty.add(problem)
            logger.warning("content %s; nothing is painted for it now.", problem)

    def folder_or_pattern(self, text: str) -> Path:
        """Return the file or folder that a cell names; if it names none, its pattern as a path."""
        return self.paths.find(text) or Path(os.path.normpath(self.folder / slashed(text)))

    def _named(self, text: str, *, takes_films: bool) -> Named:
        if (text, takes_films) not in self._known:
            try:
                self._known[text, takes_films] = self._look_up(text, takes_films=takes_films)
            except OSError as error:
                self._known[text, takes_films] = Named(problem=_cannot_be_read(text, error), error=error)
        return self._known[text, takes_films]

    def _look_up(self, text: str, *, takes_films: bool) -> Named:
        path = self.paths.find(text)
        if path is not None and not path.is_dir():
            return Named((path,))
        if path is not None:
            nothing = f"folder {text!r} has no images ({', '.join(self.endings)})"
            return self._pictures_of(text, entries_of(path), nothing, takes_films=takes_films)
        if not is_pattern(text):
            return Named(problem=f"{text!r} does not exist{_hint_for(text)}")
        try:
            found = matches_of(text, self.folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            return Named(problem=f"{text!r} matches no images: there is no folder {self._shown(error.filename)!r}")
        if takes_films and ending_of_pattern(text) in FILM_ENDINGS:
            return self._films_of(text, found)
        nothing = f"{text!r} matches no images"
        if ending_of_pattern(text) not in ("", *self.endings):
            nothing += f" ({', '.join(self.endings)})"
        elif "[" in text:
            nothing += "; in a pattern [ab] stands for a or b: write [[] for a bracket"
        return self._pictures_of(text, found, nothing, takes_films=takes_films)

    def _films_of(self, text: str, found: FoundFiles) -> Named:
        films = Pictures.among(found, FILM_ENDINGS, self.earlier)
        films.warn_about_left_out(encodable(text))
        may_be_empty = not films.taken and not films.lacks_some
        return Named(tuple(films.taken), f"{text!r} matches no films", may_be_empty=may_be_empty)

    def _shown(self, path: object) -> str:
        return self.label(self.folder / os.fsdecode(path)) if isinstance(path, str | bytes) else str(path)

    def _pictures_of(self, text: str, found: FoundFiles, nothing: str, *, takes_films: bool) -> Named:
        pictures = Pictures.among(found, self.endings, self.earlier)
        pictures.warn_about_left_out(encodable(text))
        if takes_films:
            pictures.warn_about_films(encodable(text))
        if pictures.taken:
            return Named(tuple(pictures.taken), unreadable=tuple(path.name for path in pictures.unreadable))
        is_readable = not is_pattern(text) or ending_of_pattern(text) in ("", *self.endings)
        return Named(problem=nothing, may_be_empty=is_readable and not pictures.lacks_some)

    def masks(self, row: Row, contents: list[Path], default: Path | None) -> dict[Path, Path]:
        """Return the masks of a row's photographs, by photograph; a mask that is missing is a problem.

        Args:
            row: it may name a mask, or a folder of masks.
            contents: the row's photographs.
            default: the mask or the folder of masks for rows that name none.
        """
        named = f"mask {row.mask!r}" if row.mask else f"mask.file {str(default)!r}"
        try:
            masks = self.paths.find(row.mask) if row.mask else default
            found = {each: self._mask_finder.find(masks, each.stem) for each in contents} if masks is not None else {}
        except OSError as error:
            self.problems.add(row.line, f"mask {_cannot_be_read(row.mask or str(default), error)}", error)
            return {}
        if masks is None:
            if row.mask:
                self.problems.add(row.line, f"{named} does not exist{_hint_for(row.mask)}")
            return {}
        missing = [content.stem for content, mask in found.items() if mask is None]
        if missing:
            folder = named.replace("mask ", "mask folder ", 1)
            self.problems.add(row.line, _missing_masks(folder, missing, is_of_row=bool(row.mask)))
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


def _cannot_be_read(text: str, error: OSError) -> str:
    return f"{text!r} cannot be read: {error.strerror}; {_uncapitalised(remedy_of(error))}"


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _hint_for(text: str) -> str:
    """Return advice for a path that does not exist, as the end of a sentence without its full stop."""
    if os.sep == "/" and is_windows_path(text):
        return "; this is a path of Windows: name the file as this machine sees it"
    return ""


def _missing_masks(masks: str, missing: list[str], *, is_of_row: bool) -> str:
    names = "s" * (len(missing) != 1)
    otherwise = ", or leave the mask empty in a row of its own" if is_of_row else ""
    return (
        f"{masks} has no mask of the name{names} {listed([repr(name) for name in missing])}; "
        f"make one, all white if the style is to act everywhere{otherwise}"
    )
