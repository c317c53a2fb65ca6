"""Tests of painting on the device: lack of memory, batches, and continuing after an interruption."""

from __future__ import annotations

import itertools
import math
import random
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import torch

from pipeline.errors import ExitCode, ImpastoError, Interrupted, OutOfMemoryError
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device import memory as memory_module
from pipeline.stage.device.memory import Memory
from pipeline.stage.load import loaded_pair as loaded_pair_module
from pipeline.stage.load.loader import Loading
from pipeline.stage.paint import batch_run as batch_run_module
from pipeline.stage.paint import checkpoint as checkpoint_module
from pipeline.stage.paint import interval as interval_module
from pipeline.stage.paint.painted import Painted
from pipeline.stage.pixel_budget import PixelBudget
from pipeline.stage.resources import Limits
from pipeline.stage.stage import Stage
from pipeline.stage.task import Task
from pipeline.transfer.objective import Objective
from pipeline.transfer.tiling import Fit
from pipeline.transfer.weights import find_weights
from tests.engine import sections_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from pipeline.transfer.state import Evaluation, OptimisationState
    from pipeline.transfer.vgg import Vgg19

LADDER = (Fit(), Fit(recompute=True), Fit(tile=32), Fit(tile=16))
STEPS = [
    f"out of memory with fit {fit}: continued with {lower} (CUDA out of memory)"
    for fit, lower in itertools.pairwise(LADDER)
]
TOO_MUCH = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1.00 GiB.\nSee the manual."
BOTH = pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
"""Runs a test with either measure of style."""
ALWAYS = 1e-9
"""Seconds between checkpoints, so few that each evaluation writes one."""


class Recorder:
    """A listener that records the numbers of evaluations, and interrupts at one of them."""

    def __init__(self, stop_at: int = 0) -> None:
        self.numbers: list[int] = []
        self._stop_at = stop_at

    def pair_started(self, pair: Pair) -> None:
        """Ignore the event."""

    def evaluated(self, _: Pair, evaluation: Evaluation) -> None:
        self.numbers.append(evaluation.number)
        if evaluation.number == self._stop_at:
            raise Interrupted(ExitCode.INTERRUPTED)


class MakeStage(Protocol):
    """Type of the fixture `make_stage`."""

    def __call__(self, listener: Recorder | None = None, to: str = "out", **limits: Any) -> Stage: ...


class RunOut(Protocol):
    """Type of the fixture `run_out`."""

    def __call__(self, is_full: Callable[[Fit, int, Tensor], bool]) -> list[Fit]: ...


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: for such small pictures, two take ten times as long as one on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_stage(tmp_path: Path, network: Vgg19) -> MakeStage:
    def make(listener: Recorder | None = None, to: str = "out", **limits: Any) -> Stage:
        stage = Stage(
            network=network,
            weights=find_weights("packaged"),
            device=torch.device("cpu"),
            precision=torch.float32,
            outbox=Outbox(tmp_path / to),
            listener=listener or Recorder(),
            limits=Limits(**limits),
        )
        stage.resources.painter.memory.ladder = LADDER
        return stage

    return make


@pytest.fixture
def make_pair(make_image: Callable[..., Path]) -> Callable[..., Pair]:
    def make(
        name: str = "a",
        *,
        width: int = 40,
        height: int = 32,
        seed: int = 1,
        evaluations: int | tuple[int, ...] = 2,
        **sections: Any,
    ) -> Pair:
        content = make_image(f"{name}.png", width=width, height=height, seed=seed)
        style = make_image("style.png", width=50, seed=2)
        more = {"image": {"size": max(width, height)}, "pyramid": {"evaluations": evaluations, "floor": 0}}
        settings = PairSettings(**more | sections)
        return Pair(content, (style,), content.name, style.name, name, settings)

    return make


@pytest.fixture
def run_out(monkeypatch: pytest.MonkeyPatch) -> RunOut:
    """Return a function that lets evaluations run out of memory, and returns the fits of those that did not.

    `is_full` gets the fit, the number of the evaluation from 1, and the images.
    """
    evaluate = Objective.__call__

    def patch(is_full: Callable[[Fit, int, Tensor], bool]) -> list[Fit]:
        made: list[Fit] = []
        numbers = itertools.count(1)

        def evaluate_or_fail(objective: Objective, image: Tensor) -> tuple[Tensor, Tensor]:
            if is_full(objective._fit, next(numbers), image):
                raise torch.OutOfMemoryError(TOO_MUCH)
            result = evaluate(objective, image)
            made.append(objective._fit)
            return result

        monkeypatch.setattr(Objective, "__call__", evaluate_or_fail)
        return made

    return patch


