"""What a name in the inbox means, and what the result of a photograph is called."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFEST_ENDINGS: Final = (".csv", ".jsonl", ".ndjson", ".json")
STYLE_STEM: Final = "_style"
LONGEST_STEM_BYTES: Final = 160

_PARTIAL: Final = (
    ".*", "~*", "*~", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload", "*.tmp",
    "*.temp", "*.!ut", "*.aria2",
)  # fmt: skip
_JUNK: Final = (
    "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "system volume information",
    "__macosx", "lost+found", "icon\r",
)  # fmt: skip
_IGNORED: Final = re.compile("|".join(fnmatch.translate(pattern) for pattern in _PARTIAL + _JUNK))

Form = Literal["photo", "ticket", "style", "unknown"]


def is_ignored(name: str) -> bool:
    """Whether a file or folder is none of ours: still being copied under a name of its own, hidden, or litter."""
    return _IGNORED.match(name.casefold()) is not None


@dataclass(frozen=True)
class Candidate:
    """What a file in the inbox is by its name."""

    form: Form
    style: str | None = None
    """The name of the style that a photograph asks for, or that a style picture gives; None at the top."""


def classify(relative: str, image_endings: tuple[str, ...]) -> Candidate:
    """What a file in the inbox is.

    Args:
        relative: its path in the inbox, with `/`.
        image_endings: of files that are taken for pictures, such as `.jpg`.
    """
    path = PurePosixPath(relative)
    ending = path.suffix.lower()
    if len(path.parts) == 1:
        form: Form = "ticket" if ending in MANIFEST_ENDINGS else "photo" if ending in image_endings else "unknown"
        return Candidate(form)
    style = path.parts[0]
    if ending not in image_endings:
        return Candidate("unknown", style)
    is_style = len(path.parts) == 2 and path.stem == STYLE_STEM  # noqa: PLR2004 - a style folder's own file
    return Candidate("style" if is_style else "photo", style)


def result_name(relative: str, style: str, check_name: Callable[[str], str | None]) -> str:
    """A result's name in the outbox, without extension: `<folders below the style's>/<photo>__<style>`.

    What a result's name cannot have is replaced; a name that is too long is cut and ends in a part of its hash.

    Args:
        relative: the photograph's path in the inbox.
        style: the style's name.
        check_name: why the outbox would not have a name.
    """
    path = PurePosixPath(relative)
    folders = path.parts[1:-1]
    stem = f"{_shorten(_presentable(path.stem))}__{_shorten(_presentable(style))}"
    name = "/".join([*(_shorten(_presentable(folder)) for folder in folders), stem])
    return f"_{name}" if check_name(name) else name


def alternatives(name: str, key: str) -> Iterator[str]:
    """A name, then the same name with more and more of a key: a result never takes another's place.

    So the same photograph, dropped again under the same name, finds its result at once among any number of others.
    """
    yield name
    for length in range(6, len(key) + 1, 6):
        yield f"{name}-{key[:length]}"


def printable(name: str) -> str:
    """A name from the disk as logs and JSON can carry it, on one line."""
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _presentable(part: str) -> str:
    text = unicodedata.normalize("NFC", printable(part))
    return re.sub(r'[\\/:*?"<>|]', "_", text).strip(" .") or "_"


def _shorten(part: str) -> str:
    data = os.fsencode(part)
    if len(data) <= LONGEST_STEM_BYTES // 2:
        return part
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: LONGEST_STEM_BYTES // 2 - 9].decode(errors='ignore')}~{digest}"
