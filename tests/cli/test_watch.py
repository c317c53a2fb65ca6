"""Tests of `impasto watch` and `impasto drain` as a person, cron and systemd use them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.outbox.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = ("image.size=40", "pyramid.evaluations=2", "watch.settle_seconds=0.1", "watch.incomplete_seconds=0.2")


@pytest.fixture
def folders(tmp_path: Path, make_image: Callable[..., Path]) -> list[str]:
    """Return the arguments that name an inbox with a photograph, an outbox and a style library."""
    make_image("inbox/sea/cat.png")
    make_image("styles/sea.png", seed=9)
    return [str(tmp_path / "inbox"), "--outbox", str(tmp_path / "out"), "--styles", str(tmp_path / "styles")]


def arguments(command: str, folders: list[str], *more: str) -> list[str]:
    settings = [part for each in QUICK for part in ("--set", each)]
    return [command, *folders, *settings, "--progress", "never", *more]


def drain(folders: list[str], *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Drain an inbox; return the exit code, the events on stdout, and stderr."""
    result = CliRunner().invoke(app, arguments("drain", folders, "--json", *more))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_drain_does_what_is_there_and_ends(tmp_path: Path, folders: list[str], make_image: Callable[..., Path]) -> None:
    make_image("inbox/unknown/dog.png")
    code, events, _ = drain(folders)
    assert code == 0
    pair, summary = events
    assert pair["output"]["path"] == "cat__sea.png"
    assert pair["pair"]["content"]["path"] == "sea/cat.png"
    assert pair["pair"]["style"]["path"] == "sea.png"
    assert {name: summary[name] for name in ("seen", "done", "in_inbox", "exit_code")} == {
        "seen": 2, "done": 1, "in_inbox": 1, "exit_code": 0,
    }  # fmt: skip
    Metadata.model_validate_json((tmp_path / "out/cat__sea.png.json").read_bytes())
    code, events, _ = drain(folders)
    assert (code, len(events)) == (0, 1), "the second drain renders nothing again"


def test_drain_without_anything_to_do_does_not_even_load_the_network(
    tmp_path: Path, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox/sea/cat.png").unlink()
    monkeypatch.setattr("pipeline.stage.stage.load_weights", None)
    code, events, _ = drain(folders)
    assert (code, events[0]["seen"]) == (0, 0)


def test_failures_make_drain_exit_3_and_say_where_the_reasons_are(tmp_path: Path, folders: list[str]) -> None:
    (tmp_path / "inbox/sea/bad.jpg").write_bytes(b"no picture at all")
    result = CliRunner().invoke(app, arguments("drain", folders))
    assert result.exit_code == 3
    assert "2 seen, 1 done, 1 failed" in result.stdout
    assert "bad.jpg" in result.stderr
    (reason,) = (tmp_path / "inbox/.impasto/failed").glob("*/reason.json")
    assert "bad.jpg" in json.loads(reason.read_text())["reason"]
    assert str(reason.parents[1]) in result.stderr


def test_a_second_drain_exits_11_at_once(tmp_path: Path, folders: list[str]) -> None:
    (tmp_path / "inbox/.impasto").mkdir()
    with FileLock(tmp_path / "inbox/.impasto/drain.lock"):
        code, events, errors = drain(folders)
    assert code == 11
    assert events[0]["event"] == "error"
    assert "another drain" in errors
    assert drain(folders)[0] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--set", "watch.retire=burn"], "watch.retire"),
        (["--set", "watch.settle=1"], "watch.settle_seconds"),
        (["--outbox", "{inbox}/out"], "the outbox"),
        (["--styles", "{inbox}/sea"], "styles.folder"),
        (["--styles", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_claimed(
    tmp_path: Path, folders: list[str], wrong: list[str], words: str
) -> None:
    wrong = [each.replace("{inbox}", str(tmp_path / "inbox")) for each in wrong]
    code, _, errors = drain(folders, *wrong)
    assert code == 2
    assert words in errors
    assert (tmp_path / "inbox/sea/cat.png").exists()


def test_an_inbox_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, _, errors = drain([str(tmp_path / "missing"), "--outbox", str(tmp_path / "out")])
    assert code == 2
    assert "missing" in errors


class Systemd:
    """A socket in place of systemd's, and the messages that it receives."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)
        self.heard: list[str] = []

    def wait_for(self, word: str) -> None:
        while not any(word in message for message in self.heard):
            self.heard.append(self._socket.recv(4096).decode())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listener = Systemd(tmp_path / "notify")
    yield listener
    listener.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets of Unix")
def test_watch_tells_systemd_paints_and_ends_on_sigterm(
    tmp_path: Path, folders: list[str], systemd: Systemd, make_image: Callable[..., Path]
) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
    command = [sys.executable, "-m", "pipeline", *arguments("watch", folders, "--json")]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        systemd.wait_for("READY=1")
        systemd.wait_for("WATCHDOG=1")
        systemd.wait_for("STATUS=running; 1 done")
        make_image("other/dog.png", seed=3).rename(tmp_path / "inbox/sea/dog.png")
        systemd.wait_for("STATUS=running; 2 done")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 143, errors
    systemd.wait_for("STOPPING=1")
    events = [json.loads(line) for line in output.splitlines()]
    assert [each.get("status") for each in events] == ["done", "done", None]
    assert events[-1]["done"] == events[-1]["seen"] == 2
    assert errors.startswith("WARNING Stopping: ")
    assert errors.count("\n") == 1
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"cat__sea.png", "dog__sea.png"}
    assert list((tmp_path / "inbox/.impasto/work").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_second_signal_ends_watch_at_once_and_loses_nothing(tmp_path: Path, folders: list[str]) -> None:
    command = [sys.executable, "-m", "pipeline", *arguments("watch", folders), "--set", "pyramid.evaluations=100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out/.impasto").glob("pending/*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)  # far less than the first signal alone would take to end it
    assert process.returncode == -signal.SIGINT
    assert drain(folders)[0] == 0
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["cat__sea.png"]


def test_a_ticket_that_is_wrong_is_an_event_with_its_reason(tmp_path: Path, folders: list[str]) -> None:
    (tmp_path / "inbox/night.csv").write_text("content,style\n../secret.jpg,sea\n")
    code, events, _ = drain(folders)
    assert code == 3
    (failed,) = (event for event in events if event["event"] == "job")
    assert failed["files"] == ["night.csv"]
    assert "outside of the inbox" in failed["reason"]
    assert failed["remedy"]


def test_people_are_told_of_a_duplicate(tmp_path: Path, folders: list[str], make_image: Callable[..., Path]) -> None:
    assert drain(folders)[0] == 0
    make_image("inbox/sea/cat.png")
    result = CliRunner().invoke(app, arguments("drain", folders))
    assert result.exit_code == 0
    assert "duplicate: sea/cat.png is painted already as cat__sea.png" in result.stderr
    assert "1 seen, 1 duplicate" in result.stdout
