"""A photograph and a painting for tests, made from shapes and strokes: (H, W, 3) float32, 0–255."""

from __future__ import annotations

import cv2
import numpy as np

HEIGHT, WIDTH = 128, 160


def photograph(seed: int = 0) -> np.ndarray:
    """Return smooth shapes before an almost empty background, with fine grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    picture = np.stack([150 + 0.3 * y, 120 + 0.2 * x, 170 - 0.3 * y], axis=2)
    for _ in range(12):
        centre, radius = rng.uniform((30, 30), (HEIGHT - 20, WIDTH - 40)), rng.uniform(5, 18)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        picture[inside] = rng.uniform(20, 235, 3)
    return np.clip(picture + rng.normal(0, 3, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.float32)


def painting(seed: int = 1) -> np.ndarray:
    """Return a canvas that is covered with coloured strokes."""
    rng = np.random.default_rng(seed)
    canvas = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for _ in range(900):
        begin = rng.integers(0, (WIDTH, HEIGHT))
        end = begin + rng.integers(-12, 13, 2)
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.line(canvas, tuple(map(int, begin)), tuple(map(int, end)), colour, int(rng.integers(1, 5)), cv2.LINE_AA)
    return canvas.astype(np.float32)
