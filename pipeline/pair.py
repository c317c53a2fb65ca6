"""The pair: what intake makes, the stage renders and the outbox remembers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.settings.pair_settings import OutputFormat, PairSettings


def check_blend(paintings: int, settings: PairSettings, *, may_be_alone: bool = False) -> str | None:
    """Why so many paintings cannot be one style with these settings, or None.

    Args:
        paintings: that were found.
        settings: of the pair.
        may_be_alone: the weights are meant for other styles, so that one painting need not mind them.
    """
    weights = settings.style.blend_weights
    if not weights or len(weights) == paintings or (paintings == 1 and may_be_alone):
        return None
    found = "is one painting, and nothing" if paintings == 1 else f"are {paintings} paintings"
    return f"style.blend_weights has {len(weights)} value{'s' * (len(weights) != 1)}, but there {found} to blend"


@dataclass(frozen=True)
class Pair:
    """One content × one style, with the settings that apply to it."""

    content: Path
    """The photograph, as an absolute path."""
    styles: tuple[Path, ...]
    """The painting, or those of a blend, as absolute paths."""
    content_label: str
    """The content as the metadata names it: relative to the manifest."""
    style_label: str
    """The style as the metadata names it."""
    name: str
    """The result's path in the outbox, with `/` and without its extension."""
    settings: PairSettings
    mask: Path | None = None
    """Where the style acts, as an absolute path; None: everywhere."""
    mask_label: str = ""
    """The mask as the metadata names it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read of it."""
        return (self.content, *self.styles, *([self.mask] if self.mask is not None else []))

    @property
    def format(self) -> OutputFormat:
        """Of the result."""
        return self.settings.output.format_for(self.content_label)  # as it was named, not where a link leads

    @property
    def extension(self) -> str:
        """Of the result's name, without the dot."""
        return self.settings.output.extension_for(self.content_label)

    @property
    def file_name(self) -> str:
        """The result's path in the outbox, with `/` and extension."""
        return f"{self.name}.{self.extension}"

    @property
    def style_weights(self) -> tuple[float, ...]:
        """One for each painting."""
        weights = self.settings.style.blend_weights
        return weights if weights and len(self.styles) > 1 else (1.0,) * len(self.styles)

    def variants(self) -> Iterator[Pair]:
        """The pair itself, and those that `colour.variants` asks for beside it."""
        yield self
        colour = self.settings.colour
        for mode in colour.modes[1:]:
            of_variant = colour.model_copy(update={"mode": mode, "variants": colour.modes})
            settings = self.settings.model_copy(update={"colour": of_variant})
            yield replace(self, name=f"{self.name}--{mode}", settings=settings)
