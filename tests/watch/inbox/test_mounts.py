"""Tests of finding the file system of a folder, and whether other hosts share it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from pipeline.watch.inbox import mounts
from pipeline.watch.inbox.mounts import file_system_of, is_shared

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there is a table of mounts")

DESKTOP = r"""/dev/nvme0n1p2 / ext4 rw,relatime,errors=remount-ro 0 0
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
tmpfs /tmp tmpfs rw,nosuid,nodev,size=8136520k 0 0
/dev/nvme0n1p3 /home btrfs rw,relatime,ssd,subvol=/home 0 0
nas:/export/photos /mnt/nas nfs4 rw,relatime,vers=4.2,hard,proto=tcp 0 0
nas:/a /mnt/a nfs rw,relatime,vers=3 0 0
//nas/my\040pictures /mnt/my\040pictures cifs rw,relatime,vers=3.1.1 0 0
ada@host:/ /home/ada/remote fuse.sshfs rw,nosuid,nodev,relatime,user_id=1000 0 0
scratch /mnt/nas/scratch tmpfs rw,relatime 0 0
/dev/sdb1 /srv/in xfs rw,relatime 0 0
nas:/in /srv/in nfs4 rw,relatime,vers=4.2 0 0
nas:/out /srv/out nfs4 rw,relatime,vers=4.2 0 0
/dev/sdc1 /srv/out xfs rw,relatime 0 0
10.0.0.1:/ /srv/back\134slash\011tab ceph rw 0 0
"""
CONTAINER = r"""overlay / overlay rw,relatime,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w 0 0
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
/dev/sda1 /data/in ext4 rw,relatime 0 0
"""
WINDOWS_GUEST = r"""/dev/sdc / ext4 rw,relatime 0 0
C:\134 /mnt/c 9p rw,noatime,dirsync,aname=drvfs;path=C:\;uid=1000 0 0
shared /media/shared vboxsf rw,nodev 0 0
/dev/sdd1 /media/stick fuseblk rw,nosuid 0 0
"""


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that simulates the mounts of the system, by lines of fstab(5)."""
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "MOUNT_TABLE", table)
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])

    def write(text: str) -> None:
        table.write_bytes(os.fsencode("".join(map(as_mountinfo, text.splitlines()))))

    return write


def as_mountinfo(line: str) -> str:
    """Return a line of /proc/self/mountinfo; see proc_pid_mountinfo(5)."""
    fields = line.split(" ")
    if len(fields) != 6:
        return f"{line}\n"
    source, point, kind, options, *_ = fields
    return f"36 35 98:0 / {point} {options} shared:7 master:1 - {kind} {source} rw\n"


@pytest.mark.parametrize(
    ("text", "path", "kind"),
    [
        (DESKTOP, "/", "ext4"),
        (DESKTOP, "/var/inbox", "ext4"),
        (DESKTOP, "/tmp", "tmpfs"),  # noqa: S108
        (DESKTOP, "/home/ada/inbox", "btrfs"),
        (DESKTOP, "/home/ada/remote/inbox", "fuse.sshfs"),
        (DESKTOP, "/mnt/nas", "nfs4"),
        (DESKTOP, "/mnt/nas/in/deep", "nfs4"),
        (DESKTOP, "/mnt/nas/scratch/in", "tmpfs"),
        (DESKTOP, "/mnt/a/in", "nfs"),
        (DESKTOP, "/mnt/ab/in", "ext4"),
        (DESKTOP, "/mnt/ab", "ext4"),
        (DESKTOP, "/mnt", "ext4"),
        (DESKTOP, "/mnt/my pictures/in", "cifs"),
        (DESKTOP, "/mnt/my", "ext4"),
        (DESKTOP, "/mnt/my\\040pictures", "ext4"),
        (DESKTOP, "/srv/in/deep", "nfs4"),
        (DESKTOP, "/srv/out/deep", "xfs"),
        (DESKTOP, "/srv/back\\slash\ttab", "ceph"),
        (CONTAINER, "/app/inbox", "overlay"),
        (CONTAINER, "/data/in/a", "ext4"),
        (WINDOWS_GUEST, "/mnt/c/Users/Ada", "9p"),
        (WINDOWS_GUEST, "/media/shared", "vboxsf"),
        (WINDOWS_GUEST, "/media/stick/in", "fuseblk"),
        ("", "/inbox", None),
        ("nonsense\n\n1 2 3 - 4\n", "/inbox", None),
        (f"nonsense\n{CONTAINER}", "/inbox", "overlay"),
    ],
)
def test_the_innermost_mount_tells_the_file_system(
    mount: Callable[[str], None], text: str, path: str, kind: str | None
) -> None:
    mount(text)
    assert file_system_of(Path(path)) == kind


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        ("nfs", True),
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("9p", True),
        ("drvfs", True),
        ("fuse", True),
        ("fuse.sshfs", True),
        ("fuse.rclone", True),
        ("ceph", True),
        ("virtiofs", True),
        ("vboxsf", True),
        ("ext4", False),
        ("xfs", False),
        ("btrfs", False),
        ("zfs", False),
        ("overlay", False),
        ("tmpfs", False),
        ("nfsd", False),
        ("fusectl", False),
    ],
)
def test_networks_and_folders_of_a_host_are_shared(
    tmp_path: Path, mount: Callable[[str], None], kind: str, *, shared: bool
) -> None:
    inbox = tmp_path / "in"
    mount(f"/dev/sda1 / ext4 rw,relatime 0 0\nsource {inbox} {kind} rw,relatime 0 0\n")
    assert is_shared(inbox / "folder") is shared
    assert is_shared(tmp_path) is False


def test_a_link_is_on_the_file_system_that_it_leads_to(tmp_path: Path, mount: Callable[[str], None]) -> None:
    there = tmp_path / "there"
    mount(f"nas:/ {there} nfs4 rw 0 0\n")
    there.mkdir()
    (tmp_path / "link").symlink_to(there)
    assert is_shared(tmp_path / "link")


def test_a_mount_point_may_have_bytes_that_are_no_text(mount: Callable[[str], None]) -> None:
    mount("nas:/ /mnt/caf\udce9 nfs4 rw 0 0\n")
    assert is_shared(Path("/mnt/caf\udce9"))


def test_nothing_is_shared_where_no_mounts_are_told(tmp_path: Path, mount: Callable[[str], None]) -> None:
    assert is_shared(tmp_path) is False, "the file of mounts does not exist"
    mount("")
    assert is_shared(tmp_path) is False


def test_the_mounts_of_this_machine_are_told() -> None:
    assert file_system_of(Path("/proc")) == "proc"


def test_a_table_that_nobody_updates_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        pytest.fail("psutil reads /etc/mtab")

    monkeypatch.setattr(psutil, "disk_partitions", fail)
    assert file_system_of(Path("/proc")) == "proc"


def test_without_the_kernels_table_psutil_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNT_TABLE", tmp_path / "none")
    partition = SimpleNamespace(mountpoint="/", fstype="apfs")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [partition])
    assert file_system_of(tmp_path) == "apfs"
