"""Workers of a spool: their folders, and how the folder of a dead one is recognised."""

from __future__ import annotations

import socket
from typing import Final

LEASE_SECONDS: Final = 120.0
"""On a network a worker whose beat is older is dead."""


_OWN_FILES: Final = ("beat", "status.json", "status.tmp", "lock")
"""Of a worker's folder, beside its jobs."""


def is_this_host(part: str) -> bool:
    """Whether the first part of a worker's name is this machine's."""
    return part == _plain(socket.gethostname())


def _plain(text: str) -> str:
    return "".join(character if character.isalnum() or character == "-" else "_" for character in text)[:40] or "host"
