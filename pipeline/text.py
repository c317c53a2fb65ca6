"""Figures as people read them."""

from __future__ import annotations

import os
import re
import shlex
from datetime import UTC, datetime


def duration(seconds: float) -> str:
    """Seconds in words: two digits, then minutes, then hours and minutes."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004 - two digits
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


def memory(amount: int) -> str:
    """Bytes in GiB, to two digits."""
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 10 else f"{gib:.2g} GiB"  # noqa: PLR2004 - two digits


def rate(per_hour: float) -> str:
    """Pairs per hour, to three digits."""
    return f"{per_hour:,.0f} pairs/h" if per_hour >= 100 else f"{per_hour:.3g} pairs/h"  # noqa: PLR2004


def printable(name: str) -> str:
    """A name from the disk as logs and JSON can carry it, on one line."""
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def shown(text: str) -> str:
    """Text as UTF-8 can hold it and a reader can see it: bytes that are none are U+FFFD, so are control characters."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", text)


def shell_quoted(text: str) -> str:
    """An argument as a POSIX shell takes it; of a name that cannot be shown, as bash, zsh and ksh do."""
    if shown(text) == text and "\n" not in text and "\t" not in text:
        return shlex.quote(text)
    return "$'" + "".join(_escaped(byte) for byte in os.fsencode(text)) + "'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    is_plain = character.isascii() and character.isprintable() and character not in "'\\"
    return character if is_plain else f"\\{byte:03o}"  # octal ends after three digits, whatever comes next


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
