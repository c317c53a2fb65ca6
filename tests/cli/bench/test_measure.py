"""Tests of the measurements behind `impasto bench`: seconds per evaluation, and peak memory."""

from __future__ import annotations

import sys

import pytest
import torch

from pipeline.cli.bench.measure import Bench, _peak_bytes
from pipeline.settings import Settings

CPU = torch.device("cpu")
CHANNELS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
HALVINGS = (0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4)


def test_figures_agree_with_one_another() -> None:
    settings = Settings.model_validate(
        {
            "pyramid": {"evaluations": (9, 5), "ratio": 2, "floor": 0},
            "network": {"precision": "float32"},
            "run": {"device": "cpu"},
        }
    )
    bench = Bench(settings)
    assert bench.describe() == {"device": "cpu", "precision": "float32", "threads": torch.get_num_threads()}
    small, large = bench.measure((64, 128))
    assert (small.side, large.side) == (64, 128)
    for each in (small, large):
        per_pixel = sum(9 * a * b / 4**n for a, b, n in zip(CHANNELS[:-1], CHANNELS[1:], HALVINGS, strict=True))
        assert each.teraflops * each.evaluation_seconds * 1e12 == pytest.approx(2 * 2 * per_pixel * each.side**2)
        assert each.pairs_per_hour == pytest.approx(3600 / ((9 / 4 + 5) * each.iteration_seconds))
        assert 0 < each.share_of_peak < 3, (
            "other programs may disturb the product of 2048 × 2048 matrices, but not that much"
        )
    assert large.convolution_seconds > small.convolution_seconds > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a part of a process")
def test_memory_is_measured_at_its_height_and_from_what_is_in_use() -> None:
    megabytes = 64

    def work() -> None:
        torch.ones(megabytes, 1 << 18)

    for _ in range(2):  # memory that the first array frees is not free for the second
        found = _peak_bytes(work, CPU)
        assert found is not None
        assert found / 2**20 == pytest.approx(megabytes, rel=0.1)
