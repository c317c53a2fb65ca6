from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outbox.report.links import from_href, href
from pipeline.text import shell_quoted, shown

NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(NAMES)
def test_a_link_is_ascii_and_gives_the_name_back(name: str) -> None:
    link = href(name)
    assert link.isascii()
    assert not set(link) & set("#?\"'<>& :\\")
    assert from_href(link) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve 画.png", "naïve 画.png"),
        ("two\nlines", "two\nlines"),
        (os.fsdecode(b"caf\xe9"), "caf\N{REPLACEMENT CHARACTER}"),
        ("bell\a", "bell\N{REPLACEMENT CHARACTER}"),
        ("gnp.\u202ephoto", "gnp.\N{REPLACEMENT CHARACTER}photo"),
    ],
)
def test_what_cannot_be_shown_is_replaced(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(text).encode()


@given(NAMES)
def test_what_can_be_shown_is_quoted_for_any_shell(name: str) -> None:
    if shown(name) == name and not {"\n", "\t"} & set(name):
        assert shlex.split(shell_quoted(name)) == [name]
    assert shown(shell_quoted(name)) == shell_quoted(name), "a person can copy it"


@pytest.mark.parametrize("name", ["it's", "a b$HOME`x`", os.fsdecode(b"caf\xe9' \\7"), "two\nlines\t", "\x017"])
def test_bash_takes_it_for_the_name(name: str) -> None:
    command = f"printf %s {shell_quoted(name)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)  # noqa: S607 - the user's bash
    assert done.stdout == os.fsencode(name)
