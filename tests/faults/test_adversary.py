"""Tests with people who exchange folders, links, files and owners in the inbox: nothing outside of it is touched."""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.adversary import FILES, SECRET, Adversary, empty_inbox, make_victim, state_of
from tests.faults.disk import CHANGES, LOOKS, FaultyDisk
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.world import ScriptedHints, Worker

pytestmark = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system opens links")
FRESH = "sea/fresh.jpg"
"""Photograph that is dropped when the adversary has gone."""
HISTORIES, MORE_HISTORIES = 80, 2000


def drop_everything(world: World, adversary: Adversary) -> None:
    for name in FILES:
        world.drop(name, adversary._content(name))


def start(world: World, disk: FaultyDisk, dice: random.Random) -> tuple[Worker, ScriptedHints | None]:
    """Start a watcher that polls, or one that gets events."""
    worker = world.worker(disk)
    hints = worker.with_hints() if dice.random() < 0.5 else None
    return worker.start(), hints


def work(worker: Worker, world: World, hints: ScriptedHints | None, seconds: int) -> None:
    for _ in range(seconds):
        if hints is not None:
            hints.hint.paths |= {world.inbox / name for name in (*FILES, FRESH)}
        worker.step(1.0)


def live_through(root: Path, number: int) -> int:
    """Let a watcher work in an inbox that an adversary changes; return the number of the adversary's actions."""
    dice = random.Random(number)  # noqa: S311
    retire = dice.choice(("archive", "delete", "return"))
    world = World(root / "world", {"watch": {"retire": retire, "ticket_seconds": 8.0, "settle_seconds": 1.0}})
    outside = root / "outside"
    outside.mkdir()
    adversary = Adversary(world.inbox, outside, dice, share=dice.choice((0.02, 0.1, 0.3)))
    before = make_victim(adversary.victim)
    drop_everything(world, adversary)
    disk = FaultyDisk(adversary.before_disk, adversary.before_disk, watched=CHANGES + LOOKS)
    worker, hints = start(world, disk, dice)
    adversary.workers.append(worker.spool.worker.name)
    work(worker, world, hints, 2)
    with adversary:
        work(worker, world, hints, 12)
        is_stopped = dice.random() < 0.3
        if is_stopped:
            worker.end()
    check_untouched(world, adversary, before)
    empty_inbox(world.inbox)
    if is_stopped:
        worker, hints = start(world, disk, dice)
    fresh = world.drop(FRESH)
    work(worker, world, hints, 60)
    assert "fresh__sea.png" in world.results(), "the watcher goes on when the adversary has gone"
    assert fresh.exists() == (retire == "return")
    worker.end()
    check_untouched(world, adversary, before)
    world.remove()
    return adversary.actions


def check_untouched(world: World, adversary: Adversary, before: dict[str, Any]) -> None:
    assert state_of(adversary.victim) == before
    secret = {hashlib.sha256(path.read_bytes()).hexdigest() for path in adversary.victim.rglob("*.*")}
    for folder in (world.outbox, world.inbox):
        for place, _, names in os.walk(folder):
            for path in (os.path.join(place, name) for name in names):  # noqa: PTH118
                if os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114
                    with open(path, "rb") as file:  # noqa: PTH123
                        data = file.read()
                    assert SECRET not in data, f"{path} has content of the victim"
                    assert not any(each.encode() in data for each in secret), f"{path} has a hash of the victim's file"


@pytest.mark.timeout(1800)
def test_nothing_outside_of_the_inbox_is_touched(
    tmp_path: Path, tell: Callable[[str], None], *, exhaustive: bool
) -> None:
    histories, actions = MORE_HISTORIES if exhaustive else HISTORIES, 0
    for number in range(histories):
        root = tmp_path / str(number)
        root.mkdir()
        try:
            actions += live_through(root, number)
        except Exception as error:
            error.add_note(f"history {number}")
            raise
    tell(f"{histories} histories with {actions} actions of an adversary: nothing outside of the inbox was touched")
