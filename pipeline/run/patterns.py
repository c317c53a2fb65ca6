"""The files that a pattern of a manifest matches.

`*`, `?` and `[…]` match within one name, and `**` matches any number of folders. Upper and lower case, and the Unicode
form of a name, do not matter; backslashes are slashes. A name that a pattern spells out is taken as it is, and so is a
folder with brackets in its name. Of several links to one folder, `**` follows one.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.images.formats import BY_ENDING
from pipeline.run.named_paths import composed, exists, slashed, spelling_key
from pipeline.run.picture_files import FoundFiles, ending_of, is_hidden_or_junk, is_ignored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def is_pattern(text: str) -> bool:
    """Whether a text may be a pattern."""
    return glob.has_magic(text)


def ending_of_pattern(pattern: str) -> str:
    """Return the ending that all matches have, in lower case with its dot; empty if they may differ."""
    ending = ending_of(pattern)
    return "" if glob.has_magic(ending) else ending


def matches_of(pattern: str, folder: Path) -> FoundFiles:
    """Return the matches of a pattern, by path. Names that the pattern spells out are not judged.

    A folder below the first wildcard that cannot be read is one of the `unreadable` ones.

    Args:
        pattern: relative to the folder, or absolute.
        folder: an absolute path.

    Raises:
        OSError: the folder before the first wildcard does not exist, or cannot be read.
    """
    parts = PurePosixPath(os.path.expanduser(slashed(pattern))).parts  # noqa: PTH111 - leaves unknown users alone
    search = _Search()
    search.run(_Step(folder, parts))
    return FoundFiles.judge(search.matches, search.matches.__getitem__, search.unreadable, search.of_other_endings)


@dataclass(frozen=True)
class _Step:
    """A folder or file that has been reached, and the parts of the pattern that follow."""

    at: Path
    parts: tuple[str, ...]
    wild: tuple[str, ...] = ()
    """Names on the way that the pattern does not spell out."""
    is_wild: bool = False
    """Whether a wildcard has been passed."""


@dataclass
class _Search:
    """The search for the matches of one pattern."""

    matches: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    """Matches, each with the names that the pattern does not spell out."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Files and folders that cannot be read, and why."""
    of_other_endings: set[Path] = field(default_factory=set)
    """Files that would match with another ending of the same format."""
    links: deque[_Step] = field(default_factory=deque)
    """Links to folders, which `**` follows after all folders: so the shortest way is found first."""
    followed: set[tuple[str, tuple[str, ...], bool]] = field(default_factory=set)
    """Folders that links lead to, each with the rest of the pattern, and whether litter is on the way."""

    def run(self, first: _Step) -> None:
        """Search from a step on, and add what is found."""
        steps = [first]  # no recursion: folders may be nested thousands deep
        while steps or self.links:
            if not steps:
                steps += self._follow(self.links.popleft())
                continue
            step = steps.pop()
            if not step.parts:
                self._add(Path(os.path.normpath(step.at)), step.wild)
                continue
            take = self._spelled_out
            if step.parts[0] == "**":
                take = self._any_folders
            elif glob.has_magic(step.parts[0]):
                take = self._wildcard
            steps += reversed(list(take(step)))

    def _add(self, path: Path, wild: tuple[str, ...]) -> None:
        """Add a match; of several ways to it, one without litter counts."""
        if path not in self.matches or any(map(is_ignored, self.matches[path])):
            self.matches[path] = wild

    def _any_folders(self, step: _Step) -> Iterator[_Step]:
        rest = step.parts[1:]
        yield _Step(step.at, rest, step.wild, is_wild=True)
        for entry in self._entries(step):
            wild = (*step.wild, entry.name)
            if not self._is_folder(entry):
                if not rest:
                    self._add(Path(entry.path), wild)
            elif not is_hidden_or_junk(entry.name):
                inner = _Step(Path(entry.path), step.parts, wild, is_wild=True)
                if entry.is_symlink():
                    self.links.append(inner)
                else:
                    yield inner

    def _follow(self, link: _Step) -> Iterator[_Step]:
        """Yield a link to a folder, but none to a folder that it lies in, and only one to each folder.

        Folders that link to each other could be reached by more ways than can be counted.
        """
        target = os.path.realpath(link.at)
        way = target, link.parts, any(map(is_ignored, link.wild))
        if way not in self.followed and not Path(os.path.realpath(link.at.parent)).is_relative_to(target):
            self.followed.add(way)
            yield link

    def _wildcard(self, step: _Step) -> Iterator[_Step]:
        part, rest = step.parts[0], step.parts[1:]
        does_match = _matcher(part)
        for entry in self._entries(step):
            if does_match(entry.name):
                if not rest or self._is_folder(entry):
                    yield _Step(Path(entry.path), rest, (*step.wild, entry.name), is_wild=True)
            elif not rest and _has_other_ending(part, entry.name):
                self.of_other_endings.add(Path(entry.path))

    def _spelled_out(self, step: _Step) -> Iterator[_Step]:
        part, rest = step.parts[0], step.parts[1:]
        try:
            names = [part] if part in ("..", "/") or exists(step.at / part) else self._names_like(step, part)
        except OSError as error:
            if not step.is_wild:
                raise
            self.unreadable[step.at] = error.strerror or type(error).__name__
            return
        if not names and not step.is_wild:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(step.at / part))
        for name in names:
            yield _Step(step.at / name, rest, step.wild, is_wild=step.is_wild)

    def _names_like(self, step: _Step, part: str) -> list[str]:
        key = spelling_key(part)
        return [entry.name for entry in self._entries(step) if spelling_key(entry.name) == key]

    def _entries(self, step: _Step) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(step.at) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            if not step.is_wild:
                raise
        except OSError as error:
            if not step.is_wild:
                raise
            self.unreadable[step.at] = error.strerror or type(error).__name__
        return []

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # a link to a place that may not be read
            self.unreadable[Path(entry.path)] = error.strerror or type(error).__name__
            return False


def _matcher(part: str) -> Callable[[str], object]:
    """Return a function that tells whether one part of a pattern matches a name."""
    matches = re.compile(fnmatch.translate(composed(part)), re.IGNORECASE).match
    key = spelling_key(part)
    return lambda name: matches(composed(name)) or spelling_key(name) == key


def _has_other_ending(part: str, name: str) -> bool:
    """Whether a part of a pattern would match a name if it had the name's ending, which is of the same format."""
    wanted, actual = ending_of_pattern(part), ending_of(name)
    if wanted == actual or wanted not in BY_ENDING or BY_ENDING[wanted] is not BY_ENDING.get(actual):
        return False
    return bool(_matcher(f"{part[: -len(wanted)]}{actual}")(name))
