"""The base of every section of config.toml, and durations."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of config.toml. Unknown keys are errors, and a section is frozen after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
        ValueError: the text is neither.
    """
    if text:
        parse_duration(text)
    return text
