from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.errors import LockedError, OccupiedError, StorageError
from pipeline.outbox.publish import Outbox, check_name


class Record(BaseModel):
    text: str = "ö"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "deep" / "out")


def files(outbox: Outbox) -> set[str]:
    found = {p.relative_to(outbox.root).as_posix() for p in outbox.root.rglob("*") if p.is_file()}
    return found - {".impasto/lock"}


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a.png", "leaves"),
        ("a/../../b.png", "leaves"),
        ("/a.png", "leaves"),
        ("c:a.png", "leaves"),
        ("a\\b.png", "leaves"),
        ("", "empty"),
        ("a\n.png", "control"),
        ("failed/a.png", "begins with failed"),
        ("FAILED/a.png", "begins with FAILED"),
        (".impasto/a.png", "begins with .impasto"),
        ("a" * 251, "longer"),
        ("ö" * 130, "longer"),
    ],
)
def test_bad_names_are_explained(name: str, words: str) -> None:
    assert words in (check_name(name) or "")


def test_steps_come_in_the_order_that_survives_a_crash(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with outbox.locked():
        publish(outbox)
    steps: list[str] = []
    replace, unlink, fsync = Path.replace, Path.unlink, os.fsync

    def note_replace(self: Path, target: Path) -> Path:
        steps.append(f"rename {target.name}")
        return replace(self, target)

    def note_unlink(self: Path, **keywords: Any) -> None:
        steps.append(f"unlink {self.name if self.name.startswith('a.') else 'mark'}")
        unlink(self, **keywords)

    def note_fsync(descriptor: int) -> None:
        steps.append("sync folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "sync file")
        fsync(descriptor)

    with outbox.locked():
        monkeypatch.setattr(Path, "replace", note_replace)
        monkeypatch.setattr(Path, "unlink", note_unlink)
        monkeypatch.setattr(os, "fsync", note_fsync)
        publish(outbox)
        monkeypatch.undo()
    assert steps == [
        "sync folder",  # the mark
        "unlink a.png.json", "sync folder",
        "sync file", "rename a.png", "sync folder",
        "sync file", "rename a.png.json", "sync folder",
        "unlink mark",
    ]  # fmt: skip


CALLS = ["Path.mkdir", "Path.touch", "Path.open", "Path.replace", "Path.unlink", "os.fsync", "os.open"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", CALLS)
def test_a_failing_disk_is_explained_and_nothing_half_is_left(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with outbox.locked():
        publish(outbox, data=b"old")
        owner, _, function = call.partition(".")
        name = "a.png" if call != "Path.mkdir" else "new/a.png"

        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number), "somewhere")

        monkeypatch.setattr({"Path": Path, "os": os}[owner], function, fail)
        with pytest.raises(StorageError, match="cannot be written") as error:
            publish(outbox, name, b"new")
        monkeypatch.undo()
    assert os.strerror(number) in error.value.message
    assert outbox.picture_path("a.png").read_bytes() in (b"old", b"new")
    if outbox.metadata_path("a.png").exists():
        Record.model_validate_json(outbox.metadata_path("a.png").read_bytes())
    with outbox.locked():
        publish(outbox, name, data=b"again")
    assert files(outbox) == {"a.png", "a.png.json", name, f"{name}.json"}


@pytest.mark.parametrize(
    "interrupt", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()], ids=["full", "crash"]
)
def test_wherever_it_stops_the_picture_is_whole_and_metadata_describes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt: BaseException
) -> None:
    for step in range(100):
        outbox = Outbox(tmp_path / str(step))
        with outbox.locked():
            outbox.publish_picture("kitten.png", b"old")
            outbox.publish_metadata("kitten", "kitten.png", Record(text="old"))
            outbox.publish_failure("kitten", Record())
            stopped = stop_at(monkeypatch, step, interrupt, outbox)
        picture, metadata = outbox.picture_path("kitten.png").read_bytes(), outbox.metadata_path("kitten.png")
        assert picture in (b"old", b"new")
        if metadata.exists():
            assert Record.model_validate_json(metadata.read_bytes()).text == picture.decode()
        assert list((outbox.root / ".impasto/tmp").iterdir()) == []
        with Outbox(outbox.root).locked():
            publish(outbox, "kitten.png", b"again")
        if not stopped:
            break
    assert 12 <= step < 99, "every step of a publication was reached"


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, interrupt: BaseException, outbox: Outbox) -> bool:
    """Publish `new` over `old`, and raise at this call to the disk; False if there are not so many."""
    calls = itertools.count()

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(calls) == step:
                raise interrupt
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            owner, _, function = name.partition(".")
            module: Any = {"Path": Path, "os": os}[owner]
            patch.setattr(module, function, counted(getattr(module, function)))
        try:
            outbox.publish_picture("kitten.png", b"new")
            outbox.publish_metadata("kitten", "kitten.png", Record(text="new"))
        except KeyboardInterrupt:
            return True
        except StorageError as error:
            names_the_file = "kitten" in error.message  # though the system's error does not
        else:
            return False
    assert names_the_file
    return True


def test_the_outbox_is_free_again_when_even_clearing_away_fails(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", fail)
        with pytest.raises(StorageError) as kept, outbox.locked():  # what is kept here keeps the lock's object alive
            pass
    with Outbox(outbox.root).locked():
        assert "Input/output" in kept.value.message


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
        (outbox.root / ".impasto/tmp/half").write_bytes(b"x")
    assert files(outbox) == set()
    (outbox.root / ".impasto/tmp/folder").mkdir()
    with outbox.locked():
        assert not (outbox.root / ".impasto/tmp/folder").exists()


def test_a_link_out_of_the_outbox_is_refused(outbox: Outbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with outbox.locked():
        (outbox.root / "link").symlink_to(outside)
        with pytest.raises(StorageError, match="leads out"):
            outbox.publish_picture("link/a.png", b"1")
        (outbox.root / "failed").symlink_to(outside)
        with pytest.raises(StorageError, match="leads out"):
            outbox.publish_failure("a", Record())
    assert list(outside.iterdir()) == []
