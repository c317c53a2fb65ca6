"""Presets: the default, and earlier style-transfer systems as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.settings.pair_settings import ObjectiveSettings, OptimiserSettings, PyramidSettings

if TYPE_CHECKING:
    from pipeline.settings.pair_settings import Values

_PAINTING: Values = {
    "colour": {"mode": "regions"},
    "style": {"fit": "whole"},
    "objective": ObjectiveSettings().model_dump(),
    "pyramid": PyramidSettings().model_dump(exclude={"quality", "evaluations"}),
    "optimiser": OptimiserSettings().model_dump(exclude={"plateau"}),
}

_GATYS_OBJECTIVE: dict[str, Any] = {
    "style": "gram",
    "content_target": "photograph",
    "content_layers": ("conv4_2",),
    "content_layer_weights": (),
    "style_layers": ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
    "style_layer_weights": (),
    "content_weight": 1.0,
    "style_weight": 10.0,
    "tv_weight": 20_000.0,
    "pooling": "average",
    "padding": "replicate",
}
_AS_TRAINED = {"pooling": "max", "padding": "zero"}
_RELU_OBJECTIVE = (
    _GATYS_OBJECTIVE
    | _AS_TRAINED
    | {
        "content_layers": ("relu4_2",),
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "style_weight": 1000.0,
        "tv_weight": 10_000.0,
    }
)
_OPTIMISER: dict[str, Any] = {"history": 20, "alpha": 0.4}
_HALVED: dict[str, Any] = {"ratio": "2", "scales": 3, "floor": 192, "detail": 1.0}
"""Pyramid of the presets with Gram matrices. Without the floor, a small scale comes so near to the least objective that
the painting's own layout shows in place of the photograph."""

PRESETS: dict[str, Values] = {
    # The Wasserstein distance of features in place of Gram matrices (`pipeline.transfer.wasserstein`), with the
    # photograph's structure as the painting would show it. relu3_1 holds eyes and edges, relu4_2 holds shapes.
    "painting": _PAINTING,
    # The same with more weight on structure, most of all at relu3_1: likeness comes first, and skin is calmer.
    "portrait": _PAINTING
    | {"objective": ObjectiveSettings(content_weight=0.4, content_layer_weights=(1.0, 1.0)).model_dump()},
    # nazianafis/Neural-Style-Transfer: the style gets the content's U and V before the network sees it. There the
    # network is as it was trained (max pooling, padding by zeros); average pooling keeps the subject clearer and leaves
    # fewer specks in dark places, replicated borders leave no frame. With Gatys' style weight of 1000 the content term
    # has too little effect in so few evaluations: faces dissolve, and colours spread over the picture.
    "colour-preserving": {
        "colour": {"mode": "style-yuv"},
        "style": {"fit": "stretch"},
        "objective": _GATYS_OBJECTIVE,
        "pyramid": _HALVED,
        "optimiser": _OPTIMISER,
    },
    # leongatys/PytorchNeuralStyleTransfer: rectified taps, 1e3/C² and 1, no total variation, colours of the painting.
    "gatys2016": {
        "colour": {"mode": "none"},
        "style": {"fit": "whole"},
        "objective": _RELU_OBJECTIVE | {"tv_weight": 0.0},
        "pyramid": _HALVED,
        "optimiser": _OPTIMISER,
    },
    # pavelgonchar/color-independent-style-transfer: the result's luma, the photograph's chroma.
    "luminance": {
        "colour": {"mode": "swap-luma"},
        "style": {"fit": "whole"},
        "objective": _RELU_OBJECTIVE,
        "pyramid": _HALVED,
        "optimiser": _OPTIMISER,
    },
    # pytorch.org's tutorial: its first five convolutions, content at the fourth. Its style weight of 1e6 is for inputs
    # divided by ImageNet's standard deviation (57.1 of 255); the style term grows with the square of the content
    # term's scale, so on inputs of 0–255 the same balance is 1e6 / 57.1² = 306.
    "pytorch-tutorial": {
        "colour": {"mode": "none"},
        "style": {"fit": "stretch"},
        "objective": _GATYS_OBJECTIVE
        | _AS_TRAINED
        | {
            "content_layers": ("conv2_2",),
            "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
            "style_weight": 306.0,
            "tv_weight": 0.0,
        },
        "pyramid": _HALVED,
        "optimiser": _OPTIMISER,
    },
}
"""Presets by name. A preset sets the objective, the handling of colour and the scales, not the quality or the size."""
