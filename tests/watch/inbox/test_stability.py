"""Tests of the check whether a file in the inbox has stopped changing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.watch.inbox.stability import StabilityTracker
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 8
FACTS = FileFacts(size=100, mtime_ns=5_000, ctime_ns=6_000, inode=7, device=1)
CHANGES: list[dict[str, Any]] = [
    {"size": 101},
    {"size": 99},
    {"mtime_ns": 5_001},
    {"mtime_ns": 4_999},
    {"ctime_ns": 6_001},
    {"inode": 8},
    {"device": 2},
]


def due(tracker: StabilityTracker, now: float) -> list[str]:
    """Take all files that are due."""
    names = []
    while (name := tracker.take_due(now)) is not None:
        names.append(name)
    return names


@pytest.fixture
def tracker() -> StabilityTracker:
    return StabilityTracker(SECONDS)


def test_a_file_that_does_not_change_settles(tracker: StabilityTracker) -> None:
    tracker.see("a", FACTS, 10)
    assert tracker.stable_at("a") == 18
    for now in (10, 12, 17.9):
        tracker.see("a", FACTS, now)
        assert not tracker.is_stable("a", now)
        assert due(tracker, now) == []
    tracker.see("a", FACTS, 18)
    assert tracker.is_stable("a", 18)
    assert due(tracker, 18) == ["a"]


def test_a_file_that_was_seen_once_is_not_settled_before_its_time(tracker: StabilityTracker) -> None:
    tracker.see("a", FACTS, 10)
    assert not tracker.is_stable("a", 10)
    assert not tracker.is_stable("a", 17.9)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_change_restarts_the_time(tracker: StabilityTracker, change: dict[str, Any]) -> None:
    tracker.see("a", FACTS, 0)
    tracker.see("a", replace(FACTS, **change), 7)
    assert tracker.stable_at("a") == 15
    assert not tracker.is_stable("a", 8)
    assert due(tracker, 14) == []
    assert tracker.is_stable("a", 15)


def test_a_change_back_to_what_was_is_a_change(tracker: StabilityTracker) -> None:
    tracker.see("a", FACTS, 0)
    tracker.see("a", replace(FACTS, size=1), 4)
    tracker.see("a", FACTS, 7)
    assert tracker.stable_at("a") == 15


def test_a_file_that_always_changes_never_settles(tracker: StabilityTracker) -> None:
    for now in range(0, 1000, SECONDS - 1):
        tracker.see("a", replace(FACTS, size=now + 1), now)
        assert not tracker.is_stable("a", now)


def test_closing_shortens_the_time_to_a_quarter(tracker: StabilityTracker) -> None:
    tracker.see("new", FACTS, 0, looks_finished=True)
    tracker.see("known", FACTS, 0)
    tracker.see("known", FACTS, 1, looks_finished=True)
    tracker.see("changed", FACTS, 0)
    tracker.see("changed", replace(FACTS, size=101), 1, looks_finished=True)
    assert {name: tracker.stable_at(name) for name in tracker.files} == {"new": 2, "known": 2, "changed": 3}
    assert not tracker.is_stable("new", 1.9)
    assert tracker.is_stable("new", 2)


def test_closing_holds_for_looks_that_see_no_change(tracker: StabilityTracker) -> None:
    tracker.see("a", FACTS, 0, looks_finished=True)
    tracker.see("a", FACTS, 1)
    assert tracker.stable_at("a") == 2


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_after_closing_makes_the_time_whole_again(tracker: StabilityTracker, change: dict[str, Any]) -> None:
    tracker.see("a", FACTS, 0, looks_finished=True)
    tracker.see("a", replace(FACTS, **change), 1)
    assert tracker.stable_at("a") == 9
    assert not tracker.is_stable("a", 8)


def test_an_empty_file_is_looked_at_but_never_settles(tracker: StabilityTracker) -> None:
    tracker.see("a", replace(FACTS, size=0), 0, looks_finished=True)
    assert due(tracker, 1e9) == ["a"]
    assert not tracker.is_stable("a", 1e9)
    tracker.see("a", FACTS, 1e9)
    assert not tracker.is_stable("a", 1e9)
    assert tracker.is_stable("a", 1e9 + SECONDS)


def test_a_file_that_was_gone_starts_anew(tracker: StabilityTracker) -> None:
    tracker.see("a", FACTS, 0, looks_finished=True)
    tracker.forget("a")
    assert not tracker.is_stable("a", 100)
    assert due(tracker, 100) == []
    tracker.see("a", FACTS, 101)
    assert (tracker.files["a"].first_seen, tracker.stable_at("a")) == (101, 109)


def test_a_file_that_nobody_knows_is_not_settled(tracker: StabilityTracker) -> None:
    assert not tracker.is_stable("a", 1e9)
    tracker.forget("a")
    assert tracker.files == {}


def test_files_are_due_in_the_order_they_came_then_by_name(tracker: StabilityTracker) -> None:
    for name, first_seen in [("z", 0), ("c", 1), ("b", 1), ("a", 2), ("late", 9)]:
        tracker.see(name, FACTS, first_seen)
    tracker.see("z", replace(FACTS, size=101), 3)
    assert due(tracker, 10) == ["b", "c", "a"]
    assert due(tracker, 12) == ["z"]


def test_a_file_is_due_once_and_again_after_a_change_or_on_request(tracker: StabilityTracker) -> None:
    for now in (0, 3, 9):
        tracker.see("a", FACTS, now)
    assert (due(tracker, 9), due(tracker, 100), tracker.next_due()) == (["a"], [], float("inf"))
    tracker.see("a", replace(FACTS, size=101), 100)
    assert (tracker.next_due(), due(tracker, 107), due(tracker, 108), due(tracker, 200)) == (108, [], ["a"], [])
    for name in ("a", "a", "unknown"):
        tracker.make_due(name)
    assert (due(tracker, 200), due(tracker, 200)) == (["a"], [])


def test_times_that_are_out_of_date_do_not_stay(tracker: StabilityTracker) -> None:
    for now in range(1000):
        tracker.see("a", replace(FACTS, size=now + 1), now)
        tracker.see(str(now), FACTS, now)
        tracker.forget(str(now))
        due(tracker, now)
    assert len(tracker._heap) <= 2 * SECONDS + 2


def test_a_file_is_known_by_its_status(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"four")
    status = path.stat()
    facts = FileFacts.of(status)
    assert (facts.size, facts.mtime_ns, facts.ctime_ns) == (4, status.st_mtime_ns, status.st_ctime_ns)
    assert (facts.inode, facts.device) == (status.st_ino, status.st_dev)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_only_a_rename_leaves_the_content_as_it_was(change: dict[str, Any]) -> None:
    changed = replace(FACTS, **change)
    assert FACTS.same_content(changed) is ("ctime_ns" in change)
    assert changed.same_content(FACTS) is ("ctime_ns" in change)


@pytest.mark.parametrize(
    ("names", "change", "is_as"),
    [
        ((1, 1), {"ctime_ns": 6_001}, False),
        ((2, 2), {"ctime_ns": 6_001}, True),
        ((2, 1), {"ctime_ns": 6_001}, True),
        ((1, 2), {"ctime_ns": 6_001}, True),
        ((2, 2), {"ctime_ns": 6_001, "size": 101}, False),
        ((2, 2), {"mtime_ns": 5_001}, False),
    ],
)
def test_what_happens_to_another_name_of_a_file_is_no_change(
    names: tuple[int, int], change: dict[str, Any], *, is_as: bool
) -> None:
    earlier = replace(FACTS, links=names[0])
    assert replace(FACTS, links=names[1], **change).is_as(earlier) is is_as


LOOKS = st.lists(
    st.tuples(
        st.integers(0, 2 * SECONDS),
        st.sampled_from(["same", "same", "gone", "size", "mtime_ns", "ctime_ns", "inode"]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(LOOKS)
def test_a_file_settles_as_long_after_its_last_change_as_it_should(looks: list[tuple[int, str, bool]]) -> None:
    tracker, now, facts = StabilityTracker(SECONDS), 0, FACTS
    changed, was_closed = None, False
    for passed, what, closed in looks:
        now += passed
        if what == "gone":
            tracker.forget("a")
            changed = None
            continue
        if what != "same":
            facts = replace(facts, **{what: getattr(facts, what) + 1})
        if changed is None or what != "same":
            changed, was_closed = now, False
        was_closed |= closed
        tracker.see("a", facts, now, looks_finished=closed)
        for later in (now, now + 1, now + SECONDS):
            wanted = later - changed >= (SECONDS / 4 if was_closed else SECONDS)
            assert tracker.is_stable("a", later) is wanted
            assert (tracker.next_due() <= later) is wanted
