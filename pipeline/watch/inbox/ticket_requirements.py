"""Requirements of a ticket: the files and styles that its rows name."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.run.manifest import Expander
from pipeline.run.manifest_rows import Problems, read_rows
from pipeline.run.named_paths import composed, slashed

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.run.manifest import ManifestRules
    from pipeline.settings.pair_settings import Values


@dataclass(frozen=True)
class TicketRequirements:
    """Files and styles that a ticket waits for."""

    files: frozenset[str]
    """Paths in the inbox, in the Unicode form NFC; the files themselves may have another form."""
    styles: frozenset[str]
    """Names in the style library."""


def requirements_of_ticket(
    path: Path, base_values: Values, overrides: Values, rules: ManifestRules
) -> TicketRequirements:
    """Read the files and styles that a manifest in the inbox needs; its files need not be there yet.

    Such a manifest names files one by one, since it is unknown when a folder is complete, and only files in the inbox.
    A style is a name of the style library or a picture in the inbox.

    Args:
        path: the manifest.
        base_values: settings weaker than the manifest's rows.
        overrides: settings stronger than the manifest's rows.
        rules: rules for the files and names in the manifest.

    Raises:
        UnreadableError: the disk or the network failed; the manifest may be read again.
        ManifestError: rows are wrong; the error names every such line.
        UsageError: the file cannot be read, or is too large.
    """
    _check_regular(path)
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        problems.add(1, "the manifest lists no pairs")
    expander = Expander(path.parent, base_values, overrides, rules, problems)
    files, styles = set(), set()
    for row in rows:
        expander.settings(row)
        if row.is_sequence:
            problems.add(row.line, "sequence = true is for `impasto run`; the drop folder takes single photographs")
        named = (("content", row.content), ("style", row.style), *([("mask", row.mask)] if row.mask else []))
        for what, text in named:
            if what == "style" and (rules.find_style(text) or not _has_ending(text, rules)):
                styles.add(text)
                continue
            files.add(text)
            wrong = _why_not_in_inbox(text, rules)
            if wrong:
                problems.add(row.line, f"{what} {text!r} {wrong}")
    problems.raise_if_any(path.name)
    return TicketRequirements(
        frozenset(composed(slashed(os.path.normpath(slashed(text)))) for text in files), frozenset(styles)
    )


def _check_regular(path: Path) -> None:
    """Check that a ticket is a file: reading a FIFO would wait, and a link leads to files of others.

    The ticket is in the spool, where nobody replaces it after this check.
    """
    try:
        is_regular = stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # reading it fails as well, and explains the error
        return
    if not is_regular:
        raise UsageError(f"{path.name}: is no regular file.", "Put a CSV or JSON Lines file into the inbox.")


def _has_ending(text: str, rules: ManifestRules) -> bool:
    return PurePosixPath(slashed(text)).suffix.lower() in rules.endings


def _why_not_in_inbox(text: str, rules: ManifestRules) -> str | None:
    path = PurePosixPath(slashed(text))
    if path.is_absolute() or ".." in path.parts:
        return "is outside of the inbox"
    if any(part.startswith(".") for part in path.parts):
        return "is hidden"
    if "*" in text or "?" in text:
        return "is a pattern; here files are named one by one"
    if not _has_ending(text, rules):
        return f"is no picture ({', '.join(rules.endings)}); here files are named one by one"
    return None
