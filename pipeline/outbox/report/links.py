"""Names of files as links, and as text that a page can show."""

from __future__ import annotations

import os
import re
import shlex
from urllib.parse import quote_from_bytes, unquote_to_bytes


def href(relative: str) -> str:
    """A file's path in the outbox, with `/`, as a relative URL: ASCII, whatever bytes the name has."""
    return quote_from_bytes(os.fsencode(relative), safe="/")


def from_href(link: str) -> str:
    """The path that `href` was given."""
    return os.fsdecode(unquote_to_bytes(link))


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
