"""Tests of the pool's policy with seats in memory: what becomes of pairs when seats die, vanish or hang."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.errors import DeviceError, ExitCode, ImpastoError, Interrupted, ProcessDiedError, StorageError
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.settings.run_settings import RunSettings
from pipeline.stage.pool.crew import Crew, Worker
from pipeline.stage.pool.handshake import Facts
from pipeline.stage.pool.messages import Alive, CallEnded, NotReady
from pipeline.stage.pool.numbered import Sent
from pipeline.stage.pool.pool_call import PoolCall
from pipeline.stage.pool.seats import Gone, Place
from pipeline.stage.summary import Usage
from pipeline.stage.task import Outcome, Task
from tests.stage.pool.fake_venue import AHEAD, FACTS, FakeSeat, FakeVenue

SILENCE, SEAT_SECONDS = 120.0, 600.0


class Quiet:
    is_stopped = False

    def check(self, *, in_progress: bool) -> None:  # noqa: ARG002
        if self.is_stopped:
            raise Interrupted(ExitCode.TERMINATED)

    def pair_started(self, pair: Pair) -> None:
        pass

    def evaluated(self, pair: Pair, evaluation: Any) -> None:
        pass


class Bench:
    """A call on seats in memory, with a clock that stands still unless it is moved."""

    def __init__(self, places: int, chance: random.Random, most_deaths: int = 3) -> None:
        self.now, self.chance = 1000.0, chance
        self.venue = FakeVenue(places, chance)
        run = RunSettings(seat_seconds=SEAT_SECONDS, max_attempts=most_deaths)
        self.crew: Crew[FakeSeat] = Crew(self.venue, FACTS, Path("out"), run, lambda: self.now)
        self.listener = Quiet()
        self.call = PoolCall(self.crew, self.listener, itertools.count(), Usage(), SILENCE)
        self.crew.begin_call()
        self.permissions: list[tuple[str, FakeSeat]] = []
        self.outcomes: list[Outcome] = []

    def task(self, name: str, deaths: int = 0) -> Task:
        pair = Pair(Path(f"{name}.png"), (Path("s.png"),), name, "s", name, PairSettings())
        return Task(pair, 1 + deaths, None, fence=lambda: self.permit(name), deaths=deaths)

    def permit(self, name: str) -> None:
        """Record who may publish; no seat that the pool still has may have had permission for the pair before."""
        (holder,) = [each.seat for each in self.crew.workers if name in {t.pair.name for t in each.tasks.values()}]
        assert (name, holder) not in self.permissions, "asked twice by one seat"
        seats = [each.seat for each in self.crew.workers]
        assert not [seat for who, seat in self.permissions if who == name and seat in seats]
        self.permissions.append((name, holder))

    def receive(self) -> list[Outcome]:
        self.now += 0.25
        found = list(self.call.receive(0))
        self.outcomes += found
        return found

    def pass_time(self, seconds: float) -> None:
        """Let time pass in which the pool has looked at its seats, and heard nothing."""
        self.now += seconds
        self.crew._looked = self.now

    def seats(self, state: str = "alive") -> list[FakeSeat]:
        return [worker.seat for worker in self.crew.workers if worker.seat.state == state]

    def acknowledge(self) -> None:
        """Let all seats take their tasks, and the pool know of it, before any of them is begun."""
        for _ in range(100):
            for seat in self.seats():
                seat.hear(self.chance)
            self.receive()
            if all(worker.received == worker.tasks.keys() for worker in self.crew.workers):
                return
        raise AssertionError("tasks are still on their way")

    def settle(self, turns: int = 400) -> None:
        """Let all seats work until no task is in progress."""
        for _ in range(turns):
            for seat in self.venue.seats:
                seat.work(self.chance)
            self.receive()
            if not self.call.in_work:
                return
        raise AssertionError(f"{self.call.in_work} tasks are still in progress")


def bench_of(places: int = 2) -> Bench:
    bench = Bench(places, random.Random(0))  # noqa: S311
    bench.crew.fill()
    for _ in range(20):
        bench.receive()
    assert len(bench.crew.at_work) == places
    return bench


class Trouble(RuleBasedStateMachine):
    """Any number of troubles, in any order; in the end every pair has one outcome."""

    bench: Bench

    @initialize(places=st.integers(1, 4), pairs=st.integers(1, 8), seed=st.integers(0, 2**32))
    def start(self, places: int, pairs: int, seed: int) -> None:
        self.bench = Bench(places, random.Random(seed), most_deaths=50)  # noqa: S311 - so that calls end for lack of seats only
        self.offered: Counter[str] = Counter()
        self.ends: dict[str, str] = {}
        self.deaths: Counter[str] = Counter()
        """Deaths that may be held against each pair: of a process that had it, or the second silence over it."""
        self.blamed: Counter[str] = Counter()
        self.again: list[Task] = []
        self.bench.crew.fill()
        for _ in range(20):
            self.bench.receive()
        self.offer(pairs, alone=False)

    @rule(count=st.integers(1, 6), alone=st.booleans())
    def offer(self, count: int, *, alone: bool) -> None:
        for _ in range(count):
            if self.bench.call.has_room:
                name = f"p{len(self.offered)}"
                self.offered[name] += 1
                self.bench.call.begin(dataclasses.replace(self.bench.task(name), is_large=alone))

    @precondition(lambda self: self.again)
    @rule()
    def offer_again(self) -> None:
        if self.bench.call.has_room:
            self.bench.call.begin(self.again.pop(0))

    @rule()
    def receive(self) -> None:
        for outcome in self.bench.receive():
            self.take(outcome)

    @rule(times=st.integers(1, 8))
    def turns(self, times: int) -> None:
        for _ in range(times):
            self.work(1)
            self._note_deaths()
            self.receive()

    def take(self, outcome: Outcome) -> None:
        name = outcome.pair.name
        if isinstance(outcome.error, ProcessDiedError):
            self.blamed[name] += 1
            assert self.blamed[name] <= self.deaths[name], "blamed without a death"
            self.again.append(self.bench.task(name, self.blamed[name]))
        else:
            assert name not in self.ends, "two outcomes"
            self.ends[name] = "done" if outcome.error is None else "failed"

    @rule(times=st.integers(1, 6))
    def work(self, times: int) -> None:
        for _ in range(times):
            for seat in self.bench.venue.seats:
                seat.work(self.bench.chance)

    def _victim(self, index: int) -> FakeSeat | None:
        seats = self.bench.seats()
        return seats[index % len(seats)] if seats else None

    def _names_at(self, seat: FakeSeat) -> set[str]:
        """Return the pairs that the pool believes to be there."""
        return {
            task.pair.name for each in self.bench.crew.workers if each.seat is seat for task in each.tasks.values()
        } | {task.pair.name for task in seat.tasks.values()}

    @rule(index=st.integers(0, 3))
    def process_dies(self, index: int) -> None:
        if seat := self._victim(index):
            seat.fail(Gone("Killed", blames_pair=True), "dead")

    @rule(index=st.integers(0, 3))
    def machine_goes_away(self, index: int) -> None:
        if seat := self._victim(index):
            seat.fail(Gone("its machine went away", blames_pair=False), "away")

    @rule(index=st.integers(0, 3))
    def freezes(self, index: int) -> None:
        if seat := self._victim(index):
            seat.state = "frozen"

    @rule(seconds=st.sampled_from([1.0, 30.0, 121.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.pass_time(seconds)
        if seconds < SILENCE:
            return
        # All that live have said so meanwhile, and a machine that is gone is told before its silence is noticed.
        for worker in self.bench.crew.workers:
            if worker.seat.state in ("alive", "away"):
                worker.heard = self.bench.now

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "bench"):
            return
        self._note_deaths()
        call = self.bench.call
        assert call.error is None or "seat" in str(call.error) or isinstance(call.error, DeviceError)
        waiting = {task.pair.name for task in self.again}
        at_pool = Counter(
            task.pair.name
            for tasks in (
                *(each.tasks.values() for each in self.bench.crew.workers),
                call._allotment.waiting,
                call._allotment.alone,
            )
            for task in tasks
        )
        for name in self.offered if call.error is None else ():
            found = name in self.ends, name in waiting, at_pool[name], call.error
            assert sum(found[:3]) == 1, (name, *found)

    @invariant()
    def a_pair_that_must_be_alone_is_alone(self) -> None:
        for worker in self.bench.crew.workers if hasattr(self, "bench") else ():
            if any(task.is_alone for task in worker.tasks.values()):
                assert len(worker.tasks) == 1

    def _note_deaths(self) -> None:
        """Count what may be held against the pairs of a seat, at the moment before the pool hears of it."""
        for seat in self.bench.venue.seats:
            names = self._names_at(seat)
            if seat.state in ("dead", "frozen") and not getattr(seat, "counted", None):
                seat.counted = True  # type: ignore[attr-defined]
                self.deaths.update(names)

    def teardown(self) -> None:
        if not hasattr(self, "bench") or self.bench.call.error is not None:
            return
        for _ in range(3000):
            self.bench.now += 1.0
            while self.again and self.bench.call.has_room:
                self.offer_again()
            self.work(1)
            self.receive()
            self.nothing_is_lost()
            if self.bench.call.error is not None or len(self.ends) == len(self.offered):
                break
        if self.bench.call.error is None:
            assert self.ends.keys() == self.offered.keys()
        done = {name for name, end in self.ends.items() if end == "done"}
        published = Counter(name for seat in self.bench.venue.seats for name in set(seat.published))
        assert done <= published.keys(), "done, but not published"
        permitted = Counter(name for name, _ in self.bench.permissions)
        assert all(permitted[name] >= count for name, count in published.items()), "published without permission"


TestTrouble = Trouble.TestCase
TestTrouble.settings = settings(
    max_examples=1000,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_pairs_of_a_machine_that_went_away_go_to_other_seats_and_nothing_is_counted() -> None:
    bench = bench_of()
    for number in range(4):
        bench.call.begin(bench.task(f"p{number}"))
    first, second = bench.seats()
    bench.venue.free.remove(first.place)
    first.fail(Gone("its machine went away", blames_pair=False), "away")
    bench.settle()
    assert sorted(outcome.pair.name for outcome in bench.outcomes) == ["p0", "p1", "p2", "p3"]
    assert all(outcome.error is None and outcome.task.deaths == 0 for outcome in bench.outcomes)
    assert {seat for _, seat in bench.permissions} == {second}


def test_pairs_of_a_process_that_died_are_outcomes_of_their_own() -> None:
    bench = bench_of()
    for number in range(4):
        bench.call.begin(bench.task(f"p{number}"))
    bench.acknowledge()
    victim = bench.seats()[0]
    names = {task.pair.name for worker in bench.crew.workers if worker.seat is victim for task in worker.tasks.values()}
    victim.fail(Gone("Killed", blames_pair=True), "dead")
    bench.settle()
    died = {outcome.pair.name for outcome in bench.outcomes if isinstance(outcome.error, ProcessDiedError)}
    assert died == names
    assert len(names) == 2
    assert len(bench.outcomes) == 4
    assert not any(error.is_alone for o in bench.outcomes if isinstance(error := o.error, ProcessDiedError))


def test_a_suspect_is_alone_on_one_seat_while_the_other_goes_on() -> None:
    bench = bench_of()
    for number in range(3):
        bench.call.begin(bench.task(f"p{number}"))
    bench.call.begin(bench.task("suspect", deaths=1))
    seen_beside = 0
    for number in range(3, 40):
        for seat in bench.seats():
            seat.work(bench.chance)
        bench.receive()
        if bench.call.has_room:
            bench.call.begin(bench.task(f"p{number}"))
        holders = [w for w in bench.crew.workers if any(task.is_alone for task in w.tasks.values())]
        if holders:
            assert len(holders[0].tasks) == 1
            seen_beside += any(worker.tasks for worker in bench.crew.workers if worker is not holders[0])
    bench.settle()
    assert seen_beside
    assert "suspect" in {outcome.pair.name for outcome in bench.outcomes}


def test_a_silent_seat_is_replaced_and_its_pair_is_blamed_the_second_time() -> None:
    bench = bench_of(1)
    bench.call.begin(bench.task("p"))
    for turn in range(2):
        bench.acknowledge()
        (seat,) = bench.seats()
        seat.state = "frozen"
        bench.pass_time(SILENCE + 1)
        bench.receive()
        assert seat.state == "dead", "it was killed"
        blamed = [outcome for outcome in bench.outcomes if isinstance(outcome.error, ProcessDiedError)]
        assert len(blamed) == turn
        for _ in range(60):
            bench.now += 1
            bench.receive()
    assert bench.call.error is None


def test_without_any_seat_the_call_ends_after_seat_seconds() -> None:
    bench = bench_of(1)
    bench.call.begin(bench.task("p"))
    (seat,) = bench.seats()
    bench.venue.free.clear()
    seat.fail(Gone("its machine went away", blames_pair=False), "away")
    for _ in range(20):
        bench.receive()
    assert bench.call.error is None
    assert bench.call.in_work == 1
    bench.now += SEAT_SECONDS + 1
    bench.receive()
    assert isinstance(bench.call.error, DeviceError)
    assert "600 s" in str(bench.call.error)


def test_machines_that_go_away_do_not_end_a_call_in_which_others_work() -> None:
    bench = bench_of(16)
    for number in range(16):
        bench.call.begin(bench.task(f"p{number}"))
    lost = bench.seats()[:8]
    bench.venue.free = [place for place in bench.venue.free if place not in {seat.place for seat in lost}]
    for seat in lost:
        seat.fail(Gone("its machine went away", blames_pair=False), "away")
    bench.settle()
    assert bench.call.error is None
    assert sorted(outcome.pair.name for outcome in bench.outcomes) == sorted(f"p{number}" for number in range(16))


def test_a_pause_of_the_pool_itself_is_no_silence_of_its_seats() -> None:
    bench = bench_of(2)
    bench.call.begin(bench.task("p"))
    before = bench.seats()
    bench.now += 10 * SILENCE
    bench.receive()
    assert bench.seats() == before


def test_a_seat_that_does_not_become_ready_is_replaced() -> None:
    bench = bench_of(2)
    bench.venue.free.append(place := Place("new", "seat new"))
    for _ in range(3):
        bench.receive()
    hanging = next(each for each in bench.venue.seats if each.place == place)
    hanging.state, hanging.seat_sent = "frozen", Sent()
    bench.crew.workers[-1].is_ready = bench.crew.workers[-1].is_at_work = False
    for _ in range(int(SEAT_SECONDS / 4)):
        bench.now += 4
        for worker in bench.crew.at_work:
            bench.crew.note(worker)
        bench.receive()
    assert hanging.state == "dead"
    assert len([each for each in bench.venue.seats if each.place == place]) > 1
    assert bench.call.error is None


def test_a_seat_that_is_tried_again_does_not_hold_the_others_back() -> None:
    bench = bench_of(2)
    broken = Place("broken", "seat broken")
    assert not bench.crew.others_come_soon
    bench.venue.free.append(broken)
    bench.crew.fill()
    assert bench.crew.others_come_soon
    bench.crew.refuse(bench.crew.workers[-1], DeviceError("It does not fit."))
    bench.now += 3
    bench.crew.fill()
    assert bench.crew.workers[-1].place == broken
    assert not bench.crew.others_come_soon


def test_a_stop_is_noticed_while_seats_only_say_that_they_live() -> None:
    bench = bench_of(1)
    bench.call.begin(bench.task("p"))
    bench.acknowledge()
    bench.listener.is_stopped = True
    bench.receive()
    assert isinstance(bench.call.error, Interrupted)


def test_a_seat_that_does_not_stop_is_killed_in_the_end() -> None:
    bench = bench_of(1)
    bench.call.begin(bench.task("p"))
    bench.acknowledge()
    (seat,) = bench.seats()
    bench.listener.is_stopped = True
    for _ in range(int(5 * SILENCE / 0.2) + 10):
        bench.receive()
        seat.say(Alive(is_stuck=False))
    assert seat.state == "dead"
    assert not bench.crew.at_work
    assert isinstance(bench.call.error, Interrupted)


def test_an_error_that_ends_the_call_suspects_no_pair() -> None:
    bench = bench_of(1)
    bench.crew._trouble(Place(1, "one"), DeviceError("first"))
    bench.crew._trouble(Place(2, "two"), DeviceError("second"))
    bench.crew._trouble(Place(1, "one"), DeviceError("third", suspects=("p.png",)))
    bench.crew.workers.clear()
    bench.now += SEAT_SECONDS + 1
    with pytest.raises(DeviceError, match="third") as caught:
        bench.crew.check()
    assert not caught.value.suspects


def test_a_stop_is_noticed_while_there_is_no_seat() -> None:
    bench = bench_of(1)
    bench.call.begin(bench.task("p"))
    bench.venue.free.clear()
    bench.seats()[0].fail(Gone("its machine went away", blames_pair=False), "away")
    for _ in range(20):
        bench.receive()
    assert bench.call.error is None
    bench.listener.is_stopped = True
    bench.receive()
    assert isinstance(bench.call.error, Interrupted)


@pytest.mark.parametrize("stops_early", [True, False])
def test_a_seat_that_is_ready_after_the_last_pair_does_not_keep_the_call_open(*, stops_early: bool) -> None:
    bench = bench_of(1)
    hear = bench.venue.hear

    def working(seats: Any, seconds: float) -> Any:
        bench.now += 0.25
        for seat in bench.venue.seats:
            seat.work(bench.chance)
        return hear(seats, seconds)

    bench.venue.hear = working  # type: ignore[method-assign]
    outcomes = bench.call.run([bench.task("p")])
    assert next(outcomes).pair.name == "p"
    bench.venue.free.append(Place("late", "late"))
    late = bench.venue.start(Place("late", "late"))
    bench.crew.workers.append(Worker(late, late.place, bench.now, bench.now))
    if stops_early:
        outcomes.close()
    else:
        assert list(outcomes) == []
    assert not late.is_at_work
    assert not bench.crew.at_work


def test_seats_that_join_get_pairs() -> None:
    bench = bench_of(1)
    for number in range(AHEAD + 1):
        bench.call.begin(bench.task(f"p{number}"))
    assert not bench.call.has_room or len(bench.crew.workers) == 1
    bench.venue.free.append(Place("late", "late"))
    for _ in range(30):
        bench.receive()
    assert len(bench.crew.at_work) == 2
    bench.call.begin(bench.task("late"))
    (late,) = [worker for worker in bench.crew.workers if worker.place.key == "late"]
    assert [task.pair.name for task in late.tasks.values()] == ["late"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine": "0"}, "engine 0 instead of"),
        ({"sees_outbox": False}, "does not see the outbox"),
        ({"weights_sha256": "x" * 64}, "other weights"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0 instead of"),
    ],
)
def test_a_seat_that_does_not_fit_gets_no_pair(
    change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(2, random.Random(0))  # noqa: S311
    wrong: Facts = dataclasses.replace(FACTS, host="render-2", **change)
    bench.venue.facts_of = lambda place: wrong if place.key == 1 else FACTS
    for _ in range(40):
        bench.receive()
    assert [worker.place.key for worker in bench.crew.at_work] == [0]
    assert words in caplog.text
    assert "render-2" in caplog.text
    assert bench.call.error is None


def test_if_every_seat_refuses_in_the_beginning_the_call_ends_at_once() -> None:
    bench = Bench(2, random.Random(0))  # noqa: S311
    error = DeviceError("cuda:0: no such device.")
    bench.crew.fill()
    for seat in bench.venue.seats:
        seat.seat_sent._kept.clear()
        seat.seat_sent._number = 0
        seat.say(NotReady(error))
    before = bench.now
    for _ in range(40):
        bench.receive()
    assert bench.call.error is error
    assert bench.now - before < 15


def test_a_full_disk_ends_the_call_but_the_lost_mount_of_another_machine_does_not() -> None:
    bench = bench_of(2)
    bench.call.begin(bench.task("p"))
    far, near = bench.crew.workers
    far.is_remote = True
    far.seat.say(CallEnded(StorageError("The mount is gone."), {}))
    bench.settle()
    assert bench.call.error is None
    near.seat.say(CallEnded(StorageError("The disk is full."), {}))
    for _ in range(20):
        bench.receive()
    assert isinstance(bench.call.error, StorageError)


def test_a_device_that_fails_again_and_again_ends_the_call() -> None:
    bench = bench_of(1)
    for turn in range(300):
        bench.now += 5
        for worker in bench.crew.workers:
            bench.crew.note(worker)
        if bench.call.error is None and bench.call.has_room:
            bench.call.begin(bench.task(f"p{turn}"))
            bench.acknowledge()
            if not bench.crew.at_work:  # it failed just now
                continue
            suspects = tuple(task.pair.file_name for task in bench.crew.at_work[0].tasks.values())
            bench.seats()[0].say(CallEnded(DeviceError("It has fallen off the bus.", suspects=suspects), {}))
        bench.receive()
    assert isinstance(bench.call.error, ImpastoError)
    assert "fallen off the bus" in str(bench.call.error)
    assert 5 < len(bench.outcomes) < 12
