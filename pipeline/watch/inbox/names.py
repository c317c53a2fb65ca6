"""What a name in the inbox means, and what the result of a photograph is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

MANIFEST_ENDINGS: Final = (".csv", ".jsonl", ".ndjson", ".json")
STYLE_STEM: Final = "_style"
Form = Literal["photo", "ticket", "style", "unknown"]


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
