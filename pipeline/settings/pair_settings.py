"""The sections of config.toml that may differ from pair to pair, as validated models."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.settings.base import Count, Section, Weight

Values = dict[str, Any]
"""Raw settings: `{section: {key: value}}`, and `preset`."""

LAYER_PATTERN: Final = r"^(conv|relu)([12]_[12]|[34]_[1-4]|5_1)$"


_SIDES: Final = (16, 16_384)
"""Shortest and longest side in px of the setting `image.size`."""


def _check_size(value: object) -> int | str:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    least, most = _SIDES
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    if value == "native":
        return "native"
    if isinstance(value, str) and re.fullmatch(r"\d*\.?\d+MP", value):
        if least**2 <= float(value.removesuffix("MP")) * 1e6 <= most**2:
            return value
        raise ValueError(f"should be from {least**2 / 1e6:f} to {most**2 / 1e6:.0f} megapixels")
    msg = f'should be the longest side in px ({least} to {most}), "native", or megapixels like "12MP"'
    raise ValueError(msg)


InputFormat = Literal["jpeg", "png", "webp", "tiff", "avif", "bmp", "gif", "jpeg2000"]
OutputFormat = Literal["png", "jpeg", "webp", "tiff"]
OUTPUT_FORMATS: Final[dict[str, OutputFormat]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".jif": "jpeg",
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
    max_pixels: Count = Field(
        100_000_000, ge=256, description="pixels of the largest input; larger files are refused before they are decoded"
    )
    formats: tuple[InputFormat, ...] = Field(
        ("jpeg", "png", "webp", "tiff"),
        min_length=1,
        description="formats that are read; avif, bmp, gif and jpeg2000 may be added",
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
        "regions",
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
        "whole",
        description="stretch to the photograph's size; cover it, cropped; whole: same short side, not cropped",
    )
    scale: float = Field(
        1.0, ge=0.1, le=4, description="size of the painting, and so of its strokes, relative to the photograph"
    )
    blend: bool = Field(
        default=False,
        description="true: a folder or pattern of paintings is one style, their blend; false: each painting is a style",
    )
    blend_weights: tuple[Annotated[Weight, Field(gt=0)], ...] = Field(
        (), description="one weight per painting of a blend, in the order of their names; empty: all 1"
    )


class ObjectiveSettings(Section):
    """The objective that is minimised; see `pipeline.transfer.objective`."""

    style: Literal["wasserstein", "gram"] = Field(
        "wasserstein",
        description="measure of style: wasserstein, means and covariances of features, or gram, as Gatys did",
    )
    content_target: Literal["transported", "photograph"] = Field(
        "transported",
        description="structure that is asked for: the photograph's, or as the painting would show it (transported)",
    )

    content_layers: tuple[Annotated[str, Field(pattern=LAYER_PATTERN)], ...] = Field(
        ("relu3_1", "relu4_2"),
        description="layers where the photograph is compared; conv: before the rectifier, relu: after it",
    )
    content_layer_weights: tuple[Weight, ...] = Field(
        (0.2, 1.0), description="one weight per content layer; empty: all 1"
    )
    style_layers: tuple[Annotated[str, Field(pattern=LAYER_PATTERN)], ...] = Field(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), description="layers where the painting is compared"
    )
    style_layer_weights: tuple[Weight, ...] = Field((), description="one weight per style layer; empty: all 1")
    content_weight: Weight = Field(0.17, description="weight of the photograph's structure")
    style_weight: Weight = Field(1.0, description="weight of the painting's texture")
    tv_weight: Weight = Field(0.002, description="weight of total variation; more is smoother")
    pooling: Literal["max", "average"] = Field(
        "max", description="pooling of the network: max, or average, scaled to the same magnitude"
    )
    padding: Literal["zero", "replicate"] = Field(
        "replicate", description="padding at the picture's border: zero, as the network was trained, or replicate"
    )

    @model_validator(mode="after")
    def _weights_suit_the_style(self) -> ObjectiveSettings:
        for name, largest in _LARGEST_RELATIVE.items():
            if self.style == "wasserstein" and (value := getattr(self, name)) > largest:
                msg = (
                    f"{name} = {value:g} is a weight for Gram matrices; "
                    'set preset = "colour-preserving", for which it was meant, or leave it out'
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_weight_per_layer(self) -> ObjectiveSettings:
        if not self.style_layers and not self.content_layers:
            msg = "content_layers and style_layers are both empty, so there is nothing to minimise"
            raise ValueError(msg)
        for kind in ("content", "style"):
            layers, weights = getattr(self, f"{kind}_layers"), getattr(self, f"{kind}_layer_weights")
            twice = {layer for layer in layers if layers.count(layer) > 1}
            if twice:
                msg = f"{kind}_layers names {', '.join(sorted(twice))} twice; name each layer once, with one weight"
                raise ValueError(msg)
            if weights and len(weights) != len(layers):
                msg = f"{kind}_layer_weights has {len(weights)} values, but there are {len(layers)} {kind}_layers"
                raise ValueError(msg)
        return self


_LARGEST_RELATIVE = {"style_weight": 9.99, "tv_weight": 1.0}
"""Largest weights with the Wasserstein distance; larger ones were meant for Gram matrices, or smear the picture."""

Quality = Literal["draft", "standard", "print"]

Ratio = Literal["2", "sqrt2"]
"""Ratio of the sides of a scale and the next coarser one."""

EVALUATIONS: Final[dict[Ratio, dict[Quality, tuple[int, ...]]]] = {
    "2": {
        "draft": (10, 12, 20),
        "standard": (25, 20, 30),
        "print": (100, 75, 100),
    },
    "sqrt2": {
        "draft": (6, 10, 20),
        "standard": (14, 22, 22, 22, 36),
        "print": (45, 45, 45, 45, 70),
    },
}
"""Evaluations at the finest scale and at each coarser one, by ratio and quality; the last number is that of all others.
Each scale starts from the one before: the nearer they are, the fewer evaluations it takes."""


def _as_share(value: object) -> object:
    return {"none": 0.0, "photograph": 1.0}.get(value, value) if isinstance(value, str) else value


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class PyramidSettings(Section):
    """The scales that the optimisation goes through, coarse to fine."""

    quality: Quality = Field("standard", description="draft, standard or print: how many evaluations are spent")
    ratio: Annotated[Ratio, BeforeValidator(str)] = Field(
        "sqrt2", description="ratio of a size to the next smaller one: 2 or sqrt2, which changes more gradually"
    )
    scales: int = Field(5, ge=1, le=9, description="number of sizes to work at; more give larger strokes")
    floor: int = Field(
        192,
        ge=0,
        le=16384,
        description="short side in px of the smallest size; at smaller ones a painting's layout is copied; 0: no limit",
    )
    detail: Annotated[float, BeforeValidator(_as_share), Field(ge=0, le=1)] = Field(
        0.4,
        description='the photograph\'s detail that each size starts with: "none", "photograph", or a share (0 to 1)',
    )
    evaluations: Annotated[
        tuple[Annotated[int, Field(ge=2, le=100_000)], ...], BeforeValidator(_as_tuple), Field(max_length=9)
    ] = Field(
        (),
        description="evaluations at each scale, coarse to fine, in place of quality and scales, at least 2 each; "
        "one number: one scale",
    )

    @property
    def planned(self) -> tuple[int, ...]:
        """Evaluations at each scale, coarse to fine."""
        table = EVALUATIONS[self.ratio][self.quality]
        return self.evaluations or tuple(table[min(i, len(table) - 1)] for i in reversed(range(self.scales)))


class OptimiserSettings(Section):
    """The optimiser, L-BFGS."""

    history: int = Field(10, ge=1, le=1000, description="steps that L-BFGS remembers")
    alpha: float = Field(
        0.4, ge=0, le=1, description="how much large shapes go before small ones at first: spectrum times f^(-2 alpha)"
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


class SequenceSettings(Section):
    """Frames of a sequence, each of which starts from the result of the frame before."""

    flow: Literal["dis", "none"] = Field(
        "dis", description="optical flow that moves each result to the next frame; none: frames are painted one by one"
    )
    effort: float = Field(
        0.44, gt=0, le=1, description="evaluations of a frame that follows another, as a share of a photograph's"
    )
    temporal: float = Field(
        0.02, ge=0, le=10, description="weight of staying near the frame before, as a share of the objective"
    )
    cuts: Literal["auto", "none"] = Field("auto", description="auto: a new shot begins where the picture changes")
    film: Literal["h264", "ffv1", "none"] = Field(
        "h264", description="codec of painted films: h264, ffv1, which loses nothing, or none: only frames"
    )
    refresh: int = Field(
        48, ge=0, le=1_000_000, description="frames after which a shot's picture is painted through again; 0: never"
    )


class PairSettings(Section):
    """The settings of one pair; a manifest's column is named `section.key`."""

    preset: str = Field("painting", description="see `impasto run --help`")
    image: ImageSettings = ImageSettings()
    colour: ColourSettings = ColourSettings()
    style: StyleSettings = StyleSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    pyramid: PyramidSettings = PyramidSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    output: OutputSettings = OutputSettings()
    sequence: SequenceSettings = SequenceSettings()

    @model_validator(mode="after")
    def _fit_suits_mode(self) -> PairSettings:
        if "style-yuv" in self.colour.modes and self.style.fit == "whole":
            msg = (
                'colour.mode = "style-yuv" needs photograph and painting of one size, not style.fit = "whole"; '
                'set style.fit = "stretch", or use preset = "colour-preserving"'
            )
            raise ValueError(msg)
        return self
