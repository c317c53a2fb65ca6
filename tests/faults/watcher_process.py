"""A process that watches WORLD and renders nothing: `python -m tests.faults.watcher_process WORLD`, until SIGTERM."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.run.observer import Observer
from pipeline.settings.all_settings import validate
from pipeline.watch.jobs.job_pairs import FingerprintReader
from pipeline.watch.service import Folders, Service
from tests.faults.disk import HastyDisk
from tests.faults.world import WEIGHTS, FakeStage, balance_of

if TYPE_CHECKING:
    from pipeline.pair import Pair
    from pipeline.stage.task import Outcome


class Painted(Observer):
    """A count of the photographs that were painted in this process, or had been painted before."""

    photographs = 0

    def outcome(self, _: Outcome) -> None:
        self.photographs += 1

    def duplicate(self, _: Pair) -> None:
        self.photographs += 1


def main(root: Path) -> int:
    """Watch WORLD; print a line when the watcher is ready, and at the end the number of painted photographs."""
    values = {"watch": {"settle_seconds": 0.1, "rescan_seconds": 1.0}, "styles": {"folder": str(root / "styles")}}
    settings = validate(values)
    painted = Painted()
    service = Service(
        folders=Folders.of(root / "inbox", root / "outbox", settings),
        settings=settings,
        base_values=values,
        overrides={},
        fingerprints=FingerprintReader(WEIGHTS, "1"),
        observer=painted,
        disk=HastyDisk(),
        clock=time.monotonic,
    )
    print("starting", flush=True)  # noqa: T201 - the parent process reads this line
    summary = service.run(FakeStage)
    print(painted.photographs, balance_of(summary).is_even, flush=True)  # noqa: T201
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
