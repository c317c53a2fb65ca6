from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.watch.inbox.mounts import file_system, is_shared

DESKTOP = r"""22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 22 0:34 / /tmp rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=8136520k
25 22 259:3 / /home rw,relatime shared:30 master:2 - btrfs /dev/nvme0n1p3 rw,ssd,subvol=/home
26 22 0:52 / /mnt/nas rw,relatime shared:400 - nfs4 nas:/export/photos rw,vers=4.2,hard,proto=tcp
27 22 0:53 / /mnt/a rw,relatime shared:401 - nfs nas:/a rw,vers=3
28 22 0:54 / /mnt/my\040pictures rw,relatime shared:402 - cifs //nas/my\040pictures rw,vers=3.1.1
29 25 0:55 / /home/ada/remote rw,nosuid,nodev,relatime shared:403 - fuse.sshfs ada@host:/ rw,user_id=1000
30 26 0:56 / /mnt/nas/scratch rw,relatime shared:404 - tmpfs scratch rw
31 22 259:4 / /srv/in rw,relatime shared:405 - xfs /dev/sdb1 rw
32 22 0:57 / /srv/in rw,relatime shared:406 - nfs4 nas:/in rw,vers=4.2
33 22 0:58 / /srv/out rw,relatime shared:407 - nfs4 nas:/out rw,vers=4.2
34 22 259:5 / /srv/out rw,relatime shared:408 - xfs /dev/sdc1 rw
35 22 0:59 / /srv/back\134slash\011tab rw - ceph 10.0.0.1:/ rw
"""
CONTAINER = r"""600 500 0:60 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
601 600 0:61 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
602 600 259:2 /data/in /data/in rw,relatime - ext4 /dev/sda1 rw
"""
WINDOWS_GUEST = r"""70 60 8:32 / / rw,relatime - ext4 /dev/sdc rw
71 70 0:40 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000
72 70 0:41 / /media/shared rw,nodev - vboxsf shared rw
73 70 0:42 / /media/stick rw,nosuid - fuseblk /dev/sdd1 rw
"""


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
def test_the_innermost_mount_tells_the_file_system(text: str, path: str, kind: str | None) -> None:
    assert file_system(path, text) == kind


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
def test_networks_and_folders_of_a_host_are_shared(tmp_path: Path, kind: str, *, shared: bool) -> None:
    mountinfo, inbox = tmp_path / "mountinfo", tmp_path / "in"
    root = "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
    mountinfo.write_text(f"{root}\n30 22 0:50 / {inbox} rw,relatime shared:2 - {kind} source rw\n")
    assert is_shared(inbox / "folder", mountinfo) is shared
    assert is_shared(tmp_path, mountinfo) is False


def test_a_link_is_on_the_file_system_that_it_leads_to(tmp_path: Path) -> None:
    mountinfo, there = tmp_path / "mountinfo", tmp_path / "there"
    mountinfo.write_text(f"30 22 0:50 / {there} rw - nfs4 nas:/ rw\n")
    there.mkdir()
    (tmp_path / "link").symlink_to(there)
    assert is_shared(tmp_path / "link", mountinfo)


def test_a_mount_point_may_have_bytes_that_are_no_text(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(b"30 22 0:50 / /mnt/caf\xe9 rw - nfs4 nas:/ rw\n")
    assert is_shared(Path("/mnt/caf\udce9"), mountinfo)


def test_nothing_is_shared_where_no_mounts_are_told(tmp_path: Path) -> None:
    assert is_shared(tmp_path, tmp_path / "missing") is False
    (tmp_path / "empty").touch()
    assert is_shared(tmp_path, tmp_path / "empty") is False
