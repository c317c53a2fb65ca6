"""The results' way out: stdout is ours alone, whatever libraries write to file descriptor 1.

OpenCV, libtiff and CUDA write there when they have something to complain of, and careless modules print when they are
imported. A program that reads our JSON must not meet any of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

_STDOUT, _STDERR = 1, 2

_own: list[TextIO] = []
"""Our way to what was stdout at the start; empty until it was claimed."""


def claim_stdout() -> None:
    """Keep a duplicate of stdout for `say`; from now on, all others who write to stdout write to stderr.

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


def say(text: str) -> None:
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
