"""What only a CUDA device can show: the same results as on the CPU, and a captured graph."""

from __future__ import annotations

import pytest
import torch

from pipeline.settings import ObjectiveSettings
from pipeline.stage.device import find_precision
from pipeline.stage.engine import objective_spec
from pipeline.transfer.capture import capture
from pipeline.transfer.objective import Objective, Painting
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.stylizer import Optimisation, stylise
from pipeline.transfer.vgg import Chain, Vgg19
from tests.conftest import photo

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
SPEC = objective_spec(ObjectiveSettings())


def tensor(seed: int, width: int = 83, height: int = 66) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def chain(network: Vgg19, device: torch.device, dtype: torch.dtype = torch.float32) -> Chain:
    return Chain(network, device, dtype, pooling="average", padding="replicate")


def objective(on: Chain) -> Objective:
    content, style = tensor(0).to(on.device), tensor(1).to(on.device)
    return Objective(on, SPEC, Objective.targets(on, SPEC, content, [Painting(style)]))


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 0.08), (torch.float16, 0.08)])
def test_objective_and_gradient_are_those_of_the_cpu(network: Vgg19, dtype: torch.dtype, allowed: float) -> None:
    image = tensor(2)
    terms, gradient = objective(chain(network, CPU))(image)
    found, found_gradient = objective(chain(network, CUDA, dtype))(image.to(CUDA))
    assert found[0].tolist() == pytest.approx(terms[0].tolist(), rel=0.03)
    assert (found_gradient.cpu() - gradient).norm() <= allowed * gradient.norm()


def test_a_captured_graph_gives_what_it_was_captured_from(network: Vgg19) -> None:
    evaluate = objective(chain(network, CUDA))
    images = [tensor(seed).to(CUDA) for seed in (3, 4)]
    expected = [evaluate(image) for image in images]
    replayed, warnings = capture(evaluate, tensor(2).to(CUDA))
    assert warnings == []
    del evaluate  # its targets must stay where the graph reads them
    _others = [torch.full((1, 512, 10, 8), 1e4, device=CUDA) for _ in range(50)]
    for image, values in zip(images, expected, strict=True):
        for found, value in zip(replayed(image), values, strict=True):
            assert torch.allclose(found, value, rtol=1e-4)


def test_pairs_are_painted_in_the_precision_of_the_device(network: Vgg19) -> None:
    on = chain(network, CUDA, find_precision("auto", CUDA))
    pairs = [(tensor(i).to(CUDA), [Painting(tensor(i + 4).to(CUDA))]) for i in range(3)]
    for result in stylise(on, pairs, SPEC, Optimisation(schedule(83, 66, (20, 20)))):
        assert result.image.isfinite().all()
        assert result.scales[0].best.total < 0.5 * result.scales[0].first.total
        assert result.warnings == ()