@pytest.fixture
def checkpoint_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow checkpoints as often as `checkpoint_seconds` says, however slow the disk is."""
    monkeypatch.setattr(interval_module, "LARGEST_SHARE", math.inf)


def process(stage: Stage, *tasks: Task | Pair) -> list[Metadata | Failure]:
    """Return the records of tasks, in the order of their outcomes."""
    with stage.resources.saver.outbox.locked():
        todo = [each if isinstance(each, Task) else Task(each, 1, None) for each in tasks]
        return [outcome.record for outcome in stage.process(todo)]


def done(stage: Stage, *tasks: Task | Pair) -> list[Metadata]:
    """Return the metadata of tasks; check that each is done."""
    records = process(stage, *tasks)
    assert len(records) == len(tasks)
    for record in records:
        assert isinstance(record, Metadata), record
    return [record for record in records if isinstance(record, Metadata)]


def paint(stage: Stage, *tasks: Task | Pair) -> dict[str, Painted | ImpastoError]:
    """Return a function that paints pairs as one batch, without threads."""
    todo = [each if isinstance(each, Task) else Task(each, 1, None) for each in tasks]
    batch: list[Loading] = [stage.resources.loader.load(task, PixelBudget()) for task in todo]
    planned = batch[0].task.pair.settings.pyramid.planned
    return {loading.task.pair.name: result for loading, result in stage.resources.painter.paint(batch, planned)}


@BOTH
def test_each_step_down_the_ladder_is_told_and_the_picture_is_the_same(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, preset: str
) -> None:
    pairs = [make_pair("a", **sections_of(preset)), make_pair("b", width=36, **sections_of(preset))]
    usual = done(make_stage(to="usual"), *pairs)
    made = run_out(lambda fit, *_: fit != LADDER[-1])
    records = done(make_stage(), *pairs)
    assert [record.fit for record in records] == ["tiles of 16 px"] * 2
    assert records[0].warnings == STEPS
    assert set(made) == {LADDER[-1]}
    for record, whole in zip(records, usual, strict=True):
        assert record.evaluations == 2
        assert record.objective.best.total == pytest.approx(whole.objective.best.total, rel=1e-3)


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_a_step_down_is_one_step(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, rung: int
) -> None:
    run_out(lambda fit, *_: LADDER.index(fit) <= rung)
    (record,) = done(make_stage(), make_pair())
    assert record.fit == str(LADDER[rung + 1])
    assert record.warnings == STEPS[: rung + 1]


def test_what_does_not_fit_at_all_fails_and_the_next_goes_on(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    run_out(lambda _, __, image: image.shape[3] == 48)
    failure, record = process(make_stage(), make_pair("large", width=48), make_pair("small"))
    assert isinstance(failure, Failure)
    assert failure.error_class == "environment"
    assert "large.png: does not fit into memory at 48×32 px" in failure.reason
    assert failure.reason.endswith("(CUDA out of memory).")
    assert failure.remedy
    assert isinstance(record, Metadata)
    assert (record.fit, record.warnings) == ("whole", [])


def test_a_pair_that_did_not_fit_may_fit_later(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    """Test another attempt: jobs try again, since another program may have used the memory."""
    run_out(lambda _, number, __: number <= len(LADDER))
    stage = make_stage()
    pair = make_pair()
    assert [record.status for record in process(stage, pair)] == ["failed"]
    (again,) = process(stage, Task(pair, 2, None))
    assert again.status == "done", again


@pytest.mark.usefixtures("checkpoint_always")
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.exhaustive if seed >= 6 else ()) for seed in range(20)]
)
def test_wherever_memory_runs_out_every_pair_is_rendered_and_every_step_is_told(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, seed: int
) -> None:
    chance, steps, checkpoints = random.Random(seed), [], seed % 2 == 0  # noqa: S311

    def is_full(fit: Fit, _: int, __: Tensor) -> bool:
        if fit == LADDER[-1] or chance.random() > 0.4:
            return False
        steps.append(STEPS[LADDER.index(fit)])
        return True

    made = run_out(is_full)
    stage = make_stage(checkpoint_seconds=ALWAYS if checkpoints else 1000.0)
    records = done(stage, make_pair("a", width=34), make_pair("b", width=36))
    assert [warning for record in records for warning in record.warnings] == steps
    assert [record.evaluations for record in records] == [2, 2]
    assert all(math.isfinite(record.objective.best.total) for record in records)
    assert records[-1].fit == str(made[-1])
    if checkpoints:
        assert len(made) == 4, "no evaluation was made twice"


@BOTH
def test_a_batch_that_runs_out_of_memory_is_painted_one_by_one(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, preset: str
) -> None:
    pairs = [make_pair(name, seed=seed, evaluations=3, **sections_of(preset)) for seed, name in enumerate("abc")]
    usual = [paint(make_stage(to="usual"), pair)[pair.name] for pair in pairs]
    batches = itertools.count(1)
    run_out(lambda _, __, images: len(images) > 1 and next(batches) == 2)
    results = paint(make_stage(), *pairs)
    assert sorted(results) == list("abc")
    for name, alone in zip("abc", usual, strict=True):
        result = results[name]
        assert isinstance(result, Painted)
        assert isinstance(alone, Painted)
        assert result.fit == Fit()
        assert torch.equal(result.result.image, alone.result.image)
        assert result.result.warnings == ("out of memory as a batch of 3: painted one by one (CUDA out of memory)",)


def test_of_a_batch_that_is_painted_one_by_one_each_may_need_a_lower_rung(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    pairs = [make_pair(name, seed=seed) for seed, name in enumerate("abc")]
    run_out(lambda fit, _, images: len(images) > 1 or fit == Fit())
    results = paint(make_stage(), *pairs)
    assert {name: str(result.fit) for name, result in results.items() if isinstance(result, Painted)} == dict.fromkeys(
        "abc", "recompute"
    )


def test_the_next_pair_of_that_size_begins_with_what_did_fit(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    run_out(lambda fit, _, image: fit == Fit() and image.shape[3] == 40)
    pairs = [make_pair("a"), make_pair("same"), make_pair("larger", width=48), make_pair("smaller", width=36)]
    records = done(make_stage(batch=1), *pairs)
    found = {record.output.path: (record.fit, len(record.warnings)) for record in records}
    assert found == {
        "a.png": ("recompute", 1),
        "same.png": ("recompute", 0),
        "larger.png": ("recompute", 0),
        "smaller.png": ("whole", 0),
    }


def test_where_nothing_has_room_it_is_told_how_much_is_needed(
    make_stage: MakeStage, make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "choose", lambda *_: None)
    monkeypatch.setattr(Memory, "free_bytes", lambda _: 3 << 29)
    monkeypatch.setattr(Memory, "predict", lambda *_: 5 << 29)
    results = paint(make_stage(), make_pair("a"), make_pair("b"))
    assert sorted(results) == ["a", "b"]
    error = results["a"]
    assert isinstance(error, OutOfMemoryError)
    assert "2.5 GiB are needed at least, 1.5 GiB are available." in error.message
    assert "image.size" in error.remedy


def test_a_limit_on_memory_is_kept_from_the_start(make_stage: MakeStage, make_pair: Callable[..., Pair]) -> None:
    stage = make_stage()
    work = stage.resources.painter.demand_of(stage.resources.loader.load(Task(make_pair(), 1, None), PixelBudget()))
    whole, lower = (stage.resources.painter.memory.predict(work, fit) for fit in LADDER[:2])
    assert lower < whole
    limited = make_stage(memory_bytes=(whole + lower) // 2)
    (record,) = done(limited, make_pair())
    assert (record.fit, record.warnings) == ("recompute", [])


@pytest.mark.parametrize(("deaths", "fit"), [(1, "recompute"), (2, "tiles of 32 px"), (9, "tiles of 16 px")])
def test_over_what_processes_ended_is_painted_with_less_memory(
    make_stage: MakeStage, make_pair: Callable[..., Pair], deaths: int, fit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "SUSPICIOUS_SHARE", 0.0)
    (record,) = done(make_stage(), Task(make_pair(), 1, None, deaths=deaths + 1, deaths_alone=deaths))
    assert record.fit == fit
    assert record.warnings == [f"a process died during this pair: it was painted with less memory ({fit})"]


def test_a_large_pair_beside_which_a_process_ended_is_painted_as_ever(
    make_stage: MakeStage, make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "SUSPICIOUS_SHARE", 0.0)
    (record,) = done(make_stage(), Task(make_pair(), 1, None, deaths=1))
    assert (record.fit, record.warnings) == ("whole", []), "any of the pairs in progress may have been the cause"


def test_a_small_pair_over_which_a_process_ended_is_painted_as_ever(
    make_stage: MakeStage, make_pair: Callable[..., Pair]
) -> None:
    (record,) = done(make_stage(), Task(make_pair(), 1, None, deaths=2, deaths_alone=2))
    assert (record.fit, record.warnings) == ("whole", [])


@pytest.mark.parametrize(("seconds", "counted"), [(ALWAYS, 1), (1000.0, 4)])
@pytest.mark.usefixtures("checkpoint_always")
def test_a_pair_that_comes_further_each_time_is_not_to_blame(
    make_stage: MakeStage, make_pair: Callable[..., Pair], seconds: float, counted: int
) -> None:
    pair = make_pair(evaluations=4)
    counts: list[int] = []

    class Counting(Recorder):
        def evaluated(self, pair: Pair, _: Evaluation) -> None:
            mark = stage.resources.saver.outbox.marks.read(pair.file_name)
            counts.append(mark.attempts if mark else 0)

    stage = make_stage(Counting(), checkpoint_seconds=seconds)
    with stage.resources.saver.outbox.locked():
        for _ in range(4):
            stage.resources.saver.outbox.marks.begin_attempt(pair.file_name, "run", None)
        list(stage.process([Task(pair, 4, None, deaths=3)]))
    assert counts[0] == 4
    assert counts[-1] == counted


@BOTH
@pytest.mark.usefixtures("checkpoint_always")
def test_out_of_memory_goes_on_from_the_last_checkpoint(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, preset: str
) -> None:
    pair = make_pair(evaluations=7, **sections_of(preset))
    (usual,) = done(make_stage(to="usual"), pair)
    made = run_out(lambda _, number, __: number == 5)
    listener = Recorder()
    (record,) = done(make_stage(listener, checkpoint_seconds=ALWAYS), pair)
    assert made == [LADDER[0]] * 4 + [LADDER[1]] * 3
    assert listener.numbers == [1, 2, 3, 4, 5, 6, 7]
    assert record.warnings == STEPS[:1]
    assert record.resumed_at == 0, "the pair did not resume the work of an earlier process"
    assert [number for number, _ in record.objective.trace] == [1, 2, 3, 4, 5, 6, 7]
    assert record.objective.best.total == pytest.approx(usual.objective.best.total, rel=1e-3)


def test_out_of_memory_without_a_checkpoint_goes_on_from_the_start_of_the_scale(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    pair = make_pair(width=64, height=64, evaluations=(3, 4))
    made = run_out(lambda _, number, __: number == 6)
    listener = Recorder()
    (record,) = done(make_stage(listener), pair)
    assert listener.numbers == [1, 2, 3, 4, 5, 4, 5, 6, 7]
    assert len(made) == 9
    assert record.evaluations == 7
    assert [part.size for part in (*record.coarser, record.objective)] == [(45, 45), (64, 64)]


@pytest.mark.usefixtures("checkpoint_always")
def test_two_steps_down_from_one_checkpoint_are_both_told(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    made = run_out(lambda _, number, __: number in (3, 4))
    (record,) = done(make_stage(checkpoint_seconds=ALWAYS), make_pair(evaluations=3))
    assert len(made) == 3
    assert record.fit == str(LADDER[2])
    assert record.warnings == STEPS[:2]


def test_no_checkpoint_is_written_before_it_is_due(make_stage: MakeStage, make_pair: Callable[..., Pair]) -> None:
    stage = make_stage(checkpoint_seconds=1000.0)
    paint(stage, make_pair())
    assert not (stage.resources.saver.outbox.root / ".impasto" / "checkpoints").exists()


@pytest.mark.parametrize(("before", "after"), [(5, None), (None, 5)])
def test_where_another_number_of_steps_is_remembered_the_scale_is_begun_anew(
    make_stage: MakeStage, make_pair: Callable[..., Pair], before: int | None, after: int | None
) -> None:
    pair = make_pair(width=64, height=64, evaluations=(2, 7))
    first = make_stage(Recorder(stop_at=4))
    first.resources.painter.memory.ladder = (Fit(history=before),)
    with pytest.raises(Interrupted):
        process(first, pair)
    listener = Recorder()
    second = make_stage(listener)
    second.resources.painter.memory.ladder = (Fit(history=after),)
    (record,) = done(second, pair)
    assert listener.numbers == [3, 4, 5, 6, 7, 8, 9], "the evaluations of the coarse scale are not repeated"
    assert record.evaluations == 9
    assert record.resumed_at > 0
    assert len(record.warnings) == 1
    assert record.warnings[0].endswith("the current scale began again")


def test_a_checkpoint_is_taken_up_with_another_fit(make_stage: MakeStage, make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(evaluations=6)
    with pytest.raises(Interrupted):
        process(make_stage(Recorder(stop_at=4)), pair)
    listener = Recorder()
    second = make_stage(listener)
    second.resources.painter.memory.ladder = (Fit(tile=32),)
    (record,) = done(second, pair)
    assert listener.numbers == [5, 6]
    assert (record.resumed_at, record.fit, record.warnings) == (4, "tiles of 32 px", [])


def test_a_damaged_checkpoint_is_told_and_the_pair_begun_anew(
    make_stage: MakeStage, make_pair: Callable[..., Pair]
) -> None:
    pair = make_pair(evaluations=4)
    stage = make_stage(Recorder(stop_at=2))
    with pytest.raises(Interrupted):
        process(stage, pair)
    (path,) = (stage.resources.saver.outbox.root / ".impasto" / "checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    (record,) = done(make_stage(), pair)
    assert (record.evaluations, record.resumed_at) == (4, 0)
    assert len(record.warnings) == 1
    assert record.warnings[0].startswith("a checkpoint could not be used")


def of_another_size(state: dict[str, Any]) -> None:
    state["minimiser"]["x"] = state["minimiser"]["x"][:, :, 1:]


def without_a_part(state: dict[str, Any]) -> None:
    del state["minimiser"]["before"]


def of_a_scale_that_is_not_there(state: dict[str, Any]) -> None:
    state["scale"] = 7


@pytest.mark.parametrize("change", [of_another_size, without_a_part, of_a_scale_that_is_not_there])
def test_a_checkpoint_that_the_engine_cannot_continue_is_dropped_and_the_pair_begun_anew(
    make_stage: MakeStage, make_pair: Callable[..., Pair], change: Callable[[dict[str, Any]], None]
) -> None:
    pair = make_pair(evaluations=4)
    stage = make_stage(Recorder(stop_at=2))
    with pytest.raises(Interrupted):
        process(stage, pair)
    (path,) = (stage.resources.saver.outbox.root / ".impasto" / "checkpoints").iterdir()
    plain = torch.load(path)
    change(plain["state"])
    torch.save(plain, path)
    listener = Recorder()
    (record,) = done(make_stage(listener), pair)
    assert listener.numbers == [1, 2, 3, 4]
    assert (record.evaluations, record.resumed_at) == (4, 0)
    assert len(record.warnings) == 1
    assert record.warnings[0].startswith("a checkpoint could not be used")


@pytest.mark.parametrize("rung", [0, 1])
def test_what_a_higher_rung_took_is_not_learnt_as_the_lower_ones(
    make_stage: MakeStage,
    make_pair: Callable[..., Pair],
    run_out: RunOut,
    monkeypatch: pytest.MonkeyPatch,
    rung: int,
) -> None:
    failed: list[Fit] = []
    learnt: list[tuple[Fit, int, int]] = []

    class Peak:
        def __init__(self, _: object) -> None:
            self._failed_before = len(failed)

        def bytes(self) -> int:
            return self.taken_bytes()

        def taken_bytes(self) -> int:
            return 1 << 40 if len(failed) > self._failed_before else 1 << 30

    def is_full(fit: Fit, _: int, __: Tensor) -> bool:
        if LADDER.index(fit) < rung:
            failed.append(fit)
        return LADDER.index(fit) < rung

    run_out(is_full)
    monkeypatch.setattr(batch_run_module, "PeakMemory", Peak)
    monkeypatch.setattr(Memory, "learn", lambda _, __, fit, images, measured: learnt.append((fit, images, measured)))
    paint(make_stage(), make_pair())
    assert learnt == [(LADDER[rung], 1, 1 << 30)]


def test_out_of_memory_before_the_first_evaluation_is_out_of_memory_too(
    make_stage: MakeStage, make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test a card that is too full even for the content and the style."""
    attempts = itertools.count(1)
    painting = loaded_pair_module.Painting

    def fail_once(*arguments: Any, **more: Any) -> Any:
        if next(attempts) == 1:
            raise torch.OutOfMemoryError(TOO_MUCH)
        return painting(*arguments, **more)

    monkeypatch.setattr(loaded_pair_module, "Painting", fail_once)
    (record,) = process(make_stage(), make_pair())
    assert record.status == "done", record
    assert next(attempts) == 3, "the first attempt failed, the second did not"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator: can't allocate memory"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_out_of_memory_after_the_last_evaluation_is_out_of_memory_too(
    make_stage: MakeStage,
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    text: str,
) -> None:
    """Test a host that is too full for the picture."""
    attempts = itertools.count(1)
    painted = batch_run_module.BatchRun._painted

    def fail_once(*arguments: Any) -> Any:
        if next(attempts) == 1:
            raise error
        return painted(*arguments)

    monkeypatch.setattr(batch_run_module.BatchRun, "_painted", fail_once)
    (record,) = process(make_stage(), make_pair())
    assert isinstance(record, Metadata), record
    assert record.warnings[0].endswith(f"({text})")


