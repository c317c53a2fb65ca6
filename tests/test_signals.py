"""Tests of signals that ask a process to stop."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from pipeline.errors import ExitCode, Interrupted
from pipeline.signals import REPEAT_SECONDS, StopRequest

SECOND_SIGNAL = """
import signal
from pipeline.signals import REPEAT_SECONDS, StopRequest

now = 0.0
with StopRequest(lambda: now):
    signal.raise_signal(signal.SIGTERM)
    now = REPEAT_SECONDS * {factor}
    signal.raise_signal(signal.{second})
print("still there")
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_a_signal_asks_for_a_stop(number: signal.Signals, code: ExitCode) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.check()
        signal.raise_signal(number)
        with pytest.raises(Interrupted) as caught:
            stop.check()
    assert caught.value.code == code
    assert signal.getsignal(number) == before


def test_a_signal_that_is_sent_twice_at_once_counts_as_one_and_moves_no_period_of_grace() -> None:
    now = 100.0
    with StopRequest(lambda: now) as stop:
        signal.raise_signal(signal.SIGTERM)
        now += REPEAT_SECONDS / 2
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.requested == ExitCode.TERMINATED
        stop.check(REPEAT_SECONDS)
        now += REPEAT_SECONDS / 2
        with pytest.raises(Interrupted):
            stop.check(REPEAT_SECONDS)


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("factor", "is_over"), [(0.9, False), (1.1, True)])
def test_a_later_signal_ends_the_process_at_once(second: str, *, factor: float, is_over: bool) -> None:
    code = SECOND_SIGNAL.format(factor=factor, second=second)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((-getattr(signal, second), "") if is_over else (0, "still there\n"))
