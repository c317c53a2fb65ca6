"""Tests of the messages to systemd."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.systemd import SystemdNotifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def listener(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(
            str(tmp_path / "notify") if request.param == "path" else ""
        )  # an empty name lets the system choose a free one
        listener.settimeout(0)
        name = listener.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", name if isinstance(name, str) else f"@{name[1:].decode()}")
        yield listener


def heard(listener: socket.socket) -> list[bytes]:
    """Return the messages that systemd has received since the last call."""
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(listener.recv(4096))
    return messages


def test_messages_arrive_one_by_one(listener: socket.socket) -> None:
    notifier = SystemdNotifier()
    notifier.send("READY=1")
    notifier.send("WATCHDOG=1")
    notifier.send("WATCHDOG=1\nSTOPPING=1")
    assert heard(listener) == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1\nSTOPPING=1"]


def test_the_status_is_sent_when_it_changes(listener: socket.socket) -> None:
    notifier = SystemdNotifier()
    for text in ("1 done", "1 done", "2 done \u00fc", "2 done \u00fc", "1 done"):
        notifier.status(text)
    assert heard(listener) == [b"STATUS=1 done", "STATUS=2 done \u00fc".encode(), b"STATUS=1 done"]


def test_that_nobody_listens_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "nobody"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    notifier = SystemdNotifier()
    notifier.send("READY=1")
    notifier.send("WATCHDOG=1")
    notifier.status("1 done")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text
    assert "No such file" in caplog.text


def test_a_listener_that_went_away_is_told_of_once(listener: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    notifier = SystemdNotifier()
    notifier.send("READY=1")
    assert heard(listener) == [b"READY=1"]
    listener.close()
    notifier.send("WATCHDOG=1")
    notifier.send("STOPPING=1")
    assert caplog.text.count("Connection refused") == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("address", [None, ""])
def test_without_an_address_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    def refuse(*_: object) -> socket.socket:
        raise AssertionError

    monkeypatch.setattr(socket, "socket", refuse)
    notifier = SystemdNotifier()
    notifier.send("READY=1")
    notifier.status("1 done")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("microseconds", "seconds"),
    [
        ("30000000", 30.0),
        ("1500000", 1.5),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("30s", None),
        ("\u00b2", None),
    ],
)
def test_the_watchdog_tells_how_long_it_waits(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, seconds: float | None
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert SystemdNotifier().watchdog_seconds == seconds
