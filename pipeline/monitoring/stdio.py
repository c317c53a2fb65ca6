"""The results' way out: stdout is ours alone, whatever libraries write to file descriptor 1.

OpenCV, libtiff and CUDA write there when they have something to complain of, and careless modules print when they are
imported. A program that reads our JSON must not meet any of it.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2

_own: list[TextIO] = []
"""Our way to what was stdout at the start; empty until it was claimed."""


def protect_stdout() -> None:
    """Keep a duplicate of stdout for `print_result`; from now on, all others who write to stdout write to stderr.

    It holds for the rest of the process, since what C libraries have in their buffers they write at its very end.
    Processes that are started get stderr for their stdout. Where stdout is no file, as in tests, nothing changes.
    """
    if _own or not is_descriptor(sys.stdout, _STDOUT):
        return
    sys.stdout.flush()
    _open_if_closed(_STDERR)  # else the duplicate would be stderr
    duplicate = os.dup(_STDOUT)
    _own.append(os.fdopen(duplicate, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors))
    os.dup2(_STDERR, _STDOUT)
    sys.stdout = sys.stderr


def is_claimed() -> bool:
    """Whether file descriptor 1 leads to stderr."""
    return bool(_own)


def results() -> TextIO:
    """Where results go; for libraries that want a file."""
    return _own[0] if _own else sys.stdout


def print_result(text: str) -> None:
    """One line of results.

    Raises:
        OSError: nobody reads it any more; what is said from now on is lost.
    """
    stream = results()
    if stream is None:  # closed by whoever started us
        return
    try:
        print(text, file=stream, flush=True)
    except OSError:
        _silence()
        raise


def is_descriptor(stream: TextIO | None, number: int) -> bool:
    """Whether a stream writes to a file descriptor of this number."""
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):  # of a stream in memory; of a closed one
        return False


def _open_if_closed(descriptor: int) -> None:
    """To nowhere, if whoever started us has closed it."""
    try:
        os.fstat(descriptor)
    except OSError:
        _to_nowhere(descriptor)


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor, inheritable=descriptor == _STDERR)
        os.close(nowhere)


def _silence() -> None:
    """What the buffer still has must not fail once more when the process ends."""
    if _own:
        with contextlib.suppress(OSError):  # it fails as before, and was told
            _to_nowhere(_own[0].fileno())


logger = logging.getLogger(__name__)


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
