"""Tests of tiled evaluation: each fit gives the objective and the gradient of the untiled evaluation."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.settings.presets import PRESETS
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.tiling import WHOLE, Fit, gradient_margin, statistics_margin, tiles
from pipeline.transfer.vgg import CONVOLUTIONS, Chain, Vgg19, reach
from tests.conftest import photo
from tests.engine import network_of, spec_of
from tests.masks import disc, hard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.transfer.losses import ObjectiveSpec

CPU = torch.device("cpu")
DEFAULT_LAYERS = spec_of("painting").style_layers


def tensor(seed: int, width: int, height: int) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def chain_and_spec(network: Vgg19, preset: str, dtype: torch.dtype = torch.float32) -> tuple[Chain, ObjectiveSpec]:
    return Chain(network, CPU, dtype, **network_of(preset)), spec_of(preset)


def evaluate(  # noqa: PLR0913 - an evaluation depends on all of them
    chain: Chain, spec: ObjectiveSpec, width: int, height: int, fit: Fit, *, mask: torch.Tensor | None = None
) -> tuple[Any, torch.Tensor]:
    content, style = tensor(0, width, height), tensor(1, width + 30, height)
    targets = Targets.of(chain, spec, content, [Painting(style)], mask=mask, fit=fit)
    terms, gradient = Objective(chain, spec, targets, fit)(tensor(2, width, height))
    return terms[0].tolist(), gradient


def sample(every: int, *choices: Iterable[object]) -> list[Any]:
    """Return all combinations; the sample has each pair of the last two choices, the others are marked exhaustive."""
    combinations = [list(zip(*each, strict=True)) for each in itertools.product(*(enumerate(all_) for all_ in choices))]
    return [
        pytest.param(*values, marks=() if sum(numbers) % every == 0 else pytest.mark.exhaustive)
        for numbers, values in combinations
    ]


SIZES = [(240, 96), (71, 333)]
FITS = [Fit(recompute=True), Fit(tile=112), Fit(recompute=True, tile=176)]


@pytest.mark.parametrize(("preset", "size", "fit"), sample(3, PRESETS, SIZES, FITS))
def test_every_fit_gives_the_same_objective_and_gradient(
    network: Vgg19, preset: str, size: tuple[int, int], fit: Fit
) -> None:
    chain, spec = chain_and_spec(network, preset)
    terms, gradient = evaluate(chain, spec, *size, WHOLE)
    found, found_gradient = evaluate(chain, spec, *size, fit)
    assert found == pytest.approx(terms, rel=1e-5)
    # The tolerance is a thousandth: near a tie, another order of sums takes the other side of the kink.
    assert (found_gradient - gradient).norm() <= 1e-3 * gradient.norm()


@pytest.mark.parametrize(
    ("mask_of", "preset", "size", "fit"),
    sample(3, [disc, hard], ["painting", "colour-preserving"], SIZES, FITS[:2]),
)
def test_every_fit_minds_the_mask(
    network: Vgg19, mask_of: Callable[[int, int], torch.Tensor], preset: str, size: tuple[int, int], fit: Fit
) -> None:
    chain, spec = chain_and_spec(network, preset)
    mask = mask_of(*size)
    terms, gradient = evaluate(chain, spec, *size, WHOLE, mask=mask)
    found, found_gradient = evaluate(chain, spec, *size, fit, mask=mask)
    assert found == pytest.approx(terms, rel=1e-5)
    assert (found_gradient - gradient).norm() <= 1e-3 * gradient.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
def test_tiles_in_half_precision(network: Vgg19, dtype: torch.dtype, preset: str) -> None:
    chain, spec = chain_and_spec(network, preset, dtype)
    terms, gradient = evaluate(chain, spec, 71, 190, WHOLE)
    found, found_gradient = evaluate(chain, spec, 71, 190, Fit(tile=112))
    assert found == pytest.approx(terms, rel=1e-3)
    assert (found_gradient - gradient).norm() <= 0.02 * gradient.norm()


@pytest.mark.parametrize(("part", "margin"), [("gradient_margin", 32), ("statistics_margin", 0)])
def test_a_smaller_margin_would_not_do(network: Vgg19, monkeypatch: pytest.MonkeyPatch, part: str, margin: int) -> None:
    chain, spec = chain_and_spec(network, "gatys2016")
    terms, gradient = evaluate(chain, spec, 240, 96, WHOLE)
    monkeypatch.setattr(f"pipeline.transfer.objective.{part}", lambda _: margin)
    found, found_gradient = evaluate(chain, spec, 240, 96, Fit(tile=112))
    assert (found_gradient - gradient).norm() > 2e-3 * gradient.norm()
    assert (found != pytest.approx(terms, rel=1e-5)) == (part == "statistics_margin")


SAMPLE_OF_LAYERS = "conv1_1", "conv2_1", "conv3_4", "conv4_2", "conv5_1"


@pytest.mark.parametrize(
    "layer",
    [pytest.param(each, marks=() if each in SAMPLE_OF_LAYERS else pytest.mark.exhaustive) for each in CONVOLUTIONS],
)
def test_the_network_sees_as_far_as_it_is_said(network: Vgg19, layer: str) -> None:
    chain, at = Chain(network, CPU, pooling="average"), 12
    stride = 2 ** (int(layer[4]) - 1)
    activations = chain.forward(tensor(0, 400, 400), [layer])

    def pull_one(_: str, features: torch.Tensor, __: object) -> torch.Tensor:
        one = torch.zeros_like(features)
        one[0, :, at, at] = 1
        return one

    (rows,) = chain.backward(activations, pull_one)[0].abs().amax((0, 2)).nonzero(as_tuple=True)
    before, after = reach([layer])
    own = at * stride
    assert max(0, own - before) <= rows.min().item()
    assert rows.max().item() <= own + after
    if own > before:
        assert (own - rows.min().item(), rows.max().item() - own) == (before, after), (
            "the network sees exactly as many rows as the margins say"
        )


def test_margins_are_those_of_the_paper() -> None:
    assert reach(DEFAULT_LAYERS) == (70, 85), "the margins are those of a receptive field of 156 px"
    assert (statistics_margin(DEFAULT_LAYERS), gradient_margin(DEFAULT_LAYERS)) == (96, 160)
    assert gradient_margin(["conv1_1"]) == 16


@pytest.mark.parametrize(
    ("height", "width", "side"), [(4096, 4096, 2048), (333, 1001, 112), (16, 50, 64), (70, 70, 64)]
)
def test_tiles_cover_an_image_once_and_are_of_about_one_size(height: int, width: int, side: int) -> None:
    counts = torch.zeros(1, 1, height, width)
    found = tiles(height, width, side, 160)
    for tile in found:
        tile.core_of_whole(counts).add_(1)
        assert tile.rows.margin_start % 16 == tile.columns.margin_start % 16 == 0
        assert torch.equal(tile.core_of_tile(tile.cut(counts)), tile.core_of_whole(counts))
    assert counts.unique().tolist() == [1]
    heights = [tile.rows.core_stop - tile.rows.core_start for tile in found]
    assert max(heights) <= side + 16
    assert max(heights) - min(heights) < 32


def test_fits_have_names() -> None:
    fits = WHOLE, Fit(recompute=True), Fit(tile=512, history=5), Fit(tile=512, host=True)
    names = "whole", "recompute", "tiles of 512 px, 5 steps remembered", "tiles of 512 px, history on the host"
    assert tuple(map(str, fits)) == names
