"""Tests of the paintings and masks that photographs wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.errors import IncompleteError
from pipeline.watch.inbox.damaged import DamagedInputs
from tests.faults.world import Clock

if TYPE_CHECKING:
    from pathlib import Path

ERROR = IncompleteError("sea.png: is truncated.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def damaged(clock: Clock) -> DamagedInputs:
    return DamagedInputs(Disk(), clock)


def test_a_damaged_file_is_named_once_and_counts_until_it_changes(
    damaged: DamagedInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    painting, other = tmp_path / "sea.png", tmp_path / "sky.png"
    painting.write_bytes(b"half")
    before = damaged.facts([painting])[painting]
    assert [damaged.report(painting, before, ERROR) for _ in range(3)] == [True] * 3
    assert len(caplog.messages) == 1
    assert not damaged.look()
    assert (damaged.why([other, painting]), damaged.why([other])) == ("sea.png: is truncated.", "")
    painting.write_bytes(b"whole")
    assert damaged.look()
    assert (damaged.why([painting]), bool(damaged)) == ("", False)


def test_a_file_that_was_written_to_while_it_was_read_is_not_damaged(damaged: DamagedInputs, tmp_path: Path) -> None:
    painting = tmp_path / "sea.png"
    painting.write_bytes(b"half")
    before = damaged.facts([painting])[painting]
    painting.write_bytes(b"whole")
    assert not damaged.report(painting, before, ERROR)
    assert damaged.why([painting]) == ""


def test_a_file_that_is_gone_has_no_facts_and_counts_until_it_is_there(damaged: DamagedInputs, tmp_path: Path) -> None:
    painting = tmp_path / "sea.png"
    assert damaged.facts([painting]) == {painting: None}
    assert damaged.report(painting, None, ERROR)
    painting.write_bytes(b"whole")
    damaged.look()
    assert damaged.why([painting]) == ""


def test_a_file_that_cannot_be_read_is_tried_again_ever_more_rarely(
    damaged: DamagedInputs, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    painting = tmp_path / "sea.png"
    painting.write_bytes(b"whole")
    waits = []
    for _ in range(8):
        for _ in range(3):  # photographs that were claimed together fail together
            damaged.report_unreadable(painting, ERROR)
        begin = clock.seconds
        while damaged.why([painting]):
            assert damaged.has_unreadable
            clock.seconds += 1
            damaged.look()
        waits.append(clock.seconds - begin)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    assert len(caplog.messages) == 1
    assert not damaged
    damaged.report_unreadable(painting, ERROR)
    painting.write_bytes(b"another one")
    assert damaged.look(), "a file that has changed is tried at once"
    assert not damaged.has_unreadable
