"""Tests of `impasto status` and `impasto retry` as a user runs them."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.disk import Disk
from pipeline.outbox.metadata import JobFailure
from pipeline.outbox.publish import Outbox
from pipeline.outbox.run_records import RunRecord, read_runs, write_run
from pipeline.text import now
from pipeline.watch.spool.records import JobRecord
from tests.outbox.report.samples import add_failure, add_result, write

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def told(*arguments: object) -> dict[str, Any]:
    """Return the JSON that a command prints with `--json`."""
    found: dict[str, Any] = json.loads(call(*arguments, "--json").stdout)
    return found


def record_run(root: Path, command: Any = "run", **changes: Any) -> RunRecord:
    moment = now()
    fields = {"source": "/photos/night.csv", "preset": "colour-preserving", "settings": {}}
    record = RunRecord(command=command, **{**fields, "started": moment, "written": moment, **changes})
    (root / ".impasto").mkdir(parents=True, exist_ok=True)
    write_run(root, record)
    return record


def add_failed_job(inbox: Path, job: str, relative: str, result: str | None = None) -> None:
    folder = inbox / ".impasto/failed" / job
    (inbox / ".impasto/work").mkdir(parents=True, exist_ok=True)
    write(folder / "in" / relative, b"cut")
    reason = JobFailure(
        job=job, files=(relative,), error_class="input", reason="It is cut.", remedy="Copy it again.", attempts=1,
        failed=now(),
    )  # fmt: skip
    write(folder / "reason.json", reason.model_dump_json().encode())
    if result is not None:
        write(folder / "job.json", JobRecord(job=job, claimed=now(), results={"0": result}).model_dump_json().encode())


def test_status_counts_what_an_outbox_has_and_tells_the_last_errors(tmp_path: Path) -> None:
    add_result(tmp_path, "a.png")
    add_result(tmp_path, "sea/b.png")
    for number in range(7):
        add_failure(tmp_path, f"bad{number}")
        os.utime(tmp_path / f"failed/bad{number}.json", (number, number))
    write(tmp_path / "half.png", b"no metadata")
    write(tmp_path / "lost.png.json", b"no picture")
    found = told("status", tmp_path)
    assert (found["done"], found["failed"], found["damaged"]) == (2, 7, 2)
    assert [error["name"] for error in found["last_errors"]] == ["bad6", "bad5", "bad4", "bad3", "bad2"]
    said = call("status", tmp_path).stdout
    assert "2 done, 7 failed, 2 damaged" in said
    assert (
        "Failed, the last 5 of 7:\n  bad6: dog.jpg: truncated or damaged.\n    Copy it again from its source." in said
    )
    assert f"impasto retry {tmp_path}\n" in said


def test_status_tells_a_run_at_work_with_its_rate_and_what_is_left(tmp_path: Path) -> None:
    counts = {"done": 10, "waiting": 20}
    record_run(
        tmp_path, started="2100-03-01T20:00:00+00:00", written="2100-03-01T21:00:00+00:00", counts=counts,
        on_device=["sea/cat"],
    )  # fmt: skip
    (run,) = told("status", tmp_path)["runs"]
    assert (run["state"], run["pairs_per_hour"], run["seconds_left"]) == ("running", 10.0, 7200)
    said = call("status", tmp_path).stdout
    assert "running; 10 done, 20 waiting; 10 pairs/h, about 2 h 00 min left\n  on the device: sea/cat" in said


def test_a_process_that_got_the_number_of_one_that_died_is_not_taken_for_it(tmp_path: Path) -> None:
    record_run(tmp_path, started="2026-03-01T20:00:00+00:00", written="2026-03-01T21:00:00+00:00", pid=os.getpid())
    (run,) = told("status", tmp_path)["runs"]
    assert run["state"] == "died"


def test_how_to_go_on_is_a_command_that_exists(tmp_path: Path) -> None:
    long_ago = "2026-03-01T20:00:00+00:00"
    record_run(tmp_path, "pair", source="/photos/my cat.jpg", started=long_ago, written=long_ago)
    said = call("status", tmp_path).stdout
    assert "To continue: impasto pair '/photos/my cat.jpg' STYLE -o OUTPUT, with the same options\n" in said
    add_failure(tmp_path, "bad")
    assert "Next: impasto pair '/photos/my cat.jpg' STYLE -o OUTPUT, with" in call("retry", tmp_path).stdout


def test_status_follows_until_nobody_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_run(tmp_path)

    def end(_: float) -> None:
        write_run(tmp_path, record.model_copy(update={"ended": now(), "state": "ended", "exit_code": 0}))

    monkeypatch.setattr(time, "sleep", end)
    lines = call("status", tmp_path, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["runs"][0]["state"] for line in lines] == ["running", "ended"]


def test_status_of_an_inbox_counts_around_a_folder_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".impasto/work/x/beat", b"")
    write(tmp_path / "sea/new.jpg", b"waits")
    write(tmp_path / "sea/private/new.jpg", b"waits")
    statuses = Disk.statuses

    def statuses_but_one(disk: Disk, path: Path) -> dict[str, os.stat_result | OSError]:
        if path.name == "private":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return statuses(disk, path)

    monkeypatch.setattr(Disk, "statuses", statuses_but_one)
    result = call("status", tmp_path)
    assert "1 waiting" in result.stdout
    assert "sea/private/: cannot be read: Permission denied" in result.stderr


def test_status_goes_on_without_what_another_user_left_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    record_run(outbox, "watch", source=str(inbox), spool=str(inbox / ".impasto"))
    write(inbox / ".impasto/work/host-1-theirs/beat", b"")
    write(inbox / ".impasto/work/host-2-ours/beat", b"")
    write(inbox / ".impasto/done/2026-03-01/theirs/in/a.jpg", b"")
    write(inbox / ".impasto/done/2026-03-02/ours/in/a.jpg", b"")
    add_failed_job(inbox, "20260301T000000-theirs", "sea/bad.jpg")

    def refused(name: str) -> Any:
        operation = getattr(Disk, name)

        def refuse(disk: Disk, path: Path) -> Any:
            if "theirs" in f"{path}" or path.name == "2026-03-01":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return operation(disk, path)

        return refuse

    for name in ("entries", "read", "lstat"):
        monkeypatch.setattr(Disk, name, refused(name))
    found = told("status", inbox)
    assert ([worker["name"] for worker in found["workers"]], found["done"], found["failed"]) == (["host-2-ours"], 1, 1)
    assert [error["reason"] for error in found["last_errors"]] == ["its reason.json cannot be read"]
    (of_outbox,) = told("status", outbox)["inboxes"]
    assert {"event": "status", **of_outbox, "retry": ""} == {**found, "retry": ""}
    said = call("status", inbox).stderr
    assert [line.rpartition("/")[2] for line in said.splitlines()] == [
        "host-1-theirs: cannot be read: Permission denied. It is not counted.",
        "2026-03-01: cannot be read: Permission denied. It is not counted.",
    ]
    add_failed_job(inbox, "20260301T000001-ours", "sea/good.jpg")
    for folder in (inbox, outbox):
        (job,) = [each for each in told("retry", folder, "--dry-run")["retries"] if each["action"] == "left"]
        assert (job["name"], "theirs: cannot be read or moved" in job["reason"]) == ("20260301T000000-theirs", True)
    assert call("retry", inbox).exit_code == 3
    assert (inbox / "sea/good.jpg").exists()


def test_status_of_an_inbox_counts_files_and_jobs(tmp_path: Path) -> None:
    add_failed_job(tmp_path, "20260301T000000-aa", "sea/bad.jpg")
    write(tmp_path / "sea/new.jpg", b"waits")
    write(tmp_path / "sea/new.jpg.part", b"being copied")
    write(tmp_path / "sea/_style.jpg", b"stays")
    write(tmp_path / ".impasto/done/2026-03-01/x/in/sea/old.jpg", b"")
    host = "elsewhere"
    write(tmp_path / f".impasto/work/{host}-1-abc/beat", b"")
    write(tmp_path / f".impasto/work/{host}-1-abc/job/in/sea/old.jpg", b"")
    found = told("status", tmp_path)
    assert found["kind"] == "inbox"
    assert [found[name] for name in ("waiting", "claimed", "done", "failed", "done_last_hour")] == [1, 1, 1, 1, 1]
    assert [worker["state"] for worker in found["workers"]] == ["running"], "the heartbeat of the worker is recent"
    os.utime(tmp_path / f".impasto/work/{host}-1-abc/beat", (0, 0))
    said = call("status", tmp_path).stdout
    assert f"watcher {host}-1-abc: died, 1 claimed" in said
    assert "No watcher is running on this inbox" in said
    assert "sea/bad.jpg: It is cut.\n    Copy it again." in said


def test_status_counts_the_formats_that_the_watcher_takes(tmp_path: Path) -> None:
    for name in ("a.avif", "b.jpg", "c.png"):
        write(tmp_path / "sea" / name, b"waits")
    write(tmp_path / ".impasto/work/x/beat", b"")
    assert told("status", tmp_path)["waiting"] == 2
    assert told("status", tmp_path, "--set", 'image.formats=["avif"]')["waiting"] == 1
    write(tmp_path / ".impasto/work/x/status.json", b'{"image_endings": [".avif", ".jpg", ".png"]}')
    assert told("status", tmp_path)["waiting"] == 3


def test_a_spool_elsewhere_is_found_by_the_outbox_and_by_its_setting(tmp_path: Path) -> None:
    inbox, spool, outbox = tmp_path / "inbox", tmp_path / "spool", tmp_path / "out"
    write(inbox / "sea/new.jpg", b"waits")
    add_failed_job(tmp_path, "20260301T000000-aa", "sea/bad.jpg")
    (tmp_path / ".impasto").rename(spool)
    write(spool / "work/x-1-abc/beat", b"")
    write(spool / "work/x-1-abc/job/in/sea/old.jpg", b"")
    for pid in (1, os.getpid()):
        record_run(outbox, "watch", source=str(inbox), spool=str(spool), pid=pid)
    (found,) = told("status", outbox)["inboxes"]
    assert [found[name] for name in ("waiting", "claimed", "failed")] == [1, 1, 1]
    said = call("status", outbox).stdout
    assert f"{inbox}: 1 waiting" in said
    assert "sea/bad.jpg: It is cut." in said
    assert f"To try again what failed: impasto retry {outbox}" in said
    assert told("status", inbox, "--set", f"watch.spool={spool}")["failed"] == 1
    assert told("status", outbox, "--set", f"watch.spool={spool}")["kind"] == "outbox"
    refused = call("status", inbox)
    assert refused.exit_code == 2
    assert "--set watch.spool=FOLDER" in refused.stderr
    assert len(told("retry", outbox, "--dry-run")["retries"]) == 1, "two watchers share the spool"


def test_an_inbox_that_is_not_mounted_is_left_out(tmp_path: Path) -> None:
    record_run(tmp_path, "watch", source=str(tmp_path / "inbox"), spool=str(tmp_path / "spool"))
    assert told("status", tmp_path)["inboxes"] == []


@pytest.mark.parametrize("command", ["status", "retry"])
def test_a_folder_that_is_neither_is_a_usage_error(tmp_path: Path, command: str) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        result = call(command, folder)
        assert (result.exit_code, result.stdout) == (2, "")
        assert str(folder) in result.stderr


def test_retry_forgets_failures_but_not_in_a_dry_run(tmp_path: Path) -> None:
    for name in ("sea/a", "sea/b", "c"):
        add_failure(tmp_path, name)
    assert call("retry", tmp_path, "--only", "sea/*", "--dry-run").stdout.splitlines()[-1] == "2 would be tried again."
    assert len(list(tmp_path.rglob("failed/**/*.json"))) == 3
    assert call("retry", tmp_path, "--only", "sea/*").exit_code == 0
    assert [path.name for path in tmp_path.rglob("failed/**/*.json")] == ["c.json"]
    assert call("retry", tmp_path, "--only", "sea/*").exit_code == 2
    call("retry", tmp_path)
    assert call("retry", tmp_path).stdout == "Nothing has failed.\n"


def test_retry_leaves_what_is_no_record_and_says_so(tmp_path: Path) -> None:
    add_failure(tmp_path, "a")
    write(tmp_path / "failed/mine.json", b"{")
    write(tmp_path / "failed/notes.json", b"{}")
    result = call("retry", tmp_path)
    assert result.exit_code == 3
    assert "mine: left: failed/mine.json cannot be read" in result.stdout
    assert (tmp_path / "failed/mine.json").read_bytes() == b"{"
    assert (tmp_path / "failed/notes.json").exists(), "it is of another program, and no failure"


def test_retry_waits_for_a_run_at_work_and_moves_nothing(tmp_path: Path) -> None:
    inbox, outbox = tmp_path / "inbox", tmp_path / "out"
    add_failed_job(inbox, "1-a", "sea/bad.jpg")
    add_failure(outbox, "a")
    record_run(outbox, "watch", source=str(inbox), spool=str(inbox / ".impasto"))
    with Outbox(outbox).locked():
        assert call("retry", outbox).exit_code == 11
    assert (outbox / "failed/a.json").is_file()
    assert not (inbox / "sea/bad.jpg").exists()
    assert call("retry", outbox).exit_code == 0
    assert (inbox / "sea/bad.jpg").exists()


def test_retry_puts_jobs_back_into_the_inbox_and_replaces_nothing(tmp_path: Path) -> None:
    add_failed_job(tmp_path, "1-a", "sea/bad.jpg")
    add_failed_job(tmp_path, "2-b", "sea/taken.jpg")
    write(tmp_path / "sea/taken.jpg", b"new")
    assert "2 would be tried again" in call("retry", tmp_path, "--dry-run").stdout
    assert len(list((tmp_path / ".impasto/failed").iterdir())) == 2
    result = call("retry", tmp_path)
    assert result.exit_code == 3
    assert "sea/bad.jpg: back in the inbox\n" in result.stdout
    assert "sea/taken.jpg: left: another file of this name is in the inbox" in result.stdout
    assert (tmp_path / "sea/bad.jpg").read_bytes() == b"cut"
    assert (tmp_path / "sea/taken.jpg").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / ".impasto/failed").iterdir()] == ["2-b"]


def test_retry_finishes_one_that_was_interrupted_when_its_files_were_back(tmp_path: Path) -> None:
    add_failed_job(tmp_path, "1-a", "sea/bad.jpg")
    (tmp_path / ".impasto/failed/1-a/in/sea/bad.jpg").rename(tmp_path / "bad.jpg")
    assert call("retry", tmp_path).exit_code == 0
    assert list((tmp_path / ".impasto/failed").iterdir()) == []


def test_retry_of_a_watchers_outbox_finds_the_inbox(tmp_path: Path) -> None:
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    add_failed_job(inbox, "1-a", "sea/bad.jpg", "bad__sea.png")
    add_failure(outbox, "bad__sea")
    record_run(outbox, "drain", source=str(inbox), spool=str(inbox / ".impasto"), ended=now(), state="ended")
    assert len(read_runs(outbox)) == 1
    found = told("retry", outbox, "--only", "bad__sea")
    assert found["retries"] == [{"name": "sea/bad.jpg", "action": "back in the inbox", "reason": ""}]
    assert found["commands"] == [f"impasto drain {inbox} --outbox {outbox}"]
    assert (inbox / "sea/bad.jpg").is_file()
    assert (outbox / "failed/bad__sea.json").is_file(), "the failure stays until the photograph succeeds"
