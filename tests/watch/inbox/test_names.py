"""Tests of the classification of files in the inbox by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text import printable
from pipeline.watch.inbox.names import Candidate, classify

ENDINGS = (".jpg", ".png")

ESCAPED_BYTES = st.integers(0xDC80, 0xDCFF).map(chr)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0") | ESCAPED_BYTES


@pytest.mark.parametrize(
    ("relative", "candidate"),
    [
        ("a.jpg", Candidate("photo")),
        ("a.JPG", Candidate("photo")),
        ("a.b.png", Candidate("photo")),
        ("_style.jpg", Candidate("photo")),
        ("a.csv", Candidate("ticket")),
        ("a.CSV", Candidate("ticket")),
        ("a.jsonl", Candidate("ticket")),
        ("a.ndjson", Candidate("ticket")),
        ("a.json", Candidate("unknown")),
        ("IMG_1.jpg.json", Candidate("unknown")),
        ("a.txt", Candidate("unknown")),
        ("a", Candidate("unknown")),
        ("jpg", Candidate("unknown")),
        ("a.jpg.txt", Candidate("unknown")),
        ("sea/a.jpg", Candidate("photo", "sea")),
        ("sea/deep/er/a.PNG", Candidate("photo", "sea")),
        ("sea.jpg/a.jpg", Candidate("photo", "sea.jpg")),
        ("sea/_style.jpg", Candidate("style", "sea")),
        ("sea/_style.PNG", Candidate("style", "sea")),
        ("sea/_Style.jpg", Candidate("style", "sea")),
        ("sea/_STYLE.JPG", Candidate("style", "sea")),
        ("sea/_style.old.png", Candidate("photo", "sea")),
        ("sea/my_style.jpg", Candidate("photo", "sea")),
        ("sea/deep/_style.jpg", Candidate("photo", "sea")),
        ("sea/_style.csv", Candidate("unknown", "sea")),
        ("sea/a.csv", Candidate("unknown", "sea")),
        ("sea/a", Candidate("unknown", "sea")),
    ],
)
def test_a_name_tells_what_a_file_is(relative: str, candidate: Candidate) -> None:
    assert classify(relative, ENDINGS) == candidate


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b/\u00e4\u732b.jpg", "a b/\u00e4\u732b.jpg"),
        ("a\nb", "a\ufffdb"),
        ("a\rb\x1b[31m\x7f", "a\ufffdb\ufffd[31m\ufffd"),
        ("\udc80\udcff", "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("a\u2028b\u202ec", "a\ufffdb\ufffdc"),
        ("", ""),
    ],
)
def test_names_are_printable_on_one_line(name: str, shown: str) -> None:
    assert printable(name) == shown


@settings(deadline=None)
@given(st.text(CHARACTERS))
def test_printable_names_can_be_encoded_and_stay_as_long(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert len(shown) == len(name)
    assert printable(shown) == shown
