"""Tests of the names of results."""

from __future__ import annotations

import os
import unicodedata
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.outbox.paths import LONGEST_NAME_BYTES, check_name
from pipeline.run.result_names import alternatives, result_name
from pipeline.text import printable

KEY = "0123456789abcdef" * 4

ESCAPED_BYTES = st.integers(0xDC80, 0xDCFF).map(chr)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0") | ESCAPED_BYTES
AWKWARD = st.sampled_from(
    ["failed", "FAILED", " failed.", "Failed\u0301", ".impasto", ".Impasto", "..", ".", "...", " ", "~", "c:", "a\\b"]
)
PARTS = AWKWARD | st.text(CHARACTERS, min_size=1) | st.builds(str.__mul__, CHARACTERS, st.integers(60, 255))


@pytest.mark.parametrize(
    ("relative", "style", "name"),
    [
        ("kitten.jpg", "sea", "kitten__sea"),
        ("sea/kitten.jpg", "sea", "kitten__sea"),
        ("sea/2024/may/kitten.jpg", "sea", "2024/may/kitten__sea"),
        ("kitten.old.jpg", "sea", "kitten.old__sea"),
        ("sea/.hidden.jpg", "sea", "hidden__sea"),
        ("a\tb\x7f\x1f.jpg", "s\x00", "a\ufffdb\ufffd\ufffd__s\ufffd"),
        ("sea/new\nline/two\nlines.jpg", "sea", "new\ufffdline/two\ufffdlines__sea"),
        ("sea/d\udcff/kit\udcfften.jpg", "s\udcffa", "d\ufffd/kit\ufffdten__s\ufffda"),
        ("sea/u\u0308/a\u0308.jpg", "o\u0308", "\u00fc/\u00e4__\u00f6"),
        ('a:b*c?d"e<f>g|h\\i.jpg', "c:\\sea", "a_b_c_d_e_f_g_h_i__c__sea"),
        ("sea/failed/a.jpg", "sea", "_failed/a__sea"),
        ("sea/Failed/a.jpg", "sea", "_Failed/a__sea"),
        ("sea/x/failed/a.jpg", "sea", "x/failed/a__sea"),
        ("sea/.impasto/a.jpg", "sea", "impasto/a__sea"),
        ("failed/..", "failed", "___failed"),
        ("sea/failed/../a.jpg", "..", "_failed/_/a___"),
        ("sea/../../a.jpg", "sea", "_/_/a__sea"),
        (" . .jpg", " ", "____"),
        ("sea/ a /b .jpg", " sea.", "a/b__sea"),
    ],
)
def test_a_result_is_named_after_its_folders_its_photograph_and_its_style(relative: str, style: str, name: str) -> None:
    assert result_name(relative, style, check_name) == name


@pytest.mark.parametrize("character", ["a", "\u00e4", "\u732b", "\U0001f431"])
def test_names_that_are_too_long_are_cut_and_stay_different(character: str) -> None:
    longest = character * (251 // len(character.encode()))
    photos = [f"{longest[:-1]}{end}.jpg" for end in "xy"]
    names = [result_name(f"sea/{longest}/{photo}", longest, check_name) for photo in photos]
    assert names[0] != names[1]
    for name in names:
        folder, stem = name.split("/")
        assert folder.startswith(character * 10)
        assert stem.startswith(character * 10)
        assert len(f"{stem}-{KEY}.png.json".encode()) <= LONGEST_NAME_BYTES
    assert names[0] == result_name(f"sea/{longest}/{photos[0]}", longest, check_name)


def test_a_name_of_80_bytes_is_kept_and_one_of_81_is_cut() -> None:
    assert result_name(f"{'a' * 80}.jpg", "s", check_name) == f"{'a' * 80}__s"
    photo, _, style = result_name(f"{'a' * 81}.jpg", "s", check_name).rpartition("__")
    assert (len(photo), photo[:72], style) == (80, "a" * 71 + "~", "s")


@settings(deadline=None, max_examples=300)
@given(folders=st.lists(PARTS, max_size=4), stem=PARTS, style=PARTS)
def test_the_outbox_takes_every_name_with_all_its_alternatives(folders: list[str], stem: str, style: str) -> None:
    name = result_name("/".join([*folders, f"{stem}.jpg"]), style, check_name)
    assert unicodedata.is_normalized("NFC", name)
    assert printable(name) == name
    for alternative in alternatives(name, KEY):
        file_name = f"{alternative}.png"
        assert check_name(file_name) is None
        assert all(len(os.fsencode(part)) <= LONGEST_NAME_BYTES for part in f"{file_name}.json".split("/"))


def test_alternatives_begin_with_the_name_itself_and_grow_with_the_key() -> None:
    assert list(islice(alternatives("a/b", KEY), 3)) == ["a/b", "a/b-012345", "a/b-0123456789ab"]
    names = list(alternatives("a", KEY))
    assert names == list(alternatives("a", KEY))
    assert len(set(names)) == len(names) > 10
    for shorter, longer in pairwise(names[1:]):
        assert longer.startswith(shorter)
        assert f"a-{KEY}".startswith(longer)


def test_alternatives_of_different_keys_differ() -> None:
    assert not set(islice(alternatives("a", KEY), 1, None)) & set(islice(alternatives("a", KEY[::-1]), 1, None))
