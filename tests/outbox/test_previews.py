"""Tests of the files of previews: replacement, and removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.outbox.publish import Outbox
from pipeline.outbox.working_files import Previews

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state/preview"


@pytest.fixture
def previews(folder: Path, tmp_path: Path) -> Previews:
    return Previews(folder, tmp_path / "state/tmp", Disk())


def test_a_preview_is_replaced_whole(previews: Previews, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    previews.write("sea/a", b"one")
    assert previews.path("sea/a") == folder / "sea/a.jpg"
    seen = []
    rename = Disk.rename

    def looking(disk: Disk, source: Path, target: Path) -> None:
        seen.append((source.read_bytes(), target.read_bytes()))
        rename(disk, source, target)

    monkeypatch.setattr(Disk, "rename", looking)
    previews.write("sea/a", b"two")
    assert seen == [(b"two", b"one")]
    assert previews.path("sea/a").read_bytes() == b"two"


def test_the_last_one_leaves_nothing_behind(previews: Previews, folder: Path) -> None:
    for name in ("sea/a", "sea/b", "c"):
        previews.write(name, b"x")
    previews.remove("sea/a")
    assert sorted(path.name for path in folder.rglob("*.jpg")) == ["b.jpg", "c.jpg"]
    previews.remove("c")
    previews.remove("sea/b")
    assert not folder.exists()
    previews.remove("sea/b")  # removing it again is no error


def test_what_cannot_be_removed_is_an_error(previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Disk, path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    previews.write("a", b"x")
    monkeypatch.setattr(Disk, "unlink", fail)
    with pytest.raises(PermissionError):
        previews.remove("a")


def test_those_of_a_killed_run_go_with_the_next_and_those_of_watchers_stay(tmp_path: Path) -> None:
    watcher = Outbox(tmp_path, process="host-1-abc")
    killed = Outbox(tmp_path)
    killed.previews.write("sea/a", b"x")
    watcher.previews.write("sea/b", b"x")
    with Outbox(tmp_path).locked():
        assert not killed.previews.path("sea/a").exists()
        assert watcher.previews.path("sea/b").exists()
    killed.clear_temporary("host-1-abc")  # as the worker that takes over its jobs does
    assert not watcher.previews.path("sea/b").exists()


def test_a_process_of_a_run_with_several_devices_clears_its_own_files_and_the_run_those_of_a_killed_one(
    tmp_path: Path,
) -> None:
    one, killed = (Outbox(tmp_path, process=f"run/{number}") for number in (1, 2))
    killed.previews.write("b", b"x")
    with one.opened():
        one.previews.write("a", b"x")
    assert not one.previews.path("a").exists()
    assert killed.previews.path("b").exists()
    with Outbox(tmp_path).locked():
        assert not killed.previews.path("b").exists()
    assert list((tmp_path / ".impasto/tmp").rglob("*")) == []
