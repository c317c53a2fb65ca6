"""Tests of the watch service: the folders it accepts, and the lock of a drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ExitCode, LockedError, StorageError, UsageError
from pipeline.run.observer import Observer
from pipeline.settings.all_settings import validate
from pipeline.watch.jobs.job_pairs import FingerprintReader
from pipeline.watch.service import Folders, Service
from tests.faults.disk import FaultyDisk, HastyDisk, failing
from tests.faults.world import FakeStage, World, balance_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def service(world: World, disk: Disk | None = None) -> Service:
    values = {
        "watch": {"polling": True, "settle_seconds": 0.05, "poll_seconds": 0.1},
        "styles": {"folder": str(world.styles)},
    }
    settings = validate(values)
    return Service(
        folders=Folders.of(world.inbox, world.outbox, settings),
        settings=settings,
        base_values=values,
        overrides={},
        fingerprints=FingerprintReader("f" * 64, "1"),
        observer=Observer(),
        disk=disk or HastyDisk(),
    )


def folders(root: Path, inbox: str, outbox: str, styles: str = "", spool: str = "") -> Folders:
    sections = {
        "styles": {"folder": str(root / styles) if styles else ""},
        "watch": {"spool": str(root / spool) if spool else ""},
    }
    return Folders.of(root / inbox, root / outbox, validate(sections))


def test_folders_beside_each_other_are_taken_as_absolute_paths(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(world.root)
    found = Folders.of(world.inbox.relative_to(world.root), world.outbox.relative_to(world.root), validate({}))
    assert found == Folders(world.inbox, world.outbox, world.inbox / ".impasto", None, None)
    found = folders(world.root, "inbox", "outbox", "styles", "spool")
    assert (found.styles, found.spool) == (world.styles, world.root / "spool")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("inbox", "inbox/out", "", ""), r"the outbox .* lies in the inbox"),
        (("inbox", "inbox", "", ""), r"lies in the "),
        (("styles/in", "styles", "", ""), r"the inbox .* lies in the outbox"),
        (("inbox", "outbox", "inbox/sea", ""), r"styles\.folder .* lies in the inbox"),
        (("styles/in", "outbox", "styles", ""), r"the inbox .* lies in styles\.folder"),
        (("inbox", "styles/out", "styles", ""), r"the outbox .* lies in styles\.folder"),
        (("inbox", "outbox", "styles", "inbox/sea"), r"watch\.spool .* lies in the inbox"),
        (("inbox", "outbox", "styles", "outbox/spool"), r"watch\.spool .* lies in the outbox"),
        (("inbox", "link/out", "", ""), r"the outbox .* lies in the inbox"),
        (("inbox", "outbox", "link", ""), r"the inbox .* lies in styles\.folder"),
        (("nowhere", "outbox", "", ""), r"nowhere: there is no such folder"),
        (("inbox/sea/a.jpg", "outbox", "", ""), r"a\.jpg: there is no such folder"),
        (("inbox", "outbox", "nowhere", ""), r"styles\.folder = .*nowhere: there is no such folder"),
    ],
)
def test_folders_that_do_not_go_together_are_refused(
    world: World, names: tuple[str, str, str, str], words: str
) -> None:
    world.drop("sea/a.jpg")
    (world.styles / "in").mkdir()
    (world.root / "link").symlink_to(world.inbox)
    with pytest.raises(UsageError, match=words) as error:
        folders(world.root, *names)
    assert error.value.remedy
    assert not world.outbox.exists()


def test_a_second_drain_is_told_that_there_is_one(world: World) -> None:
    world.drop("sea/a.jpg")
    first, second = service(world), service(world)
    with first._drain_lock(), pytest.raises(LockedError, match="another drain") as error:
        second.run(FakeStage, drain=True)
    assert error.value.exit_code == ExitCode.LOCKED
    assert world.waiting() == {"sea/a.jpg"}
    summary = second.run(FakeStage, drain=True)
    assert (summary.exit_code, balance_of(summary).done) == (ExitCode.OK, 1)
    assert world.check_settled().keys() == {"a__sea.png"}


def test_the_lock_of_a_drain_is_free_again_after_an_error(world: World) -> None:
    drain = service(world)
    with pytest.raises(ZeroDivisionError), drain._drain_lock():
        raise ZeroDivisionError
    with drain._drain_lock():
        pass


def test_a_spool_that_cannot_be_made_is_explained(world: World) -> None:
    broken = service(world, FaultyDisk(failing(28, 0)))
    with pytest.raises(StorageError, match="No space left"):
        broken.run(FakeStage, drain=True)
