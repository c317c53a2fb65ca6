"""The sections of config.toml that may differ from pair to pair, as validated models."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.settings.base import Section

Values = dict[str, Any]
"""Raw settings: `{section: {key: value}}`, and `preset`."""

LAYER_PATTERN: Final = r"^(conv|relu)([12]_[12]|[34]_[1-4]|5_1)$"


def _check_size(value: object) -> int | str:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 16 <= value <= 16384:  # noqa: PLR2004
        return value
    if isinstance(value, str) and (value == "native" or re.fullmatch(r"\d*\.?\d+MP", value)):
        return value
    msg = 'should be the longest side in px (16 to 16384), "native", or megapixels like "12MP"'
    raise ValueError(msg)


InputFormat = Literal["jpeg", "png", "webp", "tiff", "avif", "bmp", "gif", "jpeg2000"]
OutputFormat = Literal["png", "jpeg", "webp", "tiff"]
OUTPUT_FORMATS: Final[dict[str, OutputFormat]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Output formats by ending; results get the first ending of their format."""


class ImageSettings(Section):
    """Sizes and formats of pictures."""

    size: Annotated[int | str, BeforeValidator(_check_size)] = Field(
        512, description='working size: longest side in px, "native", or megapixels such as "12MP"'
    )
    upscale: Literal["none", "guided"] = Field(
        "none",
        description="guided: enlarge the result to the photograph's size, with fine detail from its luminance",
    )
    max_pixels: int = Field(
        100_000_000, ge=256, description="pixels of the largest input; larger files are refused before they are decoded"
    )
    formats: tuple[InputFormat, ...] = Field(
        ("jpeg", "png", "webp", "tiff"), description="formats that are read; avif, bmp, gif and jpeg2000 may be added"
    )

    @property
    def kinds(self) -> frozenset[str]:
        """The allowed formats, as `pipeline.images.formats` names them."""
        return frozenset(name.upper() for name in self.formats)


ColourMode = Literal["style-yuv", "luminance", "swap-luma", "match", "histogram", "regions", "none"]
"""Colour mode of a result; see `pipeline.images.colour.modes`."""


class ColourSettings(Section):
    """The colours of the result."""

    mode: ColourMode = Field(
        "style-yuv",
        description="style-yuv, luminance, swap-luma, match, histogram, none, or "
        "regions: every region keeps the photograph's colours, every stroke the painting's",
    )
    strength: float = Field(1.0, ge=0, le=1, description="strength of the mode, from 0 (no effect) to 1 (full effect)")
    match: Literal["mean-std", "cholesky", "pca", "monge-kantorovich"] = Field(
        "monge-kantorovich", description="method of mode match: mean-std, cholesky, pca or monge-kantorovich"
    )
    variants: tuple[ColourMode, ...] = Field(
        (), description="modes of further results, named NAME--MODE; none and swap-luma share one optimisation"
    )

    @property
    def modes(self) -> tuple[ColourMode, ...]:
        """The colour modes of all results of a pair, its own first."""
        return tuple(dict.fromkeys((self.mode, *self.variants)))


class StyleSettings(Section):
    """Size of the painting, and blends."""

    fit: Literal["stretch", "cover", "whole"] = Field(
        "stretch",
        description="stretch to the photograph's size; cover it, cropped; whole: same short side, not cropped",
    )
    scale: float = Field(
        1.0, ge=0.1, le=4, description="size of the painting, and so of its strokes, relative to the photograph"
    )
    blend: bool = Field(
        default=False,
        description="true: a folder or pattern of paintings is one style, their blend; false: each painting is a style",
    )
    blend_weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        (), description="one weight per painting of a blend, in the order of their names; empty: all 1"
    )


class ObjectiveSettings(Section):
    """The objective that is minimised; see `pipeline.transfer.objective`."""

    content_layers: tuple[Annotated[str, Field(pattern=LAYER_PATTERN)], ...] = Field(
        ("conv4_2",), description="layers where the photograph is compared; conv: before the rectifier, relu: after it"
    )
    style_layers: tuple[Annotated[str, Field(pattern=LAYER_PATTERN)], ...] = Field(
        ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"), description="layers where the painting is compared"
    )
    style_layer_weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        (), description="one weight per style layer; empty: all 1"
    )
    content_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="weight of the photograph's structure")
    style_weight: float = Field(10.0, ge=0, allow_inf_nan=False, description="weight of the painting's texture")
    tv_weight: float = Field(
        20_000.0, ge=0, allow_inf_nan=False, description="weight of total variation; more is smoother"
    )
    pooling: Literal["max", "average"] = Field(
        "average", description="pooling of the network: max, or average, scaled to the same magnitude"
    )
    padding: Literal["zero", "replicate"] = Field(
        "replicate", description="padding at the picture's border: zero, as the network was trained, or replicate"
    )

    @model_validator(mode="after")
    def _one_weight_per_layer(self) -> ObjectiveSettings:
        if self.style_layer_weights and len(self.style_layer_weights) != len(self.style_layers):
            msg = (
                f"style_layer_weights has {len(self.style_layer_weights)} values, "
                f"but there are {len(self.style_layers)} style_layers"
            )
            raise ValueError(msg)
        if not self.style_layers and not self.content_layers:
            msg = "content_layers and style_layers are both empty, so there is nothing to minimise"
            raise ValueError(msg)
        return self


