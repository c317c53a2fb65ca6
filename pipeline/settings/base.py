"""The base of every section of config.toml, and durations."""

from __future__ import annotations

import os
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_SECONDS: Final = 1e9
"""Longest time that a setting may ask for, 31 years; far longer ones are too long for the system's timers."""

Seconds = Annotated[float, Field(le=LONGEST_SECONDS)]
"""A time in seconds, which stands for "for ever" if it is long enough."""
Count = Annotated[int, Field(le=10**12)]
"""A number of things, such as pairs or pixels."""
Weight = Annotated[float, Field(ge=0, le=1e12)]
"""A weight, small enough for sums and products of several."""

UserPath = Annotated[str, AfterValidator(os.path.expanduser)]
"""The path of a file or folder; `~` at its beginning is the user's home."""


class Section(BaseModel):
    """A section of config.toml. Unknown keys are errors, numbers are finite, and it is frozen after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `8h`, `90m`, `1h30m` or `45s`.

    Raises:
        ValueError: the text is no such duration.
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    if found is None or not any(found.groups()):
        msg = "should be a time such as 8h, 90m, 1h30m or 45s"
        raise ValueError(msg)
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))


def check_duration(text: str) -> str:
    """Return the text unchanged if it is a duration or empty.

    Raises:
        ValueError: the text is neither, or the duration is too long.
    """
    if text and parse_duration(text) > LONGEST_SECONDS:
        msg = f"should be at most {LONGEST_SECONDS / 3600:.0f}h"
        raise ValueError(msg)
    return text
