"""Tests of publishing results and failures: whole at every moment, whatever goes wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.disk import Disk
from pipeline.errors import LockedError, OccupiedError, StorageError
from pipeline.outbox.metadata import Metadata
from pipeline.outbox.paths import check_name
from pipeline.outbox.publish import Outbox
from tests.faults.disk import Crash, FaultyDisk, crashing, failing
from tests.outbox.report.samples import failure, metadata, write

ROOT = Path(__file__).parents[2]
PAIR = {"content": "photos/cat.jpg", "style": "paintings/sea.jpg"}
"""The pair of all results and failures."""
TAKEOUT = b'{"title": "a.png", "photoTakenTime": {"timestamp": "1"}}'
FOREIGN = [b"", b"{}", b"[]", TAKEOUT, TAKEOUT[:-1], metadata("other.png", b"x").model_dump_json().encode()]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "deep" / "out")


def files(outbox: Outbox) -> set[str]:
    found = {p.relative_to(outbox.root).as_posix() for p in outbox.root.rglob("*") if p.is_file()}
    return found - {".impasto/lock", ".impasto/names.lock"}


def publish(outbox: Outbox, file_name: str = "a.png", data: bytes = b"picture") -> None:
    outbox.publish_picture(file_name, data)
    outbox.publish_metadata(file_name.rpartition(".")[0], file_name, metadata(file_name, data))


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
        "write", "rename", "sync_folder",  # the picture, over the older one
        "write", "link", "unlink", "sync_folder",  # the metadata
        "unlink",  # the mark
    ]  # fmt: skip


def publish_over(root: Path, disk: Disk) -> None:
    """Publish a result in a new folder, and another over an older result and its failure."""
    outbox = Outbox(root, disk)
    with outbox.locked():
        outbox.marks.begin_attempt("new/kitten.png", "run", None)
        publish(outbox, "new/kitten.png", b"new")
        publish(outbox, "kitten.png", b"new")


def prepare(root: Path) -> Outbox:
    """Return an outbox with an old result and a failure of one name."""
    outbox = Outbox(root)
    with outbox.locked():
        publish(outbox, "kitten.png", b"old")
        outbox.publish_failure("kitten", failure(pair=PAIR))
    return outbox


def check_whole(outbox: Outbox) -> None:
    """Check that the picture is the old or the new one, and that metadata, if any, describe it."""
    picture, record = outbox.picture_path("kitten.png").read_bytes(), outbox.metadata_path("kitten.png")
    assert picture in (b"old", b"new")
    if record.exists():
        described = Metadata.model_validate_json(record.read_bytes()).output.sha256
        assert described == hashlib.sha256(picture).hexdigest()


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
        outbox.publish_failure("sub/a", failure(pair=PAIR))
        outbox.publish_failure("b", failure(pair=PAIR))
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
            outbox.publish_failure("a", failure(pair=PAIR))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("sidecar", FOREIGN)
@pytest.mark.parametrize("has_picture", [False, True])
def test_a_json_file_of_another_program_makes_no_picture_ours(
    outbox: Outbox, sidecar: bytes, *, has_picture: bool
) -> None:
    with outbox.locked():
        write(outbox.metadata_path("a.png"), sidecar)
        if has_picture:
            outbox.picture_path("a.png").write_bytes(b"precious")
        with pytest.raises(OccupiedError, match=r"a\.png"):
            publish(outbox)
        outbox.marks.begin_attempt("a.png", "run", None)
        outbox.marks.end_attempt("a.png", "run")
        outbox.marks.remove_half_result("a.png", "run")
    assert outbox.metadata_path("a.png").read_bytes() == sidecar
    assert not has_picture or outbox.picture_path("a.png").read_bytes() == b"precious"


def test_a_picture_that_takes_the_place_of_a_half_result_is_not_ours(outbox: Outbox) -> None:
    with outbox.locked():
        outbox.publish_picture("a.png", b"half")
        outbox.picture_path("a.png").write_bytes(b"precious")
        outbox.marks.remove_half_result("a.png", "run")
        with pytest.raises(OccupiedError, match="no result of impasto"):
            publish(outbox)
    assert outbox.picture_path("a.png").read_bytes() == b"precious"


def appearing(name: str) -> type[FaultyDisk]:
    """Return a disk on which a file of somebody else appears just before the operation that gives ours its name."""

    class Busy(FaultyDisk):
        def link(self, source: Path, target: Path) -> None:
            if target.name == name:
                target.write_bytes(b"precious")
            super().link(source, target)

    return Busy


@pytest.mark.parametrize("name", ["a.png", "a.png.json"])
@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_at_the_last_moment_is_not_replaced(outbox: Outbox, name: str, *, has_links: bool) -> None:
    busy = appearing(name)(
        lambda operation, _: OSError(errno.EPERM, "no links") if operation.name == "link" and not has_links else None
    )
    again = Outbox(outbox.root, busy)
    with again.locked():
        with pytest.raises(OccupiedError, match=r"a\.png"):
            publish(again)
        assert (outbox.root / name).read_bytes() == b"precious"
        (outbox.root / name).unlink()
    with outbox.locked():
        publish(outbox)
    assert files(outbox) == {"a.png", "a.png.json"}


def test_metadata_of_another_program_that_appears_before_the_picture_is_not_removed(outbox: Outbox) -> None:
    class Busy(FaultyDisk):
        """A disk on which a file of another program appears after the names were checked and marked."""

        def rename(self, source: Path, target: Path) -> None:
            super().rename(source, target)
            if target.parent.name == "pending":
                (outbox.root / "a.png.json").write_bytes(TAKEOUT)

    again = Outbox(outbox.root, Busy())
    with again.locked(), pytest.raises(OccupiedError, match=r"a\.png\.json"):
        publish(again)
    assert (outbox.root / "a.png.json").read_bytes() == TAKEOUT


def test_without_hard_links_results_are_published_all_the_same(outbox: Outbox) -> None:
    disk = FaultyDisk(lambda operation, _: OSError(errno.EPERM, "") if operation.name == "link" else None)
    plain = Outbox(outbox.root, disk)
    with plain.locked():
        publish(plain)
        publish(plain, data=b"another")
    assert files(outbox) == {"a.png", "a.png.json"}


@pytest.mark.parametrize("make", ["file", "link", "loop", "other file system", "long"])
def test_a_folder_that_cannot_be_had_is_found_before_the_device_begins(
    outbox: Outbox, make: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, name = outbox.root / "wedding", "wedding/a.png"
    with outbox.locked():
        if make == "file":
            folder.write_bytes(b"precious")
        elif make == "link":
            folder.symlink_to(tmp_path)
        elif make == "loop":
            folder.symlink_to(folder)
        elif make == "other file system":
            folder.mkdir()
            status = os.stat_result((*folder.stat()[:2], -1, *folder.stat()[3:]))
            stat = type(folder).stat
            monkeypatch.setattr(type(folder), "stat", lambda path, **kw: status if path == folder else stat(path, **kw))
        else:
            name = f"wedding/{'a' * 300}.png"
        with pytest.raises(OccupiedError, match="wedding"):
            outbox.marks.check_free(name)


AS_NOBODY = """
import os, sys
from pathlib import Path
from pipeline.errors import OccupiedError, StorageError
from pipeline.outbox.publish import Outbox
os.setuid(65534)
outbox = Outbox(Path(sys.argv[1]))
with outbox.locked():
    for name in sys.argv[2:]:
        try:
            outbox.marks.check_free(name)
            outbox.publish_picture(name, b"x")
        except (OccupiedError, StorageError) as error:
            print(name, type(error).__name__)
        else:
            print(name, "published")
"""


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs to become another user")
def test_a_subfolder_that_may_not_be_written_concerns_its_own_pairs_alone() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        root = Path(folder, "out")
        for path, mode in ((root, 0o777), (root / "wedding", 0o755), (root / "half", 0o333)):
            path.mkdir()
            path.chmod(mode)
        Path(folder).chmod(0o755)
        command = [
            sys.executable,
            "-c",
            AS_NOBODY,
            str(root),
            "wedding/a.png",
            "wedding/deep/a.png",
            "half/a.png",
            "a.png",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout.splitlines() == [
            "wedding/a.png OccupiedError",
            "wedding/deep/a.png OccupiedError",
            "half/a.png OccupiedError",
            "a.png published",
        ]
        root.chmod(0o755)
        (root / ".impasto").chmod(0o777)
        done = subprocess.run(
            [*command[:-4], "b.png", "new/b.png"], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert done.stdout.splitlines() == ["b.png StorageError", "new/b.png StorageError"]
