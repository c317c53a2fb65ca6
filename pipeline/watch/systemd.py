"""Reports the state of a service to systemd, as sd_notify(3) does, by datagrams to the socket in NOTIFY_SOCKET."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger(__name__)


class SystemdNotifier:
    """Sends messages to systemd; does nothing if systemd has not requested them.

    If a message cannot be sent, that is logged, and no further messages are sent.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdecimal() else None
        """Seconds that systemd waits for a keep-alive before it restarts the service; None if it expects none."""

    def send(self, message: str) -> None:
        """Send one or more lines such as `READY=1`."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(1)
                channel.sendto(message.encode(errors="replace"), address)
        except OSError as error:
            logger.warning("NOTIFY_SOCKET = %s: %s; systemd gets no further messages.", self._address, error)
            self._address = ""

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")
