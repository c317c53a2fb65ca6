"""Tests of the accounting of files: each file that was seen is counted once at the end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.spool.accounting import Balance, FileAccounting
from pipeline.watch.spool.records import Job
from pipeline.watch.spool.spool import Spool
from tests.faults.disk import HastyDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.watch.spool.accounting import Fate

NAME = "sea/a.png"
DATE = "2024-05-01"


@dataclass
class Desk:
    """An inbox with its spool, and the accounting of its files."""

    inbox: Path
    disk: HastyDisk = field(default_factory=HastyDisk)
    books: FileAccounting = field(default_factory=FileAccounting)

    def __post_init__(self) -> None:
        self.inbox.mkdir()
        self.spool = self.worker()

    def worker(self) -> Spool:
        spool = Spool(self.inbox / ".impasto", self.inbox, self.disk)
        spool.worker.enter()
        return spool

    def drop(self, name: str = NAME) -> Path:
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"picture")
        return path

    def see(self, name: str = NAME) -> Path:
        path = self.drop(name)
        self.books.see(name)
        return path

    def claim(self, *names: str) -> Job:
        first, *others = names or (NAME,)
        self.see(first)
        job = self.spool.claim(first)
        self.books.claim(job, first)
        for name in others:
            self.see(name)
            self.spool.add(job, name)
            self.books.claim(job, name)
        return job

    def balance(self) -> Balance:
        return self.books.balance(self.inbox, self.spool, self.disk)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "in")
    yield desk
    desk.spool.worker.leave()


def balanced(  # noqa: PLR0913
    seen: int, *, done: int = 0, duplicate: int = 0, failed: int = 0, waiting: int = 0, in_inbox: int = 0,
    elsewhere: int = 0, missing: tuple[str, ...] = (),
) -> Balance:  # fmt: skip
    """Return a balance by its counts."""
    return Balance(seen, done, duplicate, failed, waiting, in_inbox, elsewhere, missing)


@pytest.mark.parametrize(
    ("balance", "is_even"),
    [
        (balanced(0), True),
        (balanced(21, done=1, duplicate=2, failed=3, waiting=4, in_inbox=5, elsewhere=6), True),
        (balanced(1), False),
        (balanced(0, done=1), False),
        (balanced(1, duplicate=1, failed=1), False),
        (balanced(1, missing=("a",)), False),
        (balanced(1, done=1, missing=("a",)), False),
    ],
)
def test_a_balance_is_even_when_every_file_is_accounted_for(balance: Balance, *, is_even: bool) -> None:
    assert balance.is_even is is_even


def test_nothing_seen_is_even(desk: Desk) -> None:
    assert desk.balance() == balanced(0)


def test_a_file_is_seen_once_however_often_it_is_looked_at(desk: Desk) -> None:
    desk.see()
    desk.see()
    desk.see("b.png")
    assert desk.balance() == balanced(2, in_inbox=2)


def test_a_claimed_file_waits(desk: Desk) -> None:
    desk.claim()
    desk.see("b.png")
    assert desk.balance() == balanced(2, waiting=1, in_inbox=1)


def test_a_file_that_was_claimed_before_it_was_seen_is_counted(desk: Desk) -> None:
    desk.drop()
    desk.books.claim(desk.spool.claim(NAME), NAME)
    assert desk.balance() == balanced(1, waiting=1)


def test_a_job_may_have_several_files(desk: Desk) -> None:
    job = desk.claim("list.csv", NAME, "b.png")
    assert desk.books.jobs == {job.id: ["list.csv", NAME, "b.png"]}
    assert desk.balance() == balanced(3, waiting=3)


@pytest.mark.parametrize("fate", ["done", "duplicate", "failed", "elsewhere"])
def test_a_job_ends_with_all_its_files(desk: Desk, fate: Fate) -> None:
    job = desk.claim("list.csv", NAME)
    desk.books.finish(job, fate, desk.spool.archive(job, DATE), desk.disk)
    balance = desk.balance()
    assert balance == balanced(2, **{fate: 2})
    assert balance.is_even
    assert desk.books.jobs == {}


def test_a_job_may_end_without_a_folder(desk: Desk) -> None:
    job = desk.claim()
    desk.spool.delete(job, DATE)
    desk.books.finish(job, "done", None, desk.disk)
    assert desk.balance() == balanced(1, done=1)


def test_a_job_that_is_not_where_it_was_put_is_missing_by_name(desk: Desk) -> None:
    job = desk.claim("list.csv", NAME)
    place = desk.spool.archive(job, DATE)
    shutil.rmtree(place)
    desk.books.finish(job, "done", place, desk.disk)
    balance = desk.balance()
    assert balance.missing == ("list.csv", NAME)
    assert not balance.is_even
    assert desk.balance().missing == balance.missing


def test_the_same_name_again_is_another_file(desk: Desk) -> None:
    job = desk.claim()
    desk.see()
    assert desk.balance() == balanced(2, waiting=1, in_inbox=1)
    desk.books.finish(job, "done", desk.spool.archive(job, DATE), desk.disk)
    assert desk.balance() == balanced(2, done=1, in_inbox=1)


@pytest.mark.parametrize("seen", ["before the end", "after the end", "never"])
def test_a_file_that_was_put_back_is_counted_once(desk: Desk, seen: str) -> None:
    job = desk.claim()
    with desk.books.putting_back(job, partial(desk.spool.files, job)):
        assert desk.spool.put_back(job)
        if seen == "before the end":
            desk.books.see(NAME)
    if seen == "after the end":
        desk.books.see(NAME)
    balance = desk.balance()
    assert balance == balanced(1, in_inbox=1)
    assert balance.is_even
    assert desk.books.jobs == {}


def test_a_file_that_was_put_back_can_be_claimed_again(desk: Desk) -> None:
    for _ in range(3):
        job = desk.claim()
        with desk.books.putting_back(job, partial(desk.spool.files, job)):
            desk.spool.put_back(job)
            desk.books.see(NAME)
    job = desk.claim()
    desk.books.finish(job, "failed", desk.spool.archive(job, DATE), desk.disk)
    assert desk.balance() == balanced(1, failed=1)


@pytest.mark.parametrize("seen", ["before the beginning", "before the end", "after the end"])
def test_a_file_whose_name_was_taken_stays_and_the_other_is_counted(desk: Desk, seen: str) -> None:
    job = desk.claim()
    desk.drop()
    if seen == "before the beginning":
        desk.books.see(NAME)
    with desk.books.putting_back(job, partial(desk.spool.files, job)):
        assert not desk.spool.put_back(job)
        if seen == "before the end":
            desk.books.see(NAME)
    if seen == "after the end":
        desk.books.see(NAME)
    balance = desk.balance()
    assert balance == balanced(2, waiting=1, in_inbox=1)
    assert balance.is_even


def test_of_a_job_that_went_back_by_half_the_rest_waits(desk: Desk) -> None:
    job = desk.claim("list.csv", NAME)
    desk.drop("list.csv")
    with desk.books.putting_back(job, partial(desk.spool.files, job)):
        assert not desk.spool.put_back(job)
    assert desk.books.jobs == {job.id: ["list.csv"]}
    assert desk.balance() == balanced(2, waiting=1, in_inbox=1)


def test_a_file_that_its_owner_took_away_is_elsewhere(desk: Desk) -> None:
    desk.see().unlink()
    desk.see("b.png").unlink()
    desk.books.lose_sight("b.png")
    desk.books.lose_sight("b.png")
    balance = desk.balance()
    assert balance == balanced(2, elsewhere=2)
    assert balance.is_even
    assert desk.balance() == balance


def test_a_file_that_comes_back_is_another_one(desk: Desk) -> None:
    desk.see().unlink()
    desk.books.lose_sight(NAME)
    desk.see()
    assert desk.balance() == balanced(2, elsewhere=1, in_inbox=1)


def test_losing_sight_of_a_claimed_file_changes_nothing(desk: Desk) -> None:
    desk.claim()
    desk.books.lose_sight(NAME)
    assert desk.balance() == balanced(1, waiting=1)


def test_a_file_that_is_there_to_stay_is_not_counted(desk: Desk) -> None:
    desk.see()
    desk.see("b.png")
    desk.books.ignore(NAME)
    desk.books.ignore(NAME)
    desk.books.ignore("never seen")
    assert desk.balance() == balanced(1, in_inbox=1)


def test_a_job_of_an_earlier_process_is_counted(desk: Desk) -> None:
    job = desk.claim("list.csv", NAME)
    desk.books = FileAccounting()
    desk.books.recover(job, desk.spool.files(job))
    assert desk.balance() == balanced(2, waiting=2)
    desk.books.finish(job, "done", desk.spool.archive(job, DATE), desk.disk)
    assert desk.balance() == balanced(2, done=2)


def test_a_file_that_a_crash_left_in_both_places_is_counted_once_when_it_is_put_back(desk: Desk) -> None:
    job = desk.claim()
    (desk.inbox / NAME).hardlink_to(job.path(NAME))
    desk.books = FileAccounting()
    desk.books.see(NAME)
    desk.books.recover(job, desk.spool.files(job))
    with desk.books.putting_back(job, partial(desk.spool.files, job)):
        assert desk.spool.put_back(job)
    balance = desk.balance()
    assert balance == balanced(1, in_inbox=1)
    assert balance.is_even


def test_an_empty_job_may_vanish(desk: Desk) -> None:
    job = Job("empty", desk.spool.folder / "empty")
    job.folder.mkdir()
    desk.books.recover(job, ())
    desk.books.vanish(job)
    balance = desk.balance()
    assert balance == balanced(0)
    assert balance.is_even
    assert desk.books.jobs == {}


def test_files_of_a_job_that_vanishes_are_missing(desk: Desk) -> None:
    job = desk.claim()
    job.path(NAME).unlink()
    desk.books.vanish(job)
    balance = desk.balance()
    assert balance == balanced(1, missing=(NAME,))
    assert desk.balance() == balance
    assert not balance.is_even


def test_a_job_that_was_deleted_behind_our_back_is_missing_by_name(desk: Desk) -> None:
    job = desk.claim("list.csv", NAME)
    desk.claim("b.png")
    shutil.rmtree(job.folder)
    balance = desk.balance()
    assert balance == balanced(3, waiting=1, missing=("list.csv", NAME))
    assert not balance.is_even
    assert desk.balance() == balance


def test_a_file_that_was_deleted_behind_our_back_is_missing_by_its_printable_name(desk: Desk) -> None:
    job = desk.claim("list.csv", "a\n\udcff.png")
    job.path("a\n\udcff.png").unlink()
    balance = desk.balance()
    assert balance == balanced(2, waiting=1, missing=("a\ufffd\ufffd.png",))
    assert not balance.is_even


def test_what_is_missing_is_named_once_however_often_it_is_asked(desk: Desk) -> None:
    finished, waiting = desk.claim("b.png"), desk.claim()
    desk.books.finish(finished, "failed", desk.inbox / "nowhere", desk.disk)
    shutil.rmtree(waiting.folder)
    for _ in range(2):
        assert desk.balance() == balanced(2, failed=1, missing=("b.png", NAME))


def test_a_file_that_somebody_put_into_a_job_is_noticed(desk: Desk) -> None:
    job = desk.claim()
    job.path("stranger.png").write_bytes(b"picture")
    assert not desk.balance().is_even


def test_a_file_that_lies_in_the_inbox_again_is_not_missing(desk: Desk) -> None:
    job = desk.claim()
    assert desk.spool.put_back(job)
    balance = desk.balance()
    assert balance == balanced(1, in_inbox=1)
    assert balance.is_even


@pytest.mark.parametrize("place", ["another worker", "done", "failed"])
def test_a_job_that_somebody_else_has_is_elsewhere(desk: Desk, place: str) -> None:
    job = desk.claim("list.csv", NAME)
    desk.claim("b.png")
    if place == "another worker":
        other = desk.worker()
        job.folder.rename(other.folder / job.id)
        other.worker.leave()
    elif place == "done":
        desk.spool.archive(job, DATE)
    else:
        desk.spool.quarantine(job, None)
    balance = desk.balance()
    assert balance == balanced(3, waiting=1, elsewhere=2)
    assert balance.is_even
