"""Rules that tell pictures, litter and results of earlier runs among files.

A file that a user names is always taken. The files of a folder or a pattern are judged: litter (`is_ignored`) counts
as absent, files with an allowed ending are taken, and warnings name the pictures that are left out, with their number.
The drop folder judges names by the same rules.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.images.films.description import ENDINGS as FILM_ENDINGS
from pipeline.images.formats import BY_ENDING, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from pipeline.run.earlier_results import EarlierResults

logger = logging.getLogger(__name__)

NAMES_SHOWN: Final = 3
"""Names that a message shows; it counts the others."""
WRITABLE: Final = ".png, .jpg, .webp or .tif"
"""Endings of results, in words."""


def ending_of(name: str) -> str:
    """Return the ending of a file's name, in lower case, with its dot."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending, whether or not its format can be read."""
    return ending_of(name) in BY_ENDING


def _is_picture_or_film(name: str) -> bool:
    return is_picture(name) or ending_of(name) in FILM_ENDINGS


_PARTIAL: Final = (
    ".*", "~*", "*~", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload", "*.tmp",
    "*.temp", "*.!ut", "*.aria2",
)  # fmt: skip
"""Patterns of hidden files, and of files that a program is still writing under a name of its own."""
_JUNK: Final = (
    "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "system volume information",
    "__macosx", "lost+found", "icon\r",
)  # fmt: skip
"""Names, in lower case, of files and folders that systems leave everywhere."""
_IS_JUNK: Final = re.compile("|".join(map(fnmatch.translate, _JUNK)))
_IGNORED: Final = re.compile("|".join(fnmatch.translate(pattern) for pattern in _PARTIAL + _JUNK))


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is litter: hidden, still being written, or left by a system."""
    return _IGNORED.match(name.casefold()) is not None


@dataclass(frozen=True)
class FoundFiles:
    """Files and folders that a folder or a pattern brings."""

    paths: list[Path]
    """Paths without litter, in order."""
    unfinished: list[Path]
    """Pictures and films that are left out: their names, or their folders', are like those of unfinished copies."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    """Files and folders that cannot be read, and the reasons."""
    of_other_endings: list[Path] = field(default_factory=list)
    """Files that a pattern would match if it had another ending of the same format."""

    @classmethod
    def judge(
        cls,
        paths: Iterable[Path],
        names_of: Callable[[Path], Iterable[str]],
        unreadable: Mapping[Path, str] | None = None,
        of_other_endings: Iterable[Path] = (),
    ) -> FoundFiles:
        """Judge paths by some of the names in them."""
        litter = {path: [name for name in names_of(path) if is_ignored(name)] for path in sorted(paths)}
        return cls(
            [path for path, names in litter.items() if not names],
            [
                path
                for path, names in litter.items()
                if names and _is_picture_or_film(path.name) and not any(map(is_hidden_or_junk, names))
            ],
            unreadable or {},
            sorted(path for path in of_other_endings if not is_ignored(path.name)),
        )


def is_hidden_or_junk(name: str) -> bool:
    """Whether a file or folder of this name is litter that nobody misses: hidden, or left by a system."""
    return name.startswith(".") or _IS_JUNK.match(name.casefold()) is not None


def entries_of(folder: Path) -> FoundFiles:
    """Return the entries of a folder, by name.

    Raises:
        OSError: the folder cannot be read.
    """
    return FoundFiles.judge(folder.iterdir(), lambda path: [path.name])


