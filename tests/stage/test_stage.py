"""Tests of the whole stage: results, concurrency, errors, and stopping."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
import torch

from pipeline.errors import DeviceError, ExitCode, Interrupted, MachineError, StorageError
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.outbox.working_files import CheckpointFiles
from pipeline.pair import Pair
from pipeline.settings.pair_settings import ImageSettings, PairSettings
from pipeline.stage import executor as executor_module
from pipeline.stage.device import devices as devices_module
from pipeline.stage.device.memory import Memory
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.load import loader as load_module
from pipeline.stage.load.loader import Loader, Loading, load
from pipeline.stage.paint.painted import Painted
from pipeline.stage.paint.painter import Painter
from pipeline.stage.pixel_budget import PixelBudget
from pipeline.stage.resources import PAIRS_AHEAD, Limits, Resources
from pipeline.stage.save.saver import Saver
from pipeline.stage.stage import Stage
from pipeline.stage.task import Outcome, Task
from pipeline.transfer import targets
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.state import Evaluation, ScaleResult
from pipeline.transfer.styliser import Styliser, StyliseResult
from pipeline.transfer.tiling import WHOLE
from pipeline.transfer.weights import find_weights
from tests import oracle
from tests.conftest import pixels
from tests.engine import sections_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from pipeline.stage.batching import QueuedPair
    from pipeline.transfer.vgg import Vgg19

SECONDS = 20
"""Seconds after which a test gives up waiting for an event."""
WHEN = Evaluation(1, 4.0, 1.0, 2.0, 1.0)
RESULT = (ScaleResult(Scale(40, 32, 1), WHEN, WHEN, WHEN, ((1, 4.0),)),)
LARGE = {"image": {"size": 64}, "pyramid": {"evaluations": (2, 3), "floor": 0}}
"""Settings for `make_pair` with a width and a height of 64 px: two scales."""

BOTH = pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
"""Runs a test with either measure of style."""

IMAGES = ImageSettings(max_pixels=10**6)


class Recorder:
    """A listener that records its events."""

    def __init__(self, on_evaluation: Callable[[str, int], None] = lambda *_: None) -> None:
        self.started: list[str] = []
        self.evaluations: list[tuple[str, int]] = []
        self._on_evaluation = on_evaluation

    def pair_started(self, pair: Pair) -> None:
        self.started.append(pair.name)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self.evaluations.append((pair.name, evaluation.number))
        self._on_evaluation(pair.name, evaluation.number)


class MakeStage(Protocol):
    def __call__(self, listener: Recorder | None = None, to: Outbox | None = None, **limits: Any) -> Stage: ...


class MakePair(Protocol):
    def __call__(self, name: str = "a", painting: str | None = None, **more: Any) -> Pair: ...


class Told(Exception):  # noqa: N818 - the name is used in this module only
    """The error that a source of tasks raises in a test."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: for such small pictures, two take ten times as long as one on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


@pytest.fixture
def other_outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "other")


@pytest.fixture
def make_stage(outbox: Outbox, network: Vgg19) -> MakeStage:
    def make(listener: Recorder | None = None, to: Outbox | None = None, **limits: Any) -> Stage:
        return Stage(
            network=network,
            weights=find_weights("packaged"),
            device=torch.device("cpu"),
            precision=torch.float32,
            outbox=to or outbox,
            listener=listener or Recorder(),
            limits=Limits(**{"images": IMAGES} | limits),
        )

    return make


@pytest.fixture
def make_pair(make_image: Callable[..., Path]) -> MakePair:
    def make(
        name: str = "a",
        painting: str | None = None,
        *,
        width: int = 40,
        height: int = 32,
        seed: int = 1,
        **sections: Any,
    ) -> Pair:
        content = make_image(f"{name}.png", width=width, height=height, seed=seed)
        style = make_image(painting or f"{name}-style.png", width=50, seed=2)
        settings = PairSettings(**{"image": {"size": 40}, "pyramid": {"evaluations": 2}} | sections)
        return Pair(content, (style,), content.name, style.name, name, settings)

    return make


def outcomes(stage: Stage, *tasks: Task | Pair | None) -> list[Outcome]:
    """Return the outcomes of tasks that go through a stage."""
    with stage.resources.saver.outbox.locked():
        return list(stage.process([Task(each, 1, None) if isinstance(each, Pair) else each for each in tasks]))


def process(stage: Stage, *tasks: Task | Pair | None) -> list[Metadata | Failure]:
    """Return the records of tasks that go through a stage."""
    return [outcome.record for outcome in outcomes(stage, *tasks)]


def tell(told: list[str], stage: Stage, tasks: Iterable[Task | None]) -> None:
    """Append the name of each pair to `told` as its outcome arrives; pass on the error of the stage."""
    with stage.resources.saver.outbox.locked():
        for outcome in stage.process(tasks):
            told.append(outcome.pair.name)  # noqa: PERF401


