"""Tests of what a user is told to do about an error of the operating system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.disk import as_storage_error
from pipeline.errors import MACHINE_ERRNOS
from pipeline.system.remedies import remedy_of, remedy_without_events


def error_of(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "writable"),
        (errno.EACCES, "permissions"),
        (errno.EPERM, "sticky"),
        (errno.ENOLCK, "without nolock"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.EIO, "Check the disk"),
        (errno.ESTALE, "mount the file system again"),
        (errno.ENAMETOOLONG, "Shorten"),
        (errno.EXDEV, "one file system"),
        (errno.ENOENT, "mount its file system"),
        (errno.EINVAL, "lacks an operation"),
        (9999, "Correct the cause"),
    ],
)
def test_each_cause_has_its_own_remedy(number: int, words: str) -> None:
    assert words in remedy_of(error_of(number))
    storage = as_storage_error(error_of(number), Path("/out"))
    assert words in storage.remedy
    assert storage.remedy.endswith("; work continues from where it stopped.")
    assert number in {errno.ENOSPC, errno.EDQUOT} or "space" not in storage.remedy


def test_an_error_without_a_number_is_explained_by_its_own_words() -> None:
    assert as_storage_error(OSError("it is odd"), Path("/out")).message == "/out: cannot be read or written: it is odd."


@pytest.mark.parametrize("number", sorted(MACHINE_ERRNOS), ids=errno.errorcode.get)
def test_every_error_that_is_the_machines_has_a_remedy(number: int) -> None:
    assert remedy_of(error_of(number)) != remedy_of(error_of(9999))


def test_instances_and_watches_of_inotify_are_told_apart() -> None:
    assert "max_user_instances" in remedy_without_events(error_of(errno.EMFILE))
    assert "max_user_watches" in remedy_without_events(error_of(errno.ENOSPC))
    assert "permissions" in remedy_without_events(error_of(errno.EACCES))