@dataclass
class Pictures:
    """The pictures that a folder or a pattern brings: those that are taken, and those that are left out."""

    endings: Collection[str] = ()
    """Endings of pictures that are taken."""
    taken: list[Path] = field(default_factory=list)
    of_other_formats: list[Path] = field(default_factory=list)
    """Pictures of formats that are not read."""
    of_other_endings: list[Path] = field(default_factory=list)
    """See `FoundFiles`."""
    unfinished: list[Path] = field(default_factory=list)
    """See `FoundFiles`."""
    dead_links: list[Path] = field(default_factory=list)
    """Links to missing files."""
    films: list[Path] = field(default_factory=list)
    """Films that are not taken."""
    results: list[Path] = field(default_factory=list)
    """Results of earlier runs."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Files and folders that cannot be read, and the reasons."""

    @classmethod
    def among(cls, found: FoundFiles, endings: Collection[str], earlier: EarlierResults) -> Pictures:
        """Sort the files that a folder or a pattern brings.

        Args:
            found: the files.
            endings: those of pictures that are taken.
            earlier: tells which files are results.

        Raises:
            StorageError: the disk or the network failed while metadata were read.
        """
        pictures = cls(endings=endings, unfinished=found.unfinished, unreadable=dict(found.unreadable))
        for path in found.paths:
            kind = pictures.taken if ending_of(path.name) in endings else pictures.of_other_formats
            if kind is pictures.of_other_formats and ending_of(path.name) in FILM_ENDINGS:
                kind = pictures.films
            elif kind is pictures.of_other_formats and not is_picture(path.name):
                continue
            try:
                if path.is_file():
                    (pictures.results if earlier.is_result(path) else kind).append(path)
                elif path.is_symlink() and not path.exists():
                    pictures.dead_links.append(path)
            except OSError as error:  # a link to a place that may not be read
                pictures.unreadable[path] = error.strerror or type(error).__name__
        pictures.of_other_endings = [path for path in found.of_other_endings if not earlier.is_result(path)]
        return pictures

    @property
    def lacks_some(self) -> bool:
        """Whether something is left out that somebody may miss."""
        return bool(
            self.of_other_formats or self.of_other_endings or self.unfinished or self.dead_links or self.unreadable
        )

    def warn_about_left_out(self, where: str) -> None:
        """Log what is left out: one warning for each reason, with the number. Films are the exception.

        Args:
            where: the folder or pattern, as the user wrote it.
        """
        if self.of_other_formats:
            names = [path.name for path in self.of_other_formats]
            _warn(where, "{n} picture{s} left out", names, f". To have them, {remedy_for(names, self.endings)}")
        _warn(where, "{n} link{s} to missing files left out", [path.name for path in self.dead_links])
        _warn(
            where,
            "{n} file{s} left out, since names such as ~a.jpg and a.part/ are those of unfinished copies",
            [path.name for path in self.unfinished],
            ". To have them, rename them or name each in a row of its own",
        )
        _warn(
            where,
            "{n} picture{s} left out, which the pattern would match with another ending of the same format",
            [path.name for path in self.of_other_endings],
            ". To have them, name the folder, or write a row for each ending",
        )
        _warn(where, "{n} result{s} of earlier runs left out", [path.name for path in self.results])
        _warn(
            where,
            "{n} file{s} or folder{s} that cannot be read left out",
            [f"{path} ({reason})" for path, reason in self.unreadable.items()],
            ". To have them, correct their permissions, or check the disk or the network",
        )

    def warn_about_films(self, where: str) -> None:
        """Log that films are left out, where films could be painted."""
        names = [path.name for path in self.films]
        _warn(
            where,
            "{n} film{s} left out",
            names,
            ". To have them painted, name them in rows of their own, or by patterns such as *.mp4",
        )


def _warn(where: str, text: str, names: list[str], remedy: str = "") -> None:
    """Log that files are left out, if there are any; the text has places for their number `n` and a plural `s`."""
    if names:
        told = text.format(n=len(names), s="s" * (len(names) != 1))
        logger.warning("%s: %s: %s%s.", where, told, listed(names), remedy)


def listed(names: list[str]) -> str:
    """Return the first names in words, with the number of the others."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def remedy_for(names: Iterable[str], endings: Collection[str]) -> str:
    """Return advice for pictures that are not read, without a full stop.

    Args:
        names: names of the pictures.
        endings: endings of pictures that are read.
    """
    found = (BY_ENDING.get(ending_of(name)) for name in names)
    formats = sorted({each.setting for each in found if each is not None and each.is_readable})
    convert = f"convert them to {in_words(frozenset(BY_ENDING[ending].name for ending in endings))}"
    if not formats:
        return convert
    allowed = " and ".join(f'"{each}"' for each in formats)
    return f"add {allowed} to image.formats, or {convert}"
