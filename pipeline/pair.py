"""The pair: a manifest or the drop folder asks for it, the stage renders it, and the outbox keeps its result.

`make_pairs` is the one place that builds pairs from what a user named; a pair itself is plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.text import encodable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.settings import PairSettings
    from pipeline.settings.pair_settings import OutputFormat


@dataclass(frozen=True)
class Predecessor:
    """The frame from whose result another frame starts."""

    content: Path
    """Its photograph."""
    result: str
    """Name of its result in the outbox, with extension."""
    key: str
    """Key of that result, which covers all frames of the shot before it."""
    first: Path
    """The photograph of the shot's first frame, whose colours the painting takes."""
    first_sha256: str
    """Hash of the file of that photograph."""
    renews: bool = False
    """Whether only the largest shapes are taken from it, and the frame is painted through the whole pyramid again."""


@dataclass(frozen=True)
class Step:
    """The photographs of a frame and of the frames between which it moves."""

    frame: Path
    before: Path
    """Photograph of the frame before."""
    first: Path
    """Photograph of the shot's first frame."""


@dataclass(frozen=True)
class Film:
    """A film whose frames are painted."""

    source: Path
    """The original."""
    result: str
    """Name of the painted film in the outbox, with extension."""


@dataclass(frozen=True)
class Frame:
    """The place of a pair in a sequence of frames.

    The plan of a run divides a sequence into shots (see `run.shots`): the first frame of a shot is painted like a
    photograph, and each other one starts from the result of the frame before it.
    """

    clip: str
    """Name of the sequence's results: the folder of the frames in the outbox."""
    number: int
    """Number of the frame in the sequence, from 0."""
    frames: int
    """Number of frames of the sequence."""
    previous: str = ""
    """Name of the result of the frame before, with extension; empty: this is the sequence's first frame."""
    previous_sha256: str = ""
    """Hash of the photograph before; empty if there is none, or if it cannot be read."""
    film: Film | None = None
    """The film of the frames; None: they are files of their own."""
    predecessor: Predecessor | None = None
    """The frame before, if this frame starts from its result; None: it begins a shot, or is not planned yet."""


@dataclass(frozen=True)
class Pair:
    """One content × one style, with the settings that apply to it."""

    content: Path
    """The photograph, as an absolute path."""
    styles: tuple[Path, ...]
    """The painting, or those of a blend, as absolute paths."""
    content_label: str
    """The photograph's name in the metadata: its path relative to the manifest or the inbox."""
    style_label: str
    """The style's name in the metadata."""
    name: str
    """The result's path in the outbox, with `/` and without its extension."""
    settings: PairSettings
    mask: Path | None = None
    """The mask, which is white where the style acts, as an absolute path; None: the style acts everywhere."""
    mask_label: str = ""
    """The mask's name in the metadata."""
    frame: Frame | None = None
    """The place in a sequence; None: the content is a photograph."""
    refusal: tuple[str, str] | None = None
    """Why the content cannot be painted, and what to do, as was found before; None: nothing is known against it."""

    @property
    def predecessor(self) -> Predecessor | None:
        """The frame from whose result this one starts; None for photographs, and for the first frame of a shot."""
        return self.frame.predecessor if self.frame is not None else None

    @property
    def follows(self) -> bool:
        """Whether the pair is a frame that takes more than its largest shapes from the frame before."""
        return self.predecessor is not None and not self.predecessor.renews

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that are read to render the pair."""
        return (self.content, *self.styles, *([self.mask] if self.mask is not None else []))

    @property
    def format(self) -> OutputFormat:
        """The result's format."""
        return self.settings.output.format_for(self.content_label)  # as it was named, not where a link leads

    @property
    def extension(self) -> str:
        """The extension of the result's name, without the dot."""
        return self.settings.output.extension_for(self.content_label)

    @property
    def file_name(self) -> str:
        """The result's path in the outbox, with `/` and extension."""
        return f"{self.name}.{self.extension}"

    @property
    def style_weights(self) -> tuple[float, ...]:
        """One weight for each painting."""
        weights = self.settings.style.blend_weights
        return weights if weights and len(self.styles) > 1 else (1.0,) * len(self.styles)

    def variants(self) -> Iterator[Pair]:
        """Yield the pair itself, and the further pairs that `colour.variants` asks for."""
        yield self
        colour = self.settings.colour
        for mode in colour.modes[1:]:
            of_variant = colour.model_copy(update={"mode": mode, "variants": colour.modes})
            settings = self.settings.model_copy(update={"colour": of_variant})
            yield replace(self, name=f"{self.name}--{mode}", settings=settings)


@dataclass(frozen=True)
class InputFile:
    """A photograph or a mask, and its name in the metadata."""

    path: Path
    label: str


@dataclass(frozen=True)
class Style:
    """A painting, or the paintings of a blend, as one style."""

    name: str
    """The style's part of the result's name."""
    label: str
    """The style's name in the metadata."""
    paintings: tuple[Path, ...]
    """Absolute paths, with links followed."""
    is_of_library: bool = False
    """Whether the style was found by its name in the style library, whose files `run.roots` does not restrict."""


def library_label(paintings: tuple[Path, ...]) -> str:
    """Return the name of a library's style in the metadata: that of its file, or of the folder of a blend."""
    return paintings[0].name if len(paintings) == 1 else paintings[0].parent.name


def make_pairs(  # noqa: PLR0913 - a pair's parts, all named
    *,
    content: InputFile,
    style: Style,
    name: str,
    settings: PairSettings,
    mask: InputFile | None = None,
    settings_are_shared: bool = False,
) -> list[Pair]:
    """Build the pair of a photograph and a style, and its variants.

    Args:
        content: the photograph.
        style: the painting or the blend.
        name: the result's path in the outbox, with `/` and without its extension.
        settings: the settings of the pair.
        mask: the mask; None: the style acts everywhere.
        settings_are_shared: whether the settings hold for other styles, too; then a style of one painting ignores the
            weights of a blend.

    Raises:
        UsageError: `style.blend_weights` does not have one value for each painting.
    """
    wrong = check_blend(len(style.paintings), settings, may_be_alone=settings_are_shared)
    if wrong:
        raise UsageError(f"{wrong}.", "Give one weight for each painting, or none.")
    pair = Pair(
        content=content.path,
        styles=style.paintings,
        content_label=encodable(content.label),
        style_label=encodable(style.label),
        name=name,
        settings=settings,
        mask=mask.path if mask is not None else None,
        mask_label=encodable(mask.label) if mask is not None else "",
    )
    return list(pair.variants())


def check_blend(paintings: int, settings: PairSettings, *, may_be_alone: bool = False) -> str | None:
    """Return why this number of paintings cannot be one style with these settings, or None.

    Args:
        paintings: number of paintings.
        settings: the settings of the pair.
        may_be_alone: whether the weights may be meant for other styles, so that one painting need not match them.
    """
    weights = settings.style.blend_weights
    if not weights or len(weights) == paintings or (paintings == 1 and may_be_alone):
        return None
    found = "is one painting, and nothing" if paintings == 1 else f"are {paintings} paintings"
    return f"style.blend_weights has {len(weights)} value{'s' * (len(weights) != 1)}, but there {found} to blend"
