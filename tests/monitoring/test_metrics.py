"""Tests of the metrics file for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import ExitCode, ImageError, LockedError, StorageError, UsageError
from pipeline.monitoring.metrics import Metrics
from pipeline.pair import Pair
from pipeline.run.observer import RunInfo
from pipeline.run.plan import Action, PlannedPair
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.summary import Usage
from pipeline.stage.task import Outcome, Task, failure_of
from tests.faults.world import describe
from tests.monitoring.summaries import run_summary

if TYPE_CHECKING:
    from collections.abc import Callable

OPENING = {"in_inbox": 9, "unclaimed": 5, "claimed": 2, "oldest_unclaimed_seconds": 61.5}


def work(pairs: int | None = 4) -> RunInfo:
    """Return the description of a run."""
    return RunInfo("run", Path("/night.csv"), Path("/out"), Settings(), pairs)


def pair(name: str) -> Pair:
    return Pair(Path(f"/{name}.png"), (Path("/sea.png"),), f"{name}.png", "sea.png", name, PairSettings())


def done(name: str) -> Outcome:
    """Return the outcome of a published pair."""
    task = Task(pair(name), 1, None)
    record = describe(task, b"photo", b"style", b"picture")
    seconds = record.seconds.model_copy(update={"load": 0.5, "queue": 9.0, "stylise": 20.0, "save": 1.0})
    return Outcome(task, record.model_copy(update={"seconds": seconds}))


def failed(name: str) -> Outcome:
    """Return the outcome of a failed pair."""
    task, error = Task(pair(name), 1, None), ImageError("it is no picture.")
    return Outcome(task, failure_of(task, error), error)


def values(path: Path) -> dict[str, float]:
    """Return the values of a metrics file, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "impasto.prom"


def test_all_are_there_before_there_is_anything_to_tell(textfile: Path) -> None:
    metrics = Metrics(textfile)
    assert list(textfile.parent.iterdir()) == [], (
        "no file is written before the start: another process may still own it"
    )
    metrics._write()
    found = values(textfile)
    zero = {f"impasto_pairs_total{{outcome={name}}}" for name in ("done", "failed", "skipped", "duplicate", "waiting")}
    zero |= {f"impasto_step_seconds_total{{step={name}}}" for name in ("load", "queue", "stylise", "save")}
    zero |= {"impasto_up", "impasto_queue_depth", "impasto_device_busy_ratio", "impasto_oldest_unclaimed_seconds"}
    assert {name: found[name] for name in zero} == dict.fromkeys(zero, 0.0)


def test_what_happens_is_counted(textfile: Path) -> None:
    metrics = Metrics(textfile)
    metrics.started(work())
    before = time.time()
    metrics.planned(PlannedPair(pair("a"), Action.SKIP, "done already", 1, None))
    metrics.outcome(done("b"))
    metrics.outcome(failed("c"))
    metrics._write()
    found = values(textfile)
    assert found["impasto_up"] == 1
    assert found["impasto_queue_depth"] == 1
    assert [found[f"impasto_pairs_total{{outcome={name}}}"] for name in ("done", "failed", "skipped")] == [1, 1, 1]
    steps = ("load", "queue", "stylise", "save")
    assert [found[f"impasto_step_seconds_total{{step={name}}}"] for name in steps] == [0.5, 9.0, 20.0, 1.0]
    assert (found["impasto_pair_seconds_count"], found["impasto_pair_seconds_sum"]) == (1, 21.5)
    assert found["impasto_pair_seconds_bucket{le=30.0}"] == 1
    assert found["impasto_pair_seconds_bucket{le=15.0}"] == 0
    assert found["impasto_device_busy_ratio"] == 1, "the ratio is at most 1"
    assert before <= found["impasto_last_success_timestamp_seconds"] <= time.time()
    assert any("command=run" in name for name in found if name.startswith("impasto_info"))
    metrics.duplicate(pair("d"))
    usage = Usage(pairs=1, stylise_seconds=2.0, begin=0.0, end=8.0)
    metrics.finished(run_summary(1, 1, 1, 0, usage=usage))
    found = values(textfile)
    assert (found["impasto_up"], found["impasto_queue_depth"], found["impasto_device_busy_ratio"]) == (0, 0, 0.25)


