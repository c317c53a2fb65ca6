"""Somebody who may drop files, and who exchanges things in the inbox between any two steps of a watcher."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final, Self

from tests.faults.world import photo

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.faults.disk import Operation

SECRET: Final = b"SECRET"
"""Bytes that every file of the victim contains."""
FOLDERS: Final = ("sea", "sea/deep", "sky")
FILES: Final = ("sea/a.jpg", "sea/deep/b.jpg", "sky/_style.jpg", "sky/c.jpg", "job.csv", "b.png")
_STRANGER: Final = 12345
"""Number of a user who owns nothing."""
_STEPS: Final = frozenset(
    {"open", "os.scandir", "os.listdir", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.utime"}
)
"""Names of Python's audit events that come just before a step that a file system takes."""
_active: list[Adversary] = []


class Adversary:
    """Acts at random before each system call of this process on files while it is entered as a context manager."""

    def __init__(self, inbox: Path, outside: Path, dice: random.Random, share: float) -> None:
        """Prepare.

        Args:
            inbox: the inbox.
            outside: a folder that belongs to the adversary, on the same file system.
            dice: decides when and how to act.
            share: probability of an action before each step.
        """
        self._inbox, self._outside, self._dice, self._share = inbox, outside, dice, share
        self._is_acting = False
        self.actions = 0
        """Number of actions so far."""
        self.victim = outside / "victim"
        """Folder that must stay as it is; it has a file for each file of the inbox, so that any link leads to one."""
        self.workers: list[str] = []
        """Names of workers, which anybody can read in the spool."""

    def __enter__(self) -> Self:
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.remove(self)

    def before_disk(self, _operation: Operation, _number: int) -> None:
        """Act before or after an operation of a `FaultyDisk`, since no audit event announces a look at a status."""
        if self in _active:
            self.step()

    def step(self) -> None:
        """Act, perhaps."""
        if self._is_acting or self._dice.random() > self._share:
            return
        self._is_acting = True
        try:
            self._act()
            self.actions += 1
        except OSError:
            pass  # what it wanted to exchange has been claimed or exchanged before
        finally:
            self._is_acting = False

    def _act(self) -> None:
        dice = self._dice
        action = dice.choice(
            (
                *[self._restore, self._link_folder] * 3, self._link_file, self._link_file, self._special_file,
                self._folder_for_file, self._file_for_folder, self._move_out, self._swap_folders, self._change_owner,
                self._links_for_probes,
            )
        )  # fmt: skip
        action()

    def _own(self, name: str) -> Path:
        """Return a path in the inbox; OSError if it leads out of the inbox, where the adversary may change nothing."""
        path = self._inbox / name
        if not path.parent.resolve().is_relative_to(self._inbox.resolve()):
            raise PermissionError(path)
        return path

    def _take_away(self, path: Path) -> None:
        """Free a name, by a rename if there is anything."""
        if os.path.lexists(path):
            path.rename(self._outside / f"taken-{self.actions}-{self._dice.random()}")

    def _link_folder(self) -> None:
        name = self._dice.choice(FOLDERS)
        self._take_away(self._own(name))
        (self._inbox / name).symlink_to(self.victim / name)

    def _link_file(self) -> None:
        name = self._dice.choice(FILES)
        self._take_away(self._own(name))
        (self._inbox / name).symlink_to(self.victim / name)

    def _restore(self) -> None:
        """Put a real folder with files back, so that the watcher has something to claim."""
        name = self._dice.choice(FILES)
        path = self._inbox / name
        for folder in reversed(path.relative_to(self._inbox).parents[:-1]):
            if (self._inbox / folder).is_symlink() or (self._inbox / folder).is_file():
                self._take_away(self._inbox / folder)
            (self._inbox / folder).mkdir(exist_ok=True)
        self._take_away(self._own(name))
        path.write_bytes(self._content(name))

    def _content(self, name: str) -> bytes:
        return b"content,style\nb.png,sea\n" if name.endswith(".csv") else photo(f"{name} {self.actions}")

    def _special_file(self) -> None:
        path = self._own(self._dice.choice(FILES))
        self._take_away(path)
        os.mkfifo(path)

    def _folder_for_file(self) -> None:
        path = self._own(self._dice.choice(FILES))
        self._take_away(path)
        path.mkdir()
        (path / "a.jpg").symlink_to(self.victim / "sea/a.jpg")
        (path / "deep").symlink_to(self.victim / "sea/deep")
        (path / "inner.jpg").write_bytes(self._content("inner.jpg"))

    def _file_for_folder(self) -> None:
        path = self._own(self._dice.choice(FOLDERS))
        self._take_away(path)
        path.write_bytes(b"no folder")

    def _move_out(self) -> None:
        """Move a folder out of the inbox, so that an open descriptor of it leads outside, and put a link there."""
        path = self._own(self._dice.choice(FOLDERS))
        path.rename(self._outside / f"moved-{self.actions}-{self._dice.random()}")
        path.symlink_to(self._outside)

    def _swap_folders(self) -> None:
        one, other = map(self._own, self._dice.sample(FOLDERS, 2))
        aside = self._outside / f"aside-{self.actions}-{self._dice.random()}"
        one.rename(aside)
        other.rename(one)
        aside.rename(other)

    def _change_owner(self) -> None:
        path = self._own(self._dice.choice(FILES + FOLDERS))
        if os.geteuid() == 0:
            os.chown(path, _STRANGER, _STRANGER, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(self._dice.choice((0o600, 0o777, 0o4755)), follow_symlinks=False)

    def _links_for_probes(self) -> None:
        for worker in self.workers:
            for prefix in (".impasto-alive-", ".impasto-probe-"):
                (self._inbox / f"{prefix}{worker}").symlink_to(self.victim / "sea/a.jpg")


def make_victim(folder: Path) -> dict[str, Any]:
    """Fill the folder of a victim; return what `state_of` says about it."""
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = b"content,style\n" + SECRET + b".png,sea\n"
        path.write_bytes(rows if name.endswith(".csv") else b"photo " + SECRET + name.encode() + b"." * 50 + b"|end")
        os.utime(path, (1e9, 1e9))
    return state_of(folder)


def state_of(folder: Path) -> dict[str, Any]:
    """Return all that can be seen of the files and folders below a folder, except the times of reading."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else sorted(os.listdir(path))  # noqa: PTH208 - the names alone
        facts = (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, status.st_ctime_ns)
        found[str(path.relative_to(folder))] = facts, data
    return found


def empty_inbox(inbox: Path) -> None:
    """Remove everything from an inbox except the spool."""
    for path in list(inbox.iterdir()):
        if path.name == ".impasto":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if _active and event in _STEPS:
        _active[-1].step()


sys.addaudithook(_audit)  # stays for the life of the process, and does nothing while no adversary is active
