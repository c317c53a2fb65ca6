"""Tests of marks: which process works on the name of a result, and how many attempts have begun."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.disk import Disk
from pipeline.errors import OccupiedError, SupersededError
from pipeline.outbox.mark_files import Mark, MarkFiles
from pipeline.outbox.publish import Outbox
from tests.outbox.report.samples import metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.outbox.marks import Owner


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


def publish(outbox: Outbox, file_name: str = "a.png", data: bytes = b"picture") -> None:
    outbox.publish_picture(file_name, data)
    outbox.publish_metadata(file_name.rpartition(".")[0], file_name, metadata(file_name, data))


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
            outbox.publish_metadata("a", "a.png", metadata("a.png", b""), "two/job")
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
    with outbox.locked():
        publish(outbox, "b.png")
        if mark:
            outbox.marks.write("A.png", mark)
        assert outbox.marks.name_state("a.png", "k", lambda _: whose) == state, (
            "names that differ in case only share a mark"
        )
        assert outbox.marks.name_state("b.png", "k", lambda _: whose) == "taken"
        outbox.picture_path("c.png").write_bytes(b"precious")
        assert outbox.marks.name_state("c.png", "k", lambda _: whose) == "taken"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return a spool with a job of a worker whose process is dead."""
    spool = tmp_path / "inbox/.impasto"
    (spool / "work/host-1-abc/job").mkdir(parents=True)
    return spool


def dead(spool: Path, **changes: Any) -> Mark:
    """Return the mark of the job's worker; no process has its number, since numbers are smaller."""
    mark = Mark().owned_by("host-1-abc/job", "k", spool)
    return mark.model_copy(update={"pid": 2**31 - 1, **changes})


def test_a_mark_is_abandoned_if_its_process_is_dead_and_its_job_gone(spool: Path) -> None:
    assert not dead(spool).is_abandoned, "another worker will take the job over"
    (spool / "work/host-1-abc").rename(spool / "work/host-2-def")
    assert not dead(spool).is_abandoned, "another worker has taken the job over"
    (spool / "work/host-2-def/job").rmdir()
    assert dead(spool).is_abandoned
    shutil.rmtree(spool.parent)
    assert dead(spool).is_abandoned
    assert not dead(spool, host="elsewhere").is_abandoned
    assert not dead(spool, pid=os.getpid(), seen=time.time()).is_abandoned
    assert not Mark(owner="host-1-abc/job").is_abandoned, "earlier versions did not note the process"


def test_a_mark_is_not_abandoned_if_the_folder_of_its_job_may_not_be_looked_at(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, *, real: Callable[..., os.stat_result], **arguments: Any) -> os.stat_result:
        if str(path).endswith("/job"):
            raise PermissionError(errno.EACCES, "closed", str(path))
        return real(path, **arguments)

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, partial(closed, real=getattr(os, name)))
    assert not dead(spool).is_abandoned


@pytest.mark.parametrize("has_half_result", [False, True])
def test_the_name_of_an_abandoned_mark_is_free_for_a_run_and_for_other_watchers(
    outbox: Outbox, spool: Path, *, has_half_result: bool
) -> None:
    shutil.rmtree(spool.parent)
    with outbox.locked():
        for name in ("a.png", "b.png"):
            outbox.marks.write(name, dead(spool))
            if has_half_result:
                outbox.publish_picture(name, b"half", "host-1-abc/job")
        with outbox.marks.locked():
            assert outbox.marks.name_state("b.png", "other", lambda _: "stranger") == "free"
        with pytest.raises(OccupiedError):
            outbox.marks.check_free("a.png")
        assert outbox.marks.begin_attempt("a.png", "run", None) == 0
        publish(outbox)
        assert not (outbox.root / "b.png").exists()


def test_a_mark_that_may_have_an_owner_stays_and_the_error_says_how_to_remove_it(outbox: Outbox, spool: Path) -> None:
    with outbox.locked():
        outbox.marks.write("a.png", dead(spool, host="elsewhere"))
        assert outbox.marks.begin_attempt("a.png", "run", None) == 0
        with pytest.raises(OccupiedError) as error:
            outbox.marks.check_free("a.png")
        assert f"the watcher of {spool} on elsewhere is gone for good, remove " in error.value.remedy
        MarkFiles(outbox.root, Disk()).path("a.png").unlink()
        assert str(MarkFiles(outbox.root, Disk()).path("a.png")) in error.value.remedy
        publish(outbox)


def test_a_damaged_mark_makes_no_picture_ours(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.picture_path("a.png").write_bytes(b"precious")
        MarkFiles(outbox.root, Disk()).path("a.png").write_bytes(b"{")
        with pytest.raises(OccupiedError, match="no result of impasto"):
            publish(outbox)


def test_a_run_and_a_watcher_do_not_mark_a_name_at_once(outbox: Outbox) -> None:
    """While a watcher chooses a name, a run waits, and then finds the watcher's mark."""
    begun: list[int] = []
    with outbox.locked():
        run = threading.Thread(target=lambda: begun.append(outbox.marks.begin_attempt("a.png", "run", None)))
        with outbox.marks.locked():
            run.start()
            assert outbox.marks.name_state("a.png", "k", lambda _: "stranger") == "free"
            outbox.marks.write("a.png", Mark(owner="host-1-abc/job"))
        run.join()
        assert begun == [0]
        assert outbox.marks.read("a.png") == Mark(owner="host-1-abc/job")
