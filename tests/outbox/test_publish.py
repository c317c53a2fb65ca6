"""Tests of publishing results and failures: whole at every moment, whatever goes wrong."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from pipeline.disk import Disk
from pipeline.errors import LockedError, OccupiedError, StorageError
from pipeline.outbox.paths import check_name
from pipeline.outbox.publish import Outbox
from tests.faults.disk import Crash, FaultyDisk, crashing, failing

if TYPE_CHECKING:
    from pathlib import Path


class Record(BaseModel):
    text: str = "ö"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "deep" / "out")


def files(outbox: Outbox) -> set[str]:
    found = {p.relative_to(outbox.root).as_posix() for p in outbox.root.rglob("*") if p.is_file()}
    return found - {".impasto/lock", ".impasto/names.lock"}


def publish(outbox: Outbox, file_name: str = "a.png", data: bytes = b"picture") -> None:
    outbox.publish_picture(file_name, data)
    outbox.publish_metadata(file_name.rpartition(".")[0], file_name, Record())


@pytest.mark.parametrize(
    "name", ["a.png", "sub/a.png", "ö ü,#.png", "a" * 246 + ".png", ".hidden.png", "x/failed/a.png"]
)
def test_good_names_are_published(outbox: Outbox, name: str) -> None:
    assert check_name(name) is None
    with outbox.locked():
        publish(outbox, name)
    assert files(outbox) == {name, f"{name}.json"}
    assert outbox.picture_path(name).read_bytes() == b"picture"


def test_steps_come_in_the_order_that_survives_a_crash(outbox: Outbox) -> None:
    disk = FaultyDisk()
    again = Outbox(outbox.root, disk)
    with outbox.locked():
        publish(outbox)
    with again.locked():
        disk.log.clear()
        publish(again)
        steps = [
            f"{each.name} {each.path.name if each.path.name.startswith('a.') else ''}".strip() for each in disk.log
        ]
    assert steps == [
        "write", "rename", "sync_folder",  # the mark
        "unlink a.png.json", "sync_folder",
        "write", "rename", "sync_folder",  # the picture
        "write", "rename", "sync_folder",  # the metadata
        "unlink",  # the mark
    ]  # fmt: skip


def publish_over(root: Path, disk: Disk) -> None:
    """Publish a result in a new folder, and another over an older result and its failure."""
    outbox = Outbox(root, disk)
    with outbox.locked():
        outbox.marks.begin_attempt("new/kitten.png", "run", None)
        publish(outbox, "new/kitten.png", b"new")
        outbox.publish_picture("kitten.png", b"new")
        outbox.publish_metadata("kitten", "kitten.png", Record(text="new"))


def prepare(root: Path) -> Outbox:
    """Return an outbox with an old result and a failure of one name."""
    outbox = Outbox(root)
    with outbox.locked():
        outbox.publish_picture("kitten.png", b"old")
        outbox.publish_metadata("kitten", "kitten.png", Record(text="old"))
        outbox.publish_failure("kitten", Record())
    return outbox


def check_whole(outbox: Outbox) -> None:
    """Check that the picture is the old or the new one, and that metadata, if any, describe it."""
    picture, metadata = outbox.picture_path("kitten.png").read_bytes(), outbox.metadata_path("kitten.png")
    assert picture in (b"old", b"new")
    if metadata.exists():
        assert Record.model_validate_json(metadata.read_bytes()).text == picture.decode()


def steps_of_a_publication(root: Path) -> int:
    """Return the number of operations on disk that a publication takes."""
    prepare(root)
    disk = FaultyDisk()
    publish_over(root, disk)
    return len(disk.log)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_it_stops_the_picture_is_whole_and_metadata_describes_it(tmp_path: Path, *, after: bool) -> None:
    steps = steps_of_a_publication(tmp_path / "undisturbed")
    assert steps >= 30
    for step in range(steps):
        outbox = prepare(tmp_path / str(step))
        never = FaultyDisk.fault
        disk = FaultyDisk(never if after else crashing(step), crashing(step) if after else never)
        with pytest.raises(Crash):
            publish_over(outbox.root, disk)
        check_whole(outbox)
        publish_over(outbox.root, Disk())
        wanted = {"kitten.png", "kitten.png.json", "new/kitten.png", "new/kitten.png.json"}
        assert files(outbox) == wanted, disk.log[-1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE])
def test_a_failing_disk_is_explained_and_nothing_half_is_left(tmp_path: Path, number: int) -> None:
    for step in range(steps_of_a_publication(tmp_path / "undisturbed")):
        outbox = prepare(tmp_path / str(step))
        with pytest.raises(StorageError, match="cannot be read or written") as error:
            publish_over(outbox.root, FaultyDisk(failing(number, step)))
        assert os.strerror(number) in error.value.message
        assert str(outbox.root) in error.value.message
        check_whole(outbox)
        publish_over(outbox.root, Disk())


def test_the_outbox_is_free_again_when_even_clearing_away_fails(outbox: Outbox) -> None:
    with outbox.locked():
        pass
    full = FaultyDisk(
        lambda operation, _: OSError(errno.EIO, "Input/output error") if operation.name == "mkdir" else None
    )
    with (
        pytest.raises(StorageError) as kept,
        Outbox(outbox.root, full).locked(),
    ):  # the traceback keeps the lock object alive
        pass
    with Outbox(outbox.root).locked():
        assert "Input/output" in kept.value.message


def test_a_foreign_file_is_not_marked_as_ours(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.picture_path("a.png").write_bytes(b"precious")
        outbox.marks.begin_attempt("a.png", "run", None)
        with pytest.raises(OccupiedError):
            publish(outbox)


def test_a_picture_without_metadata_is_ours_only_if_marked(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.publish_picture("crashed.png", b"1")
        outbox.picture_path("foreign.png").write_bytes(b"precious")
    with outbox.locked():
        publish(outbox, "crashed.png", b"2")
        with pytest.raises(OccupiedError, match=r"foreign\.png"):
            publish(outbox, "foreign.png")
    assert outbox.picture_path("foreign.png").read_bytes() == b"precious"


def test_success_forgets_the_failure_and_its_empty_folders(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.publish_failure("sub/a", Record())
        outbox.publish_failure("b", Record())
        publish(outbox, "sub/a.png")
        assert files(outbox) == {"sub/a.png", "sub/a.png.json", "failed/b.json"}
        publish(outbox, "b.png")
    assert not (outbox.root / "failed").exists()


def test_only_one_at_a_time_and_free_again_after_an_error(outbox: Outbox) -> None:
    with outbox.locked(), pytest.raises(LockedError, match="another run"), Outbox(outbox.root).locked():
        pass
    with pytest.raises(ZeroDivisionError), outbox.locked():
        raise ZeroDivisionError
    with outbox.locked():
        publish(outbox)


def test_what_a_killed_run_left_is_cleared_away(outbox: Outbox) -> None:
    with outbox.locked():
        (outbox.root / ".impasto/tmp/run/half").write_bytes(b"x")
    assert files(outbox) == set()
    (outbox.root / ".impasto/tmp/run/folder").mkdir(parents=True)
    with outbox.locked():
        assert not (outbox.root / ".impasto/tmp/run/folder").exists()


def test_a_link_out_of_the_outbox_is_refused(outbox: Outbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with outbox.locked():
        (outbox.root / "link").symlink_to(outside)
        with pytest.raises(OccupiedError, match="leads out"):
            outbox.publish_picture("link/a.png", b"1")
        (outbox.root / "failed").symlink_to(outside)
        with pytest.raises(OccupiedError, match="leads out"):
            outbox.publish_failure("a", Record())
    assert list(outside.iterdir()) == []
