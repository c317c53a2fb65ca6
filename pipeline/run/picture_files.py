"""Rules that tell pictures, masks and litter among files.

A file that a user names is always taken. The files of a folder or a pattern are judged: litter (`is_ignored`) counts
as absent, files with an allowed ending are taken, and a warning names the pictures that are left out. The drop folder
judges names by the same rules.
"""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.errors import UsageError
from pipeline.images.formats import BY_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

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


def is_image(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether there is a file that has one of the endings."""
    return path.is_file() and path.suffix.lower() in endings


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
    """Pictures that are left out because their names, or their folders' names, look like those of unfinished copies."""

    @classmethod
    def judge(cls, paths: Iterable[Path], names_of: Callable[[Path], Iterable[str]]) -> FoundFiles:
        """Judge paths by some of the names in them."""
        litter = {path: [name for name in names_of(path) if is_ignored(name)] for path in sorted(paths)}
        return cls(
            [path for path, names in litter.items() if not names],
            [
                path
                for path, names in litter.items()
                if names and is_picture(path.name) and not any(map(_is_hidden_or_junk, names))
            ],
        )


def _is_hidden_or_junk(name: str) -> bool:
    return name.startswith(".") or _IS_JUNK.match(name.casefold()) is not None


def entries_of(folder: Path) -> FoundFiles:
    """Return the entries of a folder, by name.

    Raises:
        OSError: the folder cannot be read.
    """
    return FoundFiles.judge(folder.iterdir(), lambda path: [path.name])


def matches_of(pattern: str, folder: Path) -> FoundFiles:
    """Return the matches of a pattern, by path. Names that the pattern spells out are not judged.

    Args:
        pattern: relative to the folder, or absolute; `**` stands for any number of folders.
        folder: an absolute path.
    """
    spelled_out = {"..", *(part for part in PurePath(pattern).parts if not glob.has_magic(part))}
    matches = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - takes absolute ones, too
    parts = {Path(os.path.normpath(folder / match)): PurePath(match).parts for match in matches}
    return FoundFiles.judge(parts, lambda path: [part for part in parts[path] if part not in spelled_out])


def earlier_results(files: Iterable[Path]) -> list[str]:
    """Return the names of those files that are results of an earlier run, which have metadata beside them."""
    return [path.name for path in files if path.with_name(f"{path.name}.json").exists()]


def listed(names: list[str]) -> str:
    """Return the first names in words, with the number of the others."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def remedy_for(names: Iterable[str]) -> str:
    """Return advice for pictures that are not read, without a full stop."""
    found = (BY_ENDING.get(ending_of(name)) for name in names)
    formats = sorted({each.setting for each in found if each is not None and each.is_readable})
    convert = "convert them to JPEG, PNG, WebP or TIFF"
    if not formats:
        return convert
    allowed = " and ".join(f'"{each}"' for each in formats)
    return f"add {allowed} to image.formats, or {convert}"


def warn_about_left_out(where: str, found: FoundFiles, endings: tuple[str, ...]) -> None:
    """Log the pictures that are not taken from a folder or a pattern: one warning for each reason.

    Args:
        where: the folder or pattern, as the user wrote it.
        found: the files that it brings.
        endings: those of pictures that are taken.
    """
    pictures = [path for path in found.paths if is_picture(path.name)]
    dead = [path.name for path in pictures if path.is_symlink() and not path.exists()]
    others = [path.name for path in pictures if path.suffix.lower() not in endings and path.is_file()]
    if others:
        count = f"{len(others)} picture{'s' * (len(others) != 1)}"
        logger.warning("%s: %s left out: %s. To have them, %s.", where, count, listed(others), remedy_for(others))
    if dead:
        count = f"{len(dead)} link{'s' * (len(dead) != 1)}"
        logger.warning("%s: %s to missing files left out: %s.", where, count, listed(dead))
    if found.unfinished:
        count = f"{len(found.unfinished)} picture{'s' * (len(found.unfinished) != 1)}"
        logger.warning(
            "%s: %s left out, since names such as ~a.jpg and a.part/ are those of unfinished copies: %s. To have them, "
            "rename them or name each in a row of its own.",
            where,
            count,
            listed([path.name for path in found.unfinished]),
        )


def default_mask(file: str) -> Path | None:
    """Return the setting `mask.file` as an absolute path; None if it is empty.

    Raises:
        UsageError: there is no such file or folder.
    """
    if not file:
        return None
    path = Path(file)
    if not path.exists():
        raise UsageError(f"mask.file = {file}: there is no such file or folder.", "Name a grey picture.")
    return path.resolve()


def mask_for(mask: Path, content: str, endings: Collection[str]) -> Path | None:
    """Return the mask of a photograph, or None if the folder of masks has none for it.

    Args:
        mask: a picture, for all photographs; or a folder of pictures that have the photographs' names.
        content: the photograph's name without its ending.
        endings: those of pictures.
    """
    if not mask.is_dir():
        return mask
    stems = dict.fromkeys([content, *(unicodedata.normalize(form, content) for form in ("NFC", "NFD"))])
    named = (mask / f"{stem}{ending}" for stem in stems for each in endings for ending in (each, each.upper()))
    return next((path for path in named if path.is_file()), None)
