"""VGG19 up to conv5_1 (Simonyan & Zisserman 2014, arXiv:1409.1556): features, and their gradient by the image.

The network is a chain, so its gradient by the input is written by hand: the forward pass keeps one tensor per
convolution; the backward pass masks by the rectifier, convolves with the flipped, transposed kernels, and frees them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

from pipeline.transfer.convolution import Convolution
from pipeline.transfer.pooling import average_unpool, max_pool, max_unpool
from pipeline.transfer.rounding import round_kernel

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

CONVOLUTIONS = (
    "conv1_1", "conv1_2",
    "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4",
    "conv5_1",
)  # fmt: skip
"""Convolutions in the order of the chain; a pooling precedes each `convN_1` except the first."""

_BLOCK_STARTS = (0, 2, 4, 8, 12)
"""Indices of the convolutions that follow the image or a pooling."""
_DEEP = 4
"""Index of conv3_1, the first convolution whose activations are kept with `Keep` "deep"."""

CHANNELS = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
"""Output channels of the convolutions, by block."""

Pooling = Literal["max", "average"]
Padding = Literal["zero", "replicate"]

_AVERAGE_COMPENSATION = {"conv2_1": 1.23, "conv3_1": 1.62, "conv4_1": 1.38, "conv5_1": 1.71}
"""Factors of average pooling before these convolutions that give the mean activations of max pooling.

crowsonkb's style-transfer-pytorch doubles all four. Measured on the packaged weights, that makes conv4_1 three times
and conv5_1 3.4 times as large as with max pooling, and their style terms larger by the fourth power of it.
"""


def channels_of(layer: str) -> int:
    """Return the number of channels of a layer such as `conv4_2` or `relu4_2`."""
    return CHANNELS[layer[4]]


def halvings_of(layer: str) -> int:
    """Return the number of poolings before a layer."""
    return int(layer[4]) - 1


def convolution_of(layer: str) -> str:
    """Return the convolution of a layer: `conv4_2` for `conv4_2` or `relu4_2`."""
    return "conv" + layer[4:]


def reach(layers: Collection[str]) -> tuple[int, int]:
    """Return the largest numbers of px that the features of these layers see before and after their own.

    The own pixels of a feature at i of a layer after n poolings are 2ⁿ·i … 2ⁿ·(i+1) − 1. Both numbers count from the
    first of them. For conv5_1 the result is (70, 85): a receptive field of 156 px.
    """
    before = after = 0
    stride = 1
    for name in CONVOLUTIONS[: 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in layers)]:
        if follows_pooling(name):
            after += stride
            stride *= 2
        before, after = before + stride, after + stride
    return before, after


def follows_pooling(convolution: str) -> bool:
    """Whether the image is halved before this convolution."""
    return convolution.endswith("_1") and convolution != CONVOLUTIONS[0]


@dataclass(frozen=True)
class Vgg19:
    """The weights of thirteen convolutions and the preprocessing that they were trained with."""

    kernels: dict[str, tuple[Tensor, Tensor]]
    """Kernel (C_out, C_in, 3, 3) and bias (C_out,) by convolution, float32, for RGB input."""
    mean: tuple[float, float, float]
    """Mean of RGB, in 0–255, which is subtracted from the image."""
    std: tuple[float, float, float]
    """Standard deviation of RGB, in 0–255, which the difference is divided by."""

    def rescaled(self, factors: Mapping[str, float]) -> Vgg19:
        """Return the network with every activation multiplied by its convolution's factor.

        Rectifiers and poolings commute with positive factors, so each kernel takes the ratio to the factor before it.
        """
        kernels, before = {}, 1.0
        for name in CONVOLUTIONS:
            kernel, bias = self.kernels[name]
            kernels[name] = kernel * (factors[name] / before), bias * factors[name]
            before = factors[name]
        return Vgg19(kernels, self.mean, self.std)


Keep = Literal["all", "deep", "nothing"]
"""Activations that are kept for the backward pass: all; those from the third block on, a third of the memory (the rest
is computed once more); or none, if there is no backward pass."""

Visit = Callable[[str, "Tensor"], None]
"""Function that gets a tapped layer's name and its features during the forward pass."""


