"""Tests of shards, and of the locks by which runs exclude each other."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LockedError, UsageError
from pipeline.outbox import run_lock as module
from pipeline.outbox.run_lock import Shard, run_lock

if TYPE_CHECKING:
    from pathlib import Path


@given(st.text(max_size=30), st.integers(1, 50))
def test_every_result_is_in_one_shard(name: str, count: int) -> None:
    assert sum(Shard(number, count).has(name) for number in range(1, count + 1)) == 1


def test_shards_are_of_about_the_same_size_and_stay_the_same() -> None:
    names = [f"photo{number}__nocturne.png" for number in range(2000)]
    sizes = Counter(number for name in names for number in range(1, 5) if Shard(number, 4).has(name))
    assert all(400 < size < 600 for size in sizes.values())
    first = [name for name in names[:10] if Shard(1, 4).has(name)]
    assert first == ["photo3__nocturne.png"], "a new version must not give pairs to other shards: two would render them"


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2", "1 / 4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--shard {text}: expected I/N")):
        Shard.parse(text)


def test_a_shard_is_parsed() -> None:
    assert Shard.parse("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"


@pytest.mark.parametrize(
    ("held", "wanted", "is_free"),
    [
        (None, None, False),
        (None, Shard(1, 2), False),
        (Shard(1, 2), None, False),
        (Shard(1, 2), Shard(1, 2), False),
        (Shard(1, 2), Shard(2, 2), True),
        (Shard(1, 2), Shard(2, 3), False),
    ],
)
def test_runs_exclude_each_other_unless_they_have_different_shards_of_one_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, held: Shard | None, wanted: Shard | None, is_free: bool
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.1)
    with run_lock(tmp_path, held):
        outcome = contextlib.nullcontext() if is_free else pytest.raises(LockedError, match="another run works on")
        with outcome, run_lock(tmp_path, wanted):
            assert is_free
    with run_lock(tmp_path, wanted):
        pass


def test_shards_that_begin_together_do_not_exclude_each_other_by_their_looks_at_old_locks(tmp_path: Path) -> None:
    for number in range(1, 5):
        (tmp_path / f"lock-{number}-of-4").touch()
    for _ in range(10):
        begin, refused = threading.Barrier(8), []

        def take(number: int, begin: threading.Barrier = begin, refused: list[LockedError] = refused) -> None:
            begin.wait()
            try:
                with run_lock(tmp_path, Shard(number, 8)):
                    pass
            except LockedError as error:
                refused.append(error)

        threads = [threading.Thread(target=take, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not refused
