"""Tests of JSON inside the HTML of the report."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outbox.report.page import json_in_html


@given(st.text())
def test_json_in_a_script_element_stays_there_and_says_the_same(text: str) -> None:
    written = json_in_html({"name": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"name": text}


def test_closing_tags_and_comments_are_harmless() -> None:
    assert json_in_html("</script><!--\u2028") == r'"\u003c/script\u003e\u003c!--\u2028"'


def test_what_no_browser_would_parse_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_in_html(float("nan"))
