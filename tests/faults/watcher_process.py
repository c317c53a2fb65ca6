"""A process that watches WORLD and renders nothing: `python -m tests.faults.watcher_process WORLD`, until SIGTERM."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pipeline.monitoring.progress import NoDisplay
from pipeline.settings.all_settings import validate
from pipeline.watch.service import Folders, Service
from tests.faults.disk import HastyDisk
from tests.faults.world import WEIGHTS, FakeStage, balance_of


def main(root: Path) -> int:
    """Say when it is ready, and at the end how many photographs were painted here."""
    values = {"watch": {"settle_seconds": 0.1, "rescan_seconds": 1.0}, "styles": {"folder": str(root / "styles")}}
    settings = validate(values)
    painted: list[str] = []
    service = Service(
        folders=Folders.of(root / "inbox", root / "outbox", settings),
        settings=settings,
        below=values,
        flags={},
        weights_sha256=WEIGHTS,
        engine_version="1",
        display=NoDisplay(),
        on_outcome=lambda outcome: painted.append(outcome.pair.content_label),
        on_duplicate=lambda pair: painted.append(f"duplicate {pair.content_label}"),
        on_failed_job=lambda _: None,
        disk=HastyDisk(),
        clock=time.monotonic,
    )
    print("starting", flush=True)  # noqa: T201 - its parent reads it
    summary = service.run(lambda watcher, outbox: FakeStage(outbox, watcher))
    print(len(painted), balance_of(summary).is_even, flush=True)  # noqa: T201
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
