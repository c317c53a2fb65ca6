"""Ink and thin colour on paper: washes that dry with edges and grain, and strokes of a brush that runs dry.

Every wash and stroke adds optical density, so that what lies beneath shines through.
"""

from __future__ import annotations

import cv2
import numpy as np

from painters.maps import Array, clouds, noise, rgb
from painters.paths import lengths, strip


class Sheet:
    """Paper under work: its grain, and the optical density of what lies on it, (H, W, 3)."""

    def __init__(self, size: tuple[int, int], paper: str, seed: int) -> None:
        """Lay out a sheet.

        Args:
            size: width and height in px.
            paper: colour of the paper.
            seed: seed of all random numbers.
        """
        self.rng = np.random.default_rng(seed)
        self.shape = size[1], size[0]
        self.paper = rgb(paper)
        fibres = noise(self.rng, self.shape, (1.6, 7)) + noise(self.rng, self.shape, (7, 1.6))
        self.grain = (0.5 * noise(self.rng, self.shape, (2.2, 2.2)) + 0.35 * fibres).astype(np.float32)
        self.density = np.zeros((*self.shape, 3), np.float32)

    def wash(self, shape: Array, ink: Array, edge: float = 0.5, fray: float = 6.0, bloom: int = 0) -> None:
        """Lay a wash.

        Args:
            shape: strength of the wash at every point, 0 outside, (H, W).
            ink: density of the ink in red, green and blue at strength 1.
            edge: how much pigment gathers along the border.
            fray: distance in px by which the border wanders.
            bloom: number of places where water ran back into the drying wash.
        """
        rng = self.rng
        y, x = np.mgrid[0 : self.shape[0], 0 : self.shape[1]].astype(np.float32)
        drift = [each + fray * (clouds(rng, self.shape, 40) + 0.25 * noise(rng, self.shape, (4, 4))) for each in (x, y)]
        wet = cv2.remap(np.float32(shape), *drift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = np.clip(wet / 0.06, 0, 1)
        near = cv2.GaussianBlur(inside, (0, 0), 3.5)
        rim = inside * np.clip(1 - near, 0, 1) * 2
        for _ in range(bloom):
            wet = self._bloomed(wet, inside)
        pool = 1 + 0.28 * clouds(rng, self.shape, 170) + 0.1 * clouds(rng, self.shape, 24)
        strength = (wet * pool.clip(0.15) + edge * rim * wet.clip(0.15)) * (1 - 0.3 * self.grain).clip(0.2)
        self.density += strength.clip(0)[..., None] * ink

    def _bloomed(self, wet: Array, inside: Array) -> Array:
        """Return a wash with one pale spot whose crinkled border is dark."""
        rows, columns = np.nonzero(inside > 0.9)
        if not len(rows):
            return wet
        at = self.rng.integers(len(rows))
        radius = self.rng.uniform(25, 90)
        y, x = np.mgrid[0 : self.shape[0], 0 : self.shape[1]].astype(np.float32)
        far = np.hypot(x - columns[at], y - rows[at]) / radius + 0.16 * clouds(self.rng, self.shape, 30)
        pale = 0.55 * np.clip((1 - far) / 0.25, 0, 1)
        border = 0.45 * np.exp(-(((far - 1) / 0.06) ** 2))
        return wet * (1 - pale + border)

    def stroke(self, path: Array, width: float, ink: Array, dry: float = 0.4, press: str = "taper") -> None:
        """Draw a stroke along points (N, 2).

        Args:
            path: middle of the stroke, in px.
            width: largest width, in px.
            ink: density of the ink in red, green and blue.
            dry: how far the brush runs dry, 0–1: hairs part, and paint stays on the grain's tops only.
            press: how the width changes: `taper` to the end, `swell` in the middle, or `even`.
        """
        rng = self.rng
        s = lengths(path, 0.5)
        if len(s) < 4:
            return
        u = s / s[-1]
        profile = {
            "taper": (1 - 0.85 * u) * np.minimum(1, 0.5 + 6 * u),
            "swell": np.sin(np.pi * u).clip(0) ** 0.6,
            "even": 0 * u + 1,
        }
        half = (width / 2 * profile[press] * (1 + 0.15 * noise(rng, (len(s), 1), (40, 1))[:, 0])).clip(0.5)
        t = np.linspace(-1, 1, max(4, int(2 * width)), dtype=np.float32)
        columns, rows = strip(path, s, half[:, None] * t)
        seen = (columns >= 0) & (columns < self.shape[1]) & (rows >= 0) & (rows < self.shape[0])
        if not seen.any():
            return
        hairs = noise(rng, (len(s), len(t)), (60 + len(s) / 2, 2.5))
        load = 1.15 - 1.5 * dry * u[:, None] ** 0.8 + (0.1 + 0.5 * dry) * hairs
        grain = self.grain[rows.clip(0, self.shape[0] - 1), columns.clip(0, self.shape[1] - 1)]
        touch = np.clip(2.5 * (load + (0.15 + 0.5 * dry) * grain), 0, 1)
        cover = touch * np.clip((1 - np.abs(t)) * half[:, None] + 0.5, 0, 1) * (0.85 + 0.15 * hairs)
        box = slice(rows[seen].min(), rows[seen].max() + 1), slice(columns[seen].min(), columns[seen].max() + 1)
        mark = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.float32)
        np.maximum.at(mark, (rows[seen] - box[0].start, columns[seen] - box[1].start), cover[seen].clip(0))
        mark = cv2.GaussianBlur(mark, (0, 0), 0.6)
        self.density[box] += mark[..., None] * ink

    def dried(self) -> Array:
        """Return the finished sheet (H, W, 3), RGB uint8."""
        light = 1 + 0.012 * self.grain + 0.012 * clouds(self.rng, self.shape, 300)
        picture = self.paper * light[..., None] * np.exp(-self.density)
        return np.round(picture.clip(0, 255)).astype(np.uint8)


def ink(code: str) -> Array:
    """Return the density (3,) of a colour on white paper."""
    return -np.log((rgb(code) / 255).clip(0.02, 0.99))