@dataclass(frozen=True)
class Activations:
    """Tensors of the forward pass that the backward pass needs; each is freed when the backward pass has used it."""

    kept: list[Tensor | None]
    """Activations by index of the convolution, (B, C, H/2ⁿ, W/2ⁿ): before the rectifier if the convolution is tapped,
    else after it; None: they are computed once more."""
    layers: frozenset[str]
    """Layers that are tapped."""
    starts: dict[int, Tensor]
    """Inputs of the blocks that are computed once more, by index of their first convolution; the first is the image."""

    def __getitem__(self, layer: str) -> Tensor:
        """Return the features of a tapped layer, times its `Chain.scales`."""
        x = self.kept[CONVOLUTIONS.index(convolution_of(layer))]
        if x is None:
            raise KeyError(layer)
        return x.clamp(min=0) if layer.startswith("relu") and convolution_of(layer) in self.layers else x


class Chain:
    """The network prepared for one device, precision, pooling and padding."""

    def __init__(
        self,
        network: Vgg19,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        pooling: Pooling = "max",
        padding: Padding = "zero",
    ) -> None:
        """Prepare the kernels.

        Args:
            network: the weights.
            device: cpu or cuda.
            dtype: precision of convolutions and features: float32, bfloat16 or float16.
            pooling: `max`, or `average`, which is enlarged to the magnitude of max.
            padding: padding of the image before the first convolution; later inputs are padded with zeros.
        """
        self.device, self.dtype, self._padding = device, dtype, padding
        is_max = pooling == "max"
        self._pool: Callable[[Tensor], Tensor] = max_pool if is_max else lambda x: F.avg_pool2d(x, 2)
        self._unpool = max_unpool if is_max else average_unpool
        if device.type == "cuda" and dtype is torch.float32:
            torch.backends.cudnn.allow_tf32 = False  # TF32 has ten bits of precision, float32 has 23
        self.scales = float16_scales() if dtype is torch.float16 else dict.fromkeys(CONVOLUTIONS, 1.0)
        self._mean = torch.tensor(network.mean, device=device).view(1, 3, 1, 1)
        self.convolutions: list[Convolution] = []
        """Convolutions by index."""
        self.transposed: list[Convolution] = []
        """Convolutions that give the gradient by their inputs, by index."""
        for name, (kernel, bias) in network.rescaled(self.scales).kernels.items():
            full = kernel.to(device)
            if name == CONVOLUTIONS[0]:
                full = full / torch.tensor(network.std, device=device).view(1, 3, 1, 1)
            if pooling == "average" and follows_pooling(name):
                full = full * _AVERAGE_COMPENSATION[name]
            forward, backward = full, full.flip(2, 3).transpose(0, 1)
            if name == CONVOLUTIONS[0] and self._is_split:
                (high, low), (backward_high, backward_low) = self._split(forward), self._split(backward)
                forward, backward = torch.cat((high, high, low), dim=1), torch.cat((backward_high, backward_low))
            elif self._is_split:
                forward = round_kernel(forward, dtype)
            is_bare = name == CONVOLUTIONS[0] and padding == "replicate"
            own = Convolution(forward.to(dtype), bias.to(device, dtype), padding=0 if is_bare else 1)
            self.convolutions.append(own)
            self.transposed.append(Convolution(backward.to(dtype), padding=2 if is_bare else 1))

    @property
    def _is_split(self) -> bool:
        """Whether the first convolution is computed from split numbers, x·w ≈ x₁·w₁ + x₂·w₁ + x₁·w₂.

        That convolution takes differences of neighbouring pixels, and the eight bits of bfloat16 do not resolve one
        level of 0–255. Nine channels in place of three take no measurable time, and reduce the gradient's error by a
        third.
        """
        return self.dtype is not torch.float32

    def _split(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """Return two tensors of half precision whose sum is about a float32 tensor."""
        high = tensor.to(self.dtype)
        return high, (tensor - high).to(self.dtype)

    def _ready(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def forward(
        self, image: Tensor, layers: Collection[str], visit: Visit = lambda *_: None, keep: Keep = "all"
    ) -> Activations:
        """Compute the features up to the deepest of the layers.

        Args:
            image: (B, 3, H, W) float32, sRGB 0–255, H and W at least 16; it must not change before the backward pass.
            layers: layers that are tapped: `conv4_2` is before the rectifier, `relu4_2` after it.
            visit: called with each tapped layer's features, times its `scales`, in order; it must not change or keep
                them.
            keep: activations that are kept for the backward pass.
        """
        activations = Activations([], frozenset(layers), {})
        depth = 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in layers)
        h = self._first_input(image)
        for start, stop in itertools.pairwise((*_BLOCK_STARTS, len(CONVOLUTIONS))):
            if start >= depth:
                break
            if start:
                h = self._pool(h)
            is_kept = keep == "all" or (keep == "deep" and start >= _DEEP)
            if keep == "deep" and not is_kept:
                activations.starts[start] = h if start else image
            kept, h = self._block(h, range(start, min(stop, depth)), activations.layers, visit, is_kept=is_kept)
            activations.kept.extend(kept)
        return activations

    def _block(
        self, h: Tensor, indices: range, layers: frozenset[str], visit: Visit, *, is_kept: bool
    ) -> tuple[list[Tensor | None], Tensor]:
        """Compute the convolutions and rectifiers between two poolings; return what is kept, and the output."""
        kept: list[Tensor | None] = []
        for index in indices:
            name = CONVOLUTIONS[index]
            rectified = name.replace("conv", "relu")
            h = self.convolutions[index](h, rectified=name not in layers)
            kept.append(h if is_kept else None)
            if name in layers:
                visit(name, h)
                h = h.relu() if is_kept else h.relu_()
            if rectified in layers:
                visit(rectified, h)
        return kept, h

    def _first_input(self, image: Tensor) -> Tensor:
        centred = image - self._mean
        if self._padding == "replicate":
            centred = F.pad(centred, (1, 1, 1, 1), mode="replicate")
        if self._is_split:
            high, low = self._split(centred)
            centred = torch.cat((high, low, high), dim=1)
        return self._ready(centred)

    def backward(self, activations: Activations, inject: Callable[[str, Tensor, Tensor | None], Tensor]) -> Tensor:
        """Compute the gradient by the image, and free the activations on the way.

        Args:
            activations: result of `forward` with the same image; empty afterwards.
            inject: called at each tapped layer with its name, its features and the gradient from the deeper layers
                (None at the deepest; otherwise it may be changed in place); returns the sum of that gradient and the
                layer's own.

        Returns:
            The gradient by the image, (B, 3, H, W) float32, contiguous.
        """
        gradient: Tensor | None = None
        kept, layers = activations.kept, activations.layers
        for index in reversed(range(len(kept))):
            name = CONVOLUTIONS[index]
            rectified = name.replace("conv", "relu")
            self._recall(activations, index)
            if rectified in layers:
                gradient = inject(rectified, activations[rectified], gradient)
            x = cast("Tensor", kept.pop())
            if gradient is not None:
                gradient = torch.ops.aten.threshold_backward.grad_input(gradient, x, 0, grad_input=gradient)
            if name in layers:
                gradient = inject(name, x, gradient)
            del x
            gradient = self._through(index, cast("Tensor", gradient))  # the deepest convolution is tapped
            if follows_pooling(name):
                self._recall(activations, index - 1)
                gradient = self._unpool(gradient, cast("Tensor", kept[-1]))
        return cast("Tensor", gradient).float().contiguous()

    def _recall(self, activations: Activations, index: int) -> None:
        """Compute a block once more, up to a convolution, if its activations were not kept."""
        if activations.kept[index] is not None:
            return
        start = max(start for start in _BLOCK_STARTS if start <= index)
        h = activations.starts.pop(start)
        indices = range(start, index + 1)
        again, _ = self._block(
            h if start else self._first_input(h), indices, activations.layers, lambda *_: None, is_kept=True
        )
        activations.kept[start:] = again

    def _through(self, index: int, gradient: Tensor) -> Tensor:
        """Return the gradient by a convolution's input, from the gradient by its output."""
        full = self.transposed[index](gradient)
        if index:
            return full
        full = full.float()
        if self._is_split:
            full = full[:, :3] + full[:, 3:]
        if self._padding == "zero":
            return full
        full[:, :, 1] += full[:, :, 0]  # a replicated pixel's gradient belongs to the pixel at the border
        full[:, :, -2] += full[:, :, -1]
        full[:, :, :, 1] += full[:, :, :, 0]
        full[:, :, :, -2] += full[:, :, :, -1]
        return full[:, :, 1:-1, 1:-1]


MEAN_ACTIVATIONS = {
    "conv1_1": 25.802, "conv1_2": 115.66,
    "conv2_1": 158.85, "conv2_2": 205.14,
    "conv3_1": 241.03, "conv3_2": 262.47, "conv3_3": 589.53, "conv3_4": 927.22,
    "conv4_1": 775.63, "conv4_2": 482.57, "conv4_3": 252.91, "conv4_4": 58.181,
    "conv5_1": 68.135,
}  # fmt: skip
"""Mean rectified activations of the packaged weights on `calibration_image`, to which other weights are rescaled."""


def float16_scales() -> dict[str, float]:
    """Return powers of two, by convolution, that bring features to a mean of about one, since float16 ends at 65504."""
    return {name: 2.0 ** -round(torch.tensor(mean).log2().item()) for name, mean in MEAN_ACTIVATIONS.items()}
