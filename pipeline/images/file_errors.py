"""The three reasons why the bytes of a picture file are not decoded; `decode` translates them for the user."""

from __future__ import annotations


class DamagedError(ValueError):
    """The file is damaged; the message says what shows it, and calls the file "it"."""


class TruncatedError(DamagedError):
    """The file ends before its last pixel."""


class UnsupportedError(ValueError):
    """The file may be whole but is of a kind that is not read; the message continues the file's name."""
