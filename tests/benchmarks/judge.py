"""The verdict on one picture: its measures, and the gates that it does not pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.images.colour.luma_chroma import luma
from pipeline.images.resize import SHORTEST_SIDE, fitted_size, resize
from tests.benchmarks import measures
from tests.benchmarks.held_out import stages

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.images.picture import Pixels, Plane

PROMISING_MODES: Final = ("regions",)
"""Colour modes that promise the photograph's colours in the large."""
_STYLE_STAGES, _STRUCTURE_STAGES = slice(0, 4), slice(2, 5)
_LEAST_DISTANCE: Final = 1e-6
"""Smallest style distance of a photograph that others are divided by; only the painting itself has a smaller one."""
_GREY: Final = 0.25
"""Energy in levels² that is added to chroma energies, so that paintings without colour have a ratio, too."""


@dataclass(frozen=True)
class Measured:
    """The measures of a picture; lists are fine to coarse. See `measures` for their definitions."""

    style: float
    """S: 1 is the photograph, 0 the painting."""
    structure: float
    """C: 0 is the photograph; about 1 has nothing to do with it."""
    residue: tuple[float, ...]
    """R: correlation with the photograph, band by band."""
    subject: float
    """T: correlation with the photograph in structures of 4–32 px, where the photograph has any."""
    ghost: float
    """G: correlation with the painting's layout, above the photograph's own."""
    patches: float
    """P: correlation with pieces of the painting, above the photograph's own."""
    octaves: tuple[float, ...]
    """B: spread of luma in octaves to the painting's, band by band."""
    chroma_octaves: float
    """K: spread of chroma ÷ spread of luma in strokes, in octaves to the painting's."""
    stroke_chroma: float
    """E: energy of chroma in strokes ÷ the painting's."""
    tint: float
    """U: difference to the photograph's chroma in the large, in levels."""

    @property
    def product(self) -> float:
        """S·(1 + C), after ArtFID = (1 + LPIPS)·(1 + FID); Wright and Ommer 2022."""
        return self.style * (1 + self.structure)

    @property
    def grain(self) -> float:
        """Octaves by which the finest band exceeds the next three; a picture of more contrast exceeds in all alike."""
        return self.octaves[0] - sum(self.octaves[1:4]) / 3

    def failed(self, mode: str = "") -> tuple[str, ...]:
        """Return the letters of the gates that the picture does not pass.

        Args:
            mode: colour mode that made the picture; some promise more than others.
        """
        gates = {
            "R1": self.residue[0] <= 0.7,
            "R2": self.residue[1] <= 0.8,
            "T": self.subject >= 0.4,
            "G": self.ghost <= 0.1,
            "P": self.patches <= 0.15,
            "B0": self.octaves[0] >= -1 and self.grain <= 0.4,
        }
        if mode in PROMISING_MODES:
            gates["U"] = self.tint <= 2
        return tuple(gate for gate, is_passed in gates.items() if not is_passed)


class Judge:
    """Measures pictures of one pair and one size."""

    def __init__(self, photograph: Pixels, painting: Pixels) -> None:
        """Store what all measures need.

        Args:
            photograph: the photograph in the size of the pictures.
            painting: the painting in any size.
        """
        height, width = photograph.shape[:2]
        self.photograph = photograph
        self.painting = _fitted(painting, width, height, "whole")
        """The painting in proportion, with the photograph's shorter side."""
        cover = _fitted(painting, width, height, "cover")
        self.laid_painting = _middle(cover, width, height)
        """The painting in the photograph's size, in proportion and cropped."""
        self._photograph_luma, self._painting_luma = luma(photograph), luma(self.painting)
        self._laid = luma(self.laid_painting), luma(resize(painting, width, height))
        self._sizes = self._painting_luma, luma(cover)
        self._structure = stages(self._photograph_luma)[_STRUCTURE_STAGES]
        self._style = _style_features(self._painting_luma)
        self._style_scale = max(self._distance(self._photograph_luma), _LEAST_DISTANCE)
        self._ghost = measures.ghost(self._photograph_luma, self._laid)
        self._patches = measures.patches(self._photograph_luma, self._sizes)

    def _distance(self, plane: Plane) -> float:
        return measures.style_distance(_style_features(plane), self._style)

    def floor(self) -> float:
        """Return S between the two halves of the painting: smaller distances mean nothing."""
        plane = self._painting_luma
        halves = np.array_split(plane, 2, axis=int(np.argmax(plane.shape)))
        one, other = (_style_features(half) for half in halves)
        return measures.style_distance(one, other) / self._style_scale

    def measure(self, picture: Pixels) -> Measured:
        """Measure a picture of the photograph's size."""
        plane = luma(picture)
        return Measured(
            style=self._distance(plane) / self._style_scale,
            structure=measures.structure_distance(stages(plane)[_STRUCTURE_STAGES], self._structure),
            residue=measures.residue(plane, self._photograph_luma),
            subject=measures.subject(plane, self._photograph_luma),
            ghost=measures.ghost(plane, self._laid) - self._ghost,
            patches=measures.patches(plane, self._sizes) - self._patches,
            octaves=measures.octaves(plane, self._painting_luma),
            chroma_octaves=math.log2(_chroma_to_luma(picture) / _chroma_to_luma(self.painting)),
            stroke_chroma=_energy(picture) / _energy(self.painting),
            tint=measures.tint(picture, self.photograph),
        )


def _style_features(plane: Plane) -> list[Tensor]:
    return stages(measures.normalised(plane))[_STYLE_STAGES]


def _energy(picture: Pixels) -> float:
    return measures.chroma_energy(picture) + _GREY


def _chroma_to_luma(picture: Pixels) -> float:
    return math.sqrt(_energy(picture) / (measures.stroke_energy(luma(picture)) + _GREY))


def _fitted(painting: Pixels, width: int, height: int, fit: str) -> Pixels:
    size = fitted_size(painting.shape[1], painting.shape[0], (width, height), fit)
    return resize(painting, *(max(SHORTEST_SIDE, side) for side in size))


def _middle(picture: Pixels, width: int, height: int) -> Pixels:
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]
