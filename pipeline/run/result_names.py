"""Names of results in the outbox, for manifests and for the drop folder.

A result is named after its photograph and its style. The outbox decides which names are possible (`check_name`); this
module replaces the characters of an impossible name, and cuts the name if it is too long.

- A manifest's row may name its result in the column `output`: that name is used unchanged, or refused. Without it
  the result has the names of photograph and style as they are spelled, if all file systems take them (`manifest_name`).
- The drop folder always replaces such characters, and keeps the folders below the style's (`result_name`).

Two results may have the same name, also if the names differ in case (`collision_key`), because some file systems do
not distinguish such names. Then one of them takes the first of its `alternatives` that is free, so that no result ever
replaces another: in a manifest by the rules of `distinct_names`, in the drop folder the later one.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.outbox.paths import is_portable
from pipeline.text import encodable, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.settings import PairSettings

    CheckName = Callable[[str], str | None]
    """Returns why a result cannot have a name, or None."""

LONGEST_STEM_BYTES: Final = 160
"""Bytes of a result's name without folders and extension: half for the photograph's, half for the style's name."""


def manifest_name(photograph: str, style: str, check_name: CheckName) -> str:
    """Return the name of a manifest's result, without extension: `<photo>__<style>`.

    It is changed only if it is impossible, or if some file system would refuse its characters.

    Args:
        photograph: the photograph's name without its ending.
        style: the style's name.
        check_name: returns why a result cannot have a name, or None.
    """
    name = spelled_name(photograph, style)
    is_fine = check_name(name) is None and is_portable(name)
    return name if is_fine else _presentable_name((), photograph, style, check_name)


def spelled_name(photograph: str, style: str) -> str:
    """Return the name of a manifest's result as photograph and style are spelled, as earlier versions gave it."""
    return unicodedata.normalize("NFC", encodable(f"{photograph}__{style}"))


def short_manifest_name(photograph: str, style: str) -> str:
    """Return a name as `manifest_name` does, cut so that it has room for a suffix, and possible everywhere."""
    return _presentable_name((), photograph, style, lambda _: None)


def result_name(relative: str, style: str, check_name: CheckName) -> str:
    """Return the name of a dropped photograph's result, without extension: `<folders below style>/<photo>__<style>`.

    Args:
        relative: the photograph's path in the inbox.
        style: the style's name.
        check_name: returns why a result cannot have a name, or None.
    """
    path = PurePosixPath(relative)
    return _presentable_name(path.parts[1:-1], path.stem, style, check_name)


def with_longest_suffix(check_name: CheckName, settings: PairSettings, photograph: str) -> CheckName:
    """Return a check of names without extension, which adds the longest suffix of a pair and its variants.

    Args:
        check_name: returns why a result cannot have a file name, or None.
        settings: the settings of the pair.
        photograph: the photograph's file name or label.
    """
    variant = max(("", *(f"--{mode}" for mode in settings.colour.variants)), key=len)
    suffix = f"{variant}.{settings.output.extension_for(photograph)}"
    return lambda name: check_name(f"{name}{suffix}")


def alternatives(name: str, key: str) -> Iterator[str]:
    """Yield a name, then that name with more and more digits of a key.

    The same photograph, dropped again under the same name, has the same key and so finds its result at once.
    """
    yield name
    for length in range(6, len(key) + 1, 6):
        yield f"{name}-{key[:length]}"


def collision_key(name: str) -> str:
    """Return a key that two names share if some file systems do not distinguish them."""
    return name.casefold()


def _presentable_name(folders: Sequence[str], photograph: str, style: str, check_name: CheckName) -> str:
    stem = f"{_presentable(photograph)}__{_presentable(style)}"
    name = "/".join([*map(_presentable, folders), stem])
    return f"_{name}" if check_name(name) else name


def _presentable(part: str) -> str:
    """Return a part of a name without characters that some system refuses, cut to half of the longest stem."""
    text = unicodedata.normalize("NFC", printable(part))
    return _shortened(re.sub(r'[\\/:*?"<>|]', "_", text).strip(" .") or "_")


def _shortened(part: str) -> str:
    """Return the part itself or, if it is too long, its beginning and eight digits of its hash."""
    data = os.fsencode(part)
    if len(data) <= LONGEST_STEM_BYTES // 2:
        return part
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: LONGEST_STEM_BYTES // 2 - 9].decode(errors='ignore')}~{digest}"