Quality = Literal["draft", "standard", "print"]

EVALUATIONS: Final[dict[Quality, tuple[int, ...]]] = {
    "draft": (10, 20, 40, 40, 40),
    "standard": (25, 30, 60, 60, 60),
    "print": (100, 150, 200, 200, 200),
}
"""Evaluations at the finest scale and at each coarser one, by quality."""


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class PyramidSettings(Section):
    """The scales that the optimisation goes through, coarse to fine."""

    quality: Quality = Field("standard", description="draft, standard or print: how many evaluations are spent")
    scales: int = Field(
        3, ge=1, le=5, description="number of sizes to work at, each half of the next; more give larger strokes"
    )
    evaluations: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100_000)], ...], BeforeValidator(_as_tuple), Field(max_length=8)
    ] = Field(
        (),
        description="evaluations at each scale, coarse to fine, in place of quality and scales; one number: one scale",
    )

    @property
    def planned(self) -> tuple[int, ...]:
        """Evaluations at each scale, coarse to fine."""
        return self.evaluations or EVALUATIONS[self.quality][: self.scales][::-1]


class OptimiserSettings(Section):
    """The optimiser, L-BFGS."""

    history: int = Field(20, ge=1, le=1000, description="steps that L-BFGS remembers")
    alpha: float = Field(
        0.4, ge=0, le=1, description="how much large shapes go before small ones: spectrum times f^(-2 alpha); 0: off"
    )
    plateau: float = Field(
        0.0, ge=0, lt=1, description="end a scale when its last ten evaluations gain less than this share; 0: never"
    )


class OutputSettings(Section):
    """The result's file."""

    format: Literal["png", "jpeg", "webp", "tiff", "same"] = Field(
        "png", description="png, jpeg, webp (lossless), tiff, or same: the photograph's format, by its file name"
    )
    bit_depth: Literal["same", 8, 16] = Field(
        "same", description="bits per channel: 8, 16 (png and tiff only), or same: the photograph's where possible"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="quality of a JPEG, 1 to 100; colour is never subsampled")
    strip_gps: bool = Field(default=False, description="leave out of the result where the photograph was taken")

    @model_validator(mode="after")
    def _sixteen_bits_suit_format(self) -> OutputSettings:
        if self.bit_depth == 16 and self.format in ("jpeg", "webp"):  # noqa: PLR2004 - bits
            msg = f"output.bit_depth = 16 does not go with output.format = {self.format}, which has 8"
            raise ValueError(msg)
        return self

    def format_for(self, content: str) -> OutputFormat:
        """Return the format of the result for a photograph of this file name."""
        if self.format == "same":
            return OUTPUT_FORMATS.get(PurePath(content).suffix.lower(), "png")
        return self.format

    def extension_for(self, content: str) -> str:
        """Return the ending of the result's name, without the dot, for a photograph of this file name."""
        wanted = self.format_for(content)
        return next(ending for ending, kind in OUTPUT_FORMATS.items() if kind == wanted).removeprefix(".")


class PairSettings(Section):
    """The settings of one pair; a manifest's column is named `section.key`."""

    preset: str = Field("colour-preserving", description="see `impasto run --help`")
    image: ImageSettings = ImageSettings()
    colour: ColourSettings = ColourSettings()
    style: StyleSettings = StyleSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    pyramid: PyramidSettings = PyramidSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    output: OutputSettings = OutputSettings()

    @model_validator(mode="after")
    def _fit_suits_mode(self) -> PairSettings:
        if "style-yuv" in self.colour.modes and self.style.fit == "whole":
            msg = 'style.fit = "whole" does not go with colour.mode = "style-yuv", which needs both of one size'
            raise ValueError(msg)
        return self
