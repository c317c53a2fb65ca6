"""What libraries write to stderr, and to what was stdout, as lines of the log, where the log is for programs.

libpng, libjpeg and OpenCV tell people there what they think of a file. Whoever reads one JSON object per line must not
meet that.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from pipeline.monitoring.stdio import is_descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_STDOUT, _STDERR = 1, 2
_PIPE_BYTES: Final = 2**20
_LONGEST_LINE_BYTES: Final = 10_000
_POLL_SECONDS: Final = 0.2


@contextlib.contextmanager
def noise_to_log(*, of_stdout: bool) -> Iterator[TextIO | None]:
    """Log what is written to stderr, and what is still in buffers at the end; gives the way to the real one.

    None where stderr is no file, as in tests, or on Windows: nothing changes then. What a process says in the moment
    of its death may be lost.

    Args:
        of_stdout: file descriptor 1 has noise, too.
    """
    if sys.platform == "win32" or not is_descriptor(sys.stderr, _STDERR):
        yield None
        return
    reading, writing = os.pipe()
    # A library that writes more than fits while it keeps Python from reading must not wait for ever.
    os.set_blocking(writing, False)
    _enlarge(writing)
    kept = os.dup(_STDERR)
    described = (_STDOUT, _STDERR) if of_stdout else (_STDERR,)
    reader = _Reader(reading)
    stream = os.fdopen(kept, "w", encoding=sys.stderr.encoding, errors=sys.stderr.errors, buffering=1)
    for descriptor in described:
        os.dup2(writing, descriptor)
    os.close(writing)
    reader.start()
    try:
        yield stream
    finally:
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # what C libraries have in theirs
        for descriptor in described:
            os.dup2(kept, descriptor)
        reader.end()
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.close()


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - Linux alone has what follows

        with contextlib.suppress(OSError):  # then it has 64 KiB
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class _Reader(threading.Thread):
    """Logs line by line. It does not wait for the pipe's end, since other processes have it, too."""

    def __init__(self, pipe: int) -> None:
        super().__init__(name="noise", daemon=True)
        self._pipe = pipe
        self._is_over = threading.Event()

    def run(self) -> None:
        """The life of the thread."""
        begun = b""
        while True:
            is_over = self._is_over.is_set()  # before the look, so that nothing can come in between
            if not select.select([self._pipe], [], [], 0 if is_over else _POLL_SECONDS)[0]:
                if is_over:
                    break
                continue
            data = os.read(self._pipe, 65536)
            if not data:
                break
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                _log(line)
            if len(begun) > _LONGEST_LINE_BYTES:
                _log(begun)
                begun = b""
        _log(begun)

    def end(self) -> None:
        """Log what is left."""
        self._is_over.set()
        self.join()
        os.close(self._pipe)


def _log(line: bytes) -> None:
    text = line.decode(errors="replace").rstrip()
    if text:
        logger.warning("%s", text, extra={"event": "output"})
