"""Short films with known motion, made from photographs: what moves where, and what was hidden before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = np.ndarray
PHOTOGRAPHS = Path(__file__).parents[2] / "data" / "content"
NOISE_LEVELS = 2.0
"""Standard deviation of each frame's noise, in levels."""


@dataclass(frozen=True)
class Clip:
    """Frames, and the true motion from each to the one before."""

    name: str
    frames: tuple[Array, ...]
    """(H, W, 3) uint8 each."""
    flows: tuple[Array | None, ...]
    """For each frame, the true displacement (H, W, 2) in px to the frame before; None: there is none, after a cut."""
    visible: tuple[Array | None, ...]
    """For each frame, whether each place can be seen in the frame before, (H, W) bool."""


@dataclass(frozen=True)
class Layer:
    """A picture that moves: the map from a frame's px to its own px, by number of the frame; and its outline."""

    picture: Array
    to_picture: Callable[[int], Array]
    """Returns a matrix (3, 3)."""
    outline: tuple[float, float, float, float] | None = None
    """Centre x, y and radii of an ellipse in its own px; None: it covers everything."""

    def place(self, number: int, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the layer's own coordinates of places of a frame."""
        m = self.to_picture(number)
        return m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]

    def covers(self, number: int, x: Array, y: Array) -> Array:
        """Return where the layer covers what is behind it."""
        if self.outline is None:
            return np.ones(x.shape, bool)
        u, v = self.place(number, x, y)
        cx, cy, rx, ry = self.outline
        return np.asarray(((u - cx) / rx) ** 2 + ((v - cy) / ry) ** 2 < 1)


def render(name: str, layers: Sequence[Layer], size: tuple[int, int], count: int, *, seed: int = 0) -> Clip:
    """Return a clip of layers, from back to front."""
    (width, height), rng = size, np.random.default_rng(seed)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float64)
    frames, flows, seen = [], [], []
    for number in range(count):
        frame, owner = np.zeros((height, width, 3)), np.zeros((height, width), int)
        before = np.zeros((height, width, 2))
        for index, layer in enumerate(layers):
            u, v = layer.place(number, xs, ys)
            own = cv2.remap(
                layer.picture.astype(np.float32), u.astype(np.float32), v.astype(np.float32), cv2.INTER_AREA,
                borderMode=cv2.BORDER_REFLECT,
            )  # fmt: skip
            covered = layer.covers(number, xs, ys)
            frame[covered], owner[covered] = own[covered], index
            back = np.linalg.inv(layer.to_picture(number - 1)) if number else np.eye(3)
            px, py = back[0, 0] * u + back[0, 1] * v + back[0, 2], back[1, 0] * u + back[1, 1] * v + back[1, 2]
            before[covered] = np.dstack([px - xs, py - ys])[covered]
        frame += rng.normal(0, NOISE_LEVELS, frame.shape)
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
        x0, y0 = xs + before[:, :, 0], ys + before[:, :, 1]
        owner_before = np.zeros((height, width), int)
        for index, layer in enumerate(layers):
            owner_before[layer.covers(number - 1, x0, y0)] = index
        inside = (x0 >= 0) & (x0 <= width - 1) & (y0 >= 0) & (y0 <= height - 1)
        flows.append(before.astype(np.float32) if number else None)
        seen.append(inside & (owner == owner_before) if number else None)
    return Clip(name, tuple(frames), tuple(flows), tuple(seen))


def turning(zoom: float, angle: float, x: float, y: float, rates: Sequence[float]) -> Callable[[int], Array]:
    """Return a motion with constant rates of zoom, angle, x and y per frame."""

    def matrix(number: int) -> Array:
        s, a = zoom * (1 + rates[0] * number), angle + rates[1] * number
        c, d = np.cos(a) * s, np.sin(a) * s
        return np.array([[c, -d, x + rates[2] * number], [d, c, y + rates[3] * number], [0, 0, 1.0]])

    return matrix


def joined(name: str, first: Clip, second: Clip) -> Clip:
    """Return both clips one after the other, with a cut between them."""
    return Clip(name, first.frames + second.frames, first.flows + second.flows, first.visible + second.visible)


def flicker(results: Sequence[Array], clip: Clip) -> list[float]:
    """Return the root mean square, in levels, between each frame and the one before, moved along the true motion."""
    found = []
    for now, then, displacement, visible in zip(results[1:], results, clip.flows[1:], clip.visible[1:], strict=False):
        if displacement is None or visible is None:
            continue
        difference = now.astype(np.float32) - moved_by(then.astype(np.float32), displacement)
        found.append(float(np.sqrt((difference[visible] ** 2).mean())))
    return found


def moved_by(picture: Array, displacement: Array) -> Array:
    """Return what lies at the displaced places of a picture."""
    height, width = displacement.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    return cv2.remap(
        picture, xs + displacement[:, :, 0], ys + displacement[:, :, 1], cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def read(path: Path) -> Array:
    """Return a picture, (H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def sample_clips(width: int, height: int, count: int) -> list[Clip]:
    """Return five clips of the sample photographs: three with objects and a cut, and two moved as by a camera."""
    photographs = {path.stem: read(path) for path in sorted(PHOTOGRAPHS.glob("*.jpg"))}
    zoom = 256 / width

    def background(name: str, rates: Sequence[float] = (-0.005, 0.006, 3.5, 1.2)) -> Layer:
        fill = min(photographs[name].shape[1] / width, photographs[name].shape[0] / height)
        scaled = (rates[0], rates[1], rates[2] * zoom, rates[3] * zoom)
        return Layer(photographs[name], turning(0.8 * fill, 0.0, 0.05 * width * fill, 0.05 * height * fill, scaled))

    def passing(number: int) -> Array:
        scale = 2.4 * zoom
        return np.array(
            [
                [scale, 0, 300 - scale * (100 + 5 * number) / zoom],
                [0, scale, 200 - scale * (80 + 2 * number) / zoom],
                [0, 0, 1.0],
            ]
        )

    size, half = (width, height), count // 2
    object_ = Layer(photographs["rocket"], passing, (300, 200, 120, 110))
    return [
        render("pan", [background("coffee")], size, count),
        render("object", [background("coffee"), object_], size, count),
        joined(
            "cut",
            render("", [background("astronaut")], size, half, seed=1),
            render("", [background("chelsea")], size, count - half, seed=2),
        ),
        render("closer", [background("chelsea", (-0.012, 0.0, 1.5, 0.8))], size, count, seed=3),
        render("turn", [background("astronaut", (0.002, 0.012, -1.0, 0.5))], size, count, seed=4),
    ]