def test_a_batch_that_did_not_fit_is_not_tried_again(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut
) -> None:
    tried: list[int] = []

    def is_full(_: Fit, __: int, images: Tensor) -> bool:
        if len(images) > 1:
            tried.append(len(images))
        return len(images) > 1

    run_out(is_full)
    stage = make_stage()
    for names in ("abc", "def"):
        results = paint(stage, *(make_pair(name) for name in names))
        assert all(isinstance(result, Painted) for result in results.values())
    assert tried == [3]


def test_the_state_of_a_checkpoint_is_not_kept_beside_the_present_one(
    make_stage: MakeStage, make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(width=64, height=64, evaluations=(3, 6))
    with pytest.raises(Interrupted):
        process(make_stage(Recorder(stop_at=6)), pair)
    read: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    from_plain = checkpoint_module.OptimisationState.from_plain

    def note(plain: dict[str, Any]) -> OptimisationState:
        state = from_plain(plain)
        assert state.minimiser is not None
        # The optimiser replaces these tensors at its next step.
        read.extend(weakref.ref(tensor) for tensor in (state.minimiser["x"], state.minimiser["before"]))
        return state

    class Counting(Recorder):
        def evaluated(self, _: Pair, __: Evaluation) -> None:
            alive.append(sum(each() is not None for each in read))

    monkeypatch.setattr(checkpoint_module.OptimisationState, "from_plain", note)
    done(make_stage(Counting()), pair)
    assert len(read) == 2
    assert alive == [0, 0, 0]


def test_seconds_of_pairs_that_are_painted_one_by_one_add_up_to_those_of_the_batch(
    make_stage: MakeStage, make_pair: Callable[..., Pair], run_out: RunOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0

    class Ticking(Recorder):
        def evaluated(self, _: Pair, __: Evaluation) -> None:
            nonlocal now
            now += 1.0

    # The batch of four makes one evaluation of 4 s, then it is full; each pair makes three of 1 s.
    batches = itertools.count(1)
    run_out(lambda _, __, images: len(images) > 1 and next(batches) == 2)
    monkeypatch.setattr(batch_run_module.time, "perf_counter", lambda: now)
    pairs = [make_pair(name, evaluations=3) for name in "abcd"]
    results = paint(make_stage(Ticking()), *pairs)
    seconds = [result.seconds for result in results.values() if isinstance(result, Painted)]
    assert seconds == [4.0] * 4
    assert now == 116.0


def test_seconds_of_a_batch_are_divided_by_its_pairs(
    make_stage: MakeStage, make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0

    class Ticking(Recorder):
        def evaluated(self, _: Pair, __: Evaluation) -> None:
            nonlocal now
            now += 1.0

    monkeypatch.setattr(batch_run_module.time, "perf_counter", lambda: now)
    results = paint(make_stage(Ticking()), *(make_pair(name, evaluations=3) for name in "ab"))
    assert [result.seconds for result in results.values() if isinstance(result, Painted)] == [3.0] * 2
