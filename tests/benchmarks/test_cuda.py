"""Tests of the acceptance test of a card, without a card."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.errors import ExitCode
from pipeline.transfer.objective import Objective
from tests.benchmarks import cuda, cuda_stage
from tests.benchmarks.acceptance import Check, Step, StepReport, attempted, judged, not_run
from tests.benchmarks.cuda_kernels import CASES, distance, limits
from tests.benchmarks.cuda_plan import ON_CPU, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTUP_SECONDS = 100.0
"""Time that is more than enough for a process to start."""


def good(plan: Plan) -> Iterator[Check]:
    yield judged("a sum", plan.device, is_good=True)


def raising(plan: Plan) -> Iterator[Check]:
    yield judged("the part before", "", is_good=True)
    msg = "the card is on fire\nand here is general advice"
    raise RuntimeError(msg)


def dying(plan: Plan) -> Iterator[Check]:
    yield judged("the part before", "", is_good=True)
    os._exit(9)


def endless(plan: Plan) -> Iterator[Check]:
    time.sleep(3600)
    yield judged("a long sleep", "", is_good=True)


def empty(plan: Plan) -> Iterator[Check]:
    yield from ()


def results(report: StepReport) -> list[str]:
    return [check.result for check in report.checks]


def test_a_step_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    functions = (raising, good, dying, empty, good)
    steps = [Step(function.__name__, function, STARTUP_SECONDS) for function in functions]
    reports = cuda.run_steps(steps, ON_CPU)
    assert [report.name for report in reports] == [step.name for step in steps]
    assert list(map(results, reports)) == [["pass", "fail"], ["pass"], ["pass", "fail"], ["fail"], ["pass"]]
    assert reports[0].checks[-1].text == "RuntimeError: the card is on fire"
    assert "died" in reports[2].checks[-1].text
    assert cuda.exit_code(reports) == ExitCode.INTERNAL
    assert "fail: the step as a whole: RuntimeError" in capsys.readouterr().err


def test_a_step_over_its_time_fails_and_the_next_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    code = cuda.accept([Step("endless", endless, 0.5), Step("good", good, STARTUP_SECONDS)], ON_CPU)
    assert code == ExitCode.INTERNAL
    out = capsys.readouterr().out
    assert "not done after 0.5 s" in out
    assert "1 fail, 1 pass" in out


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([judged("a", "", is_good=True)], ExitCode.OK),
        ([judged("a", "", is_good=True), not_run("b", "")], ExitCode.PARTIAL),
        ([not_run("b", ""), judged("a", "", is_good=False)], ExitCode.INTERNAL),
    ],
)
def test_only_what_was_checked_and_is_good_is_accepted(found: list[Check], code: ExitCode) -> None:
    assert cuda.exit_code([StepReport("a step", 1.0, tuple(found))]) == code


def test_without_the_device_one_sentence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cuda.main(["--device", "cuda:99"]) == ExitCode.ENVIRONMENT
    assert capsys.readouterr().out.splitlines() == [
        "There is no device cuda:99 on this machine; --device cpu runs the same steps on the CPU."
    ]


def test_all_steps_fit_into_eight_minutes() -> None:
    assert sum(step.limit_seconds for step in cuda.STEPS) <= 8 * 60


def test_every_step_does_its_work_on_a_cpu() -> None:
    reports = cuda.run_steps(cuda.STEPS, ON_CPU)
    assert [check for report in reports for check in report.checks if check.result == "fail"] == []
    assert [report.name for report in reports if "pass" not in results(report)] == [
        "marked tests",
        "memory",
        "out of memory",
    ]


def test_an_error_of_one_check_is_that_checks_failure() -> None:
    def work() -> Check:
        raise torch.OutOfMemoryError

    assert attempted("a check", work) == Check("a check", "fail", "OutOfMemoryError: ")


def test_what_is_not_finite_is_infinitely_far() -> None:
    truth = torch.ones(3)
    assert distance(truth, truth) == 0
    assert distance(torch.tensor([1.0, 1.0, 2.0]), truth) == pytest.approx(3**-0.5)
    assert distance(torch.tensor([1.0, float("nan"), 1.0]), truth) == float("inf")


class FullCard(Plan):
    """A plan on the CPU that takes itself for one on a card."""

    is_on_card = True


@pytest.mark.parametrize(("failing", "result"), [(4, "pass"), (None, "fail")])
def test_running_out_of_memory_must_be_told(monkeypatch: pytest.MonkeyPatch, failing: int | None, result: str) -> None:
    evaluate, calls = Objective.__call__, []

    def run_out(self: Objective, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(image)
        if len(calls) == failing:
            raise torch.OutOfMemoryError
        return evaluate(self, image)

    monkeypatch.setattr(cuda_stage, "free_cuda_bytes", lambda _: 512 << 20)
    monkeypatch.setattr(Objective, "__call__", run_out)
    (check,) = cuda_stage.ladder(FullCard("cpu", ladder_side=48))
    assert check.result == result
    assert ("out of memory" in check.text) == (result == "pass")


@pytest.mark.parametrize(
    ("shares", "words"),
    [([0, 0, 50, 0, 100, 0], "kernels run in 50% of the time"), ([0, 0], "use of the card unknown")],
)
def test_only_samples_while_the_card_works_count(shares: list[int], words: str) -> None:
    assert cuda_stage.mean_share(shares) == words


def test_only_exact_cases_have_the_narrow_limit() -> None:
    narrow = [case for case in CASES if limits(torch.float32, case)[1] < 1e-3]
    assert narrow == [case for case in CASES if case.pooling == "average" and case.style == "gram"]
