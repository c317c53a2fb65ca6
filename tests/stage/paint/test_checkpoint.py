"""Tests of checkpoints: an interrupted pair continues exactly where it was."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
import torch

from pipeline.disk import Disk
from pipeline.outbox.working_files import CheckpointFiles
from pipeline.stage.paint.checkpoint import Checkpoint
from pipeline.stage.paint.interval import LARGEST_SHARE
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.state import Evaluation, OptimisationState, ScaleResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

KEY = "a" * 64
IDENTITY = {"precision": "torch.float32", "device": "cpu"}
EVALUATIONS = (5, 20)
START = torch.linspace(0, 255, 3 * 16 * 18).view(1, 3, 16, 18)


def evaluate(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and gradients of a quadratic with a curvature of its own for each pixel."""
    weights = 1 + torch.arange(image[0].numel()).view_as(image[0]).remainder(7)
    distance = image - 100
    value = (weights * distance**2).sum(dim=(1, 2, 3)) / 2
    return torch.stack([value, value], dim=1), weights * distance


def minimiser(steps: int = 0) -> Minimiser:
    """Return a minimiser after a number of steps."""
    made = Minimiser(START, evaluations=20)
    for _ in range(steps):
        made.step(evaluate)
    return made


def pair_state(steps: int = 6) -> OptimisationState:
    """Return the optimisation state of a pair after a number of steps."""
    seen = Evaluation(3, 4.0, 1.0, 2.0, 1.0, 0.25)
    result = ScaleResult(Scale(9, 8, 5), seen, seen, seen, ((3, 4.0), (4, 3.5)))
    return OptimisationState(1, 5, START / 2, (result,), ("something",), minimiser(steps).state(0))


