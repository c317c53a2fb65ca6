"""Tests of the doctor's checks of folders; faults of a machine are simulated."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from filelock import FileLock

from pipeline.cli.doctor import folder_checks
from pipeline.cli.doctor.finding import findings_of
from pipeline.cli.doctor.folder_checks import folder, styles
from pipeline.disk import Disk
from pipeline.settings.all_settings import validate
from pipeline.watch.inbox.rights import Rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.cli.doctor.finding import Finding

SETTINGS = validate({})


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def found(path: Path, values: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the findings about a path that are not OK: text and remedy by level; each finding has a remedy."""
    findings = list(folder(path, validate(values or {})))
    assert findings
    assert all(each.about.startswith(str(path)) and bool(each.remedy) == (each.level != "OK") for each in findings)
    return told(findings)


def told(findings: list[Finding]) -> dict[str, str]:
    """Return the findings that are not OK: text and remedy by level."""
    levels = [each.level for each in findings if each.level != "OK"]
    assert len(levels) == len(set(levels)), findings
    return {each.level: f"{each.text} {each.remedy}" for each in findings if each.level != "OK"}


def raising(number: int) -> Callable[..., None]:
    """Return a function that raises the OSError of an errno."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_good_folder_has_nothing_to_complain_of_and_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    (tmp_path / ".impasto").mkdir()
    findings = list(folder(tmp_path, SETTINGS))
    assert told(findings) == {}
    texts = "; ".join(each.text for each in findings)
    assert "renames, links and locks work" in texts
    if folder_checks.WATCH_LIMIT_FILE.exists():
        assert "events arrive; 2 folders," in texts  # the folder and sea/; hidden folders are not watched
    assert sorted(path.name for path in tmp_path.iterdir()) == [".impasto", "sea"]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    complaints = found(tmp_path / "in/box")
    assert complaints == {
        "WARN": f"does not exist. A run makes its outbox itself; make an inbox yourself: mkdir {tmp_path}/in/box"
    }


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert found(tmp_path / "out") == {"FAIL": "is no folder. Name a folder."}


def test_a_missing_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"{tmp_path} cannot be written" in found(tmp_path / "out")["FAIL"]


def test_a_folder_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(tmp_path), "is_dir", raising(errno.EACCES))
    (finding,) = findings_of("x", lambda: folder(tmp_path / "out", SETTINGS))
    assert (finding.level, finding.text) == ("FAIL", "Permission denied.")
    assert finding.remedy


def test_an_error_of_the_system_that_has_no_number_is_told_by_its_text() -> None:
    def check() -> Iterator[Finding]:
        raise OSError("the library says so")

    (finding,) = findings_of("x", check)
    assert finding.text == "the library says so."


@pytest.mark.parametrize(("free", "level"), [(1 << 20, "FAIL"), (1 << 30, "WARN")])
def test_little_room(free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_checks.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free))
    assert "GiB free" in found(tmp_path)[level]


def test_few_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Facts(NamedTuple):
        f_files: int
        f_favail: int

    monkeypatch.setattr(folder_checks.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, 1 << 40))
    monkeypatch.setattr(os, "statvfs", lambda _: Facts(1000, 7))
    assert "room for 7 more files only" in found(tmp_path)["WARN"]
    monkeypatch.setattr(os, "statvfs", lambda _: Facts(0, 0))  # btrfs reports no number of inodes
    assert found(tmp_path) == {}


def test_a_network_share_needs_polling_and_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_checks, "is_shared", lambda _: True)
    assert "watch.settle_seconds = 10" in found(tmp_path)["WARN"]
    assert "watch.settle_seconds = 10" in found(tmp_path, {"watch": {"polling": True}})["WARN"]
    assert found(tmp_path, {"watch": {"polling": True, "settle_seconds": 10.0}}) == {}


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "write", raising(errno.EROFS))
    assert found(tmp_path)["FAIL"].startswith("cannot be worked in: Read-only file system.")


def test_a_folder_in_the_inbox_from_which_nothing_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sea").mkdir()
    monkeypatch.setattr(Rights, "why_not_from", lambda *_: "cannot be moved: it is a mount; remove it")
    assert found(tmp_path) == {"WARN": "a file in it cannot be moved: it is a mount. Remove it."}
    monkeypatch.undo()
    rename = Disk.rename

    def refuse(self: Disk, source: Path, target: Path) -> None:
        if source.parent.name == "sea":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(self, source, target)

    monkeypatch.setattr(Disk, "rename", refuse)
    assert "cannot be moved: Invalid cross-device link" in found(tmp_path)["WARN"]
    assert list((tmp_path / "sea").iterdir()) == []


def test_a_sticky_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea").chmod(0o1777)
    assert found(tmp_path) == {}, "root and the owner may move everything"
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "sea").stat().st_uid + 1)
    assert "is sticky" in found(tmp_path)["WARN"]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "link", raising(errno.EPERM))
    assert "no hard links" in found(tmp_path)["WARN"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_fails_for_another_reason_is_no_lack_of_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Disk, "link", raising(errno.ENOSPC))
    assert found(tmp_path)["FAIL"].startswith("cannot be worked in: No space left on device.")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLock, "acquire", raising(errno.ENOLCK))
    assert found(tmp_path)["FAIL"].startswith("files cannot be locked here")


def test_locks_that_lock_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLock, "acquire", lambda self, *_, **__: self)
    assert "can be locked once more" in found(tmp_path)["WARN"]


def test_a_file_system_with_another_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = folder_checks.time.time
    monkeypatch.setattr(folder_checks.time, "time", lambda: real() + 100)
    assert "differ by 100 s" in found(tmp_path)["WARN"]


def test_a_system_that_watches_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_checks.WatchdogEvents, "start", raising(errno.ENOSPC))
    assert "events are not available (No space left on device)" in found(tmp_path)["WARN"]


def test_events_that_do_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_checks.WatchdogEvents, "start", lambda _: None)
    monkeypatch.setattr(folder_checks, "EVENT_SECONDS", 0.01)
    assert "caused no event" in found(tmp_path)["WARN"]
    assert found(tmp_path, {"watch": {"polling": True}}) == {}


def test_too_few_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "max_user_watches"
    limit.write_text("3\n")
    monkeypatch.setattr(folder_checks, "WATCH_LIMIT_FILE", limit)
    (tmp_path / "sea").mkdir()
    assert "2 folders need as many of 3 watches" in found(tmp_path)["WARN"]


def test_the_style_library(tmp_path: Path) -> None:
    def of_styles(**values: str) -> dict[str, str]:
        return told(list(styles(validate({"styles": {"folder": str(tmp_path), **values}}))))

    assert "has no paintings" in of_styles()["FAIL"]
    (tmp_path / "Sea.jpg").touch()
    assert of_styles() == {}
    assert of_styles(default="sea") == {}
    assert of_styles(default="land") == {"FAIL": f"land: is no style of {tmp_path}. Name one of: sea"}
    assert "No such file" in told(list(styles(validate({"styles": {"folder": str(tmp_path / "none")}}))))["FAIL"]


def test_a_thousand_folders_one_in_another_are_no_reason_to_fail(
    tmp_path: Path, nest_folders: Callable[[Path, int], None]
) -> None:
    nest_folders(tmp_path, 2000)
    assert list(folder(tmp_path, SETTINGS))


def test_a_state_folder_that_others_may_exchange_is_found(tmp_path: Path) -> None:
    state = tmp_path / ".impasto"
    assert found(tmp_path) == {}
    tmp_path.chmod(0o777)
    assert "Make" in found(tmp_path)["WARN"]
    assert "watch.spool" in found(tmp_path)["WARN"]
    assert found(tmp_path, {"watch": {"spool": str(tmp_path.parent / "spool")}}) == {}
    tmp_path.chmod(0o1777)
    assert found(tmp_path) == {}
    state.mkdir(mode=0o755)
    assert found(tmp_path) == {}
    state.chmod(0o777)
    assert f"chmod -R go-w {state}" in found(tmp_path)["WARN"]
    state.rmdir()
    state.symlink_to(tmp_path.parent)
    assert "is a link or a file" in found(tmp_path)["FAIL"]
