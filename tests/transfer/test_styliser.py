"""Tests of the optimisation of whole pairs, alone and in batches."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch

from pipeline.errors import NotFiniteError
from pipeline.transfer import lbfgs, styliser
from pipeline.transfer.guidance import Guidance, shrink_mask
from pipeline.transfer.pyramid import Scale, resample, schedule
from pipeline.transfer.state import Evaluation, OptimisationState
from pipeline.transfer.styliser import Optimisation, Step, Styliser, StyliseResult
from pipeline.transfer.targets import MomentsCache, Painting, Subject, Targets
from pipeline.transfer.tiling import Fit
from pipeline.transfer.vgg import Chain, Vgg19
from tests import oracle
from tests.conftest import photo
from tests.engine import network_of, spec_of, stylise
from tests.masks import disc, hard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.wasserstein import WassersteinTarget

SPEC = spec_of("painting")
BOTH = pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
"""Runs a test with either measure of style."""
ONE_SCALE = Optimisation((Scale(40, 32, 25),))


def chain_of(network: Vgg19, preset: str = "painting") -> Chain:
    return Chain(network, torch.device("cpu"), **network_of(preset))


@pytest.fixture
def chain(network: Vgg19) -> Chain:
    return chain_of(network)


def truth_of(image: torch.Tensor, preset: str = "painting") -> dict[str, float]:
    """Return the terms at an image from the oracle, with the content and the style of seeds 0 and 1."""
    weighted = oracle.Weighted(**vars(spec_of(preset)), **network_of(preset))
    return {name: term.item() for name, term in oracle.objective(image, tensor(0), tensor(1), weighted).items()}


def tensor(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


THREE_SCALES_PAIR = Subject(tensor(0, 140, 132), [Painting(tensor(1, 140, 132))])


def one(chain: Chain, spec: ObjectiveSpec = SPEC, **more: Any) -> StyliseResult:
    """Return the result of one pair."""
    (result,) = stylise(chain, [Subject(tensor(0), [Painting(tensor(1))])], spec, ONE_SCALE, **more)
    return result


@pytest.mark.parametrize(("preset", "share"), [("painting", 0.4), ("colour-preserving", 0.2)])
def test_starts_from_the_content_and_goes_down(network: Vgg19, preset: str, share: float) -> None:
    content = tensor(0)
    seen: list[Evaluation] = []
    (result,) = stylise(
        chain_of(network, preset),
        [Subject(content, [Painting(tensor(1))])],
        spec_of(preset),
        ONE_SCALE,
        on_evaluation=lambda each: seen.append(each[0]),
    )
    (scale,) = result.scales
    truth = truth_of(content, preset)
    assert scale.first.content == pytest.approx(truth["content"], rel=1e-4), "the first evaluation is at the content"
    assert scale.first.total == pytest.approx(truth["total"], rel=1e-4)
    assert scale.best.total < share * scale.first.total
    assert scale.best.style < share * scale.first.style
    assert [e.number for e in seen] == list(range(1, 26))
    assert scale.trace == tuple((e.number, e.total) for e in seen)
    assert torch.equal(content, tensor(0)), "the content of the caller is not changed"


@BOTH
def test_the_image_is_the_best_iterate_and_not_clipped(network: Vgg19, preset: str) -> None:
    result = one(chain_of(network, preset), spec_of(preset))
    best = result.scales[-1].best
    assert best.total == min(total for _, total in result.scales[-1].trace)
    assert best.total == pytest.approx(truth_of(result.image, preset)["total"], rel=1e-4)
    assert result.image.min() < 0 or result.image.max() > 255


@pytest.mark.parametrize(("preset", "share"), [("painting", 0.98), ("colour-preserving", 0.9)])
def test_pyramid_goes_from_coarse_to_fine(network: Vgg19, preset: str, share: float) -> None:
    chain, spec = chain_of(network, preset), spec_of(preset)
    seen: list[Evaluation] = []
    pair = Subject(tensor(0, 83, 66), [Painting(tensor(1, 83, 66))])
    optimisation = Optimisation(schedule(83, 66, (9, 8, 7)))
    (result,) = stylise(chain, [pair], spec, optimisation, on_evaluation=lambda each: seen.append(each[0]))
    assert result.image.shape == (1, 3, 66, 83)
    assert [(s.scale.width, s.scale.evaluations) for s in result.scales] == [(42, 8), (83, 7)]
    assert [s.trace[0][0] for s in result.scales] == [1, 9], "evaluations are numbered across the scales"
    shares = [e.share for e in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    (alone,) = stylise(chain, [pair], spec, Optimisation(schedule(83, 66, (7,))))
    assert result.scales[-1].best.total < share * alone.scales[-1].best.total


@BOTH
def test_four_pairs_together_are_as_four_alone_to_the_last_bit(network: Vgg19, preset: str) -> None:
    chain, spec, optimisation = chain_of(network, preset), spec_of(preset), Optimisation((Scale(40, 32, 12),))
    flat = torch.full((1, 3, 16, 16), 90.0)
    paintings = [Painting(each) for each in (tensor(4), flat, tensor(5, 30, 70), tensor(6, 80, 64))]
    pairs = [Subject(tensor(i), [painting]) for i, painting in enumerate(paintings)]
    if preset == "painting":
        targets = [Targets.of(chain, spec, pair.content, pair.paintings) for pair in pairs]
        ranks = {cast("WassersteinTarget", each.styles["relu3_1"]).ranks for each in targets}
        assert len(ranks) == 4, "each painting has its own number of principal directions"
    for pair, together in zip(pairs, stylise(chain, pairs, spec, optimisation), strict=True):
        (alone,) = stylise(chain, [pair], spec, optimisation)
        assert torch.equal(together.image, alone.image)
        assert together.scales == alone.scales


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_restarts_are_told(chain: Chain, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def poisoned(evaluate: Any, _: torch.Tensor) -> Any:
        count = 0

        def evaluate_badly(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            nonlocal count
            count += 1
            terms, gradient = evaluate(image)
            return (terms * value if count in (4, 6) else terms), gradient

        return evaluate_badly, []

    monkeypatch.setattr(styliser, "capture", poisoned)
    result = one(chain)
    assert result.image.isfinite().all()
    assert truth_of(result.image)["total"] == pytest.approx(result.scales[-1].best.total, rel=1e-4)
    assert [(f"evaluation {n} " in w, w.rpartition(" ")[2]) for n, w in zip((4, 6), result.warnings, strict=True)] == [
        (True, "0.5"),
        (True, "0.25"),
    ]


def test_not_finite_at_the_content_is_an_error(chain: Chain) -> None:
    with pytest.raises(NotFiniteError, match="at the start of the scale of 40×32 px"):
        stylise(chain, [Subject(tensor(0) * math.nan, [Painting(tensor(1))])], SPEC, ONE_SCALE)


def test_same_input_same_pixels(chain: Chain) -> None:
    assert torch.equal(one(chain).image, one(chain).image)


def test_what_the_callback_raises_ends_the_optimisation(chain: Chain) -> None:
    def stop(each: list[Evaluation]) -> None:
        if each[0].number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one(chain, on_evaluation=stop)


THREE_SCALES = Optimisation(schedule(140, 132, (6, 5, 7)), history=4)


def on_disk_and_back(state: OptimisationState, path: Path) -> OptimisationState:
    """Return a state after it was written to a file and read again."""
    torch.save(state.to_plain(), path)
    return OptimisationState.from_plain(torch.load(path, weights_only=True))


@pytest.fixture(scope="module")
def uninterrupted(network: Vgg19) -> Callable[[str], StyliseResult]:
    """Return a function that returns the result of an uninterrupted pair of three scales by preset."""

    @cache
    def of(preset: str) -> StyliseResult:
        (whole,) = stylise(chain_of(network, preset), [THREE_SCALES_PAIR], spec_of(preset), THREE_SCALES)
        return whole

    return of


@BOTH
@pytest.mark.parametrize(
    "stop_at", [1, pytest.param(6, marks=pytest.mark.exhaustive), 11, pytest.param(18, marks=pytest.mark.exhaustive)]
)
def test_goes_on_from_any_evaluation_to_the_same_end_to_the_last_bit(
    network: Vgg19, tmp_path: Path, uninterrupted: Callable[[str], StyliseResult], stop_at: int, preset: str
) -> None:
    pairs, whole, chain, spec = [THREE_SCALES_PAIR], uninterrupted(preset), chain_of(network, preset), spec_of(preset)
    states: list[OptimisationState] = []

    def stop(step: Step) -> None:
        if step.evaluations[0].number == stop_at:
            states.append(on_disk_and_back(step.state_of(0), tmp_path / "state"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Styliser(chain, pairs, spec, THREE_SCALES, on_step=stop).run())
    assert states[0].evaluations == stop_at
    numbers: list[int] = []
    again = Styliser(chain, pairs, spec, THREE_SCALES, on_step=lambda step: numbers.append(step.evaluations[0].number))
    ((_, result),) = again.run(states)
    assert numbers == list(range(stop_at + 1, 19)), "no evaluation is repeated"
    assert isinstance(result, StyliseResult)
    assert torch.equal(result.image, whole.image)
    assert (result.scales, result.evaluations, result.warnings) == (whole.scales, 18, whole.warnings)


def masked(width: int, height: int, mask: torch.Tensor) -> Subject:
    """Return a subject with a mask."""
    return Subject(tensor(0, width, height), [Painting(tensor(1, width, height))], mask)


@pytest.mark.parametrize(("preset", "share"), [("painting", 0.75), ("colour-preserving", 0.5)])
def test_a_masked_image_goes_down_and_is_the_photograph_where_the_mask_is_black(
    network: Vgg19, preset: str, share: float
) -> None:
    chain, spec = chain_of(network, preset), spec_of(preset)
    for mask in (disc(40, 32), hard(40, 32)):
        (result,) = stylise(chain, [masked(40, 32, mask)], spec, ONE_SCALE)
        (scale,) = result.scales
        black, white = ((mask == value).expand_as(result.image) for value in (0, 1))
        assert black.any()
        assert torch.equal(result.image[black], tensor(0)[black])
        assert (result.image - tensor(0))[white].abs().mean() > 10
        assert scale.best.total < share * scale.first.total
        weighted = oracle.Weighted(**vars(spec), **network_of(preset))
        wanted = oracle.targets(tensor(0).double(), [(tensor(1).double(), 1.0)], weighted, mask.double())
        truth = oracle.against(result.image.double(), wanted, weighted, mask.double())
        assert scale.best.content == pytest.approx(truth["content"].item(), rel=1e-4), (
            "the term is that of the composite image, not of the iterate"
        )
        assert scale.best.tv == pytest.approx(truth["tv"].item(), rel=1e-4)


@pytest.mark.parametrize(("preset", "allowed"), [("painting", 0.05), ("colour-preserving", 0.01)])
def test_a_mask_of_ones_paints_what_no_mask_does(network: Vgg19, preset: str, allowed: float) -> None:
    plan = Optimisation(schedule(83, 66, (4, 4)))
    noise = 255 * torch.rand(1, 3, 66, 83, generator=torch.Generator().manual_seed(0))
    ones = replace(masked(83, 66, torch.ones(1, 1, 66, 83)), content=noise)  # max pooling finds no ties in noise
    (without,), (result,) = (
        stylise(chain_of(network, preset), [subject], spec_of(preset), plan)
        for subject in (replace(ones, mask=None), ones)
    )
    assert (result.image - without.image).abs().mean() < allowed  # single pixels take another maximum of a pooling
    assert result.scales[-1].best.total == pytest.approx(without.scales[-1].best.total, rel=1e-4)


@pytest.mark.parametrize("mask", [None, disc(70, 66)], ids=["all", "masked"])
def test_the_best_image_so_far_can_be_had_at_each_evaluation(chain: Chain, mask: torch.Tensor | None) -> None:
    subject, plan = (
        replace(THREE_SCALES_PAIR, content=tensor(0, 70, 66), mask=mask),
        Optimisation(schedule(70, 66, (6, 5))),
    )
    seen: list[torch.Tensor] = []
    numbers: list[tuple[int, int]] = []

    def look(step: Step) -> None:
        seen.append(step.image_of(0).clone())
        numbers.append((step.evaluations[0].number, step.evaluations[0].planned))

    ((_, result),) = Styliser(chain, [subject], SPEC, plan, on_step=look).run()
    assert isinstance(result, StyliseResult)
    assert numbers == [(number, 11) for number in range(1, 12)]
    assert torch.equal(seen[-1], result.image)
    assert [tuple(image.shape[2:]) for image in seen[::6]] == [(33, 35), (66, 70)]
    begin = resample(subject.content, 35, 33)
    assert torch.allclose(seen[0], begin, atol=1e-3)
    assert (seen[5] - begin).abs().mean() > 1


def test_of_a_batch_each_has_its_own_image(chain: Chain) -> None:
    pairs = [Subject(tensor(seed), [Painting(tensor(2))]) for seed in (0, 1)]
    last: dict[int, torch.Tensor] = {}

    def look(step: Step) -> None:
        last.update({index: step.image_of(index).clone() for index in step.evaluations})

    for index, result in Styliser(chain, pairs, SPEC, ONE_SCALE, on_step=look).run():
        assert isinstance(result, StyliseResult)
        assert torch.equal(last[index], result.image)


def test_black_stays_the_photograph_and_soft_stays_painted_over_the_scales(chain: Chain) -> None:
    subject = masked(140, 132, disc(140, 132))
    seen: list[OptimisationState] = []
    styliser = Styliser(chain, [subject], SPEC, THREE_SCALES, on_step=lambda step: seen.append(step.state_of(0)))
    ((_, result),) = styliser.run()
    assert isinstance(result, StyliseResult)
    black = (subject.mask == 0).expand_as(result.image)
    assert torch.equal(result.image[black], subject.content[black])
    coarse = seen[-1].image
    assert coarse is not None
    content = resample(subject.content, *coarse.shape[:1:-1])
    corner = (slice(None), slice(None), slice(4), slice(4))
    assert torch.equal(coarse[corner], content[corner]), (
        "the image of a coarse scale is the photograph where the mask is black, too"
    )
    assert [scale.first.total < 1.3 * before.best.total for before, scale in pairwise(result.scales)] == [True, True]


def test_the_style_does_not_fade_from_scale_to_scale_where_the_mask_is_soft() -> None:
    content, painted, mask = tensor(0), tensor(2), disc(40, 32)
    guidance = Guidance.of(content, mask, SPEC.style_layers)
    image = guidance.composite(painted)
    again = guidance.composite(guidance.inverse_composite(image))
    seen = (mask >= 1 / 8).expand_as(image)
    assert torch.allclose(again[seen], image[seen], atol=1e-3)
    strongest = (guidance.inverse_composite(painted) - content).abs().max()
    assert strongest <= 8.001 * (painted - content).abs().max(), (
        "values that leak into the black part of the mask are not blown up"
    )


@pytest.mark.parametrize("stop_at", [6, 9])
def test_a_masked_pair_goes_on_to_the_same_end_to_the_last_bit(chain: Chain, tmp_path: Path, stop_at: int) -> None:
    plan = Optimisation(schedule(66, 70, (6, 7)), history=4)
    subject = masked(66, 70, disc(66, 70))
    (whole,) = stylise(chain, [subject], SPEC, plan)
    states: list[OptimisationState] = []

    def stop(step: Step) -> None:
        if step.evaluations[0].number == stop_at:
            states.append(on_disk_and_back(step.state_of(0), tmp_path / "state"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Styliser(chain, [subject], SPEC, plan, on_step=stop).run())
    ((_, result),) = Styliser(chain, [subject], SPEC, plan).run(states)
    assert isinstance(result, StyliseResult)
    assert torch.equal(result.image, whole.image)
    assert result.scales == whole.scales


def test_masked_pairs_together_are_as_alone_and_leave_their_batch_composed(chain: Chain) -> None:
    """Test a batch of which one pair cannot start: the others continue without it."""
    masks = [disc(40, 32), hard(40, 32), 1 - hard(40, 32)]
    subjects = [
        Subject(tensor(i) * (math.nan if i == 1 else 1), [Painting(tensor(i + 4))], mask)
        for i, mask in enumerate(masks)
    ]
    results = dict(Styliser(chain, subjects, SPEC, Optimisation((Scale(40, 32, 8),))).run())
    assert isinstance(results[1], NotFiniteError)
    for index in (0, 2):
        (alone,) = stylise(chain, [subjects[index]], SPEC, Optimisation((Scale(40, 32, 8),)))
        result = results[index]
        assert isinstance(result, StyliseResult)
        assert torch.equal(result.image, alone.image)
        black = (masks[index] == 0).expand_as(alone.image)
        assert torch.equal(result.image[black], subjects[index].content[black])


def test_a_blend_is_painted_between_its_paintings(chain: Chain) -> None:
    """Test that the Gram matrices of a blend are weighted means, at every scale, with a mask and without."""
    plan = Optimisation(schedule(83, 66, (3, 3)))
    content, one, two = tensor(0, 83, 66), tensor(1, 83, 66), tensor(2, 90, 50)
    for mask in (None, disc(83, 66)):
        (alone,), (twice,), (mostly,) = (
            stylise(chain, [Subject(content, paintings, mask)], SPEC, plan)
            for paintings in (
                [Painting(one)],
                [Painting(one, 0.3), Painting(one, 0.7)],
                [Painting(one, 0.5), Painting(two, 0.5)],
            )
        )
        assert (twice.image - alone.image).abs().max() < 0.1
        assert (mostly.image - alone.image).abs().max() > 5


def test_a_state_of_another_pair_is_refused(chain: Chain) -> None:
    states: list[OptimisationState] = []
    styliser = Styliser(
        chain,
        [Subject(tensor(0), [Painting(tensor(1))])],
        SPEC,
        ONE_SCALE,
        on_step=lambda step: states.append(step.state_of(0)),
    )
    list(styliser.run())
    other = Styliser(
        chain, [Subject(tensor(0, 50, 40), [Painting(tensor(1))])], SPEC, Optimisation((Scale(50, 40, 25),))
    )
    with pytest.raises(ValueError, match="cannot continue as"):
        list(other.run(states[:1]))


def test_a_pair_that_is_done_leaves_its_batch(chain: Chain) -> None:
    """Test a pair whose start is the minimum: it ends, and the batch continues without it."""
    content, style = tensor(0), tensor(1)
    spec = replace(SPEC, content_target="photograph", style_weight=0.0, tv_weight=0.0)
    still, moving = Subject(content, [Painting(style)]), Subject(content, [Painting(style)])
    sizes: list[int] = []
    styliser = Styliser(
        chain, [still, moving], spec, ONE_SCALE, on_step=lambda step: sizes.append(len(step.evaluations))
    )
    states = [OptimisationState(), OptimisationState(image=content + 9 * torch.randn(content.shape))]
    finished = [(index, len(sizes)) for index, _ in styliser.run(states)]
    assert finished == [(0, 1), (1, 25)]
    assert sizes == [2] + [1] * 24


def test_a_pair_that_cannot_start_leaves_the_others_alone(chain: Chain) -> None:
    pairs = [Subject(tensor(0) * (math.nan if i == 1 else 1), [Painting(tensor(i + 1))]) for i in range(3)]
    results = dict(Styliser(chain, pairs, SPEC, ONE_SCALE).run())
    assert isinstance(results[1], NotFiniteError)
    for index in (0, 2):
        (alone,) = stylise(chain, [pairs[index]], SPEC, ONE_SCALE)
        result = results[index]
        assert isinstance(result, StyliseResult)
        assert torch.equal(result.image, alone.image)


def equal(one: Targets, other: Targets) -> bool:
    """Whether two targets have the same statistics of a painting."""
    factors = [cast("WassersteinTarget", targets.styles["relu1_1"]).factor for targets in (one, other)]
    return torch.equal(*factors)


def test_paintings_are_looked_at_once_where_their_key_says_that_they_are_the_same(chain: Chain) -> None:
    cache = MomentsCache(2)
    first, second = Painting(tensor(1), key="a"), Painting(tensor(2), key="b")
    for paintings in ([first], [second], [replace(first, image=tensor(3))]):
        kept = Targets.of(chain, SPEC, tensor(0), paintings, cache=cache)
    assert equal(kept, Targets.of(chain, SPEC, tensor(0), [first]))
    assert len(cache) == 2
    Targets.of(chain, SPEC, tensor(0), [replace(first, image=tensor(1, 60, 32))], cache=cache)
    Targets.of(chain, SPEC, tensor(0), [Painting(tensor(4))], cache=cache)
    assert len(cache) == 2, (
        "another size makes another entry, the least recently used entry goes, and a painting without a key makes none"
    )
    again, new = (
        Targets.of(chain, SPEC, tensor(0), [replace(second, image=tensor(5), key=key)], cache=cache)
        for key in ("b", None)
    )
    assert equal(again, new)


def test_a_history_on_another_device_changes_nothing(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the code for a history on another device, with the CPU in place of that device."""
    usual = one(chain)

    def add_by_rows(total: torch.Tensor, coefficients: torch.Tensor, history: torch.Tensor) -> None:
        for coefficient, row in zip(coefficients, history, strict=True):
            total += coefficient * row

    monkeypatch.setattr(lbfgs, "_add_products", add_by_rows)
    result = one(chain, fit=Fit(host=True))
    assert result.scales[-1].best.total == pytest.approx(usual.scales[-1].best.total, rel=0.05)


def test_masks_are_shrunk_by_area() -> None:
    mask = hard(80, 64)
    assert shrink_mask(mask, 80, 64) is mask
    half = shrink_mask(mask, 40, 32)
    assert half.shape == (1, 1, 32, 40)
    assert half.mean().item() == pytest.approx(mask.mean().item())
    odd = shrink_mask(mask, 27, 21)
    assert (odd.min().item(), odd.max().item()) == (0, 1)
    assert torch.equal(shrink_mask(torch.ones(1, 1, 67, 81), 40, 33), torch.ones(1, 1, 33, 40))
