"""Masks: where the style acts on a photograph."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection


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
