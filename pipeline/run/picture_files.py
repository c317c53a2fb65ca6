"""Pictures in a folder: which are taken, and which are left out, of which a user should hear."""

from __future__ import annotations

import fnmatch
import logging
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.errors import UsageError
from pipeline.images.formats import BY_ENDING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

logger = logging.getLogger(__name__)

MOST_NAMES: Final = 3
"""So many files are named, the others counted."""
WRITABLE: Final = ".png, .jpg, .webp or .tif"


def ending_of(name: str) -> str:
    """Of a file, in lower case, with its dot."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending, one that is read or another."""
    return ending_of(name) in BY_ENDING


def is_image(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file in a folder is one of its pictures."""
    return path.is_file() and path.suffix.lower() in endings and not path.name.startswith(".")


def remedy_for(names: Iterable[str]) -> str:
    """What to do about pictures that are not read, without a full stop."""
    found = (BY_ENDING.get(ending_of(name)) for name in names)
    formats = sorted({each.setting for each in found if each is not None and each.is_readable})
    convert = "convert them to JPEG, PNG, WebP or TIFF"
    if not formats:
        return convert
    allowed = " and ".join(f'"{each}"' for each in formats)
    return f"add {allowed} to image.formats, or {convert}"


def listed(names: list[str]) -> str:
    """The first of some names, and how many there are besides."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def tell_of_left_out(where: str, paths: Iterable[Path], endings: tuple[str, ...]) -> None:
    """One warning for the pictures that a folder or a pattern has and that are not taken, and for dead links.

    Args:
        where: the folder or pattern, as the user wrote it.
        paths: all that it has.
        endings: of those that are taken.
    """
    visible = sorted(path for path in paths if not path.name.startswith("."))
    dead = [path.name for path in visible if path.is_symlink() and not path.exists() and is_picture(path.name)]
    others = [
        path.name for path in visible if path.suffix.lower() not in endings and is_picture(path.name) and path.is_file()
    ]
    if others:
        count = f"{len(others)} picture{'s' * (len(others) != 1)}"
        logger.warning("%s: %s left out: %s. To have them, %s.", where, count, listed(others), remedy_for(others))
    if dead:
        count = f"{len(dead)} link{'s' * (len(dead) != 1)}"
        logger.warning("%s: %s to files that are not there left out: %s.", where, count, listed(dead))


_PARTIAL: Final = (
    ".*", "~*", "*~", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload", "*.tmp",
    "*.temp", "*.!ut", "*.aria2",
)  # fmt: skip


_JUNK: Final = (
    "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "system volume information",
    "__macosx", "lost+found", "icon\r",
)  # fmt: skip


_IGNORED: Final = re.compile("|".join(fnmatch.translate(pattern) for pattern in _PARTIAL + _JUNK))


def is_ignored(name: str) -> bool:
    """Whether a file or folder is none of ours: still being copied under a name of its own, hidden, or litter."""
    return _IGNORED.match(name.casefold()) is not None


def default_mask(file: str) -> Path | None:
    """The setting `mask.file` as an absolute path; None if it is empty.

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
    """The mask of a photograph of this name without its ending.

    Args:
        mask: a picture, for all photographs; or a folder of pictures that have the photographs' names.
        content: the photograph's name without its ending.
        endings: of pictures.
    """
    if not mask.is_dir():
        return mask
    stems = dict.fromkeys([content, *(unicodedata.normalize(form, content) for form in ("NFC", "NFD"))])
    named = (mask / f"{stem}{ending}" for stem in stems for each in endings for ending in (each, each.upper()))
    return next((path for path in named if path.is_file()), None)
