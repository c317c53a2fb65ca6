"""Tests with badly behaved writers: no photograph may be decoded before it is complete."""

from __future__ import annotations

import io
import os
import random
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.conftest import photo as picture_of
from tests.faults.world import World, photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.stage.task import Task

SETTLE_SECONDS = 2.0


def chunks(data: bytes, dice: random.Random) -> list[bytes]:
    cuts = sorted(dice.sample(range(1, len(data)), dice.randint(3, 8)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def a_byte_at_a_time(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    with path.open("wb", buffering=0) as file:
        for number in data[:-15], *(bytes([byte]) for byte in data[-15:]):
            file.write(number)
            yield


def in_chunks(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    with path.open("wb", buffering=0) as file:
        for chunk in chunks(data, dice):
            file.write(chunk)
            yield


def opening_again_for_each_chunk(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    for chunk in chunks(data, dice):
        with path.open("ab") as file:
            file.write(chunk)
        yield


def with_its_final_size_from_the_start(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(data))
        yield
        for chunk in chunks(data, dice):
            file.write(chunk)
            yield


def with_size_and_times_always_the_same(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    """Write a file whose size and times stay the same, so that only its ctime shows the change."""
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(data))
        for chunk in chunks(data, dice):
            file.write(chunk)
            os.utime(path, (1e9, 1e9))
            yield


def from_its_end_to_its_start(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    with path.open("wb", buffering=0) as file:
        end = len(data)
        for part in reversed(chunks(data, dice)):
            end -= len(part)
            file.seek(end)
            file.write(part)
            yield


def renaming_over_half_a_file(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    path.write_bytes(data[: len(data) // 2])
    yield
    half = path.with_suffix(".part")
    for chunk in chunks(data, dice):
        with half.open("ab") as file:
            file.write(chunk)
        path.touch()
        yield
    half.rename(path)
    yield


def beginning_anew(path: Path, data: bytes, dice: random.Random) -> Iterator[None]:
    for _ in range(dice.randint(1, 3)):
        path.write_bytes(data[: dice.randint(0, len(data) - 1)])
        yield
    path.write_bytes(data)
    yield


WRITERS = (
    a_byte_at_a_time,
    in_chunks,
    opening_again_for_each_chunk,
    with_its_final_size_from_the_start,
    with_size_and_times_always_the_same,
    from_its_end_to_its_start,
    renaming_over_half_a_file,
    beginning_anew,
)


def jpeg(number: int) -> bytes:
    """Return a JPEG with a thumbnail, whose last bytes are like those of the file."""
    thumbnail, whole = io.BytesIO(), io.BytesIO()
    picture = Image.fromarray(picture_of(24, 16, number))
    picture.save(thumbnail, "JPEG")
    picture.save(whole, "JPEG", exif=b"Exif\0\0" + thumbnail.getvalue())
    return whole.getvalue()


@pytest.mark.parametrize("events", [False, True], ids=["polling", "events"])
def test_no_photograph_is_decoded_before_it_is_complete(
    tmp_path: Path, tell: Callable[[str], None], *, events: bool
) -> None:
    """Run 500 writers at once, whose pauses are shorter than the settling time; events may announce their changes."""
    world, dice = World(tmp_path / "world", {"watch": {"prefetch": 1000}}), random.Random(3)  # noqa: S311
    worker = world.worker()
    hints = worker.with_hints() if events else None
    worker.start()
    (world.inbox / "sea").mkdir()
    wanted: dict[str, bytes] = {}
    writing: dict[str, tuple[Iterator[None], float]] = {}
    for number in range(500):
        name = f"sea/{number}.jpg"
        wanted[name] = jpeg(number) if events else photo(f"number {number}")
        writing[name] = WRITERS[number % len(WRITERS)](world.inbox / name, wanted[name], dice), world.clock()
    rendered: list[str] = []

    def check(task: Task) -> None:
        name = task.pair.content_label
        rendered.append(name)
        assert task.pair.content.read_bytes() == wanted[name], f"{name} was not complete"

    worker.stage.on_render = check
    while writing:
        for name, (writer, at) in list(writing.items()):
            if world.clock() >= at:
                try:
                    next(writer)
                    writing[name] = writer, world.clock() + dice.uniform(0.1, SETTLE_SECONDS - 0.3)
                except StopIteration:
                    del writing[name]
                if hints:
                    hints.hint.paths.add(world.inbox / name)
        worker.step(0.1)
    worker.work(10)
    worker.end()
    assert len(rendered) == len(set(rendered)) == 500
    assert worker.stage.premature == 0
    assert len(world.check_settled()) == 500
    how = "events" if events else "polling"
    tell(f"500 writers of {len(WRITERS)} kinds, {how}: {worker.stage.premature} premature decodes")
