"""The description of a film, with which its painted frames become a film again."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv")
"""Endings of files that are taken for films."""


class FilmDescription(BaseModel):
    """A film whose frames have been extracted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    sha256: str
    """Hash of the file."""
    time_base: str
    """Seconds of a timestamp's unit, as a fraction such as `1/30000`."""
    timestamps: tuple[int, ...]
    """Time at which each frame is shown, in units of the time base, in the order of the frames."""
    sizes: tuple[int, ...]
    """Bytes of each frame's file."""
    rate: str
    """Average frames per second, as a fraction such as `30000/1001`."""
    warnings: tuple[str, ...] = ()
    """Information of the film that its frames lack, in words."""

    @property
    def unit(self) -> Fraction:
        """Seconds of a timestamp's unit."""
        return Fraction(self.time_base)
