"""Tests of the shares of time in the summary of a run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.stage import summary as usage_module
from pipeline.stage.summary import Usage


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list whose last item the clock shows, in seconds."""
    shown = [100.0]
    monkeypatch.setattr(usage_module.time, "perf_counter", lambda: shown[-1])
    return shown


def test_what_has_not_begun_took_no_time() -> None:
    usage = Usage()
    assert (usage.wall_seconds, usage.busy_share, usage.pairs_per_hour) == (0.0, 0.0, 0.0)
    usage.saved(None)
    assert usage.wall_seconds == 0


def test_a_run_that_began_and_saved_nothing_took_no_time(set_clock: list[float]) -> None:
    usage = Usage()
    usage.started()
    assert (usage.wall_seconds, usage.busy_share, usage.pairs_per_hour) == (0.0, 0.0, 0.0)


def test_shares_are_of_the_time_from_the_first_start_to_the_last_save(set_clock: list[float]) -> None:
    usage = Usage()
    usage.started()
    set_clock.append(104.0)
    usage.started()
    usage.saved(None)
    set_clock.append(120.0)
    usage.saved(None)
    set_clock.append(500.0)
    usage.add(stylise_seconds=15.0, pairs=2)
    assert usage.wall_seconds == 20
    assert usage.busy_share == 0.75
    assert usage.pairs_per_hour == 360


def test_a_device_is_never_more_than_busy(set_clock: list[float]) -> None:
    usage = Usage()
    usage.started()
    set_clock.append(101.0)
    usage.saved(None)
    usage.add(stylise_seconds=1.5)
    assert usage.busy_share == 1


def test_of_several_devices_the_mean_is_told(set_clock: list[float]) -> None:
    usage = Usage(devices=2)
    usage.started()
    set_clock.append(110.0)
    usage.saved(None)
    usage.add(stylise_seconds=12.0)
    assert usage.busy_share == 0.6


class Slow(float):
    """A number that lets other threads run before it is added."""

    def __radd__(self, other: float) -> float:
        time.sleep(0.001)
        return other + float(self)


def test_nothing_that_threads_add_is_lost() -> None:
    usage = Usage()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(40):
            pool.submit(usage.add, load_seconds=Slow(0.5), pairs=1)
    assert (usage.load_seconds, usage.pairs, usage.save_seconds) == (20, 40, 0)


def test_the_peak_is_the_highest_that_was_measured() -> None:
    usage = Usage()
    usage.saved(None)
    assert usage.peak_memory_bytes is None
    for peak in (5, 9, None, 7):
        usage.saved(peak)
    assert usage.peak_memory_bytes == 9


def test_a_summary_names_all_of_it(set_clock: list[float]) -> None:
    usage = Usage()
    usage.started()
    set_clock.append(107.0)
    usage.saved(3)
    usage.add(pairs=1, load_seconds=1.23456, wait_seconds=0.5, stylise_seconds=7 / 3, save_seconds=0.25)
    assert usage.describe() == {
        "pairs_per_hour": 514.29,
        "device_busy_share": 0.3333,
        "load_seconds": 1.235,
        "wait_seconds": 0.5,
        "stylise_seconds": 2.333,
        "save_seconds": 0.25,
        "peak_memory_bytes": 3,
    }
