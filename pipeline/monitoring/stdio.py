"""Keeps stdout for results, and turns what libraries write to stderr into lines of the log.

The module protects the JSON that a program reads from stdout, and the JSON log that it reads from stderr. OpenCV,
libtiff and CUDA write their complaints directly to file descriptors 1 and 2, and some modules print on import.
`protect_stdout` therefore keeps a duplicate of stdout and redirects file descriptor 1 to stderr, and `noise_to_log`
puts a pipe in place of stderr and logs each line that comes out of it. Only `print_result`, and libraries that get the
file of `results`, may write to stdout; only the log's handler may write to the real stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from pipeline.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_PIPE_BYTES: Final = 2**20
"""Size of the pipe for noise, where the system lets it be set."""
_LONGEST_LINE_BYTES: Final = 10_000
"""Bytes after which an unfinished line is logged."""
_POLL_SECONDS: Final = 0.2
"""Longest time in seconds until the reader notices that it should end."""
_STDOUT, _STDERR = 1, 2
"""File descriptors."""

_ERRORS: Final = "backslashreplace"
"""Treatment of characters that the encoding of stdout or stderr lacks."""

_results: list[TextIO] = []
"""The duplicate of stdout; empty until stdout is protected."""


def take_any_text() -> None:
    """Let stdout and stderr escape the characters that their encoding lacks, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else it is closed, or a test's
            stream.reconfigure(errors=_ERRORS)


def protect_stdout() -> None:
    """Keep a duplicate of stdout for `print_result`, and redirect everything else that is written to stdout to stderr.

    The protection lasts until the process ends, since C libraries write their buffers at the very end. Child processes
    get stderr as their stdout. Where stdout is no file, as in tests, nothing changes.
    """
    if _results or not is_descriptor(sys.stdout, _STDOUT):
        return
    sys.stdout.flush()
    _open_if_closed(_STDERR)  # else the duplicate would be stderr
    duplicate = os.dup(_STDOUT)
    _results.append(os.fdopen(duplicate, "w", encoding=sys.stdout.encoding, errors=_ERRORS))
    os.dup2(_STDERR, _STDOUT)
    sys.stdout = sys.stderr


def is_stdout_protected() -> bool:
    """Whether file descriptor 1 leads to stderr."""
    return bool(_results)


def results() -> TextIO:
    """Return the file for results, for libraries that want a file."""
    return _results[0] if _results else sys.stdout


def print_result(text: str) -> None:
    """Print a line of results, or several; characters of names that would command a terminal are replaced.

    Raises:
        OSError: nobody reads stdout any more; further results are lost without an error.
    """
    stream = results()
    if stream is None:  # the parent process closed stdout
        return
    try:
        print(displayable(text), file=stream, flush=True)
    except OSError:
        _silence()
        raise


def is_descriptor(stream: TextIO | None, number: int) -> bool:
    """Whether a stream writes to a file descriptor of this number."""
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):  # raised by a stream in memory; by a closed stream
        return False


def _open_if_closed(descriptor: int) -> None:
    """Open a descriptor to the null device if the parent process has closed it."""
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
    """Send the rest of the buffer to the null device, so that it does not fail again when the process ends."""
    if _results:
        with contextlib.suppress(OSError):  # the error is known already
            _to_nowhere(_results[0].fileno())


@contextlib.contextmanager
def noise_to_log(*, of_stdout: bool) -> Iterator[TextIO | None]:
    """Log all that is written to stderr, and the rest of the buffers at the end; yield the real stderr.

    Where stderr is no file, as in tests, nothing changes, and None is yielded. Output of a process that
    is being killed may be lost.

    Args:
        of_stdout: log all that is written to file descriptor 1 as well.
    """
    if not is_descriptor(sys.stderr, _STDERR):
        yield None
        return
    reading, writing = os.pipe()
    # A library that holds the GIL while it writes more than the pipe takes would otherwise wait for ever.
    os.set_blocking(writing, False)
    _enlarge(writing)
    real = os.dup(_STDERR)
    descriptors = (_STDOUT, _STDERR) if of_stdout else (_STDERR,)
    reader = _Reader(reading)
    stream = os.fdopen(real, "w", encoding=sys.stderr.encoding, errors=_ERRORS, buffering=1)
    for descriptor in descriptors:
        os.dup2(writing, descriptor)
    os.close(writing)
    reader.start()
    try:
        yield stream
    finally:
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # the buffers of C libraries
        for descriptor in descriptors:
            os.dup2(real, descriptor)
        reader.end()
        with contextlib.suppress(OSError):  # nobody reads stderr any more
            stream.close()


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - exists on Linux only

        with contextlib.suppress(OSError):  # the pipe then keeps its 64 KiB
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class _Reader(threading.Thread):
    """Logs the lines that come through a pipe. It does not wait for the pipe's end, which child processes keep open."""

    def __init__(self, pipe: int) -> None:
        super().__init__(name="noise", daemon=True)
        self._pipe = pipe
        self._is_over = threading.Event()

    def run(self) -> None:
        """Read until `end` is called."""
        rest = b""
        while True:
            is_over = self._is_over.is_set()  # before `select`, so that no earlier output is missed
            if not select.select([self._pipe], [], [], 0 if is_over else _POLL_SECONDS)[0]:
                if is_over:
                    break
                continue
            data = os.read(self._pipe, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _log(line)
            if len(rest) > _LONGEST_LINE_BYTES:
                _log(rest)
                rest = b""
        _log(rest)

    def end(self) -> None:
        """Log the rest of the pipe's content, and end the thread."""
        self._is_over.set()
        self.join()
        os.close(self._pipe)


def _log(line: bytes) -> None:
    text = line.decode(errors="replace").rstrip()
    if text:
        logger.warning("%s", text, extra={"event": "output"})
