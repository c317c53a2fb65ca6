"""Tests of the prediction of memory, and of the choice of a fit."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device import memory as memory_module
from pipeline.stage.device.memory import ON_CPU, ON_CUDA, SHARE_OF_FREE, Memory, MemoryDemand, predict
from pipeline.stage.device.system_memory import (
    free_cuda_bytes,
    free_host_bytes,
    keeps_freed_memory,
    trim,
    tune_allocator,
)
from pipeline.stage.engine_config import objective_spec
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import channels_of

if TYPE_CHECKING:
    from collections.abc import Callable


CPU, CARD = torch.device("cpu"), torch.device("cuda:0")
SPEC = objective_spec(PairSettings().objective)
GB = 1 << 30
RECOMPUTE = Fit(recompute=True)
ROOT = Path(__file__).parents[3]

MEASURE = """
import sys

import torch
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device.system_memory import PeakMemory
from pipeline.stage.engine_config import objective_spec
from pipeline.stage.device.system_memory import tune_allocator
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import find_weights, load_weights

cpu, spec = torch.device("cpu"), objective_spec(PairSettings().objective)
chain = Chain(load_weights(find_weights("packaged")), cpu)


def step(side, width):
    content, painting = 255 * torch.rand(1, 3, side, side), 255 * torch.rand(1, 3, side, width)
    with torch.no_grad():
        objective = Objective(chain, spec, Targets.of(chain, spec, content, [Painting(painting)]))
        Minimiser(content, evaluations=4, history=3).step(objective)


step(32, 32)  # else the network's weights, which are mapped from a file, are counted as they are first touched
tune_allocator(1 << 20)
peak = PeakMemory(cpu)
step(256, int(sys.argv[1]))
print(peak.taken_bytes())
"""
"""Program that prints the bytes that an evaluation takes, for a painting of 256 px and the width in px that is its
argument. It runs in a process that no other test has touched."""


def work(width: int, height: int | None = None, **more: Any) -> MemoryDemand:
    """Return the memory demand of a pair of a size in px."""
    values = {"value_bytes": 4, "history": 20} | more
    return MemoryDemand(width, height or width, SPEC.layers, SPEC.content_layers, **values)


LARGE = work(4000, 3000)
LARGE_ON_CARD = dataclasses.replace(LARGE, on_cuda=True)


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that pretends that a number of bytes is free on every device."""

    def set_bytes(count: int) -> None:
        monkeypatch.setattr(Memory, "free_bytes", lambda _: count)

    return set_bytes


@pytest.mark.parametrize("on_cuda", [False, True])
@pytest.mark.parametrize("fit", [WHOLE, RECOMPUTE])
@given(sides=st.lists(st.tuples(st.integers(16, 9000), st.integers(16, 9000)), min_size=2, max_size=2))
@settings(deadline=None)
def test_more_pixels_take_more_memory(fit: Fit, on_cuda: bool, sides: list[tuple[int, int]]) -> None:  # noqa: FBT001
    smaller, larger = sorted((work(*side, on_cuda=on_cuda) for side in sides), key=lambda each: each.pixels)
    if on_cuda or keeps_freed_memory(smaller.pixels, fit) == keeps_freed_memory(larger.pixels, fit):
        assert predict(smaller, fit) <= predict(larger, fit)


@pytest.mark.parametrize(("device", "large"), [(CPU, LARGE), (CARD, LARGE_ON_CARD)], ids=["cpu", "cuda"])
def test_every_rung_takes_less_memory_than_the_one_above(device: torch.device, large: MemoryDemand) -> None:
    rungs = [
        fit for fit in Memory(device).ladder if not (fit.host and fit.history)
    ]  # these fits save memory of the host only
    assert rungs[0] == WHOLE
    assert all(predict(large, upper) > predict(large, lower) for upper, lower in pairwise(rungs))
    assert predict(large, rungs[-1]) < 0.4 * predict(large, WHOLE)


@pytest.mark.parametrize(("device", "large"), [(CPU, LARGE), (CARD, LARGE_ON_CARD)], ids=["cpu", "cuda"])
@pytest.mark.parametrize(("width", "height"), [(3000, 1000), (9000, 7000), (1400, 1400), (6000, 600), (512, 384)])
def test_no_rung_takes_more_memory_than_the_one_above(
    device: torch.device, large: MemoryDemand, width: int, height: int
) -> None:
    one = dataclasses.replace(large, width=width, height=height)
    taken = [predict(one, fit) for fit in Memory(device).rungs(one)]
    assert taken == sorted(taken, reverse=True)


