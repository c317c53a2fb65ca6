"""Presets: earlier style-transfer systems as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings.pair_settings import ObjectiveSettings

if TYPE_CHECKING:
    from pipeline.settings.pair_settings import Values

_DEFAULT_OBJECTIVE = ObjectiveSettings().model_dump()
_AS_TRAINED = {"pooling": "max", "padding": "zero"}
_RELU_OBJECTIVE = (
    _DEFAULT_OBJECTIVE
    | _AS_TRAINED
    | {
        "content_layers": ("relu4_2",),
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "style_weight": 1000.0,
        "tv_weight": 10_000.0,
    }
)

PRESETS: dict[str, Values] = {
    # nazianafis/Neural-Style-Transfer: the style gets the content's U and V before the network sees it. There the
    # network is as it was trained (max pooling, padding by zeros); average pooling keeps the subject clearer and leaves
    # fewer specks in dark places, replicated borders leave no frame. With Gatys' style weight of 1000 the content term
    # has too little effect in so few evaluations: faces dissolve, and colours spread over the picture.
    "colour-preserving": {
        "colour": {"mode": "style-yuv"},
        "style": {"fit": "stretch"},
        "objective": _DEFAULT_OBJECTIVE,
    },
    # leongatys/PytorchNeuralStyleTransfer: rectified taps, 1e3/C² and 1, no total variation, colours of the painting.
    "gatys2016": {
        "colour": {"mode": "none"},
        "style": {"fit": "whole"},
        "objective": _RELU_OBJECTIVE | {"tv_weight": 0.0},
    },
    # pavelgonchar/color-independent-style-transfer: the result's luma, the photograph's chroma.
    "luminance": {
        "colour": {"mode": "swap-luma"},
        "style": {"fit": "whole"},
        "objective": _RELU_OBJECTIVE,
    },
    # pytorch.org's tutorial: its first five convolutions, content at the fourth. Its style weight of 1e6 is for inputs
    # divided by ImageNet's standard deviation (57.1 of 255); the style term grows with the square of the content
    # term's scale, so on inputs of 0–255 the same balance is 1e6 / 57.1² = 306.
    "pytorch-tutorial": {
        "colour": {"mode": "none"},
        "style": {"fit": "stretch"},
        "objective": _DEFAULT_OBJECTIVE
        | _AS_TRAINED
        | {
            "content_layers": ("conv2_2",),
            "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
            "style_weight": 306.0,
            "tv_weight": 0.0,
        },
    },
}
"""Presets by name. A preset sets the objective and the handling of colour, not sizes or the number of evaluations."""