def test_a_watcher_tells_what_waits(textfile: Path) -> None:
    metrics = Metrics(textfile)
    metrics.started(work(None))
    metrics.status(OPENING)
    metrics.aborted(ImageError("x"))
    found = values(textfile)
    assert (found["impasto_queue_depth"], found["impasto_oldest_unclaimed_seconds"]) == (7, 61.5)


def test_it_is_written_while_there_is_work(textfile: Path) -> None:
    metrics = Metrics(textfile, write_seconds=0.01)
    metrics.started(work())
    metrics.outcome(failed("a"))
    for _ in range(500):
        if textfile.exists() and values(textfile)["impasto_pairs_total{outcome=failed}"]:
            break
        time.sleep(0.01)
    else:
        pytest.fail("it was not written")
    metrics.aborted(ImageError("x"))
    assert [path.name for path in textfile.parent.iterdir()] == [textfile.name], "no temporary file is left"


def test_the_last_success_outlives_the_process(textfile: Path) -> None:
    for finish, succeeded in ((run_summary(0, 2, 0, 0), True), (run_summary(0, 0, 2, 0), False)):
        metrics = Metrics(textfile)
        metrics._write()
        before = values(textfile)["impasto_last_success_timestamp_seconds"]
        metrics.started(work())
        metrics.finished(finish)
        after = values(textfile)["impasto_last_success_timestamp_seconds"]
        assert (after > before) is succeeded
        assert after > 0


@pytest.mark.parametrize("text", ["impasto_up{", "\xff"])
def test_a_file_that_is_no_metrics_is_begun_anew(textfile: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    textfile.write_bytes(text.encode("latin-1"))
    Metrics(textfile)._write()
    assert values(textfile)["impasto_last_success_timestamp_seconds"] == 0
    assert "is written again" in caplog.text


@pytest.mark.parametrize(
    ("place", "error"),
    [("no-such-folder/impasto.prom", UsageError), ("", UsageError), ("sealed.prom", StorageError)],
)
def test_a_path_that_cannot_be_written_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, error: type[UsageError | StorageError]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("prometheus_client.write_to_textfile", refuse)
    with pytest.raises(error) as raised:
        Metrics(tmp_path / place)
    assert str(tmp_path / place) in raised.value.message
    assert raised.value.exit_code in {ExitCode.USAGE, ExitCode.ENVIRONMENT}


def test_a_path_that_goes_bad_is_a_warning_once(textfile: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(textfile, write_seconds=0.01)
    textfile.mkdir()
    (textfile / "in the way").touch()
    metrics.started(work())
    for _ in range(500):
        if caplog.messages:
            break
        time.sleep(0.01)
    metrics.finished(run_summary(0, 0, 0, 0))
    (message,) = caplog.messages
    assert "cannot be written" in message


def test_one_that_had_no_turn_leaves_the_others_file_alone(textfile: Path) -> None:
    other = Metrics(textfile)
    other.started(work())
    other._write()
    before = textfile.read_bytes()
    metrics = Metrics(textfile)
    metrics.started(work())
    metrics.aborted(LockedError("another run has the outbox."))
    assert textfile.read_bytes() == before
    assert [path.name for path in textfile.parent.iterdir()] == [textfile.name]
    other.aborted(ImageError("x"))


def test_a_defect_of_the_thread_comes_out_at_the_end(textfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(textfile, write_seconds=0.01)

    def fail(_: Path) -> None:
        raise TypeError("not a path")

    monkeypatch.setattr(metrics._values, "write", fail)
    metrics.started(work())
    metrics._timer._thread.join(10)
    with pytest.raises(TypeError, match="not a path"):
        metrics.finished(run_summary(0, 0, 0, 0))


def test_names_are_what_prometheus_asks_for(textfile: Path, work_of_all: Callable[[Path], str]) -> None:
    text = work_of_all(textfile)
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("impasto_") for name in names)
    assert not any(name.endswith("_created") for name in names), (
        "no metric is a creation time, since that says nothing about the work"
    )
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert helped == names


@pytest.fixture
def work_of_all() -> Callable[[Path], str]:
    """Return a function that writes all metrics of a run to a file and returns its text."""

    def make(path: Path) -> str:
        metrics = Metrics(path)
        metrics.started(work())
        metrics.outcome(done("a"))
        metrics.aborted(ImageError("x"))
        return path.read_text()

    return make
