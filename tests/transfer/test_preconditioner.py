"""Tests of the spectral preconditioner."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.transfer.preconditioner import SpectralPreconditioner, to_image, to_spectrum

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def applied(preconditioner: SpectralPreconditioner, image: torch.Tensor) -> torch.Tensor:
    """Return P·image."""
    return to_image(to_spectrum(image) * preconditioner.multipliers)


@pytest.mark.parametrize(("height", "width"), [(7, 11), (16, 16), (33, 20)])
def test_spectra_have_the_scalar_products_of_their_images(height: int, width: int) -> None:
    one, two = noise(2, 3, height, width), noise(2, 3, height, width, seed=1)
    assert torch.allclose(to_image(to_spectrum(one)), one, atol=1e-5)
    assert (to_spectrum(one) * to_spectrum(two)).sum().item() == pytest.approx((one * two).sum().item(), abs=1e-3)
    grey = torch.full((1, 3, height, width), 2.0)
    assert to_spectrum(grey)[0, 0, 0, 0].item() == pytest.approx(2 * (3 * height * width) ** 0.5, rel=1e-4)
    assert to_spectrum(grey)[0, 1:].abs().max() < 1e-4, "grey has no colour"


def test_preconditioner_is_symmetric_positive_and_prefers_large_shapes() -> None:
    preconditioner = SpectralPreconditioner(7, 11, 0.4, CPU)
    basis = torch.eye(231).view(231, 3, 7, 11)
    matrix = applied(preconditioner, basis).view(231, 231).double().numpy()
    assert np.abs(matrix - matrix.T).max() < 1e-5
    assert np.linalg.eigvalsh(matrix).min() > 0
    flat, checks = torch.ones(1, 3, 7, 11), (-1.0) ** torch.arange(77).view(1, 1, 7, 11).expand(1, 3, 7, 11)
    gain = [((p * applied(preconditioner, p)).sum() / (p * p).sum()).item() for p in (flat, checks)]
    assert gain[0] > 2 * gain[1]
    plain = SpectralPreconditioner(7, 11, 0.0, CPU)
    assert torch.allclose(applied(plain, flat), flat, atol=1e-5)


def test_the_border_moves_like_the_rest() -> None:
    moved = applied(SpectralPreconditioner(9, 14, 0.4, CPU), torch.ones(1, 3, 9, 14))
    assert torch.allclose(moved, moved[..., :1, :1], rtol=1e-4)


def test_it_learns_the_curvature_of_bands_and_colours() -> None:
    """Test a quadratic whose curvature depends on frequency and colour: P becomes its inverse, up to a factor."""
    height, width = 48, 64
    rows, columns = torch.arange(height)[:, None] / (2 * height), torch.arange(width) / (2 * width)
    frequency = (rows**2 + columns**2).sqrt().clamp(min=1 / 128)
    curvature = torch.stack((5 + 0 * frequency, 1 / frequency, 0.2 / frequency**0.5))
    preconditioner = SpectralPreconditioner(height, width, 0.4, CPU)

    def spread() -> float:
        """Return the standard deviation of log(P·H), which is 0 if P is the inverse of H up to a factor."""
        inner = (frequency > 0.05) & (frequency < 0.45)  # bands of few frequencies have seen little
        return (preconditioner.multipliers * curvature)[:, inner].log().std().item()

    before = spread()
    for seed in range(12):
        step = noise(3, height, width, seed=seed)
        preconditioner.learn(step, curvature * step)
    assert before > 0.8
    assert spread() < 0.15


def test_it_learns_nothing_from_a_step_without_curvature() -> None:
    preconditioner, step = SpectralPreconditioner(20, 20, 0.4, CPU), noise(3, 20, 20)
    before = preconditioner.multipliers.clone()
    for change in (-step, torch.zeros_like(step), step * torch.nan):
        preconditioner.learn(step, change)
    assert torch.equal(preconditioner.multipliers, before)
    assert preconditioner.steps.item() == 0


def test_first_steps_count_little_and_corrections_are_bounded() -> None:
    preconditioner, step = SpectralPreconditioner(32, 32, 0.0, CPU), noise(3, 32, 32)

    def largest(contrast: float, times: int) -> float:
        change = step * torch.tensor([1 / contrast, 1.0, contrast]).view(3, 1, 1)
        for _ in range(times):
            preconditioner.learn(step, change)
        return preconditioner.multipliers.log().abs().max().item()

    assert largest(10, 1) == pytest.approx(math.log(10) / 8, rel=0.2)
    assert largest(10, 20) == pytest.approx(math.log(10), rel=0.2)
    assert largest(1e12, 40) == pytest.approx(3, abs=0.01)


def test_it_continues_with_what_it_has_learned() -> None:
    one, two = (SpectralPreconditioner(24, 18, 0.4, CPU) for _ in range(2))
    for seed in range(3):
        step = noise(3, 24, 18, seed=seed)
        one.learn(step, 2 * step.sign() * step.square())
    two.restore(one.learned, one.steps)
    assert torch.equal(one.multipliers, two.multipliers)
