"""Paint the three sample paintings: `python data/make_styles.py` writes data/styles/*.jpg.

A painting begins as a composition (a colour at every point) and a flow field (a direction at every point). Brush
strokes follow the field, large strokes first. A stroke is a bundle of hairs, each with its own colour, and it leaves a
relief of paint. At the end the relief is lit from the upper left. All random numbers are seeded, so the script always
paints the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray
WIDTH, HEIGHT = 800, 640


@dataclass(frozen=True)
class Brush:
    """One size of strokes. Width and length are in px."""

    width: float
    length: float
    strokes: int
    hairs: int
    jitter: float
    """Spread of the hairs' colours, in levels of 0–255."""
    curve: float = 1.0
    """Share of the field's turn that a stroke follows: 1 follows the field, 0 is straight."""


@dataclass(frozen=True)
class Painting:
    """Composition, flow field, colours and brushes of one painting."""

    name: str
    seed: int
    palette: list[str]
    composition: Callable[[Array, Array], Array]
    """Function from x and y (0–1) to (H, W, 3) RGB."""
    field: Callable[[Array, Array], Array]
    """Function from x and y (0–1) to angles in radians."""
    brushes: tuple[Brush, ...]


def rgb(code: str) -> Array:
    """Return `#rrggbb` as three numbers."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def mix(below: Array, colour: str, cover: Array) -> Array:
    """Lay a colour over a picture, with `cover` (0–1) as its opacity."""
    cover = np.clip(cover, 0, 1)[..., None]
    return below * (1 - cover) + rgb(colour) * cover


def disc(x: Array, y: Array, centre: tuple[float, float], radius: float, edge: float) -> Array:
    """Return a mask of a disc: 1 inside, 0 outside, with a soft edge as wide as `edge`."""
    distance = np.hypot((x - centre[0]) * WIDTH / HEIGHT, y - centre[1])
    return np.clip((radius - distance) / edge + 0.5, 0, 1)


def below(y: Array, line: Array) -> Array:
    """Return a mask: 1 below a line, 0 above it, with a narrow edge."""
    return np.clip((y - line) / 0.008, 0, 1)


# --- nocturne: whirls around lights over dark hills -------------------------------------------------------------

LIGHTS = ((0.18, 0.2, 0.075), (0.52, 0.32, 0.11), (0.82, 0.16, 0.085), (0.34, 0.52, 0.05), (0.74, 0.52, 0.055))


def nocturne(x: Array, y: Array) -> Array:
    """Return a night sky with five lights, and hills with a few lit windows."""
    picture = np.ones((*x.shape, 3)) * rgb("#16306f")
    bands = 0.5 + 0.5 * np.sin(9 * y + 5 * np.sin(3 * x + 2 * y) + 4 * x)
    picture = mix(picture, "#3f78c4", 0.85 * bands**2)
    picture = mix(picture, "#0a1440", 0.9 * (1 - bands) ** 3)
    for cx, cy, r in LIGHTS:
        ring = disc(x, y, (cx, cy), 2.2 * r, 1.2 * r)
        picture = mix(picture, "#9cc7dd", 0.75 * ring)
        picture = mix(picture, "#f2c230", disc(x, y, (cx, cy), 1.1 * r, 0.5 * r))
        picture = mix(picture, "#fff6cf", disc(x, y, (cx, cy), 0.5 * r, 0.3 * r))
    for base, height, colour in ((0.72, 0.07, "#1d3a5c"), (0.8, 0.06, "#0d2136"), (0.9, 0.04, "#050b18")):
        hills = base + height * np.sin(5 * x + 9 * base) * np.cos(2.3 * x + 31 * base)
        picture = mix(picture, colour, below(y, hills))
    windows = (np.sin(41 * x) * np.sin(67 * y + 3 * np.sin(17 * x)) > 0.93) & (y > 0.84)
    return mix(picture, "#f0a92e", windows.astype(float))


def whirls(x: Array, y: Array) -> Array:
    """Return angles that turn around each light, roll between the lights, and run along the hills."""
    u, v = 0.9 + 0.3 * np.sin(6 * y), 0.35 * np.cos(7 * x + 3 * y)
    for sign, (cx, cy, r) in zip((1, -1, 1, -1, 1), LIGHTS, strict=True):
        dx, dy = (x - cx) * WIDTH / HEIGHT, y - cy
        pull = sign * 6 * np.exp(-((dx**2 + dy**2) / (2.6 * r) ** 2)) / np.hypot(dx, dy).clip(0.02)
        u, v = u - pull * dy, v + pull * dx
    on_land = np.clip((y - 0.68) / 0.05, 0, 1)
    return np.arctan2(v * (1 - on_land) + on_land * 0.4 * np.cos(5 * x), u * (1 - on_land) + on_land)


# --- harvest: short touches on a field with rows and trees ------------------------------------------------------


def harvest(x: Array, y: Array) -> Array:
    """Return a pale sky, a line of round trees, and rows of stubble that run to a point."""
    picture = np.ones((*x.shape, 3)) * rgb("#f3dfa0")
    picture = mix(picture, "#8fb9b4", np.clip(1.1 - 3 * y, 0, 1))
    picture = mix(picture, "#fff4d0", disc(x, y, (0.72, 0.16), 0.1, 0.1))
    rows = np.sin(46 * np.arctan2(x - 0.6, y - 0.3))
    field = np.ones((*x.shape, 3)) * rgb("#d99a2b")
    field = mix(field, "#f6cf4f", np.clip(rows, 0, 1))
    field = mix(field, "#6b4a86", np.clip(-rows - 0.35, 0, 1) * np.clip(y * 1.2, 0, 1))
    field = mix(field, "#b6451f", 0.8 * (np.sin(13 * x + 21 * y) * np.sin(9 * x - 17 * y) > 0.72))
    ground = below(y, 0.42 + 0.03 * np.sin(6 * x))[..., None]
    picture = picture * (1 - ground) + field * ground
    for cx, cy, r in ((0.08, 0.37, 0.13), (0.24, 0.42, 0.08), (0.38, 0.39, 0.1), (0.9, 0.36, 0.16), (0.62, 0.43, 0.05)):
        picture = mix(picture, "#3d2f5e", disc(x, y, (cx + 0.02, cy + 0.05), r, 0.03))
        picture = mix(picture, "#2f6b3a", disc(x, y, (cx, cy), r, 0.03))
        picture = mix(picture, "#9dbb3c", disc(x, y, (cx - 0.02, cy - 0.035), 0.6 * r, 0.05))
    return picture


def touches(x: Array, y: Array) -> Array:
    """Return angles along the rows of the field, and crossing directions in sky and trees."""
    rows = np.arctan2(y - 0.3, x - 0.6)
    sky = 0.7 * np.sin(23 * x) * np.cos(19 * y) + 0.5
    return np.where(y > 0.46, rows, sky)


# --- harbour: the palette knife -----------------------------------------------------------------------------------


def harbour(x: Array, y: Array) -> Array:
    """Return houses on a quay and sails before a red evening, with their broken reflections."""
    picture = np.ones((*x.shape, 3)) * rgb("#e2573a")
    picture = mix(picture, "#f7e7c4", np.clip(1.2 - np.abs(y - 0.3) * 7, 0, 1) * (0.6 + 0.4 * np.sin(9 * x)))
    picture = mix(picture, "#8c1f28", np.clip(0.9 - 6 * y, 0, 1))
    picture = mix(picture, "#147c83", below(y, 0.55 + 0 * x))
    for i, (left, width, top, colour) in enumerate(
        (
            (0.0, 0.12, 0.3, "#14171c"), (0.12, 0.09, 0.38, "#f3dcb0"), (0.21, 0.13, 0.24, "#a3242b"),
            (0.34, 0.07, 0.42, "#0f4a55"), (0.62, 0.1, 0.36, "#14171c"), (0.72, 0.12, 0.28, "#f0c9a0"),
            (0.84, 0.16, 0.4, "#b8322c"),
        )
    ):  # fmt: skip
        inside = (x >= left) & (x < left + width)
        picture = mix(picture, colour, (inside & (y > top) & (y < 0.56)).astype(float))
        shimmer = 0.5 + 0.5 * np.sin(70 * y + 9 * x + i)
        picture = mix(picture, colour, (inside & (y >= 0.56) & (y < 1.1 - top)) * shimmer)
    for cx, height in ((0.47, 0.36), (0.56, 0.26)):
        sail = (y > 0.6 - height) & (y < 0.6) & (np.abs(x - cx) < 0.07 * (y - 0.6 + height) / height)
        picture = mix(picture, "#fdf3dc", sail.astype(float))
        hull = (y >= 0.6) & (y < 0.645) & (np.abs(x - cx) < 0.075)
        picture = mix(picture, "#101418", hull.astype(float))
    glints = (np.sin(90 * y + 4 * np.sin(12 * x)) > 0.8) & (y > 0.62) & (np.sin(15 * x + 40 * y) > 0.1)
    return mix(picture, "#f6c65f", glints.astype(float))


def planes(x: Array, y: Array) -> Array:
    """Return a few directions in angular patches, and nearly level ones on the water."""
    patch = np.sin(5.1 * x + 2 * y) + np.sin(4.3 * y - 3 * x + 1)
    angles = np.select([patch > 0.7, patch > 0, patch > -0.7], [0.35, 1.45, -0.6], default=1.9)
    return np.where(y > 0.6, 0.12 * np.sin(20 * x), angles)


PAINTINGS = (
    Painting(
        name="nocturne",
        seed=11,
        palette=["#050b18", "#0a1440", "#16306f", "#2d5aa8", "#3f78c4", "#9cc7dd", "#f2c230", "#fff6cf", "#e08a1e"],
        composition=nocturne,
        field=whirls,
        brushes=(
            Brush(34, 190, 700, 18, 10),
            Brush(15, 130, 2600, 9, 20),
            Brush(7, 70, 5200, 5, 30),
            Brush(3.5, 34, 3600, 3, 34),
        ),
    ),
    Painting(
        name="harvest",
        seed=23,
        palette=["#f6cf4f", "#d99a2b", "#b6451f", "#6b4a86", "#3d2f5e", "#2f6b3a", "#9dbb3c", "#f3dfa0", "#8fb9b4"],
        composition=harvest,
        field=touches,
        brushes=(Brush(30, 60, 1500, 14, 12), Brush(15, 30, 7000, 8, 26, 0.6), Brush(8, 15, 11000, 5, 34, 0.4)),
    ),
    Painting(
        name="harbour",
        seed=37,
        palette=["#14171c", "#e2573a", "#8c1f28", "#b8322c", "#147c83", "#0f4a55", "#f7e7c4", "#f6c65f", "#fdf3dc"],
        composition=harbour,
        field=planes,
        brushes=(
            Brush(60, 170, 420, 30, 10, 0.1),
            Brush(34, 100, 1100, 20, 16, 0.0),
            Brush(14, 60, 1500, 10, 22, 0.0),
            Brush(4, 46, 700, 3, 26, 0.2),
        ),
    ),
)


def nearest(colours: Array, palette: Array) -> Array:
    """Pull colours (N, 3) most of the way to the nearest of a palette (M, 3)."""
    distance = ((colours[:, None] - palette[None]) ** 2).sum(axis=-1)
    return 0.35 * colours + 0.65 * palette[distance.argmin(axis=1)]


def path_of(start: Array, field: Array, brush: Brush, length: float) -> Array:
    """Return the middle line of a stroke, (N, 2) in px, which follows the field from `start`."""
    step, angle = max(2.0, brush.width / 4), field[int(start[1]), int(start[0])]
    points = [start]
    for _ in range(max(2, int(length / step))):
        x, y = np.clip(points[-1], 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
        turn = np.angle(np.exp(1j * (field[y, x] - angle)))
        angle += brush.curve * np.clip(turn, -0.35, 0.35)
        points.append(points[-1] + step * np.array([np.cos(angle), np.sin(angle)]))
    return np.array(points)


def paint_stroke(
    picture: tuple[Array, Array], path: Array, colour: Array, brush: Brush, rng: np.random.Generator
) -> None:
    """Draw the hairs of one stroke into the canvas, and their ridges into the relief.

    Args:
        picture: canvas (H, W, 3) and relief (H, W); both are drawn into.
        path: middle line of the stroke, (N, 2) in px.
        colour: RGB, 0–255.
        brush: width, hairs and spread of their colours.
        rng: source of the variation between hairs.
    """
    canvas, relief = picture
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True).clip(1e-6)
    taper = np.sqrt(np.clip(np.sin(np.linspace(0.25, np.pi - 0.12, len(path))), 0, 1))[:, None]
    thickness = max(1, round(1.5 * brush.width / brush.hairs))
    shade = rng.normal(0, brush.jitter, 3)
    load = rng.uniform(0.35, 1.0)
    for offset in np.linspace(-0.5, 0.5, brush.hairs):
        first, last = rng.integers(0, 1 + len(path) // 6), len(path) - rng.integers(0, 1 + len(path) // 4)
        hair = (path + normal * taper * offset * brush.width)[first:last]
        if len(hair) < 2:
            continue
        tint = np.clip(colour + shade * 0.6 + rng.normal(0, brush.jitter * 0.6), 0, 255)
        ridge = load * brush.width**0.5 * (0.55 + rng.uniform(0, 0.45)) * (1.25 if abs(offset) > 0.4 else 1.0)
        for target, value in ((canvas, tint.tolist()), (relief, float(ridge))):
            cv2.polylines(
                target,
                np.round(hair * 8).astype(np.int32)[None],  # OpenCV takes eighths of a px, since shift is 3
                isClosed=False,
                color=value,
                thickness=thickness,
                lineType=cv2.LINE_AA,
                shift=3,
            )


def light(canvas: Array, relief: Array) -> Array:
    """Return the canvas with its relief lit from the upper left."""
    smooth = cv2.GaussianBlur(relief, (0, 0), 0.8)
    slope = cv2.Sobel(smooth, cv2.CV_64F, 1, 0, ksize=3) + cv2.Sobel(smooth, cv2.CV_64F, 0, 1, ksize=3)
    shading = np.tanh(slope / 9)[..., None]
    return np.clip(canvas * (1 - 0.22 * shading) - 26 * shading, 0, 255)


def paint(painting: Painting) -> Array:
    """Return the whole painting, (H, W, 3) RGB uint8."""
    rng = np.random.default_rng(painting.seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x, y = x / WIDTH, y / HEIGHT
    scene, field = painting.composition(x, y), painting.field(x, y)
    palette = np.stack([rgb(code) for code in painting.palette])
    canvas, relief = scene.copy() * 0.8, np.zeros((HEIGHT, WIDTH))
    for brush in painting.brushes:
        averaged = cv2.GaussianBlur(scene, (0, 0), brush.width / 5)
        starts = rng.uniform((0, 0), (WIDTH, HEIGHT), (brush.strokes, 2))
        for start in starts:
            path = path_of(start, field, brush, brush.length * rng.uniform(0.5, 1.2))
            mx, my = np.clip(path[len(path) // 2], 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
            colour = nearest(averaged[my, mx][None], palette)[0]
            paint_stroke((canvas, relief), path, colour, brush, rng)
    return light(canvas, relief).astype(np.uint8)


def main() -> None:
    """Paint all paintings and write them to data/styles."""
    folder = Path(__file__).parent / "styles"
    folder.mkdir(exist_ok=True)
    for painting in PAINTINGS:
        path = folder / f"{painting.name}.jpg"
        cv2.imwrite(str(path), paint(painting)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        print(path.name, path.stat().st_size // 1000, "KB")


if __name__ == "__main__":
    main()
