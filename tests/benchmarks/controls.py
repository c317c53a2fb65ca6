"""Pictures that are no pastiches: a measure that one of them wins is no measure.

Each is a way to have a good style distance or a good structure distance without painting anything. All have the size
of the photograph, and the painting is laid over it in proportion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.measures import blurred

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels

_NOISE = 20.0
"""Standard deviation in levels of the noise on the photograph."""
_STROKE_SIGMA = 6.0
"""Standard deviation in px of the blur that separates strokes from shapes."""
_TILE = 64
"""Side in px of the pieces into which the painting is cut."""


def controls(photograph: Pixels, painting: Pixels) -> dict[str, Pixels]:
    """Return the controls of a pair by name.

    Args:
        photograph: the photograph, (H, W, 3), 0–255.
        painting: the painting in the same size.
    """
    rng = np.random.default_rng(0)
    noise = rng.normal(0, _NOISE, photograph.shape).astype(np.float32)
    pieces = _shuffled(painting, rng)
    found = {
        "photograph": photograph,
        "painting": painting,
        "painting, mirrored": painting[:, ::-1],
        "painting in pieces": pieces,
        "half and half": (photograph + painting) / 2,
        "half and half, in pieces": (photograph + pieces) / 2,
        "photograph and noise": photograph + noise,
        "photograph under strokes": _low(photograph) + pieces - _low(pieces),
        "photograph under noise": _low(photograph) + _with_random_phases(painting - _low(painting), rng),
    }
    return {name: np.clip(picture, 0, 255, dtype=np.float32) for name, picture in found.items()}


def _low(picture: Pixels) -> Pixels:
    return blurred(picture, _STROKE_SIGMA)


def _shuffled(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture of random pieces of the given one, each of 64 × 64 px."""
    height, width = picture.shape[:2]
    side = min(_TILE, height, width)
    result = np.empty_like(picture)
    for top in range(0, height, side):
        for left in range(0, width, side):
            place = result[top : top + side, left : left + side]
            y = int(rng.integers(0, height - place.shape[0] + 1))
            x = int(rng.integers(0, width - place.shape[1] + 1))
            place[:] = picture[y : y + place.shape[0], x : x + place.shape[1]]
    return result


def _with_random_phases(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Return noise with the picture's spectrum, and so with the energy of each of its bands."""
    phases = np.exp(1j * np.angle(np.fft.rfft2(rng.normal(size=picture.shape[:2]))))
    spectrum = np.fft.rfft2(picture, axes=(0, 1)) * phases[:, :, None]
    return np.fft.irfft2(spectrum, s=picture.shape[:2], axes=(0, 1)).astype(np.float32)
