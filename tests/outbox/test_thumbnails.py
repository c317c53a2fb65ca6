"""Tests of the thumbnails in the outbox."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.disk import Disk
from pipeline.outbox.working_files import LONGEST_SIDE_PX, Thumbnails, mode_like

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "a" * 64, "b" * 64


def grey(value: float, width: int = 60, height: int = 40) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    return np.full((height, width, 3), value, np.float32)


@pytest.fixture
def thumbnails(tmp_path: Path) -> Thumbnails:
    return Thumbnails(tmp_path / "state/thumbnails", Disk())


def test_one_is_had_by_the_hash_of_its_file(thumbnails: Thumbnails) -> None:
    assert not thumbnails.has(ONE)
    thumbnails.put(ONE, grey(200))
    assert (thumbnails.has(ONE), thumbnails.has(OTHER)) == (True, False)
    with Image.open(thumbnails.path(ONE)) as image:
        assert (image.format, image.size) == ("JPEG", (60, 40))
        assert abs(np.asarray(image).mean() - 200) < 2


@pytest.mark.parametrize(("width", "height"), [(1600, 400), (400, 1600)])
def test_a_large_picture_is_made_small_in_its_proportions(thumbnails: Thumbnails, width: int, height: int) -> None:
    thumbnails.put(ONE, grey(10, width, height))
    with Image.open(thumbnails.path(ONE)) as image:
        assert max(image.size) == LONGEST_SIDE_PX
        assert image.width / image.height == pytest.approx(width / height, rel=0.02)


def test_it_is_there_whole_or_not_at_all(thumbnails: Thumbnails, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Disk, source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Disk, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        thumbnails.put(ONE, grey(1))
    assert not thumbnails.has(ONE)


def test_threads_that_make_the_same_one_do_not_meet(thumbnails: Thumbnails) -> None:
    errors: list[Exception] = []

    def put() -> None:
        try:
            for _ in range(20):
                thumbnails.put(ONE, grey(100))
        except Exception as error:  # noqa: BLE001 - the assertion below shows the error
            errors.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Image.open(thumbnails.path(ONE)) as image:
        image.load()
    assert [path.name for path in thumbnails.path(ONE).parent.iterdir()] == [thumbnails.path(ONE).name]


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o644), (0o444, 0o644)])
def test_nobody_may_read_the_thumbnail_of_a_file_who_may_not_read_the_file(
    thumbnails: Thumbnails, tmp_path: Path, mode: int, expected: int
) -> None:
    photograph = tmp_path / "photo.jpg"
    photograph.touch()
    photograph.chmod(mode)
    before = os.umask(0o022)
    try:
        thumbnails.put(ONE, grey(1), mode_like(photograph))
    finally:
        os.umask(before)
    assert thumbnails.path(ONE).stat().st_mode & 0o777 == expected
    assert mode_like(tmp_path / "moved.jpg") == 0o600
