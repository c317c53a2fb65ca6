"""The acceptance test of a card: everything that can only be known on one, in at most eight minutes and one table.

    python -m tests.benchmarks.cuda [--device cuda:0]
    python -m tests.benchmarks.cuda --device cpu        the same steps with tiny pictures, to test the steps

A step that fails, or that takes too long, does not stop the others. The exit status is 0 if every check passes, 1 if
one fails, 3 if none fails but some were not run, and 4 if there is no such device.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import pipeline  # noqa: F401 - imported before torch, for large pages

# isort: split
from rich.console import Console
from rich.table import Table

from pipeline.errors import DeviceError, ExitCode
from pipeline.stage.device.devices import find_device
from tests.benchmarks import cuda_kernels, cuda_speed, cuda_stage
from tests.benchmarks.acceptance import Step, StepReport, StepRunner
from tests.benchmarks.cuda_plan import ON_CPU, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS: Final = (
    Step("device", cuda_stage.card, 30),
    Step("marked tests", cuda_stage.marked_tests, cuda_stage.PYTEST_SECONDS + 10),
    Step("kernels", cuda_kernels.kernels, 70),
    Step("speed", cuda_speed.speed, 50),
    Step("memory", cuda_speed.memory, 70),
    Step("batches", cuda_speed.batches, 40),
    Step("busy share", cuda_stage.busy, 30),
    Step("out of memory", cuda_stage.ladder, 30),
    Step("beyond 2³¹ values", cuda_kernels.large_convolution, 30),
)
"""All steps; their limits add up to eight minutes."""
_COLOURS: Final = {"pass": "green", "fail": "red", "not run": "yellow"}


def run_steps(steps: Sequence[Step], plan: Plan) -> list[StepReport]:
    """Run all steps, and print each check on stderr as soon as its step ends."""
    runner, reports = StepRunner(plan), []
    try:
        for step in steps:
            print(f"{step.name} …", file=sys.stderr, flush=True)
            report = runner.run(step)
            reports.append(report)
            for check in report.checks:
                print(f"  {check.result}: {check.name}: {check.text}", file=sys.stderr, flush=True)
    finally:
        runner.close()
    return reports


def table_of(reports: Sequence[StepReport]) -> Table:
    """Return a row for each check."""
    table = Table("step", "s", "check", "result", "found")
    for report in reports:
        for i, check in enumerate(report.checks):
            step = (report.name, f"{report.seconds:.0f}") if i == 0 else ("", "")
            colour = _COLOURS[check.result]
            table.add_row(*step, check.name, f"[{colour}]{check.result}[/]", check.text.replace("[", r"\["))
        table.add_section()
    return table


def exit_code(reports: Sequence[StepReport]) -> ExitCode:
    """Return OK if every check passed, INTERNAL if one failed, and PARTIAL if some were not run."""
    results = {check.result for report in reports for check in report.checks}
    if "fail" in results:
        return ExitCode.INTERNAL
    return ExitCode.PARTIAL if "not run" in results else ExitCode.OK


def accept(steps: Sequence[Step], plan: Plan) -> ExitCode:
    """Run all steps, print the table, and return the exit status."""
    reports = run_steps(steps, plan)
    results = Counter(check.result for report in reports for check in report.checks)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table_of(reports))
    console.print(", ".join(f"{count} {result}" for result, count in results.items()), highlight=False)
    return exit_code(reports)


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    name = parser.parse_args(arguments).device
    try:
        device = find_device(name)
    except DeviceError as error:
        print(f"There is no device {name} on this machine; --device cpu runs the same steps on the CPU.")
        return error.exit_code
    return accept(STEPS, Plan(str(device)) if device.type == "cuda" else ON_CPU)


if __name__ == "__main__":
    sys.exit(main())