def test_half_the_precision_takes_less_and_a_longer_history_more() -> None:
    assert 0.5 < predict(work(2000, value_bytes=2), WHOLE) / predict(work(2000), WHOLE) < 0.8
    step = 2 * 3 * 4 * 2000 * 2000
    assert predict(work(2000, history=30), WHOLE) - predict(work(2000, history=20), WHOLE) == 10 * step
    assert predict(work(2000), Fit(history=5)) == predict(work(2000, history=5), WHOLE)
    assert predict(work(2000, history=3), Fit(history=5)) == predict(work(2000, history=3), WHOLE), (
        "a fit limits the history, but does not lengthen it"
    )
    assert predict(work(2000), Fit(host=True)) == predict(work(2000, history=0), WHOLE)


def test_shallower_layers_take_less() -> None:
    shallow = dataclasses.replace(LARGE, layers=frozenset({"conv2_1", "relu3_1"}), content_layers=())
    assert predict(shallow, WHOLE) < predict(LARGE, WHOLE)
    shallowest = dataclasses.replace(LARGE, layers=frozenset({"conv1_1"}), content_layers=())
    assert predict(shallowest, RECOMPUTE) <= predict(shallowest, WHOLE) <= predict(shallow, WHOLE)


def test_a_batch_takes_activations_for_each_image_on_a_card_and_for_one_on_a_cpu() -> None:
    card = dataclasses.replace(work(512), on_cuda=True)
    fixed = [predict(dataclasses.replace(card, width=1, height=1), WHOLE, images) for images in (1, 4)]
    assert predict(card, WHOLE, 4) - fixed[1] == pytest.approx(4 * (predict(card, WHOLE) - fixed[0]), rel=1e-3)
    assert fixed[1] - fixed[0] > 3 * 4 * sum(channels_of(layer) ** 2 for layer in card.layers), (
        "each image has covariances, whatever its size"
    )
    assert predict(work(1000), WHOLE) < predict(work(1000), WHOLE, 4) < 3 * predict(work(1000), WHOLE)


