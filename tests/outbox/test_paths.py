"""Tests of the check of names of results."""

from __future__ import annotations

import pytest

from pipeline.outbox.paths import check_name


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