def done(stage: Stage, *tasks: Task | Pair | None) -> dict[str, Metadata]:
    """Return the metadata of all tasks by name; check that each is done."""
    found = {}
    for outcome in outcomes(stage, *tasks):
        assert isinstance(outcome.record, Metadata), outcome.record
        found[outcome.pair.name] = outcome.record
    return found


def checkpoints(outbox: Outbox) -> list[str]:
    """Return the names of the checkpoints in an outbox."""
    folder = outbox.root / ".impasto" / "checkpoints"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def threads() -> list[str]:
    """Return the names of the threads of stages that are alive."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.partition("_")[0] in ("device", "load", "save")]


def painted(loading: Loading, image: Tensor | None = None) -> Painted:
    """Return the result of a pair that was not really painted."""
    image = loading.loaded.content if image is None else image
    planned = loading.task.pair.settings.pyramid.planned
    return Painted(
        StyliseResult(image, RESULT, 1, ()),
        seconds=0.1,
        fit=WHOLE,
        batch=1,
        planned=planned,
        resumed=0,
        peak_memory_bytes=None,
    )


@pytest.fixture
def paint_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that replaces painting: call `before`, and paint the content; it returns the painted names."""

    def patch(before: Callable[[str], None] = lambda _: None) -> list[str]:
        order: list[str] = []

        def paint(_: Painter, batch: Sequence[Loading], __: object) -> Iterator[tuple[Loading, Painted]]:
            for loading in batch:
                before(loading.task.pair.name)
                order.append(loading.task.pair.name)
                yield loading, painted(loading)

        monkeypatch.setattr(Painter, "paint", paint)
        return order

    return patch


@pytest.fixture
def load_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that wraps loading in `before` and `after`; it returns the loaded names in order."""

    def patch(
        before: Callable[[str], None] = lambda _: None, after: Callable[[str], None] = lambda _: None
    ) -> list[str]:
        order: list[str] = []

        def load_and_tell(pair: Pair, *arguments: Any) -> object:
            before(pair.name)
            result = load(pair, *arguments)
            order.append(pair.name)
            after(pair.name)
            return result

        monkeypatch.setattr(load_module, "load", load_and_tell)
        return order

    return patch


@pytest.fixture
def all_together(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets the device wait until a number of pairs is loaded."""
    next_of = executor_module.next_of

    running: list[Any] = []
    begin = executor_module.Executor.__init__

    def begin_and_tell(executor: Any, resources: Resources) -> None:
        begin(executor, resources)
        running.append(executor)

    monkeypatch.setattr(executor_module.Executor, "__init__", begin_and_tell)

    def patch(count: int) -> None:
        is_loaded = False

        def next_later(line: Sequence[QueuedPair], max_reorder: int) -> QueuedPair | None:
            nonlocal is_loaded
            if not is_loaded:
                whole = running[-1]._queue
                is_loaded = len(whole) == count and all(each.loading is not None for each in whole)
            return next_of(line, max_reorder) if is_loaded else None

        monkeypatch.setattr(executor_module, "next_of", next_later)

    return patch


def test_a_pair_becomes_a_picture_with_metadata(make_stage: MakeStage, outbox: Outbox, make_pair: MakePair) -> None:
    listener = Recorder()
    (record,) = process(make_stage(listener), make_pair("a"))
    assert isinstance(record, Metadata)
    assert pixels(outbox.picture_path("a.png")).shape == (32, 40, 3)
    assert Metadata.model_validate_json(outbox.metadata_path("a.png").read_bytes()) == record
    assert record.evaluations == 2
    assert (record.resumed_at, record.fit, record.batch) == (0, "whole", 1)
    assert record.warnings == []
    assert (listener.started, listener.evaluations) == (["a"], [("a", 1), ("a", 2)])
    assert checkpoints(outbox) == []


def test_the_thumbnail_of_a_private_photograph_is_private(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair
) -> None:
    pair = make_pair("a")
    pair.content.chmod(0o600)
    pair.styles[0].chmod(0o644)
    (record,) = process(make_stage(), pair)
    assert isinstance(record, Metadata)
    hashes = (record.pair.content.sha256, record.pair.style.sha256)
    modes = [outbox.thumbnails.path(sha256).stat().st_mode & 0o077 for sha256 in hashes]
    assert modes[0] == 0 != modes[1]


def test_the_style_that_the_network_sees_has_the_contents_chroma(make_pair: MakePair) -> None:
    pair = make_pair(colour={"mode": "style-yuv"}, style={"fit": "stretch"})
    loaded = load(pair, IMAGES)
    content = pixels(pair.content)
    style = pixels(pair.styles[0], (40, 32))
    assert loaded.paintings[0].image.shape == loaded.content.shape == (1, 3, 32, 40)
    np.testing.assert_array_equal(loaded.content[0].permute(1, 2, 0), content)
    seen = oracle.yuv(loaded.paintings[0].image[0].permute(1, 2, 0).numpy())
    assert np.abs(seen[..., 1:] - oracle.yuv(content)[..., 1:]).max() < 1e-2
    assert np.abs(seen[..., 0] - oracle.yuv(style)[..., 0]).mean() < 1.5, (
        "the network sees the resampled luma of the style"
    )


