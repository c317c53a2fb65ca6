from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pipeline.errors import DeviceError, MachineError, StorageError
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings import PairSettings
from pipeline.stage import stage as stage_module
from pipeline.stage.load import load
from pipeline.stage.stage import Stage, Task, is_out_of_memory
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.stylizer import Evaluation, ScaleResult, Stylisation
from pipeline.transfer.weights import find_weights
from tests import oracle
from tests.conftest import pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.transfer.vgg import Vgg19

WHEN = Evaluation(1, 4.0, 1.0, 2.0, 1.0)


class Recorder:
    def __init__(self) -> None:
        self.started: list[str] = []

    def pair_started(self, pair: Pair) -> None:
        self.started.append(pair.name)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Nothing."""


RESULT = (ScaleResult(Scale(40, 32, 1), WHEN, WHEN, WHEN, ((1, 4.0),)),)


def echo(_chain: object, pairs: Any, *_: object, **__: object) -> list[Stylisation]:
    """A stylizer that gives back the style."""
    return [Stylisation(paintings[0].image, RESULT, 1, ()) for _, paintings in pairs]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


@pytest.fixture
def make_stage(outbox: Outbox, network: Vgg19) -> Callable[[], Stage]:
    def make() -> Stage:
        return Stage(
            network=network,
            weights=find_weights("packaged"),
            device=torch.device("cpu"),
            precision=torch.float32,
            outbox=outbox,
            max_pixels=10**6,
            listener=Recorder(),
        )

    return make


@pytest.fixture
def make_pair(make_image: Callable[..., Path]) -> Callable[..., Pair]:
    def make(name: str = "a", **sections: Any) -> Pair:
        content, style = make_image(f"{name}.png", seed=1), make_image(f"{name}-style.png", width=50, seed=2)
        settings = PairSettings(**{"image": {"size": 40}, "pyramid": {"evaluations": 2}} | sections)
        return Pair(content, style, content.name, style.name, name, settings)

    return make


def process(stage: Stage, outbox: Outbox, *pairs: Pair) -> list[Metadata | Failure]:
    with outbox.locked():
        return [outcome.record for outcome in stage.process([Task(pair, 1, None) for pair in pairs])]


def test_a_pair_becomes_a_picture_with_metadata(
    make_stage: Callable[[], Stage], outbox: Outbox, make_pair: Callable[..., Pair]
) -> None:
    (record,) = process(make_stage(), outbox, make_pair("a"))
    assert isinstance(record, Metadata)
    assert pixels(outbox.picture_path("a.png")).shape == (32, 40, 3)
    assert Metadata.model_validate_json(outbox.metadata_path("a.png").read_bytes()) == record
    assert record.evaluations == 2
    assert record.warnings == []


def test_the_style_that_the_network_sees_has_the_contents_chroma(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    loaded = load(pair, 10**6)
    content = pixels(pair.content)
    style = pixels(pair.style, (40, 32))
    seen = oracle.yuv(loaded.style)
    assert loaded.style.shape == content.shape == loaded.content.shape
    assert np.abs(seen[..., 1:] - oracle.yuv(content)[..., 1:]).max() < 1e-2
    assert np.abs(seen[..., 0] - oracle.yuv(style)[..., 0]).mean() < 1.5, "the style's luma, resampled"


@pytest.mark.parametrize("mode", ["none", "swap-luma"])
def test_other_modes_show_the_network_the_style_as_it_is(make_pair: Callable[..., Pair], mode: str) -> None:
    pair = make_pair(colour={"mode": mode}, style={"fit": "whole"})
    assert load(pair, 10**6).style.shape == (32, 50, 3), "the same short side, not cropped"
    np.testing.assert_array_equal(load(pair, 10**6).style, pixels(pair.style))


def test_swap_luma_gives_the_result_the_contents_chroma(
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grey = 120.0
    monkeypatch.setattr(
        stage_module,
        "stylise",
        lambda _n, pairs, *_, **__: [Stylisation(torch.full_like(pairs[0][0], grey), RESULT, 1, ())],
    )
    pair = make_pair(colour={"mode": "swap-luma"})
    process(make_stage(), outbox, pair)
    result = pixels(outbox.picture_path("a.png"))
    wanted = oracle.yuv(pixels(pair.content))
    wanted[..., 0] = grey
    wanted_rgb = oracle.from_yuv(wanted)
    inside = ((wanted_rgb >= 0) & (wanted_rgb <= 255)).all(axis=-1)
    assert inside.mean() > 0.5
    assert np.abs(result - wanted_rgb)[inside].max() <= 0.51, "rounded, nothing else"


def test_one_bad_pair_does_not_stop_the_others(
    make_stage: Callable[[], Stage], outbox: Outbox, make_pair: Callable[..., Pair]
) -> None:
    first, bad, last = (make_pair(name) for name in ("first", "bad", "last"))
    bad.content.write_bytes(b"no image")
    records = process(make_stage(), outbox, first, bad, last)
    assert [record.status for record in records] == ["done", "failed", "done"]
    failure = records[1]
    assert isinstance(failure, Failure)
    assert not outbox.failure_path("bad").exists(), "whoever runs the stage decides whether it is final"
    assert failure.error_class == "input"
    assert "bad.png" in failure.reason
    assert failure.remedy
    assert not outbox.metadata_path("bad.png").exists()


@pytest.mark.parametrize(
    ("error", "error_class", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "environment", "does not fit into memory"),
        (MemoryError(), "environment", "does not fit into memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "environment", "does not fit into memory"),
        (ZeroDivisionError("oh"), "internal", "ZeroDivisionError: oh"),
    ],
)
def test_what_the_engine_raises_is_recorded(  # noqa: PLR0913, PLR0917
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    error_class: str,
    words: str,
) -> None:
    def fail(*_: object, **__: object) -> Stylisation:
        raise error

    monkeypatch.setattr(stage_module, "stylise", fail)
    (record,) = process(make_stage(), outbox, make_pair())
    assert isinstance(record, Failure)
    assert record.error_class == error_class
    assert words in record.reason
    assert record.remedy


def test_an_unwritable_outbox_ends_the_run_and_is_no_failure_of_the_pair(
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage_module, "stylise", echo)

    def full(*_: object) -> str:
        raise StorageError("disk full")

    monkeypatch.setattr(Outbox, "publish_picture", full)
    with pytest.raises(MachineError):
        process(make_stage(), outbox, make_pair("a"), make_pair("b"))
    assert not outbox.failure_path("a").exists()


def test_a_broken_device_ends_the_run_and_is_no_failure_of_the_pair(
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> Stylisation:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(stage_module, "stylise", fail)
    with pytest.raises(DeviceError, match="illegal memory access"):
        process(make_stage(), outbox, make_pair("a"))
    assert not outbox.failure_path("a").exists()


def test_the_next_pair_is_loaded_while_the_device_works_but_no_further(
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded, next_is_loaded = [], threading.Event()

    def load_and_tell(pair: Pair, max_pixels: int) -> object:
        result = load(pair, max_pixels)
        loaded.append(pair.name)
        if pair.name == "b":
            next_is_loaded.set()
        return result

    def wait_for_next(*arguments: object, **__: object) -> list[Stylisation]:
        assert next_is_loaded.wait(10)
        loaded_while_busy.append(list(loaded))
        return echo(*arguments)  # type: ignore[arg-type]

    loaded_while_busy: list[list[str]] = []
    monkeypatch.setattr(stage_module, "load", load_and_tell)
    monkeypatch.setattr(stage_module, "stylise", wait_for_next)
    process(make_stage(), outbox, *(make_pair(name) for name in "abcd"))
    assert loaded_while_busy[0] == ["a", "b"]
    assert loaded == ["a", "b", "c", "d"]


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_what_lies_before_a_gap_or_a_suspect_does_not_wait_for_it(
    make_stage: Callable[[], Stage],
    outbox: Outbox,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage_module, "stylise", echo)
    steps: list[str] = []

    def load_and_tell(pair: Pair, max_pixels: int) -> object:
        steps.append(f"load {pair.name}")
        return load(pair, max_pixels)

    monkeypatch.setattr(stage_module, "load", load_and_tell)
    a, b, suspect, c = (make_pair(name) for name in ("a", "b", "suspect", "c"))
    tasks = [Task(a, 1, None), None, Task(b, 1, None), Task(suspect, 2, None, alone=True), Task(c, 1, None)]
    with outbox.locked():
        steps.extend(f"done {outcome.pair.name}" for outcome in make_stage().process(tasks))
    assert steps == [f"{step} {name}" for name in ("a", "b", "suspect", "c") for step in ("load", "done")]
