"""Tests of marks: which process works on the name of a result, and how many attempts have begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from pipeline.errors import OccupiedError, SupersededError
from pipeline.outbox.marks import Mark
from pipeline.outbox.publish import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.outbox.marks import Owner


class Record(BaseModel):
    text: str = "ö"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


def publish(outbox: Outbox, file_name: str = "a.png", data: bytes = b"picture") -> None:
    outbox.publish_picture(file_name, data)
    outbox.publish_metadata(file_name.rpartition(".")[0], file_name, Record())


def test_attempts_that_nothing_came_of_are_remembered(outbox: Outbox) -> None:
    with outbox.locked():
        assert outbox.marks.begin_attempt("a.png", "run", None) == 0
    with outbox.locked():
        assert outbox.marks.begin_attempt("a.png", "run", None) == 1
        assert outbox.marks.begin_attempt("b.png", "run", None) == 0
        outbox.marks.end_attempt("a.png", "run", take_back=True)
        assert outbox.marks.begin_attempt("a.png", "run", None) == 1
        outbox.marks.end_attempt("a.png", "run")
        assert outbox.marks.begin_attempt("a.png", "run", None) == 0
        publish(outbox)
        assert outbox.marks.read("a.png") is None


def test_an_attempt_that_came_further_makes_those_before_it_count_for_nothing(outbox: Outbox) -> None:
    with outbox.locked():
        for earlier in range(3):
            assert outbox.marks.begin_attempt("a.png", "run", None) == earlier
        outbox.marks.restart_count("a.png", "somebody else")
        outbox.marks.restart_count("unknown.png", "run")
    with outbox.locked():
        assert outbox.marks.begin_attempt("a.png", "run", None) == 3
        outbox.marks.restart_count("a.png", "run")
    with outbox.locked():
        assert outbox.marks.begin_attempt("a.png", "run", None) == 1, "the attempt that came further is still counted"


def test_a_name_in_work_is_left_to_its_owner(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.marks.write("a.png", Mark(owner="one/job", key="k"))
        with pytest.raises(OccupiedError, match="watcher"):
            publish(outbox)
        with pytest.raises(SupersededError, match="another worker"):
            outbox.publish_picture("a.png", b"picture", "two/job")
        with pytest.raises(SupersededError, match="another worker"):
            outbox.publish_picture("b.png", b"picture", "two/job")
        with pytest.raises(SupersededError, match="another worker"):
            outbox.publish_metadata("a", "a.png", Record(), "two/job")
        assert outbox.marks.begin_attempt("a.png", "two/job", None) == 0, "the attempt of another owner is not counted"
        assert outbox.marks.read("a.png") == Mark(owner="one/job", key="k")
        outbox.publish_picture("a.png", b"picture", "one/job")


@pytest.mark.parametrize(
    ("mark", "whose", "state"),
    [
        (None, "stranger", "free"),
        (Mark(owner="me"), "we", "ours"),
        (Mark(owner="other", key="k"), "at work", "in work"),
        (Mark(owner="other", key="another"), "at work", "taken"),
        (Mark(owner="other", key="k"), "stranger", "taken"),
    ],
)
def test_the_state_of_a_name(outbox: Outbox, mark: Mark | None, whose: Owner, state: str) -> None:
    with outbox.locked(), outbox.marks.locked():
        if mark:
            outbox.marks.write("A.png", mark)
        assert outbox.marks.name_state("a.png", "k", lambda _: whose) == state, (
            "names that differ in case only share a mark"
        )
        publish(outbox, "b.png")
        assert outbox.marks.name_state("b.png", "k", lambda _: whose) == "taken"
        outbox.picture_path("c.png").write_bytes(b"precious")
        assert outbox.marks.name_state("c.png", "k", lambda _: whose) == "taken"