@pytest.mark.parametrize("mode", ["none", "swap-luma"])
def test_other_modes_show_the_network_the_style_as_it_is(make_pair: MakePair, mode: str) -> None:
    pair = make_pair(colour={"mode": mode}, style={"fit": "whole"})
    style = load(pair, IMAGES).paintings[0].image
    assert style.shape == (1, 3, 32, 50), "the style has the short side of the content, and is not cropped"
    np.testing.assert_array_equal(style[0].permute(1, 2, 0), pixels(pair.styles[0]))


def test_swap_luma_gives_the_result_the_contents_chroma(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = 120.0

    def paint(_: Painter, batch: Sequence[Loading], __: object) -> Iterator[tuple[Loading, Painted]]:
        for loading in batch:
            yield loading, painted(loading, torch.full_like(loading.loaded.content, grey))

    monkeypatch.setattr(Painter, "paint", paint)
    pair = make_pair(colour={"mode": "swap-luma"})
    process(make_stage(), pair)
    result = pixels(outbox.picture_path("a.png"))
    wanted = oracle.yuv(pixels(pair.content))
    wanted[..., 0] = grey
    wanted_rgb = oracle.from_yuv(wanted)
    inside = ((wanted_rgb >= 0) & (wanted_rgb <= 255)).all(axis=-1)
    assert inside.mean() > 0.5
    assert np.abs(result - wanted_rgb)[inside].max() <= 0.51, "the result differs by rounding only"


def test_one_bad_pair_does_not_stop_the_others(make_stage: MakeStage, outbox: Outbox, make_pair: MakePair) -> None:
    first, bad, last = (make_pair(name) for name in ("first", "bad", "last"))
    bad.content.write_bytes(b"no image")
    records = {outcome.pair.name: outcome.record for outcome in outcomes(make_stage(), first, bad, last)}
    assert {name: record.status for name, record in records.items()} == {
        "first": "done",
        "bad": "failed",
        "last": "done",
    }
    failure = records["bad"]
    assert isinstance(failure, Failure)
    assert not outbox.failures.path("bad").exists(), "the caller of the stage decides whether a failure is final"
    assert failure.error_class == "input"
    assert "bad.png" in failure.reason
    assert failure.remedy
    assert not outbox.metadata_path("bad.png").exists()


def test_a_bad_pair_that_comes_first_does_not_keep_the_others_waiting(
    make_stage: MakeStage, make_pair: MakePair
) -> None:
    bad, good = make_pair("bad"), make_pair("good")
    bad.styles[0].unlink()
    assert [record.status for record in process(make_stage(), bad, good)] == ["failed", "done"]


@pytest.mark.parametrize(
    ("error", "error_class", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "environment", "does not fit into memory"),
        (MemoryError(), "environment", "does not fit into memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "environment", "does not fit into memory"),
        (ZeroDivisionError("oh"), "internal", "ZeroDivisionError: oh"),
    ],
)
@pytest.mark.parametrize("where", [(Styliser, "run"), (Painter, "paint")])
def test_what_the_engine_raises_is_recorded(  # noqa: PLR0913, PLR0917
    make_stage: MakeStage,
    make_pair: MakePair,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    error_class: str,
    words: str,
    where: tuple[type, str],
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(*where, fail)
    (outcome,) = outcomes(make_stage(), make_pair())
    assert isinstance(outcome.record, Failure)
    assert outcome.record.error_class == error_class
    assert words in outcome.record.reason
    assert outcome.record.remedy
    assert outcome.error is not None
    assert outcome.error.message == outcome.record.reason


def test_what_is_not_finite_is_recorded_and_the_next_goes_on(make_stage: MakeStage, make_pair: MakePair) -> None:
    bad = make_pair("bad")
    objective = bad.settings.objective.model_copy(update={"content_weight": 1e38})  # larger than a setting may be
    bad = replace(bad, settings=bad.settings.model_copy(update={"objective": objective}))
    failure, record = process(make_stage(), bad, make_pair("good"))
    assert isinstance(failure, Failure)
    assert failure.error_class == "input"
    assert "not finite at the start" in failure.reason
    assert failure.remedy
    assert record.status == "done"


def test_an_unwritable_outbox_ends_the_run_and_is_no_failure_of_the_pair(
    make_stage: MakeStage,
    outbox: Outbox,
    make_pair: MakePair,
    monkeypatch: pytest.MonkeyPatch,
    paint_by: Callable[..., list[str]],
) -> None:
    order = paint_by()

    def full(*_: object) -> str:
        raise StorageError("disk full")

    monkeypatch.setattr(Outbox, "publish_picture", full)
    told = []
    with outbox.locked(), pytest.raises(MachineError, match="disk full"):
        told.extend(make_stage().process(Task(make_pair(name), 1, None) for name in "abcdefgh"))
    assert told == []
    assert len(order) <= PAIRS_AHEAD, "no more pairs were begun than may be in work"
    assert not outbox.failures.path("a").exists()
    assert threads() == []


def test_a_broken_device_ends_the_run_and_is_no_failure_of_the_pair(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Styliser, "run", fail)
    listener = Recorder()
    with pytest.raises(DeviceError, match="illegal memory access") as caught:
        process(make_stage(listener), make_pair("a"), make_pair("b"))
    assert caught.value.suspects == ("a.png",)
    assert listener.started == ["a"]
    assert not outbox.failures.path("a").exists()
    assert threads() == []


def test_a_loader_that_meets_the_broken_device_fails_no_pair(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test page-locked memory, which CUDA refuses after another pair has broken the device."""
    is_loading, has_failed = threading.Event(), threading.Event()
    load = Loader.load

    def load_or_fail(self: Loader, task: Task, *more: Any) -> Loading:
        if task.pair.name != "b":
            return load(self, task, *more)
        assert is_loading.wait(SECONDS)
        has_failed.set()
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def wait(*_: Any) -> Iterator[tuple[Loading, Painted]]:
        is_loading.set()
        assert has_failed.wait(SECONDS)
        yield from ()

    monkeypatch.setattr(Loader, "load", load_or_fail)
    monkeypatch.setattr(Painter, "paint", wait)
    with pytest.raises(DeviceError, match="failed at b: CUDA error") as caught:
        process(make_stage(), make_pair("a"), make_pair("b"))
    assert caught.value.suspects == ("a.png",)
    assert not outbox.failures.path("b").exists()


@pytest.mark.parametrize("text", ["cuDNN error: CUDNN_STATUS_NOT_SUPPORTED", "CUDA error: misaligned address"])
def test_what_fails_while_a_batch_is_measured_stops_no_other_pair(
    make_stage: MakeStage,
    make_pair: MakePair,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
) -> None:
    def fail(*_: Any) -> float:
        raise RuntimeError(text)

    stage = make_stage()
    pair = make_pair()
    loading = stage.resources.loader.load(Task(pair, 1, None), PixelBudget())
    with monkeypatch.context() as patch:
        patch.setattr(Painter, "_seconds_per_image", fail)
        patch.setattr(Memory, "choose", lambda *_: WHOLE)
        patch.setattr(stage.resources.painter, "device", torch.device("cuda"))
        patch.setattr(devices_module, "describe_device", str)
        patch.setattr(stage.resources.painter, "demand_of", lambda _: None)
        if "CUDA error" in text:
            with pytest.raises(DeviceError, match="misaligned"):
                stage.resources.batch_size(loading, has_mate=True)
            return
        assert stage.resources.batch_size(loading, has_mate=True) == 1
        assert stage.resources.batch_size(loading, has_mate=True) == 1
    (line,) = [line for line in caplog.records if "batch" in line.message]
    assert line.levelname == "ERROR"
    assert line.exc_info, "the log has the traceback of the defect"


@pytest.mark.parametrize("ending", ["done", "failed", "interrupted"])
def test_pictures_of_a_pair_do_not_outlive_it(
    make_stage: MakeStage, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Test without the collector of cycles, which may run too late to spare memory."""
    pictures: list[weakref.ref[Tensor]] = []
    load, numbers = Loader.load, itertools.count()

    def load_and_note(self: Loader, *arguments: Any) -> Loading:
        loading = load(self, *arguments)
        pictures.extend(weakref.ref(image) for image in (loading.loaded.content, loading.loaded.paintings[0].image))
        return loading

    def fail(_: str, number: int) -> None:
        if ending == "failed" and number == 2:
            raise ArithmeticError("no number")
        if ending == "interrupted" and next(numbers) == 9:
            raise Interrupted(ExitCode.TERMINATED)

    monkeypatch.setattr(Loader, "load", load_and_note)
    monkeypatch.setattr(executor_module.logger, "disabled", True)
    stage = make_stage(Recorder(fail))
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(Interrupted):
            process(stage, *(make_pair(name) for name in "abcdef"))
        alive = [each for each in pictures if each() is not None]
    finally:
        gc.enable()
    assert len(pictures) == 12
    assert alive == []


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "std::bad_alloc",
        "bad allocation",
        "OpenCV(4.12.0) error: (-4:Insufficient memory) Failed to allocate 1 bytes in function 'OutOfMemoryError'",
        "DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_out_of_memory_has_many_words(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_errors_of_libraries_mean_out_of_memory_if_the_card_is_full(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    error, free = RuntimeError(text), [100 << 20]
    assert not is_out_of_memory(error), "there is no card"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda index: (0, 5 << 30)[index])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free[index - 1], 80 << 30))
    assert is_out_of_memory(error)
    free[0] = 40 << 30
    assert not is_out_of_memory(error), "memory is not the reason"

    def broken(_: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert not is_out_of_memory(error)


class Source:
    """A source of tasks; `full` is set with the last task that may be in work, `too_many` with the next one."""

    def __init__(self, pairs: Iterable[Pair], most: int = PAIRS_AHEAD) -> None:
        self._pairs, self._most = list(pairs), most
        self.handed, self.most_in_work, self.told = 0, 0, 0
        self.full, self.too_many = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Task]:
        for pair in self._pairs:
            self.handed += 1
            self.most_in_work = max(self.most_in_work, self.handed - self.told)
            if self.handed == self._most:
                self.full.set()
            if self.handed > self._most:
                self.too_many.set()
            yield Task(pair, 1, None)

    def run(self, stage: Stage) -> None:
        with stage.resources.saver.outbox.locked():
            for outcome in stage.process(self):
                assert outcome.record.status == "done"
                self.told += 1
        assert self.told == len(self._pairs)


