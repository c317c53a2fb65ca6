"""Names in the inbox, from which the purpose of each file is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

TICKET_ENDINGS: Final = (".csv", ".jsonl", ".ndjson")
"""Endings of tickets. A manifest for `impasto run` may end in `.json`, too, but in an inbox such files are mostly
records that another program wrote beside photographs."""
STYLE_STEM: Final = "_style"
"""Name, without ending, of the style picture of a folder; upper and lower case do not matter."""
Form = Literal["photo", "ticket", "style", "unknown"]
"""Kinds of files: a photograph, a manifest, a style picture, or none of these."""


@dataclass(frozen=True)
class Candidate:
    """The kind of a file in the inbox, by its name alone."""

    form: Form
    style: str | None = None
    """Name of a photograph's style, or of the style that a style picture provides; None at the top of the inbox."""


def is_ticket(relative: str) -> bool:
    """Whether a file is a ticket, by its path in the inbox."""
    return "/" not in relative and PurePosixPath(relative).suffix.lower() in TICKET_ENDINGS


def classify(relative: str, image_endings: tuple[str, ...]) -> Candidate:
    """Return the kind of a file in the inbox.

    Args:
        relative: path of the file in the inbox, with `/`.
        image_endings: endings of pictures, such as `.jpg`.
    """
    path = PurePosixPath(relative)
    ending = path.suffix.lower()
    if len(path.parts) == 1:
        form: Form = "ticket" if is_ticket(relative) else "photo" if ending in image_endings else "unknown"
        return Candidate(form)
    style = path.parts[0]
    if ending not in image_endings:
        return Candidate("unknown", style)
    is_style = len(path.parts) == 2 and path.stem.casefold() == STYLE_STEM  # noqa: PLR2004 - a folder and a file
    return Candidate("style" if is_style else "photo", style)
