"""Tests of the venue of local processes."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pipeline.outbox.publish import Outbox
from pipeline.settings.all_settings import Settings
from pipeline.stage.pool.pipe_venue import PipeVenue
from pipeline.stage.pool.stage_pool import assignment_for
from pipeline.transfer.weights import find_weights
from tests.stage.pool.venue_contract import Contract, pictures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("_cache")
def test_the_contract_holds(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "out")
    assignment = assignment_for(Settings(), find_weights("packaged"), outbox, 2)
    venue = PipeVenue(["cpu", "cpu"], assignment)
    with outbox.opened():
        names = Contract(venue, lambda seat: os.kill(seat.process.pid, signal.SIGKILL), pictures(tmp_path)).run_all()
    venue.close()
    assert len(names) == 3
    assert not any(seat.process.is_alive() for seat in venue._started)
