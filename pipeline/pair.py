"""The pair: what intake makes, the stage renders and the outbox remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import PairSettings


@dataclass(frozen=True)
class Pair:
    """One content × one style, with the settings that apply to it."""

    content: Path
    """The photograph, as an absolute path."""
    style: Path
    """The painting, as an absolute path."""
    content_label: str
    """The content as the metadata names it: relative to the manifest."""
    style_label: str
    """The style as the metadata names it."""
    name: str
    """The result's path in the outbox, with `/` and without its extension."""
    settings: PairSettings

    @property
    def file_name(self) -> str:
        """The result's path in the outbox, with `/` and extension."""
        return f"{self.name}.{self.settings.output.extension}"
