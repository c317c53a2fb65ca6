"""Tests of the optimisation of whole pairs, alone and in batches."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.errors import NotFiniteError
from pipeline.settings.pair_settings import ObjectiveSettings
from pipeline.transfer import lbfgs, styliser
from pipeline.transfer.guidance import Guidance, shrink_mask
from pipeline.transfer.losses import ObjectiveSpec
from pipeline.transfer.pyramid import Scale, resample, schedule
from pipeline.transfer.state import Evaluation, OptimisationState
from pipeline.transfer.styliser import Optimisation, Step, Styliser, StyliseResult
from pipeline.transfer.targets import GramCache, Painting, Subject, Targets
from pipeline.transfer.tiling import Fit
from pipeline.transfer.vgg import Chain, Vgg19
from tests import oracle
from tests.conftest import photo
from tests.engine import stylise
from tests.masks import disc, hard

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ObjectiveSpec(**dict(ObjectiveSettings().model_dump(exclude={"pooling", "padding"})))
ONE_SCALE = Optimisation((Scale(40, 32, 25),))


def chain_of(network: Vgg19) -> Chain:
    return Chain(network, torch.device("cpu"), pooling="average", padding="replicate")


@pytest.fixture
def chain(network: Vgg19) -> Chain:
    return chain_of(network)


def tensor(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


THREE_SCALES_PAIR = Subject(tensor(0, 140, 132), [Painting(tensor(1, 140, 132))])


def one(chain: Chain, optimisation: Optimisation = ONE_SCALE, **more: Any) -> StyliseResult:
    """Return the result of one pair."""
    (result,) = stylise(chain, [Subject(tensor(0), [Painting(tensor(1))])], SPEC, optimisation, **more)
    return result


def test_starts_from_the_content_and_goes_down(chain: Chain) -> None:
    content = tensor(0)
    seen: list[Evaluation] = []
    (result,) = stylise(
        chain,
        [Subject(content, [Painting(tensor(1))])],
        SPEC,
        ONE_SCALE,
        on_evaluation=lambda each: seen.append(each[0]),
    )
    (scale,) = result.scales
    assert scale.first.content == 0, "the first evaluation is at the content itself"
    assert scale.best.total < 0.2 * scale.first.total
    assert [e.number for e in seen] == list(range(1, 26))
    assert scale.trace == tuple((e.number, e.total) for e in seen)
    assert torch.equal(content, tensor(0)), "the content of the caller is not changed"


def test_the_image_is_the_best_iterate_and_not_clipped(chain: Chain) -> None:
    result = one(chain)
    truth = oracle.objective(result.image, tensor(0), tensor(1), oracle.Weighted())
    best = result.scales[-1].best
    assert best.total == min(total for _, total in result.scales[-1].trace)
    assert best.total == pytest.approx(truth["total"].item(), rel=1e-4)
    assert result.image.min() < 0 or result.image.max() > 255


def test_pyramid_goes_from_coarse_to_fine(chain: Chain) -> None:
    seen: list[Evaluation] = []
    pair = Subject(tensor(0, 83, 66), [Painting(tensor(1, 83, 66))])
    optimisation = Optimisation(schedule(83, 66, (9, 8, 7)))
    (result,) = stylise(chain, [pair], SPEC, optimisation, on_evaluation=lambda each: seen.append(each[0]))
    assert result.image.shape == (1, 3, 66, 83)
    assert [(s.scale.width, s.scale.evaluations) for s in result.scales] == [(42, 8), (83, 7)]
    assert [s.trace[0][0] for s in result.scales] == [1, 9], "evaluations are numbered across the scales"
    shares = [e.share for e in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    (alone,) = stylise(chain, [pair], SPEC, Optimisation(schedule(83, 66, (7,))))
    assert result.scales[-1].best.total < 0.9 * alone.scales[-1].best.total


def test_four_pairs_together_are_as_four_alone(chain: Chain) -> None:
    pairs = [Subject(tensor(i), [Painting(tensor(i + 4, 40 + i, 32))]) for i in range(4)]
    optimisation = Optimisation((Scale(40, 32, 20),))
    for pair, together in zip(pairs, stylise(chain, pairs, SPEC, optimisation), strict=True):
        (alone,) = stylise(chain, [pair], SPEC, optimisation)
        assert together.scales[-1].last.total == pytest.approx(alone.scales[-1].last.total, rel=1e-5)


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
    truth = oracle.objective(result.image, tensor(0), tensor(1), oracle.Weighted())["total"].item()
    assert truth == pytest.approx(result.scales[-1].best.total, rel=1e-4)
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
def uninterrupted(network: Vgg19) -> StyliseResult:
    """Return the result of an uninterrupted pair of three scales."""
    (whole,) = stylise(chain_of(network), [THREE_SCALES_PAIR], SPEC, THREE_SCALES)
    return whole


@pytest.mark.parametrize(
    "stop_at", [1, pytest.param(6, marks=pytest.mark.exhaustive), 11, pytest.param(18, marks=pytest.mark.exhaustive)]
)
def test_goes_on_from_any_evaluation_to_the_same_end_to_the_last_bit(
    chain: Chain, tmp_path: Path, uninterrupted: StyliseResult, stop_at: int
) -> None:
    pairs, whole = [THREE_SCALES_PAIR], uninterrupted
    states: list[OptimisationState] = []

    def stop(step: Step) -> None:
        if step.evaluations[0].number == stop_at:
            states.append(on_disk_and_back(step.state_of(0), tmp_path / "state"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Styliser(chain, pairs, SPEC, THREE_SCALES, on_step=stop).run())
    assert states[0].evaluations == stop_at
    numbers: list[int] = []
    again = Styliser(chain, pairs, SPEC, THREE_SCALES, on_step=lambda step: numbers.append(step.evaluations[0].number))
    ((_, result),) = again.run(states)
    assert numbers == list(range(stop_at + 1, 19)), "no evaluation is repeated"
    assert isinstance(result, StyliseResult)
    assert torch.equal(result.image, whole.image)
    assert (result.scales, result.evaluations, result.warnings) == (whole.scales, 18, whole.warnings)


def masked(width: int, height: int, mask: torch.Tensor) -> Subject:
    """Return a subject with a mask."""
    return Subject(tensor(0, width, height), [Painting(tensor(1, width, height))], mask)


def test_a_masked_image_goes_down_and_is_the_photograph_where_the_mask_is_black(chain: Chain) -> None:
    for mask in (disc(40, 32), hard(40, 32)):
        (result,) = stylise(chain, [masked(40, 32, mask)], SPEC, ONE_SCALE)
        (scale,) = result.scales
        black, white = ((mask == value).expand_as(result.image) for value in (0, 1))
        assert black.any()
        assert torch.equal(result.image[black], tensor(0)[black])
        assert (result.image - tensor(0))[white].abs().mean() > 10
        assert scale.best.total < 0.5 * scale.first.total
        truth = oracle.objective(result.image, tensor(0), tensor(1), oracle.Weighted())
        assert scale.best.content == pytest.approx(truth["content"].item(), rel=1e-4), (
            "the term is that of the composite image, not of the iterate"
        )
        assert scale.best.tv == pytest.approx(truth["tv"].item(), rel=1e-4)


def test_a_mask_of_ones_paints_what_no_mask_does(chain: Chain) -> None:
    plan = Optimisation(schedule(83, 66, (4, 4)))
    ones = masked(83, 66, torch.ones(1, 1, 66, 83))
    (without,), (result,) = (stylise(chain, [subject], SPEC, plan) for subject in (replace(ones, mask=None), ones))
    assert (result.image - without.image).abs().max() < 0.1
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
    assert [scale.first.total < 1.2 * before.best.total for before, scale in pairwise(result.scales)] == [True, True]


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
    spec = replace(SPEC, style_weight=0.0, tv_weight=0.0)
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


def test_paintings_are_looked_at_once_where_their_key_says_that_they_are_the_same(chain: Chain) -> None:
    cache = GramCache(2)
    first, second = Painting(tensor(1), key="a"), Painting(tensor(2), key="b")
    for paintings in ([first], [second], [replace(first, image=tensor(3))]):
        kept = Targets.of(chain, SPEC, tensor(0), paintings, cache=cache)
    assert torch.equal(kept.grams["conv1_1"], Targets.of(chain, SPEC, tensor(0), [first]).grams["conv1_1"])
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
    assert torch.equal(again.grams["conv1_1"], new.grams["conv1_1"])


def test_a_history_on_another_device_changes_nothing(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the code for a history on another device, with the CPU in place of that device."""
    usual = one(chain)

    def by_rows(history: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        return torch.stack([row @ both for row in history])

    def add_by_rows(total: torch.Tensor, coefficients: torch.Tensor, history: torch.Tensor) -> None:
        for coefficient, row in zip(coefficients, history, strict=True):
            total += coefficient * row

    monkeypatch.setattr(lbfgs, "_products", by_rows)
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
