"""Names of files as links."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes


def href(relative: str) -> str:
    """Return a file's path in the outbox, with `/`, as a relative URL in ASCII; the name may have any bytes."""
    return quote_from_bytes(os.fsencode(relative), safe="/")
