from __future__ import annotations

import pytest

from pipeline.text import duration, rate


@pytest.mark.parametrize(
    ("seconds", "words"), [(1.23, "1.2 s"), (59.4, "59 s"), (90, "2 min"), (7140, "119 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("per_hour", "words"), [(0.1234, "0.123 pairs/h"), (1540.4, "1,540 pairs/h")])
def test_rates(per_hour: float, words: str) -> None:
    assert rate(per_hour) == words
