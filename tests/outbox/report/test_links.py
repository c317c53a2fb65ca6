"""Tests of the links in the report."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from pipeline.outbox.report.links import href

NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(NAMES)
def test_a_link_is_ascii_and_gives_the_name_back(name: str) -> None:
    link = href(name)
    assert link.isascii()
    assert not set(link) & set("#?\"'<>& :\\")
    assert os.fsdecode(unquote_to_bytes(link)) == name
