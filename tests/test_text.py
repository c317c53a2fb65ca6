"""Tests of figures, times and names as people read them."""

from __future__ import annotations

import os
import shlex
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import (
    displayable,
    displayable_values,
    duration,
    encodable,
    printable,
    rate,
    shell_quoted,
    single_line,
)

NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@pytest.mark.parametrize(
    ("seconds", "words"), [(1.23, "1.2 s"), (59.4, "59 s"), (90, "2 min"), (7140, "119 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("per_hour", "words"), [(0.1234, "0.123 pairs/h"), (1540.4, "1,540 pairs/h")])
def test_rates(per_hour: float, words: str) -> None:
    assert rate(per_hour) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve 画.png", "naïve 画.png"),
        ("two\nlines", "two\nlines"),
        (os.fsdecode(b"caf\xe9"), "caf\N{REPLACEMENT CHARACTER}"),
        ("bell\a", "bell\N{REPLACEMENT CHARACTER}"),
        ("gnp.\u202ephoto", "gnp.\N{REPLACEMENT CHARACTER}photo"),
        ("a\x9b31mb\x85\x7f", "a\N{REPLACEMENT CHARACTER}31mb" + 2 * "\N{REPLACEMENT CHARACTER}"),
        ("a\u2028b\u2029\u2066", "a\N{REPLACEMENT CHARACTER}b" + 2 * "\N{REPLACEMENT CHARACTER}"),
        ("3.00.00\u202fPM \N{FAMILY}\u200d", "3.00.00\u202fPM \N{FAMILY}\u200d"),
    ],
)
def test_what_cannot_be_shown_is_replaced(text: str, expected: str) -> None:
    assert displayable(text) == expected
    assert displayable(text).encode()


@given(NAMES)
def test_each_way_to_clean_a_name_replaces_what_the_weaker_ones_do(name: str) -> None:
    assert encodable(name).encode()
    assert encodable(displayable(name)) == displayable(name)
    assert displayable(single_line(name)) == single_line(name)
    assert single_line(printable(name)) == printable(name)


@given(st.text())
def test_a_single_line_holds_no_character_that_a_terminal_obeys(text: str) -> None:
    line = single_line(text)
    assert len(line.splitlines()) <= 1
    assert not [character for character in line if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}]


def test_texts_at_any_depth_are_made_displayable() -> None:
    assert displayable_values({"a\x1b": ["b\x07", 1, None, {"c": ("d\x9b",)}]}) == {
        "a\ufffd": ["b\ufffd", 1, None, {"c": ["d\ufffd"]}]
    }


@given(NAMES)
def test_what_can_be_shown_is_quoted_for_any_shell(name: str) -> None:
    if displayable(name) == name and not {"\n", "\t"} & set(name):
        assert shlex.split(shell_quoted(name)) == [name]
    assert displayable(shell_quoted(name)) == shell_quoted(name), (
        "the quoted name has only displayable characters, so a person can copy it"
    )


@pytest.mark.parametrize("name", ["it's", "a b$HOME`x`", os.fsdecode(b"caf\xe9' \\7"), "two\nlines\t", "\x017"])
def test_bash_takes_it_for_the_name(name: str) -> None:
    command = f"printf %s {shell_quoted(name)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)  # noqa: S607 - bash from the user's PATH
    assert done.stdout == os.fsencode(name)
