"""Print the table of cards in docs/operations.md: `python docs/make_capacity.py`.

The time of a pair is computed, not measured: the floating-point operations of its convolutions, forward and backward,
divided by an assumed share of the speed in the card's data sheet. The largest size comes from the memory model that
the stage fits pairs to a card with.
"""

from __future__ import annotations

import torch

from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device.memory import SHARE_OF_FREE, MemoryDemand, is_countable, predict
from pipeline.stage.engine_config import scales_of
from pipeline.transfer.tiling import WHOLE
from pipeline.transfer.vgg import CONVOLUTIONS, channels_of, halvings_of

SHARE = 0.35
"""Assumed share of the data sheet's speed that a whole evaluation reaches."""
CARDS = (
    ("T4", 65, 16, torch.float16),
    ("L4", 121, 24, torch.bfloat16),
    ("RTX 3090", 71, 24, torch.bfloat16),
    ("RTX 4090", 165, 24, torch.bfloat16),
    ("A100 80 GB", 312, 80, torch.bfloat16),
    ("H100 SXM", 989, 80, torch.bfloat16),
)
"""Name; dense tensor TFLOP/s with sums in float32, and memory in GB, both from NVIDIA's data sheets; precision."""
SIDES = (512, 1024, 2048)
"""Sides of the square pictures in the table, in px."""
STEP = 16
"""Step in px of the search for the largest square."""
_STARTS = 1.5
"""Time that the start of a scale takes, in evaluations of that scale."""


def flops_of_a_pixel() -> float:
    """Return the floating-point operations of an evaluation, per pixel.

    Each convolution up to conv5_1 is done twice, with a multiplication and an addition for each weight.
    """
    used = CONVOLUTIONS[: CONVOLUTIONS.index("conv5_1") + 1]
    before = (3, *(channels_of(name) for name in used))
    values = (
        9 * channels_in * channels_of(name) / 4 ** halvings_of(name)
        for channels_in, name in zip(before, used, strict=False)
    )
    return 2 * 2 * sum(values)


def evaluations_of_a_pair(settings: PairSettings, side: int = SIDES[-1]) -> float:
    """Return the time of a pair of square pictures in evaluations of full size."""
    scales = scales_of(settings.pyramid, side, side)
    return sum((scale.evaluations + _STARTS) * scale.width * scale.height for scale in scales) / side**2


def pairs_per_hour(teraflops: float, side: int) -> float:
    """Return the pairs of square pictures per hour, with the default settings."""
    flops = flops_of_a_pixel() * side**2 * evaluations_of_a_pair(PairSettings(), side)
    return 3600 * SHARE * teraflops * 1e12 / flops


def largest_side(gigabytes: float, precision: torch.dtype) -> int:
    """Return the side in px of the largest square that fits whole into an otherwise empty card."""
    side = STEP
    while True:
        work = MemoryDemand.of(PairSettings(), side + STEP, side + STEP, precision, torch.device("cuda"))
        if predict(work, WHOLE) > SHARE_OF_FREE * gigabytes * 1e9 or not is_countable(work, WHOLE):
            return side
        side += STEP


def rows() -> list[str]:
    """Return the lines of the table, in Markdown."""
    lines = [
        "| card | " + " | ".join(f"{side}²" for side in SIDES) + " | whole up to |",
        "|---" * (len(SIDES) + 2) + "|",
    ]
    for name, teraflops, gigabytes, precision in CARDS:
        speeds = [f"{float(f'{pairs_per_hour(teraflops, side):.2g}'):,.0f}" for side in SIDES]
        lines.append(f"| {name} | {' | '.join(speeds)} | {largest_side(gigabytes, precision)}² |")
    return lines


if __name__ == "__main__":
    print("\n".join(rows()))
