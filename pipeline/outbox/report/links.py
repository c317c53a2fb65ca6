"""Names of files as links, and as text that a page can show."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes


def href(relative: str) -> str:
    """A file's path in the outbox, with `/`, as a relative URL: ASCII, whatever bytes the name has."""
    return quote_from_bytes(os.fsencode(relative), safe="/")


def from_href(link: str) -> str:
    """The path that `href` was given."""
    return os.fsdecode(unquote_to_bytes(link))