@pytest.mark.skipif(sys.platform != "linux", reason="it cannot be measured elsewhere")
@pytest.mark.usefixtures("network")  # the weights are decoded first: decoding would change the state of the heap
@pytest.mark.parametrize("painting", [256, 768, 2560], ids=["square", "wide", "scroll"])
def test_what_is_predicted_is_about_what_is_measured(painting: int) -> None:
    command = [sys.executable, "-c", MEASURE, str(painting)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    demand = work(256, history=3, paintings=((painting, 256),))
    assert 0.7 < predict(demand, WHOLE) / int(done.stdout) < 2


def test_the_work_of_a_pair_is_what_its_settings_say() -> None:
    settings = PairSettings(optimiser={"history": 12}, pyramid={"evaluations": (50, 9), "floor": 24})
    assert MemoryDemand.of(settings, 40, 32, torch.bfloat16, CARD) == MemoryDemand(
        40, 32, SPEC.layers, SPEC.content_layers, 2, 8, on_cuda=True
    ), "the history has no more steps than the evaluations allow"
    assert MemoryDemand.of(PairSettings(optimiser={"history": 12}), 400, 320, torch.float32, CPU).history == 12
    merged = PairSettings(optimiser={"history": 12}, pyramid={"evaluations": (50, 9), "floor": 32})
    assert MemoryDemand.of(merged, 40, 32, torch.float32, CPU).history == 12, (
        "scales that become one have the most evaluations of them"
    )


def test_small_images_do_without_the_rungs_that_would_change_nothing() -> None:
    assert Memory(CPU).rungs(work(512, 384)) == [WHOLE, RECOMPUTE, Fit(tile=512, history=5)]
    assert Fit(tile=512) in Memory(CPU).rungs(work(513, 100))
    assert Memory(CPU).rungs(LARGE) == list(ON_CPU)
    assert Memory(CARD).rungs(LARGE_ON_CARD) == list(ON_CUDA)
    assert Fit(tile=2048) not in Memory(CARD).rungs(work(1000, on_cuda=True))


@pytest.mark.parametrize(("device", "large"), [(CPU, LARGE), (CARD, LARGE_ON_CARD)], ids=["cpu", "cuda"])
def test_the_first_rung_that_has_room_is_chosen(
    set_free: Callable[[int], None], device: torch.device, large: MemoryDemand
) -> None:
    memory = Memory(device)
    for fit in memory.ladder[:-1]:
        set_free(predict(large, fit))
        assert memory.choose(large) == fit
    set_free(predict(large, memory.ladder[-1]) - 1)
    assert memory.choose(large) is None


def test_a_batch_needs_room_for_all_of_it(set_free: Callable[[int], None]) -> None:
    card = work(512, on_cuda=True)
    set_free(predict(card, WHOLE, 4))
    assert Memory(CARD).choose(card, 4) == WHOLE
    assert Memory(CARD).choose(card, 5) != WHOLE


def test_it_goes_down_as_many_rungs_as_it_must(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    memory = Memory(CPU)
    for down, fit in enumerate(ON_CPU):
        assert memory.choose(LARGE, at_least=down) == fit
    assert memory.choose(LARGE, at_least=99) == ON_CPU[-1]
    set_free(predict(LARGE, ON_CPU[4]))
    assert memory.choose(LARGE, at_least=1) == ON_CPU[4], "without room the choice goes further down than asked"


def test_below_goes_down_the_ladder_to_its_end() -> None:
    memory, fit, seen = Memory(CPU), WHOLE, [WHOLE]
    while (lower := memory.below(LARGE, fit)) is not None:
        fit = lower
        seen.append(fit)
    assert seen == list(ON_CPU)
    small = work(512)
    assert memory.below(small, RECOMPUTE) == Fit(tile=512, history=5)


def test_what_did_not_fit_is_not_tried_again_with_as_much_or_more(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    memory = Memory(CPU)
    memory.below(work(1000, 800), WHOLE)
    assert memory.choose(work(1000, 800)) == RECOMPUTE
    assert memory.choose(work(800, 1000)) == RECOMPUTE
    assert memory.choose(LARGE) == RECOMPUTE
    assert memory.choose(work(1000, 799)) == WHOLE
    assert memory.choose(work(500, 400), 3) == WHOLE
    assert memory.choose(work(500, 400), 4) == RECOMPUTE, "a batch with as many pixels in all is not tried either"
    memory.below(LARGE, WHOLE)
    assert memory.choose(work(1000, 800)) == RECOMPUTE, (
        "the failure of a larger image changes nothing for a smaller one"
    )
    memory.below(work(600, 500), WHOLE)
    assert memory.choose(work(1000, 799)) == RECOMPUTE
    assert memory.choose(work(600, 499)) == WHOLE


def test_a_batch_that_did_not_fit_counts_all_its_pixels(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    memory = Memory(CPU)
    memory.below(work(500, 400), WHOLE, images=4)
    assert memory.choose(work(1000, 799)) == WHOLE
    assert memory.choose(work(1000, 800)) == RECOMPUTE


def test_where_all_failed_the_last_rung_is_tried_once_more(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    memory = Memory(CPU)
    for fit in ON_CPU:
        memory.below(LARGE, fit)
    assert memory.choose(LARGE) == ON_CPU[-1]


def test_what_did_not_fit_is_tried_again_after_an_hour(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    now = 0.0
    memory = Memory(CPU, clock=lambda: now)
    memory.below(LARGE, WHOLE)
    now = 3599.0
    assert memory.choose(LARGE) == RECOMPUTE
    now = 3601.0
    assert memory.choose(LARGE) == WHOLE


@pytest.mark.parametrize(("ratio", "factor"), [(1.2, 1.2), (0.9, 0.9), (1.0, 1.0), (3.0, 1.5), (0.1, 0.8)])
def test_predictions_are_corrected_by_what_was_measured_within_limits(ratio: float, factor: float) -> None:
    memory = Memory(CPU)
    for _ in range(2):  # the measured figures are contradictory
        memory.learn(LARGE, WHOLE, 1, int(ratio * predict(LARGE, WHOLE)))
    other = work(3000)
    assert memory.predict(LARGE, WHOLE) == pytest.approx(factor * predict(LARGE, WHOLE), rel=1e-6)
    assert memory.predict(other, WHOLE, 2) == pytest.approx(factor * predict(other, WHOLE, 2), rel=1e-6)
    assert memory.predict(LARGE, RECOMPUTE) == predict(LARGE, RECOMPUTE), (
        "the correction of one fit does not apply to another"
    )


def test_what_was_learnt_counts_when_a_fit_is_chosen(set_free: Callable[[int], None]) -> None:
    memory = Memory(CPU)
    set_free(predict(LARGE, WHOLE))
    memory.learn(LARGE, WHOLE, 1, int(1.1 * predict(LARGE, WHOLE)))
    assert memory.choose(LARGE) == RECOMPUTE


def test_nothing_is_learnt_from_small_pairs_or_where_nothing_was_measured() -> None:
    memory, small = Memory(CPU), work(300)
    assert predict(small, WHOLE) < 256 << 20
    memory.learn(small, WHOLE, 1, 2 * predict(small, WHOLE))
    memory.learn(LARGE, WHOLE, 1, None)
    memory.learn(LARGE, WHOLE, 1, 255 << 20)
    assert memory.predict(LARGE, WHOLE) == predict(LARGE, WHOLE)


def test_a_part_of_what_is_free_is_left_and_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "free_host_bytes", lambda: 10 * GB)
    monkeypatch.setattr(memory_module, "free_cuda_bytes", lambda device: 20 * GB if device == CARD else 0)
    assert Memory(CPU).free_bytes() == int(SHARE_OF_FREE * 10 * GB)
    assert Memory(CARD).free_bytes() == int(SHARE_OF_FREE * 20 * GB)
    assert Memory(CPU, 3 * GB).free_bytes() == 3 * GB
    assert Memory(CPU, 30 * GB).free_bytes() == int(SHARE_OF_FREE * 10 * GB)


def test_what_torch_keeps_for_itself_on_a_card_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (700, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 250)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    assert free_cuda_bytes(CARD) == 850


@pytest.mark.parametrize(("device", "cleared"), [(CPU, 0), (CARD, 1)])
def test_what_a_card_keeps_is_given_back(monkeypatch: pytest.MonkeyPatch, device: torch.device, cleared: int) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("cache"))
    monkeypatch.setattr(memory_module, "trim", lambda: calls.append("trim"))
    Memory(device).release()
    assert calls == ["cache"] * cleared + ["trim"]


V1, V2 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"), ("memory.max", "memory.current")


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that simulates a control group, on a machine with 1000 free bytes."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))

    def make(names: tuple[str, str], limit: str, used: str, stat: str | None = "anon 5\nfile 9\n") -> Path:
        for name, text in zip((*names, names[0].rpartition("/")[0] + "/memory.stat"), (limit, used, stat), strict=True):
            path = tmp_path / name.removeprefix("/")
            path.parent.mkdir(exist_ok=True)
            if text is not None:
                path.write_text(text)
        return tmp_path

    return make


def test_without_a_control_group_what_the_machine_has_is_free(fill: Callable[..., Path], tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path) == 1000
    assert free_host_bytes(tmp_path / "none") == 1000


@pytest.mark.parametrize("names", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("files", "free"),
    [
        (("900\n", "300\n", "anon 5\n"), 600),
        (("900\n", "300\n", "anon 5\ninactive_file 120\nactive_file 7\n"), 720),
        (("900\n", "300\n", "total_inactive_file 130\n"), 730),
        (("9000\n", "300\n", "anon 5\n"), 1000),
        (("900\n", "950\n", "anon 5\n"), 0),
        (("9223372036854771712\n", "300\n", "anon 5\n"), 1000),
        (("max\n", "300\n", "anon 5\n"), 1000),
        (("", "300\n", "anon 5\n"), 1000),
    ],
)
def test_the_limit_of_a_container_counts(
    fill: Callable[..., Path], names: tuple[str, str], files: tuple[str, str, str], free: int
) -> None:
    assert free_host_bytes(fill(names, *files)) == free


def test_the_narrower_of_two_limits_counts(fill: Callable[..., Path]) -> None:
    fill(V1, "800", "100")
    assert free_host_bytes(fill(V2, "900", "100")) == 700
    assert free_host_bytes(fill(V2, "500", "100")) == 400


@pytest.mark.parametrize("names", [V1, V2], ids=["v1", "v2"])
def test_a_limit_counts_where_nothing_is_told_of_the_cache(fill: Callable[..., Path], names: tuple[str, str]) -> None:
    assert free_host_bytes(fill(names, "900", "300", None)) == 600


@pytest.mark.parametrize(
    ("pixels", "fit", "keeps"),
    [(1 << 18, WHOLE, True), (1 << 20, WHOLE, False), (1 << 18, RECOMPUTE, False), (1 << 18, Fit(tile=512), False)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="nothing is called elsewhere")
def test_the_allocator_keeps_what_small_images_free_and_gives_back_the_rest(
    monkeypatch: pytest.MonkeyPatch,
    pixels: int,
    fit: Fit,
    keeps: bool,  # noqa: FBT001
) -> None:
    calls: list[tuple[Any, ...]] = []
    libc = SimpleNamespace(
        mallopt=lambda *of: calls.append(("mallopt", *of)), malloc_trim=lambda *of: calls.append(("trim", *of))
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    tune_allocator(pixels, fit)
    activation = 64 * 4 * (1 << 17)
    assert keeps_freed_memory(pixels, fit) == keeps
    assert [call[0] for call in calls] == (["mallopt"] if keeps else ["trim", "mallopt"])
    assert calls[-1][1] == -3, "the last call sets M_MMAP_THRESHOLD (-3 in malloc.h)"
    assert (calls[-1][2] >= activation) == keeps


@pytest.mark.parametrize("libc", [None, SimpleNamespace()], ids=["none", "another"])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, libc: object) -> None:
    def load(_: None) -> object:
        if libc is None:
            raise OSError
        return libc

    monkeypatch.setattr(ctypes, "CDLL", load)
    tune_allocator(1 << 20)
    tune_allocator(1)
    trim()


def test_larger_and_further_paintings_take_more_memory() -> None:
    plain = work(2000)
    assert predict(work(2000, paintings=((1000, 1000),)), WHOLE) == predict(plain, WHOLE)
    assert predict(work(2000, paintings=((2000, 2000),)), WHOLE) == predict(plain, WHOLE)
    large, several = work(2000, paintings=((6000, 6000),)), work(2000, paintings=((2000, 2000),) * 5)
    assert predict(several, WHOLE) - predict(plain, WHOLE) == 12 * 4 * 2000**2
    assert predict(large, WHOLE) - predict(plain, WHOLE) > 12 * 8 * 2000**2
    small = Fit(tile=512)
    gained = predict(large, WHOLE) - predict(large, small)
    assert gained > predict(plain, WHOLE) - predict(plain, small), "tiles save memory for the paintings, too"


def test_a_large_painting_of_a_small_photograph_can_go_in_tiles() -> None:
    memory = Memory(CPU, GB)
    assert Fit(tile=512) not in memory.rungs(work(500))
    assert Fit(tile=512) in memory.rungs(work(500, paintings=((500, 300), (1000, 400))))


def test_the_paintings_of_a_pair_are_those_of_its_settings_until_they_are_known() -> None:
    larger = PairSettings(style={"scale": 2})
    assert MemoryDemand.of(larger, 40, 32, torch.float32, CPU).paintings == ((80, 64),)
    assert MemoryDemand.of(PairSettings(), 40, 32, torch.float32, CPU).paintings == ()
    assert MemoryDemand.of(larger, 40, 32, torch.float32, CPU, paintings=((90, 64),)).paintings == ((90, 64),)


def test_no_tensor_on_a_card_has_more_values_than_its_libraries_count(set_free: Callable[[int], None]) -> None:
    set_free(10**15)
    memory = Memory(CARD)
    countable, too_large = work(5792, on_cuda=True), work(5808, on_cuda=True)
    assert memory.choose(countable) == WHOLE
    fit = memory.choose(too_large)
    assert fit is not None
    assert fit.tile is not None
    assert memory.choose(work(1448, on_cuda=True), 16) == WHOLE
    assert memory.choose(work(1456, on_cuda=True), 16) != WHOLE
    scroll = memory.choose(work(1000, on_cuda=True, paintings=((40_000, 1000),)))
    assert scroll is not None
    assert scroll.tile is not None
    assert Memory(CPU).choose(work(5808)) == WHOLE


@pytest.mark.parametrize(("processes", "has_room"), [(1, True), (2, False)])
def test_processes_share_the_hosts_memory_for_histories(
    set_free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, processes: int, *, has_room: bool
) -> None:
    demand, on_host = LARGE_ON_CARD, Fit(tile=512, host=True)
    set_free(predict(demand, on_host))  # too little for a history on the card
    history = 24 * demand.history * demand.pixels
    monkeypatch.setattr(memory_module, "free_host_bytes", lambda: int(1.5 * history))
    fit = Memory(CARD, processes=processes).choose(demand)
    assert fit is not None
    assert (fit.history is None) == has_room, "without room on the host, fewer steps are remembered"


def test_it_is_told_which_memory_does_not_suffice(
    set_free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    demand, memory = LARGE_ON_CARD, Memory(CARD, processes=2)
    monkeypatch.setattr(memory_module, "predict", lambda _, fit, __: 5 * GB if fit.host else 50 * GB)
    set_free(3 * GB)
    monkeypatch.setattr(memory_module, "free_host_bytes", lambda: 100 * GB)
    assert memory.choose(demand) is None
    assert memory.shortage(demand) == "5.0 GiB are needed at least, 3.0 GiB are available"
    set_free(8 * GB)
    steps = 24 * 5 * demand.pixels
    monkeypatch.setattr(memory_module, "free_host_bytes", lambda: steps)
    assert memory.choose(demand) is None
    assert memory.shortage(demand) == (
        f"{steps / GB:.1f} GiB of the host's memory are needed at least, {SHARE_OF_FREE * steps / 2 / GB:.1f} GiB are "
        "available"
    )