class FullDisk(Disk):
    """A disk with room for a number of bytes of large files."""

    def __init__(self, room: int) -> None:
        self.room: float = room
        self.writes = 0

    def write_by(self, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        self.writes += 1
        super().write_by(path, lambda file: fill(_Full(file, self)))  # type: ignore[arg-type]

    def take(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Full:
    """A file whose writes take room from a `FullDisk`."""

    def __init__(self, file: BinaryIO, disk: FullDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: bytes) -> int:
        self._disk.take(len(data))
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class SlowDisk(Disk):
    """A disk that takes a number of seconds to write a file."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.seconds = clock, 0.0

    def write_by(self, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        super().write_by(path, fill)
        self.clock.append(self.clock[-1] + self.seconds)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Return a function that makes checkpoints of one pair, which all use one file."""

    def make_one(disk: Disk | None = None, identity: dict[str, Any] | None = None, **more: Any) -> Checkpoint:
        files = CheckpointFiles(tmp_path / "checkpoints", tmp_path / "tmp", disk or Disk())
        return Checkpoint(files, KEY, identity or IDENTITY, more.pop("seconds", 60.0), **more)

    return make_one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / KEY


def test_what_was_not_begun_has_none_and_no_warning(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make()
    assert checkpoint.read() is None
    assert checkpoint.warnings == []


def test_a_pair_goes_on_from_its_checkpoint_to_the_last_bit(make: Callable[..., Checkpoint]) -> None:
    make().write(pair_state(6), EVALUATIONS)
    found = make().read()
    assert found is not None
    state, evaluations = found
    wanted = pair_state(6)
    assert evaluations == EVALUATIONS
    assert (state.scale, state.made, state.evaluations) == (1, 5, 11)
    assert (state.results, state.warnings) == (wanted.results, wanted.warnings)
    assert state.image is not None
    assert torch.equal(state.image, START / 2)
    assert state.minimiser is not None
    resumed, whole = minimiser(), minimiser(10)
    resumed.restore(state.minimiser)
    for _ in range(4):
        resumed.step(evaluate)
    assert torch.equal(resumed.x, whole.x)
    assert resumed.minimum(0).values == whole.minimum(0).values


def test_a_pair_at_the_start_of_a_scale_is_where_it_was(make: Callable[..., Checkpoint]) -> None:
    for state in (OptimisationState(), OptimisationState(1, 5, START)):
        make().write(state, EVALUATIONS)
        found = make().read()
        assert found is not None
        assert (found[0].scale, found[0].made, found[0].minimiser) == (state.scale, state.made, None)
        assert (found[0].image is None) == (state.image is None)


@pytest.mark.parametrize("identity", [IDENTITY | {"precision": "torch.bfloat16"}, IDENTITY | {"device": "cuda"}])
def test_one_of_another_precision_or_device_is_not_used(
    make: Callable[..., Checkpoint], identity: dict[str, str]
) -> None:
    make(identity=identity).write(pair_state(), EVALUATIONS)
    checkpoint = make()
    assert checkpoint.read() is None
    (warning,) = checkpoint.warnings
    assert "began again" in warning
    assert str(identity) in warning


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda _: b"no checkpoint",
        lambda data: bytes(reversed(data)),
        lambda data: data[:200] + bytes(200) + data[400:],
    ],
    ids=["empty", "half", "a byte short", "text", "reversed", "zeros"],
)
def test_a_damaged_one_is_not_used(
    make: Callable[..., Checkpoint], path: Path, damage: Callable[[bytes], bytes]
) -> None:
    make().write(pair_state(), EVALUATIONS)
    path.write_bytes(damage(path.read_bytes()))
    checkpoint = make()
    assert checkpoint.read() is None
    (warning,) = checkpoint.warnings
    assert "began again" in warning
    assert "\n" not in warning


def test_one_with_a_single_wrong_bit_is_not_used(make: Callable[..., Checkpoint], path: Path) -> None:
    make().write(pair_state(), EVALUATIONS)
    sound = path.read_bytes()
    read = make().read()
    assert read is not None
    chance, accepted = random.Random(1), 0  # noqa: S311
    for _ in range(60):
        data = bytearray(sound)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        found = make().read()
        if found is not None:  # the bit was in padding between the parts of the file
            accepted += 1
            assert same(found[0].to_plain(), read[0].to_plain())
    assert accepted < 30


def same(one: Any, other: Any) -> bool:
    """Whether two plain states are equal to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def test_one_of_another_version_is_not_used(make: Callable[..., Checkpoint], path: Path) -> None:
    path.parent.mkdir()
    for found in ({}, {"identity": IDENTITY}, {"identity": IDENTITY, "evaluations": [1], "state": {"new": 1}}, [1]):
        torch.save(found, path)
        checkpoint = make()
        assert checkpoint.read() is None
        assert len(checkpoint.warnings) == 1


def test_one_that_would_run_code_is_not_used(make: Callable[..., Checkpoint], path: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    path.parent.mkdir()
    torch.save({"identity": IDENTITY, "evaluations": [1], "state": Evil()}, path)
    assert make().read() is None
    assert not (tmp_path / "harm").exists()


def test_a_disk_that_cannot_be_read_is_a_warning(make: Callable[..., Checkpoint], path: Path) -> None:
    path.mkdir(parents=True)
    checkpoint = make()
    assert checkpoint.read() is None
    assert len(checkpoint.warnings) == 1


@pytest.mark.parametrize("room", [0, 300, 20_000])
def test_a_full_disk_is_a_warning_and_the_old_one_stays(
    make: Callable[..., Checkpoint], tmp_path: Path, room: int
) -> None:
    make().write(pair_state(3), EVALUATIONS)
    disk = FullDisk(room)
    checkpoint = make(disk)
    checkpoint.write(pair_state(6), EVALUATIONS)
    (warning,) = checkpoint.warnings
    assert "no checkpoint could be written" in warning
    assert list(tmp_path.glob("tmp/*")) == [], "half a checkpoint does not fill the disk"
    found = make().read()
    assert found is not None
    assert found[0].evaluations == 5 + 3
    disk.room = 10**9
    checkpoint.write(pair_state(6), EVALUATIONS)
    found = make().read()
    assert found is not None
    assert found[0].evaluations == 5 + 6


def test_the_same_warning_is_given_once(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make(FullDisk(0))
    checkpoint.write(pair_state(3), EVALUATIONS)
    checkpoint.write(pair_state(3), EVALUATIONS)
    assert len(checkpoint.warnings) == 1


@pytest.fixture
def clock() -> list[float]:
    """Return the list whose last item the clock shows, in seconds."""
    return [1000.0]


def is_written(checkpoint: Checkpoint, clock: list[float], when: float) -> bool:
    """Whether a checkpoint is written at a time."""
    asked: list[OptimisationState] = []

    def state() -> OptimisationState:
        asked.append(OptimisationState())
        return asked[-1]

    clock.append(when)
    checkpoint.write_if_due(state, EVALUATIONS)
    return bool(asked)


def test_one_is_written_every_so_often(make: Callable[..., Checkpoint], clock: list[float], path: Path) -> None:
    checkpoint = make(clock=lambda: clock[-1])
    assert not is_written(checkpoint, clock, 1059)
    assert not path.exists()
    assert is_written(checkpoint, clock, 1060)
    assert path.exists()
    assert not is_written(checkpoint, clock, 1119)
    assert is_written(checkpoint, clock, 1125)
    assert not is_written(checkpoint, clock, 1184)


def test_where_writing_is_slow_they_are_rarer(make: Callable[..., Checkpoint], clock: list[float]) -> None:
    disk = SlowDisk(clock)
    checkpoint = make(disk, clock=lambda: clock[-1])
    disk.seconds = 10
    assert is_written(checkpoint, clock, 1060)
    wait = 10 / LARGEST_SHARE
    assert wait > 60
    assert not is_written(checkpoint, clock, 1070 + wait - 1)
    disk.seconds = 0.1
    assert is_written(checkpoint, clock, 1070 + wait + 1)
    assert is_written(checkpoint, clock, 1070 + wait + 63), (
        "checkpoints are frequent again, since the disk is fast again"
    )


def test_a_disk_that_failed_is_not_tried_at_every_step(make: Callable[..., Checkpoint], clock: list[float]) -> None:
    disk = FullDisk(0)
    checkpoint = make(disk, clock=lambda: clock[-1])
    assert is_written(checkpoint, clock, 1060)
    assert not is_written(checkpoint, clock, 1061)
    assert disk.writes == 1


def test_pairs_of_a_batch_share_the_time_for_writing(make: Callable[..., Checkpoint], clock: list[float]) -> None:
    disk = SlowDisk(clock)
    checkpoint = make(disk, clock=lambda: clock[-1], batch=4)
    disk.seconds = 10
    assert is_written(checkpoint, clock, 1060)
    wait = 4 * 10 / LARGEST_SHARE
    assert not is_written(checkpoint, clock, 1070 + wait - 1)
    assert is_written(checkpoint, clock, 1070 + wait + 1)
