"""Tests of the network that judges: its stages, and that it tells pictures apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.benchmarks import held_out

pytestmark = pytest.mark.skipif(not held_out.IS_INSTALLED, reason=held_out.INSTALL)


def test_stages_are_the_last_of_their_width_and_stride() -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (64, 96)).astype(np.float32)
    found = held_out.stages(plane)
    strides = zip((16, 24, 40, 80, 112), (2, 4, 8, 16, 16), strict=True)
    assert [tuple(stage.shape) for stage in found] == [(width, 64 // by, 96 // by) for width, by in strides]
    assert not torch.equal(found[0], held_out.stages(plane[::-1])[0])
    assert torch.equal(found[4], held_out.stages(plane)[4]), "nothing in it is random"
