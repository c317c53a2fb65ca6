"""Tests of frames that follow others: the temporal term, its gradient, and where a frame starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.transfer.motion import Motion, TemporalTarget
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.styliser import Optimisation
from pipeline.transfer.targets import Painting, Subject, Targets
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import Chain, Vgg19
from tests.conftest import photo
from tests.engine import network_of, spec_of, stylise
from tests.masks import disc

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = torch.device("cpu")


def tensor(seed: int, width: int = 160, height: int = 112) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def plane(seed: int, width: int = 160, height: int = 112) -> torch.Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))


def motion(seed: int, *, share: float = 0.5, **changes: torch.Tensor) -> Motion:
    still = torch.zeros_like(plane(0))
    return replace(Motion(tensor(seed), plane(seed), still, share), **changes)


@pytest.fixture
def chain(network: Vgg19) -> Chain:
    return Chain(network, CPU, torch.float32, **network_of("painting"))


def targets_of(chain: Chain, seed: int, mask: torch.Tensor | None = None, fit: Fit = WHOLE) -> Targets:
    return Targets.of(chain, spec_of("painting"), tensor(seed), [Painting(tensor(90))], mask=mask, fit=fit)


def with_temporal(targets: Targets, own: Motion) -> Targets:
    return replace(targets, temporal=TemporalTarget.of(own, torch.tensor([3.0]), own.warped))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("fit", [WHOLE, Fit(tile=112), Fit(recompute=True)])
def test_the_temporal_term_and_its_gradient_are_those_of_autograd(chain: Chain, fit: Fit, *, masked: bool) -> None:
    own, mask = motion(5, still=plane(6)), disc(160, 112) if masked else None
    without = targets_of(chain, 1, mask, fit)
    spec, image = spec_of("painting"), tensor(2)
    terms, gradient = Objective(chain, spec, with_temporal(without, own), fit)(image)

    z = image.double().requires_grad_()
    x = z + own.still.double() * (own.warped.double() - z)
    seen = x if without.guidance is None else tensor(1).double() + mask.double() * (x - tensor(1).double())  # type: ignore[union-attr]
    term = 0.5 * 3.0 / 64 * (own.trust.double() * (seen - own.warped.double()) ** 2).mean()
    plain, plain_gradient = Objective(chain, spec, without, fit)(x.detach().float())
    (x_gradient,) = torch.autograd.grad(term, z)
    expected = plain_gradient * (1 - own.still) + x_gradient

    assert terms[0, 4].item() == pytest.approx(term.item(), rel=1e-5)
    assert terms[0, 1:4].tolist() == pytest.approx(plain[0, 1:4].tolist(), rel=1e-5)
    assert terms[0, 0].item() == pytest.approx(terms[0, 1:].sum().item(), rel=1e-5)
    assert ((gradient - expected).norm() / expected.norm()).item() < 1e-5


def test_a_frame_in_a_batch_is_as_alone(chain: Chain) -> None:
    spec = spec_of("painting")
    each = [with_temporal(targets_of(chain, seed), motion(10 + seed, still=plane(20 + seed))) for seed in (1, 2, 3)]
    images = torch.cat([tensor(30 + seed) for seed in (1, 2, 3)])
    together, gradients = Objective(chain, spec, Targets.stack(each))(images)
    for index, target in enumerate(each):
        alone, gradient = Objective(chain, spec, target)(images[index : index + 1])
        assert torch.equal(together[index], alone[0])
        assert torch.equal(gradients[index], gradient[0])
    chosen, _ = Objective(chain, spec, Targets.stack(each).select([2, 0]))(images[[2, 0]])
    assert torch.equal(chosen, together[[2, 0]])


def painted(chain: Chain, own: Motion | None, evaluations: Sequence[int] = (3, 4), seed: int = 1) -> torch.Tensor:
    scales = (Scale(80, 56, evaluations[0]), Scale(160, 112, evaluations[1])) if len(evaluations) > 1 else ()
    optimisation = Optimisation(scales or (Scale(160, 112, evaluations[0]),))
    subject = Subject(tensor(seed), [Painting(tensor(90))], motion=own)
    (result,) = stylise(chain, [subject], spec_of("painting"), optimisation)
    return result.image


def test_what_stands_still_keeps_the_result_before_to_the_bit(chain: Chain) -> None:
    still = (plane(0) > 0.5).float()
    own = motion(5, still=still)
    image = painted(chain, own)
    kept = still.bool().expand_as(image)
    assert torch.equal(image[kept], own.warped[kept])
    assert (image[~kept] - own.warped[~kept]).abs().max() > 1


def test_a_frame_starts_from_the_result_before_where_it_is_trusted(chain: Chain) -> None:
    trust = torch.zeros_like(plane(0))
    trust[:, :, :, :80] = 1
    own = motion(5, trust=trust)
    start = own.start(tensor(1))
    assert torch.equal(start[:, :, :, :80], own.warped[:, :, :, :80])
    assert torch.equal(start[:, :, :, 80:], tensor(1)[:, :, :, 80:])
    near, far = ((painted(chain, own) - own.warped)[..., part].abs().mean() for part in (slice(80), slice(80, None)))
    assert near < 0.5 * far


def test_a_renewed_frame_takes_only_its_large_shapes_from_the_result_before(chain: Chain) -> None:
    ones = torch.ones_like(plane(0))
    followed, renewed = (painted(chain, replace(motion(5, trust=ones, share=0.0), renews=on)) for on in (False, True))
    warped = motion(5).warped
    assert (renewed - warped).abs().mean() > 1.3 * (followed - warped).abs().mean()
    alone = painted(chain, None)
    assert (renewed - warped).abs().mean() < (alone - warped).abs().mean()


def test_a_larger_share_keeps_a_frame_nearer_to_the_result_before(chain: Chain) -> None:
    ones = torch.ones_like(plane(0))
    free, held = (painted(chain, motion(5, trust=ones, share=share), evaluations=(6,)) for share in (0.0, 50.0))
    warped = motion(5).warped
    assert (held - warped).abs().mean() < 0.8 * (free - warped).abs().mean()


def test_what_stands_still_under_a_soft_mask_is_masked_once(chain: Chain) -> None:
    own = motion(5, still=torch.ones_like(plane(0)), trust=torch.ones_like(plane(0)))
    optimisation = Optimisation((Scale(160, 112, 3),))
    mask = 0.25 + 0.5 * disc(160, 112)
    subject = Subject(tensor(1), [Painting(tensor(90))], mask, own)
    (result,) = stylise(chain, [subject], spec_of("painting"), optimisation)
    assert torch.allclose(result.image, own.warped, atol=0.01)
