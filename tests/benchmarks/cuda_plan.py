"""The sizes of the acceptance test of a card, and pictures for it."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.stage.device.system_memory import trim
from pipeline.transfer.pyramid import resample
from tests.benchmarks import synthetic

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """What is measured, and how large; the defaults take a card less than eight minutes."""

    device: str
    """`cuda:0` or `cpu`."""
    kernel_side: int = 112
    """Side in px of the pictures that are compared with the CPU's."""
    kernel_tile: int = 48
    """Side in px of a tile of these pictures."""
    speed_sides: tuple[int, ...] = (256, 512, 1024, 2048)
    memory_sides: tuple[int, ...] = (1024, 2048)
    memory_tile: int = 512
    batch_sides: tuple[int, ...] = (256, 512)
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    pairs: int = 12
    """Pairs of the run of which the busy share is measured."""
    pair_side: int = 512
    """`image.size` of these pairs, in px."""
    ladder_side: int = 2048
    """Side in px of the pair during which memory runs out."""
    convolution_side: int = 5824
    """Side in px of the largest convolution, whose 64 channels have more than 2³¹ values."""

    @property
    def torch_device(self) -> torch.device:
        """The device."""
        return torch.device(self.device)

    @property
    def is_on_card(self) -> bool:
        """Whether the device is a card; else times and memory are not judged."""
        return self.torch_device.type == "cuda"


ON_CPU = Plan(
    "cpu",
    kernel_side=32,
    kernel_tile=16,
    speed_sides=(32,),
    memory_sides=(48,),
    memory_tile=32,
    batch_sides=(32,),
    batches=(1, 2),
    pairs=2,
    pair_side=32,
    convolution_side=32,
)
"""The smallest plan, which tests the steps themselves."""


def photograph(plan: Plan, side: int, seed: int = 0) -> Tensor:
    """Return a photograph (1, 3, side, side) on the device."""
    return _square(synthetic.photograph(seed), side).to(plan.torch_device)


def painting(plan: Plan, side: int) -> Tensor:
    """Return a painting (1, 3, side, side) on the device."""
    return _square(synthetic.painting(), side).to(plan.torch_device)


def _square(picture: object, side: int) -> Tensor:
    return resample(torch.as_tensor(picture).permute(2, 0, 1)[None], side, side).clamp(0, 255)


def wait(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release(device: torch.device) -> None:
    """Release all memory that is not in use."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim()


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a precision as settings have it."""
    return str(dtype).removeprefix("torch.")
