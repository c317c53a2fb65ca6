"""Tests of the check of names of results."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import OccupiedError, StorageError
from pipeline.outbox.paths import check_name, name_errors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a.png", "leaves"),
        ("a/../../b.png", "leaves"),
        ("/a.png", "leaves"),
        ("c:a.png", "the character ':'"),
        ("a\\b.png", "the character"),
        ("", "empty"),
        ("a\n.png", "the character '\\n'"),
        ("failed/a.png", "begins with failed"),
        ("FAILED/a.png", "begins with FAILED"),
        (".impasto/a.png", "begins with .impasto"),
        ("a" * 251, "longer"),
        ("ö" * 130, "longer"),
    ],
)
def test_bad_names_are_explained(name: str, words: str) -> None:
    assert words in (check_name(name) or "")


@pytest.mark.parametrize(
    ("number", "name", "error"),
    [
        (errno.EILSEQ, "a.png", OccupiedError),
        (errno.EINVAL, "what?.png", OccupiedError),
        (errno.EINVAL, "a.png", StorageError),
    ],
)
def test_a_name_that_a_network_share_cannot_have_is_the_fault_of_its_pair_alone(
    tmp_path: Path, number: int, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error), name_errors(tmp_path, tmp_path / name):
        raise OSError(number, os.strerror(number), str(tmp_path / name))