def test_the_next_pairs_are_loaded_while_the_device_works_but_no_more_than_a_few(
    make_stage: MakeStage,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    load_by: Callable[..., list[str]],
) -> None:
    source = Source(make_pair(name) for name in "abcdefgh")
    ahead = threading.Event()
    while_busy: list[list[str]] = []

    def look(name: str) -> None:
        if name == "a":
            assert ahead.wait(SECONDS)
            assert not source.too_many.wait(0.3)
            while_busy.append(sorted(loaded))

    loaded = load_by(after=lambda _: ahead.set() if len(loaded) == PAIRS_AHEAD else None)
    order = paint_by(look)
    source.run(make_stage())
    assert while_busy == [list("abcd")]
    assert source.most_in_work == PAIRS_AHEAD
    assert sorted(order) == list("abcdefgh")


def test_a_slow_disk_slows_the_device_and_fills_no_memory(
    make_stage: MakeStage, make_pair: MakePair, paint_by: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(make_pair(name) for name in "abcdefgh")
    all_painted, goes_on = threading.Event(), threading.Event()
    order = paint_by(lambda _: all_painted.set() if len(order) == PAIRS_AHEAD - 1 else None)
    while_busy: list[int] = []
    save = Saver.save

    def save_slowly(saver: Saver, loading: Loading, *arguments: Any) -> Metadata:
        if loading.task.pair.name == "a":
            assert all_painted.wait(SECONDS)
            assert not source.too_many.wait(0.3)
            while_busy.append(len(order))
            goes_on.set()
        assert goes_on.wait(SECONDS)
        return save(saver, loading, *arguments)

    monkeypatch.setattr(Saver, "save", save_slowly)
    source.run(make_stage())
    assert while_busy == [PAIRS_AHEAD], "the device worked until the queue of results was full"
    assert source.most_in_work == PAIRS_AHEAD


def test_the_first_pair_of_all_starts_first_even_if_it_loads_slowly(
    make_stage: MakeStage,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    load_by: Callable[..., list[str]],
) -> None:
    others = threading.Event()

    def wait(name: str) -> None:
        if name == "a":
            assert others.wait(SECONDS)

    order = paint_by()
    loaded = load_by(before=wait, after=lambda _: others.set() if len(loaded) == 3 else None)
    process(make_stage(), *(make_pair(name) for name in "abcd"))
    assert loaded[-1] == "a"
    assert order[0] == "a"


def test_later_pairs_do_not_wait_for_a_slow_one(
    make_stage: MakeStage,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    load_by: Callable[..., list[str]],
) -> None:
    painted_others = threading.Event()
    in_time: list[bool] = []

    def wait(name: str) -> None:
        if name == "b":
            in_time.append(painted_others.wait(SECONDS))

    order = paint_by(lambda _: painted_others.set() if len(order) == 4 else None)
    load_by(before=wait)
    process(make_stage(), *(make_pair(name) for name in "abcdef"))
    assert in_time == [True]
    assert (order[0], order[-1]) == ("a", "b")


def test_a_slow_pair_is_overtaken_by_so_many_as_may(
    make_stage: MakeStage,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    load_by: Callable[..., list[str]],
) -> None:
    enough, third = threading.Event(), threading.Event()
    too_late: list[bool] = []

    def wait(name: str) -> None:
        if name == "b":
            assert enough.wait(SECONDS)
            too_late.append(third.wait(0.3))

    def look(_: str) -> None:
        if len(order) == 2:
            enough.set()
        if len(order) == 3:
            third.set()

    order = paint_by(look)
    load_by(before=wait)
    process(make_stage(max_reorder=2), *(make_pair(name) for name in "abcdef"))
    assert too_late == [False]
    assert order.index("b") == 3


def test_a_large_first_picture_that_is_read_slowly_does_not_stop_everything(
    make_stage: MakeStage,
    make_pair: MakePair,
    outbox: Outbox,
    paint_by: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Test a picture that needs the whole budget, of which overtaking pairs hold a part while the device waits."""
    monkeypatch.setattr(executor_module, "PixelBudget", lambda: PixelBudget(50_000))
    order = paint_by()
    small_is_loaded = threading.Event()

    def read(path: Path) -> object:
        if path.name == "large.png":
            assert small_is_loaded.wait(SECONDS)
        return read_file(path)

    def load_and_tell(pair: Pair, *arguments: Any) -> object:
        result = load(pair, *arguments)
        if pair.name == "small":
            small_is_loaded.set()
        return result

    read_file = load_module.read_file
    monkeypatch.setattr(load_module, "read_file", read)
    monkeypatch.setattr(load_module, "load", load_and_tell)

    def tasks() -> Iterator[Task | None]:
        yield Task(make_pair("large", width=250, height=200), 1, None)
        yield Task(make_pair("small"), 1, None)
        begin = time.monotonic()
        while len(order) < 2 and time.monotonic() - begin < 3:
            yield None
        if len(order) < 2:
            raise StorageError(f"only {order} were painted")

    with outbox.locked():
        told = sorted(outcome.pair.name for outcome in make_stage().process(tasks()))
    assert told == ["large", "small"]


def test_a_suspect_is_alone_and_what_lies_before_it_or_a_gap_does_not_wait_for_it(
    make_stage: MakeStage,
    outbox: Outbox,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    load_by: Callable[..., list[str]],
) -> None:
    steps: list[str] = []
    paint_by(lambda name: steps.append(f"paint {name}"))
    load_by(before=lambda name: steps.append(f"load {name}"))
    a, b, suspect, c, d = (make_pair(name) for name in ("a", "b", "suspect", "c", "d"))

    def tasks() -> Iterator[Task | None]:
        yield Task(a, 1, None)
        begin = time.monotonic()
        while "done a" not in steps and time.monotonic() - begin < SECONDS:
            yield None
        steps.append("gap")
        yield Task(b, 1, None)
        yield Task(suspect, 2, None, deaths=1)
        yield Task(c, 1, None)
        yield Task(d, 1, None)

    with outbox.locked():
        for outcome in make_stage().process(tasks()):
            steps.append(f"done {outcome.pair.name}")  # noqa: PERF401 - the list is filled while the stage runs
    alone = [f"{step} {name}" for name in ("b", "suspect") for step in ("load", "paint", "done")]
    assert steps[:10] == ["load a", "paint a", "done a", "gap", *alone]
    assert {"load c", "load d"} == {step for step in steps[10:] if step.startswith("load")}


@BOTH
def test_an_interrupted_pair_goes_on_in_the_next_process_to_the_same_pixels(  # noqa: PLR0913, PLR0917 - by name
    make_stage: MakeStage,
    outbox: Outbox,
    other_outbox: Outbox,
    make_pair: MakePair,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
) -> None:
    interrupted = threading.Event()
    save = Saver.save

    def save_late(*arguments: Any) -> Metadata:
        assert interrupted.wait(SECONDS)
        return save(*arguments)

    def interrupt(name: str, number: int) -> None:
        if (name, number) == ("b", 4):
            interrupted.set()
            raise Interrupted(ExitCode.TERMINATED)

    sections = sections_of(preset) | LARGE
    a, b, c = (make_pair(name, width=64, height=64, seed=seed, **sections) for seed, name in enumerate("abc"))
    told: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Saver, "save", save_late)
        with pytest.raises(Interrupted) as caught:
            tell(told, make_stage(Recorder(interrupt)), [Task(each, 1, None) for each in (a, b, c)])
    assert caught.value.code is ExitCode.TERMINATED
    assert told == ["a"], "the painted pair is published and has its outcome"
    assert outbox.metadata_path("a.png").exists()
    assert not outbox.picture_path("b.png").exists()
    (key,) = checkpoints(outbox)
    assert threads() == []

    listener = Recorder()
    resumed = done(make_stage(listener), b, c)
    assert listener.evaluations[:3] == [("b", 5), ("c", 1), ("c", 2)], "no evaluation is repeated"
    whole = done(make_stage(to=other_outbox), b, c)
    assert resumed["b"].key == key
    assert (resumed["b"].resumed_at, resumed["c"].resumed_at, whole["b"].resumed_at) == (4, 0, 0)
    for name in "bc":
        assert resumed[name].output.sha256 == whole[name].output.sha256
        assert resumed[name].objective == whole[name].objective
        assert resumed[name].coarser == whole[name].coarser
        assert resumed[name].evaluations == 5
        assert resumed[name].warnings == []
    assert checkpoints(outbox) == []


@BOTH
def test_a_batch_that_is_interrupted_goes_on_too(  # noqa: PLR0913, PLR0917 - by name
    make_stage: MakeStage,
    outbox: Outbox,
    other_outbox: Outbox,
    make_pair: MakePair,
    all_together: Callable[[int], None],
    preset: str,
) -> None:
    def interrupt(name: str, number: int) -> None:
        if number == 4:
            raise Interrupted(ExitCode.INTERRUPTED)

    sections = sections_of(preset) | LARGE
    pairs = [make_pair(name, width=64, height=64, seed=seed, **sections) for seed, name in enumerate("abc")]
    all_together(3)
    with pytest.raises(Interrupted):
        process(make_stage(Recorder(interrupt), batch=3), *pairs)
    assert len(checkpoints(outbox)) == 3
    resumed = done(make_stage(batch=3), *pairs)
    whole = done(make_stage(to=other_outbox), *pairs)
    for name in "abc":
        assert resumed[name].resumed_at == 4
        assert resumed[name].output.sha256 == whole[name].output.sha256
    assert checkpoints(outbox) == []


def test_a_checkpoint_that_cannot_be_removed_is_no_failure_of_the_pair(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(CheckpointFiles, "remove", fail)
    (record,) = process(make_stage(), make_pair())
    assert outbox.metadata_path("a.png").exists()
    assert record.status == "done", record


def test_a_caller_who_wants_no_more_ends_all_threads_and_keeps_what_is_done(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair
) -> None:
    long = make_pair("b", pyramid={"evaluations": 100_000})
    pairs = [make_pair("a"), long, *(make_pair(name) for name in "cdef")]
    b_is_begun = threading.Event()
    listener = Recorder(lambda name, _: b_is_begun.set() if name == "b" else None)
    with outbox.locked():
        with contextlib.closing(make_stage(listener).process(Task(pair, 1, None) for pair in pairs)) as running:
            for outcome in running:
                assert outcome.pair.name == "a"
                assert b_is_begun.wait(SECONDS)
                assert "device" in threads()
                begin = time.monotonic()
                break
        assert time.monotonic() - begin < 5
        assert threads() == []
        assert Metadata.model_validate_json(outbox.metadata_path("a.png").read_bytes()) == outcome.record
        assert len(checkpoints(outbox)) == 1
        assert not outbox.picture_path("c.png").exists()


def test_what_the_caller_raises_meanwhile_ends_all_threads(
    make_stage: MakeStage, outbox: Outbox, make_pair: MakePair
) -> None:
    pairs = [make_pair("a"), make_pair("b", pyramid={"evaluations": 100_000})]

    def tasks() -> Iterator[Task | None]:
        yield from (Task(pair, 1, None) for pair in pairs)
        raise Told

    with outbox.locked(), pytest.raises(Told):
        list(make_stage().process(tasks()))
    assert threads() == []


def test_where_the_tasks_end_in_an_error_what_is_finished_is_told_first(
    make_stage: MakeStage,
    outbox: Outbox,
    make_pair: MakePair,
    paint_by: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint_by()
    saved, both = [], threading.Event()
    save = Saver.save

    def save_and_tell(saver: Saver, loading: Loading, *arguments: Any) -> Metadata:
        metadata = save(saver, loading, *arguments)
        saved.append(loading.task.pair.name)
        if len(saved) == 2:
            both.set()
        return metadata

    monkeypatch.setattr(Saver, "save", save_and_tell)

    def tasks() -> Iterator[Task | None]:
        yield Task(make_pair("a"), 1, None)
        yield Task(make_pair("b"), 1, None)
        assert both.wait(SECONDS)
        raise StorageError("the spool is gone")

    told: list[str] = []
    with pytest.raises(StorageError, match="the spool is gone"):
        tell(told, make_stage(), tasks())
    assert sorted(told) == ["a", "b"]
    assert threads() == []


def test_a_stage_can_be_used_again_after_it_was_interrupted(make_stage: MakeStage, make_pair: MakePair) -> None:
    requests = [Interrupted(ExitCode.INTERRUPTED)]

    def interrupt(*_: object) -> None:
        if requests:
            raise requests.pop()

    stage = make_stage(Recorder(interrupt))
    with pytest.raises(Interrupted):
        process(stage, make_pair())
    (record,) = process(stage, make_pair())
    assert isinstance(record, Metadata)
    assert record.resumed_at == 1


@BOTH
def test_pairs_of_one_size_go_together_and_become_what_they_are_alone(  # noqa: PLR0913, PLR0917 - by name
    make_stage: MakeStage,
    other_outbox: Outbox,
    make_pair: MakePair,
    all_together: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
) -> None:
    batches: list[list[str]] = []
    paint = Painter.paint

    def paint_and_tell(painter: Painter, batch: Sequence[Loading], evaluations: tuple[int, ...]) -> Any:
        batches.append([loading.task.pair.name for loading in batch])
        return paint(painter, batch, evaluations)

    names = ("first", "a", "x", "b", "c", "y", "d", "z")
    widths = {"x": 48, "y": 48}
    evaluations = {"z": 4}
    pairs = [
        make_pair(
            name,
            width=widths.get(name, 40),
            seed=seed,
            image={"size": widths.get(name, 40)},
            pyramid={"evaluations": evaluations.get(name, 3)},
            **sections_of(preset),
        )
        for seed, name in enumerate(names)
    ]
    all_together(len(names))
    with monkeypatch.context() as patch:
        patch.setattr(Painter, "paint", paint_and_tell)
        together = done(make_stage(batch=3), *pairs)
    assert batches == [["first", "a", "b"], ["x", "y"], ["c", "d"], ["z"]]
    alone = done(make_stage(to=other_outbox, batch=1), *pairs)
    for name in names:
        assert together[name].batch == next(len(batch) for batch in batches if name in batch)
        assert alone[name].batch == 1
        assert together[name].output.sha256 == alone[name].output.sha256
        assert together[name].objective == alone[name].objective


def test_one_of_a_batch_that_is_not_finite_leaves_the_others_alone(
    make_stage: MakeStage,
    make_pair: MakePair,
    all_together: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load_badly(pair: Pair, *arguments: Any) -> Any:
        loaded = load(pair, *arguments)
        if pair.name == "b":
            loaded.content.fill_(math.nan)
        return loaded

    monkeypatch.setattr(load_module, "load", load_badly)
    all_together(3)
    found = outcomes(make_stage(batch=3), *(make_pair(name) for name in "abc"))
    assert {outcome.pair.name: outcome.record.status for outcome in found} == {
        "a": "done",
        "b": "failed",
        "c": "done",
    }
    failures = [outcome.record.reason for outcome in found if isinstance(outcome.record, Failure)]
    assert ["not finite at the start" in reason for reason in failures] == [True]


def test_where_memory_runs_out_while_batches_are_measured_pairs_are_painted_alone(
    make_stage: MakeStage, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Card:
        type = "cuda"

    def fail(*_: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    stage = make_stage()
    loading = stage.resources.loader.load(Task(make_pair(), 1, None), PixelBudget())
    stage.resources.painter.device = Card()  # type: ignore[assignment]
    monkeypatch.setattr(Painter, "chain", fail)
    assert stage.resources.batch_size(loading, has_mate=True) == 1


def as_in_fresh_stages(
    make_stage: MakeStage, outbox: Outbox, reference: Outbox, pairs: Sequence[Pair]
) -> dict[str, Metadata]:
    """Render pairs in one stage; check that each result equals the one of a stage of its own."""
    together = done(make_stage(), *pairs)
    for pair in pairs:
        fresh = done(make_stage(to=reference), pair)[pair.name]
        record = together[pair.name]
        assert (record.coarser, record.objective) == (fresh.coarser, fresh.objective), pair.name
        assert record.output.sha256 == fresh.output.sha256, pair.name
    return together


def test_a_painting_in_the_colours_of_two_photographs_is_two_paintings(
    make_stage: MakeStage, outbox: Outbox, other_outbox: Outbox, make_pair: MakePair
) -> None:
    pairs = [make_pair(name, "one.png", seed=seed) for seed, name in enumerate("abc")]
    found = as_in_fresh_stages(make_stage, outbox, other_outbox, pairs)
    assert len({record.objective.first.style for record in found.values()}) == 3


def test_a_painting_in_its_own_colours_is_looked_at_once(
    make_stage: MakeStage,
    outbox: Outbox,
    other_outbox: Outbox,
    make_pair: MakePair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[int, ...]] = []
    moments_of = targets.moments_of

    def count(chain: Any, layers: Any, image: Tensor, *arguments: Any) -> Any:
        calls.append(tuple(image.shape))
        return moments_of(chain, layers, image, *arguments)

    pairs = [make_pair(name, "one.png", seed=seed, colour={"mode": "none"}) for seed, name in enumerate("abc")]
    with monkeypatch.context() as patch:
        patch.setattr(targets, "moments_of", count)
        process(make_stage(), *pairs)
    assert calls == [(1, 3, 32, 50)]
    as_in_fresh_stages(make_stage, outbox, other_outbox, pairs)


def test_a_painting_that_comes_to_one_size_on_two_ways_is_not_taken_for_one(
    make_stage: MakeStage, outbox: Outbox, other_outbox: Outbox, make_pair: MakePair
) -> None:
    pairs = [
        make_pair(
            f"{size}",
            "one.png",
            width=size,
            height=size * 4 // 5,
            colour={"mode": "none"},
            image={"size": size},
            pyramid={"evaluations": (2, 2)},
        )
        for size in (40, 80)
    ]
    as_in_fresh_stages(make_stage, outbox, other_outbox, pairs)
