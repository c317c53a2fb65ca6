"""Colours, noise and masks from which a composition is built. Coordinates are px of the finished picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Array = np.ndarray
Points = Sequence[tuple[float, float]] | np.ndarray


def rgb(code: str) -> Array:
    """Return `#rrggbb` as three numbers, 0–255."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def varied(colour: Array, rng: np.random.Generator, light: float, hue: float, chroma: float = 0.15) -> Array:
    """Return a colour like another one.

    Args:
        colour: RGB, 0–255.
        rng: source of the variation.
        light: spread of the lightness, in levels.
        hue: spread of the hue, in radians about the grey axis.
        chroma: spread of the chroma, as a share of it.
    """
    angle = rng.normal(0, hue)
    grey = colour.mean()
    around = np.array([colour[1] - colour[2], colour[2] - colour[0], colour[0] - colour[1]]) / np.sqrt(3)
    chroma_part = (colour - grey) * np.cos(angle) - around * np.sin(angle)
    return np.clip(grey + rng.normal(0, light) + chroma_part * (1 + rng.normal(0, chroma)), 0, 255).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> Array:
    """Return smooth noise, mean 0 and spread about 1, with cells of (rows, columns) px."""
    size = [int(length / max(each, 1e-3)) + 2 for length, each in zip(shape, cell, strict=True)]
    size = [min(each, length) for each, length in zip(size, shape, strict=True)]
    grid = rng.standard_normal(size, dtype=np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


def clouds(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 4) -> Array:
    """Return noise of several sizes, the largest with cells of `cell` px."""
    return sum(0.55**i * noise(rng, shape, (cell / 2**i,) * 2) for i in range(octaves))


def polygon(shape: tuple[int, int], points: Points) -> Array:
    """Return a mask (H, W), true within a polygon."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask.astype(bool)


def under(shape: tuple[int, int], line: Points) -> Array:
    """Return a mask (H, W), true beneath a line of points that go from left to right."""
    xs, ys = np.asarray(line).T
    return np.arange(shape[0])[:, None] > np.interp(np.arange(shape[1]), xs, ys)[None]


def ramp(values: Array, stops: Sequence[tuple[float, str]]) -> Array:
    """Return colours (…, 3) for numbers, between stops of (number, colour)."""
    at = [stop for stop, _ in stops]
    colours = np.stack([rgb(code) for _, code in stops])
    return np.stack([np.interp(values, at, colours[:, i]) for i in range(3)], axis=-1).astype(np.float32)


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """Return numbers (H, W): 0 in the centre of an ellipse, 1 on its edge, more outside."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1]).astype(np.float32)


def full(shape: tuple[int, int], value: float = 0.0) -> Array:
    """Return a map (H, W) of one number."""
    return np.full(shape, value, np.float32)


def flat(shape: tuple[int, int], code: str) -> Array:
    """Return a map (H, W, 3) of one colour."""
    return np.tile(rgb(code), (*shape, 1))


def combed(values: Array, direction: Array, steps: int = 40, step: float = 4.0) -> Array:
    """Return a map averaged along the lines of a field, so that its forms follow them."""
    y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]].astype(np.float32)
    cosine, sine = np.cos(direction).astype(np.float32), np.sin(direction).astype(np.float32)
    total = np.zeros_like(values)
    for sign in (-step, step):
        column, row = x.copy(), y.copy()
        for _ in range(steps):
            u = cv2.remap(cosine, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            v = cv2.remap(sine, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            column, row = column + sign * u, row + sign * v
            total += cv2.remap(values, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (total - total.mean()) / total.std()
