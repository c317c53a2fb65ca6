"""Tests of the names of a job's results in the records of the job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.jobs.job_names import PAIRS_PER_RECORD, JobNames
from pipeline.watch.spool.records import Job
from pipeline.watch.spool.spool import Spool
from tests.faults.disk import HastyDisk

if TYPE_CHECKING:
    from pathlib import Path

LAST = 3 * PAIRS_PER_RECORD - 1


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", tmp_path / "inbox", HastyDisk())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job("20240501T120000-01020304", tmp_path / "job")
    job.folder.mkdir()
    return job


def names_in(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_bytes())["results"]
    return found


def test_names_are_read_again_as_they_were_chosen(spool: Spool, job: Job) -> None:
    names = JobNames(spool, job)
    for index in (0, PAIRS_PER_RECORD, LAST, 1):
        names.choose(index, f"{index}.png")
    for known in (names, JobNames(spool, job)):
        assert set(known.all()) == {"0.png", "1.png", f"{PAIRS_PER_RECORD}.png", f"{LAST}.png"}
        assert (known.get(LAST), known.get(2)) == (f"{LAST}.png", None)
        assert known.has_another(2, "1.png")
        assert not known.has_another(1, "1.png")
        assert not known.has_another(2, "2.png")
    names.choose(1, "other.png")
    assert not names.has_another(2, "1.png")
    assert JobNames(spool, job).get(1) == "other.png"


def test_a_record_has_the_names_of_some_pairs_only(spool: Spool, job: Job) -> None:
    names = JobNames(spool, job)
    for index in range(LAST + 1):
        names.choose(index, f"{index}.png")
    found = sorted(path.name for path in job.folder.iterdir())
    assert found == ["job-1.json", "job-2.json", "job.json"]
    assert all(len(names_in(job.folder / name)) == PAIRS_PER_RECORD for name in found)


def test_the_names_in_a_single_record_of_an_older_version_are_kept(spool: Spool, job: Job) -> None:
    old = {str(index): f"{index}.png" for index in range(LAST + 1)}
    text = json.dumps({"schema_version": 1, "job": job.id, "claimed": "2024-05-01T12:00:00+00:00", "results": old})
    (job.folder / "job.json").write_text(text)
    names = JobNames(spool, job)
    assert set(names.all()) == set(old.values())
    names.choose(LAST, "new.png")
    names.choose(0, "other.png")
    again = JobNames(spool, job)
    assert (again.get(LAST), again.get(0), again.get(1)) == ("new.png", "other.png", "1.png")
    assert len(list(again.all())) == LAST + 1


@pytest.mark.parametrize("text", ["", "{}", "[", '{"job": 3}'])
def test_records_that_cannot_be_read_count_as_none(spool: Spool, job: Job, text: str) -> None:
    (job.folder / "job.json").write_text(text)
    (job.folder / "job-x.json").write_text(text)
    assert list(JobNames(spool, job).all()) == []


def test_a_job_that_is_gone_has_no_names(spool: Spool, tmp_path: Path) -> None:
    assert list(JobNames(spool, Job("gone", tmp_path / "gone")).all()) == []
