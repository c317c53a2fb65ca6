"""What a seat tells of itself before it gets a pair, and what must be the same for the driver and for all seats."""

from __future__ import annotations

import contextlib
import logging
import platform
import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.disk import storage_errors
from pipeline.errors import DeviceError
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.stage.task import VERSIONS
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

NONCE_SECONDS: Final = 20.0
"""Longest wait in seconds until a file that the driver has written is seen by another machine."""
_OLD_SECONDS: Final = 7 * 86_400.0


@dataclass(frozen=True)
class Facts:
    """Facts of a process that takes pairs."""

    host: str
    versions: dict[str, str]
    """Versions of Python and of the libraries that affect the pixels of a result."""
    engine: str
    device: str
    """The device in words."""
    weights_sha256: str
    sees_outbox: bool
    """Whether the file that the driver wrote into the outbox is there."""


def facts_here(device: str, weights_sha256: str, nonce: Path | None, seconds: float = NONCE_SECONDS) -> Facts:
    """Return the facts of this process.

    Args:
        device: the device in words.
        weights_sha256: hash of the network's weights.
        nonce: file that the driver has written into the outbox; None: there is none, since all is on one machine.
        seconds: longest wait for that file.
    """
    end = time.monotonic() + seconds
    while not (sees_outbox := nonce is None or _is_seen(nonce)) and time.monotonic() < end:
        time.sleep(0.1)
    versions = {"python": platform.python_version(), **VERSIONS}
    return Facts(socket.gethostname(), versions, ENGINE_VERSION, device, weights_sha256, sees_outbox)


def _is_seen(nonce: Path) -> bool:
    try:
        return nonce.exists()
    except OSError as error:  # the mount has failed
        logger.warning("%s cannot be looked at: %s", nonce, error)
        return False


def write_nonce(outbox: Path) -> Path:
    """Write a file into an outbox by which another machine sees that it has the same outbox, and return its path.

    Raises:
        StorageError: the outbox cannot be written.
    """
    path = outbox / STATE_FOLDER / "nonce" / secrets.token_hex(16)
    with storage_errors(outbox):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in list(path.parent.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # its process has just removed it
                if time.time() - old.stat().st_mtime > _OLD_SECONDS:  # its process was killed
                    old.unlink()
        path.touch()
    return path


def check_facts(ours: Facts, theirs: Facts, outbox: Path) -> None:
    """Check that a seat makes the same pictures as the driver would, and writes them into the same outbox.

    Raises:
        DeviceError: it does not; the seat gets no pair.
    """
    if not theirs.sees_outbox:
        raise DeviceError(
            f"{theirs.host}: does not see the outbox {outbox}: the file that this process wrote into "
            f"{STATE_FOLDER} is not there.",
            "Mount the outbox and the pictures at the same path on all machines.",
        )
    different = [
        f"{name} {theirs.versions.get(name, 'none')} instead of {version}"
        for name, version in ours.versions.items()
        if theirs.versions.get(name) != version
    ]
    if ours.engine != theirs.engine:
        different.append(f"engine {theirs.engine} instead of {ours.engine}")
    if different:
        raise DeviceError(
            f"{theirs.host}: has {', '.join(different)}: its pictures would differ.",
            "Install the same versions on all machines, as on this one.",
        )
    if not theirs.weights_sha256.startswith(ours.weights_sha256):
        raise DeviceError(
            f"{theirs.host}: has other weights of the network: their SHA-256 is {theirs.weights_sha256[:16]}…, "
            f"expected {ours.weights_sha256[:16]}….",
            "Copy the file of network.weights to that machine.",
        )
