"""Tests that need a CUDA device: results as on the CPU, and captured graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from pipeline.outbox.metadata import Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device.devices import find_precision
from pipeline.stage.resources import Limits
from pipeline.stage.stage import Stage
from pipeline.stage.task import Task
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.state import OptimisationState
from pipeline.transfer.styliser import Optimisation, Step, Styliser, StyliseResult
from pipeline.transfer.targets import Painting, Subject, Targets
from pipeline.transfer.tiling import Fit
from pipeline.transfer.vgg import Chain, Vgg19
from pipeline.transfer.weights import find_weights
from tests.conftest import photo
from tests.engine import network_of, spec_of, stylise
from tests.masks import disc

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.transfer.state import Evaluation

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
SPEC = spec_of("painting")
BOTH = pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
"""Runs a test with either measure of style."""


def tensor(seed: int, width: int = 83, height: int = 66) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def chain(network: Vgg19, device: torch.device, dtype: torch.dtype = torch.float32, preset: str = "painting") -> Chain:
    return Chain(network, device, dtype, **network_of(preset))


def objective(on: Chain, preset: str, *, masked: bool = False) -> Objective:
    content, style, spec = tensor(0).to(on.device), tensor(1).to(on.device), spec_of(preset)
    mask = disc(83, 66).to(on.device) if masked else None
    return Objective(on, spec, Targets.of(on, spec, content, [Painting(style, mask=mask)], mask=mask))


@BOTH
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 0.08), (torch.float16, 0.08)])
def test_objective_and_gradient_are_those_of_the_cpu(
    network: Vgg19, dtype: torch.dtype, allowed: float, preset: str, *, masked: bool
) -> None:
    if preset == "painting":
        allowed = max(allowed, 1e-2)  # max pooling: where two features are nearly equal, rounding chooses
    image = tensor(2) + 5 * torch.randn(1, 3, 66, 83, generator=torch.Generator().manual_seed(0))
    terms, gradient = objective(chain(network, CPU, preset=preset), preset, masked=masked)(image)
    found, found_gradient = objective(chain(network, CUDA, dtype, preset), preset, masked=masked)(image.to(CUDA))
    assert found[0].tolist() == pytest.approx(terms[0].tolist(), rel=0.03)
    assert (found_gradient.cpu() - gradient).norm() <= allowed * gradient.norm()


@BOTH
@pytest.mark.parametrize("masked", [False, True])
def test_a_captured_graph_gives_what_it_was_captured_from(network: Vgg19, preset: str, *, masked: bool) -> None:
    evaluate = objective(chain(network, CUDA, preset=preset), preset, masked=masked)
    images = [tensor(seed).to(CUDA) for seed in (3, 4)]
    expected = [evaluate(image) for image in images]
    replayed, warnings = capture(evaluate, tensor(2).to(CUDA))
    assert warnings == []
    del evaluate  # the captured graph reads its targets, which must stay in memory
    _others = [torch.full((1, 512, 10, 8), 1e4, device=CUDA) for _ in range(50)]
    for image, values in zip(images, expected, strict=True):
        for found, value in zip(replayed(image), values, strict=True):
            assert torch.allclose(found, value, rtol=1e-4)


def test_pairs_are_painted_in_the_precision_of_the_device(network: Vgg19) -> None:
    on = chain(network, CUDA, find_precision("auto", CUDA))
    pairs = [Subject(tensor(i).to(CUDA), [Painting(tensor(i + 4).to(CUDA))]) for i in range(3)]
    for result in stylise(on, pairs, SPEC, Optimisation(schedule(83, 66, (20, 20)))):
        assert result.image.isfinite().all()
        assert result.scales[0].best.total < 0.7 * result.scales[0].first.total
        assert result.warnings == ()


@pytest.mark.parametrize("fit", [Fit(recompute=True), Fit(tile=32), Fit(tile=32, host=True)])
def test_every_fit_paints_what_whole_pictures_are(network: Vgg19, fit: Fit) -> None:
    on = chain(network, CUDA)
    pairs = [Subject(tensor(0).to(CUDA), [Painting(tensor(1).to(CUDA))])]
    (whole,) = stylise(on, pairs, SPEC, Optimisation(schedule(83, 66, (12,))))
    (result,) = stylise(on, pairs, SPEC, Optimisation(schedule(83, 66, (12,))), fit=fit)
    assert result.scales[0].best.total == pytest.approx(whole.scales[0].best.total, rel=0.05)


def test_a_pair_goes_on_from_a_file(network: Vgg19, tmp_path: Path) -> None:
    on, plan = chain(network, CUDA), Optimisation(schedule(83, 66, (6, 8)))
    pairs = [Subject(tensor(0).to(CUDA), [Painting(tensor(1).to(CUDA))])]

    def stop(step: Step) -> None:
        if step.evaluations[0].number == 10:
            torch.save(step.state_of(0).to_plain(), tmp_path / "state")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Styliser(on, pairs, SPEC, plan, on_step=stop).run())
    state = OptimisationState.from_plain(torch.load(tmp_path / "state", map_location="cpu", weights_only=True))
    ((_, result),) = Styliser(on, pairs, SPEC, plan).run([state])
    (whole,) = stylise(on, pairs, SPEC, plan)
    assert isinstance(result, StyliseResult)
    assert result.evaluations == whole.evaluations
    assert result.scales[-1].best.total == pytest.approx(whole.scales[-1].best.total, rel=0.02)


def test_a_stage_paints_batches_while_others_are_loaded(network: Vgg19, tmp_path: Path) -> None:
    for i in range(7):
        Image.fromarray(photo(83, 66, i)).save(tmp_path / f"{i}.png")
    settings = PairSettings.model_validate({"image": {"size": 83}, "pyramid": {"evaluations": [8, 8]}})
    pairs = [
        Pair(tmp_path / f"{i}.png", (tmp_path / "6.png",), f"{i}.png", "6.png", str(i), settings) for i in range(6)
    ]
    outbox = Outbox(tmp_path / "out")
    stage = Stage(
        network=network,
        weights=find_weights("packaged"),
        device=CUDA,
        precision=find_precision("auto", CUDA),
        outbox=outbox,
        listener=Silent(),
        limits=Limits(batch=3),
    )
    with outbox.locked():
        records = [outcome.record for outcome in stage.process([Task(pair, 1, None) for pair in pairs])]
    assert [record.status for record in records] == ["done"] * 6
    assert all(record.warnings == [] for record in records if isinstance(record, Metadata))


class Silent:
    """A listener that ignores all events."""

    def pair_started(self, pair: Pair) -> None:
        """Ignore the event."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Ignore the event."""
