"""What a ticket, a manifest in the inbox, waits for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.run.manifest import Expander
from pipeline.run.manifest_rows import Problems, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.run.manifest import Confines
    from pipeline.settings.pair_settings import Values


@dataclass(frozen=True)
class Needs:
    """What a ticket waits for."""

    files: frozenset[str]
    """By their paths in the inbox."""
    styles: frozenset[str]
    """By their names in the style library."""


def needs_of_ticket(path: Path, below: Values, flags: Values, confines: Confines) -> Needs:
    """What a manifest in the inbox waits for; it need not be there yet.

    Such a manifest names files one by one, since nobody knows when a folder is complete, and none outside of the inbox.
    A style is named as the style library names it, or is a picture in the inbox.

    Raises:
        UnreadableError: the disk or the network failed.
        ManifestError: names every line that is wrong.
        UsageError: the file cannot be read at all.
    """
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        problems.add(1, "the manifest lists no pairs")
    expander = Expander(path.parent, below, flags, confines, problems)
    files, styles = set(), set()
    for row in rows:
        expander.settings(row)
        named = (("content", row.content), ("style", row.style), *([("mask", row.mask)] if row.mask else []))
        for what, text in named:
            if what == "style" and (confines.find_style(text) or not _has_ending(text, confines)):
                styles.add(text)
                continue
            files.add(text)
            wrong = _why_not_in_inbox(text, confines)
            if wrong:
                problems.add(row.line, f"{what} {text!r} {wrong}")
    problems.raise_if_any(path.name)
    return Needs(frozenset(os.path.normpath(text).replace(os.sep, "/") for text in files), frozenset(styles))


def _has_ending(text: str, confines: Confines) -> bool:
    return PurePosixPath(text.replace(os.sep, "/")).suffix.lower() in confines.endings


def _why_not_in_inbox(text: str, confines: Confines) -> str | None:
    path = PurePosixPath(text.replace(os.sep, "/"))
    if path.is_absolute() or ".." in path.parts:
        return "is outside of the inbox"
    if any(part.startswith(".") for part in path.parts):
        return "is hidden"
    if "*" in text or "?" in text:
        return "is a pattern; here files are named one by one"
    if not _has_ending(text, confines):
        return f"is no picture ({', '.join(confines.endings)}); here files are named one by one"
    return None
