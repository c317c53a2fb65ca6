"""Lines along which strokes are drawn, and the samples of a stroke along them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from painters.maps import Array, Points


def shifted(point: tuple[float, float] | Array, right: float, down: float) -> Array:
    """Return a point, or points (N, 2), moved by so many px."""
    return np.asarray(point) + np.array([right, down])


def curve(points: Points, step: float = 4.0) -> Array:
    """Return points (N, 2), about `step` px apart, on a smooth line through the given ones (Catmull-Rom spline)."""
    given = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    line = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        u = np.linspace(0, 1, max(2, int(np.hypot(*(c - b)) / step)), endpoint=False)[:, None]
        line.append(b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a))))
    return np.concatenate([*line, given[-1:]])


def lengths(path: Array, step: float) -> Array:
    """Return distances (S,) from the start of a path (N, 2), `step` px apart, up to its length."""
    return np.arange(0, np.hypot(*np.diff(path, axis=0).T).sum(), step, dtype=np.float32)


def strip(path: Array, s: Array, across: Array) -> tuple[Array, Array]:
    """Return columns and rows (S, T) of the px under a stroke's samples.

    Args:
        path: middle of the stroke, (N, 2) in px.
        s: distances along it, (S,) in px.
        across: distances to its right, (S, T) in px.
    """
    reach = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    centre = np.stack([np.interp(s, reach, path[:, i]) for i in (0, 1)], axis=1).astype(np.float32)
    centre = cv2.blur(centre, (1, 9), borderType=cv2.BORDER_REPLICATE) if len(s) > 18 else centre
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True).clip(1e-6)
    columns = np.rint(centre[:, :1] - tangent[:, 1:] * across).astype(np.intp)
    return columns, np.rint(centre[:, 1:] + tangent[:, :1] * across).astype(np.intp)
