"""Figures, times and names as people read them."""

from __future__ import annotations

import os
import re
import shlex
from datetime import UTC, datetime
from typing import Any, Final

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def duration(seconds: float) -> str:
    """Return a time in seconds to two digits; from a minute on in minutes, from two hours on in hours and minutes."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004 - two digits
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


def memory(amount: int) -> str:
    """Return a number of bytes in GiB, to two digits."""
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 10 else f"{gib:.2g} GiB"  # noqa: PLR2004 - two digits


def rate(per_hour: float) -> str:
    """Return a number of pairs per hour, to three digits."""
    return f"{per_hour:,.0f} pairs/h" if per_hour >= 100 else f"{per_hour:.3g} pairs/h"  # noqa: PLR2004


def encodable(text: str) -> str:
    """Replace characters that UTF-8 cannot encode: surrogates, which stand for bytes of a file name that are not UTF-8.

    JSON uses this function; `displayable`, `single_line` and `printable` replace more.
    """
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def displayable(text: str) -> str:
    """Replace characters that a page cannot show or that alter the text around them, except newlines and tabs.

    These are surrogates as in `encodable`, control characters (C0, DEL and C1, with which a name could command a
    terminal), separators of lines and paragraphs, and marks that change the direction of writing.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def single_line(text: str) -> str:
    """Replace the characters that `displayable` replaces, and newlines and tabs, so that the text stays on one line.

    Messages use this function for names of files and other text from outside.
    """
    return re.sub("[\t\n]", "\N{REPLACEMENT CHARACTER}", displayable(text))


def displayable_values(value: Any) -> Any:
    """Return a value for JSON whose texts, at any depth, are displayable."""
    if isinstance(value, str):
        return displayable(value)
    if isinstance(value, dict):
        return {displayable_values(key): displayable_values(each) for key, each in value.items()}
    return [displayable_values(each) for each in value] if isinstance(value, list | tuple) else value


def printable(name: str) -> str:
    """Replace all characters that are not printable, even newlines and unusual spaces; for names of files to make."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)


def shell_quoted(text: str) -> str:
    """Quote an argument for a POSIX shell; one that cannot be displayed is quoted for bash, zsh and ksh."""
    if single_line(text) == text:
        return shlex.quote(text)
    return "$'" + "".join(_escaped(byte) for byte in os.fsencode(text)) + "'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    is_plain = character.isascii() and character.isprintable() and character not in "'\\"
    return character if is_plain else f"\\{byte:03o}"  # always three octal digits, so that a digit may follow


def now() -> str:
    """Return the time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
