"""Oil paint: strokes with streaks of colour and a relief, on a canvas that is lit at the end.

A stroke is a strip of samples, along and across its path. Each sample takes up some of the paint that lies beneath it,
lays down colour where the brush still holds paint and touches the surface, and leaves a relief.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from painters.maps import Array, Points, flat, full, noise, rgb, varied
from painters.paths import curve, lengths, strip

FINENESS = 1.5
"""Number of px on the canvas per px of the finished picture."""
STEP = 0.75
"""Distance of a stroke's samples, in px of the canvas."""
MARGIN = 60
"""Width of the border of canvas that is cut off at the end, in px of the finished picture."""


@dataclass(frozen=True)
class Brush:
    """Size and manner of a brush or a palette knife. Lengths are in px of the finished picture."""

    width: float
    length: float
    hair: float = 2.0
    """Width of a streak."""
    streak: float = 0.6
    """Share of a stroke's second colour in its streaks, 0–1."""
    gaps: float = 0.3
    """Readiness to leave the surface uncovered between hairs, 0–1."""
    dry: float = 0.4
    """Share of the paint that is used up at the end of a stroke."""
    rounded: float = 1.0
    """Shape of the ends: 0 is square, 1 is round."""
    ragged: float = 0.25
    """Unevenness of the ends, as a share of the width."""
    wobble: float = 0.1
    """Unevenness of the sides, as a share of the width."""
    pickup: float = 0.25
    """Share of the paint beneath that is dragged along."""
    thickness: float = 0.8
    """Height of the paint."""
    ridge: float = 0.6
    """Height of the rim, where paint is pushed aside."""
    keep: float = 0.5
    """Share of the relief beneath that remains."""
    light: float = 8.0
    """Spread of the lightness from stroke to stroke, in levels."""
    hue: float = 0.12
    """Spread of the hue from stroke to stroke, in radians."""
    turn: float = 0.12
    """Spread of the direction from stroke to stroke, in radians."""


@dataclass
class Passage:
    """Part of a picture: where it is, what colours it has, and which way its strokes run.

    Arrays have the size of the finished picture.
    """

    mask: Array
    colours: Array
    direction: Array
    accents: tuple[str, ...] = ()
    """Colours that some strokes have instead."""
    accent_share: float = 0.0

    @classmethod
    def plain(cls, mask: Array, code: str, angle: float, accents: tuple[str, ...] = (), share: float = 0.0) -> Passage:
        """Return a passage of one colour and one direction."""
        return cls(mask, flat(mask.shape, code), full(mask.shape, angle), accents, share)


class Painting:
    """Canvas under work: colours (H, W, 3) in 0–255, and a relief (H, W) in px."""

    def __init__(self, size: tuple[int, int], ground: str, seed: int) -> None:
        """Prime a canvas.

        Args:
            size: width and height of the finished picture, in px.
            ground: colour of the priming.
            seed: seed of all random numbers.
        """
        self.rng = np.random.default_rng(seed)
        self.size = size
        width, height = (int((each + 2 * MARGIN) * FINENESS) for each in size)
        self.colour = np.tile(rgb(ground), (height, width, 1))
        self.colour += noise(self.rng, (height, width), (90, 90))[..., None] * 5
        self.weave = _weave(height, width, self.rng)
        self.relief = 0.35 * self.weave

    def stroke(self, path: Array, colours: tuple[Array, Array], brush: Brush) -> None:
        """Draw one stroke along points (N, 2), with streaks of a second colour."""
        samples = _samples((path + MARGIN) * FINENESS, brush, self.rng)
        if samples is None:
            return
        columns, rows, edge, along, streaks, chatter = samples
        height, width = self.relief.shape
        index = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
        flat_colour, flat_relief = self.colour.reshape(-1, 3), self.relief.reshape(-1)
        beneath, relief = flat_colour[index], flat_relief[index]

        load = 1 - brush.dry * along**1.4
        tooth = np.clip(relief - relief.mean(), -1, 1) + 0.4 * self.weave.reshape(-1)[index]
        touch = 1.2 * load - 0.5 + 0.35 * brush.gaps * (streaks - 1) + (0.1 + 0.9 * (1 - load)) * tooth
        cover = np.clip(edge / 1.3 + 0.5, 0, 1) * np.clip(touch * 8 + 0.5, 0, 1)

        blend = np.clip(0.5 + brush.streak * streaks, 0, 1)[..., None] * min(1.0, 2 * brush.streak)
        paint = colours[0] * (1 - blend) + colours[1] * blend
        dragged = _dragged(beneath, int(3 * brush.width * FINENESS / STEP))
        share = np.clip(brush.pickup * (0.5 + along) * (1 + 0.7 * streaks), 0, 0.9)[..., None]
        paint = paint * (1 - share) + dragged * share
        flat_colour[index] = beneath + cover[..., None] * (paint - beneath)

        rim = np.exp(-((np.clip(edge, 0, None) / (1.6 * FINENESS)) ** 2)) * (0.4 + 0.8 * along) * (1 + 0.5 * chatter)
        body = brush.thickness * load * (0.8 + 0.28 * streaks + 0.12 * chatter) + brush.ridge * rim
        flat_relief[index] = relief * (1 - cover * (1 - brush.keep)) + FINENESS * cover * body

    def draw(self, points: Points, code: str, second: str, brush: Brush) -> None:
        """Draw one stroke on a smooth line through points, in two colours `#rrggbb`."""
        self.stroke(curve(points), (rgb(code), rgb(second)), brush)

    def lay(self, passage: Passage, brush: Brush, coverage: float, shades: float = 26.0) -> None:
        """Fill a passage with strokes in random order.

        Args:
            passage: where, in what colours, in which direction.
            brush: size and manner of the strokes.
            coverage: area of all strokes as a share of the passage's.
            shades: difference between the two colours of a stroke, in levels.
        """
        rng = self.rng
        spacing = np.sqrt(brush.width * brush.length / coverage)
        for x, y in _scattered(passage.mask, spacing, rng):
            colour = passage.colours[y, x]
            if passage.accents and rng.random() < passage.accent_share:
                colour = rgb(passage.accents[rng.integers(len(passage.accents))])
            first = varied(colour, rng, brush.light, brush.hue)
            second = varied(first, rng, shades, 1.5 * brush.hue, 0.25)
            size = rng.uniform(0.7, 1.3) if brush.width < 60 else rng.uniform(0.5, 1.25)
            shaped = replace(brush, width=brush.width * size)
            path = _followed((x, y), passage, brush.length * size * rng.uniform(0.7, 1.2), rng.normal(0, brush.turn))
            if len(path) > 1:
                self.stroke(path, (first, second), shaped)

    def tint(self, passage: Passage, strength: float = 0.8) -> None:
        """Underpaint a passage thinly and unevenly, so that no bare ground shows between strokes."""
        matrix = np.array([[1 / FINENESS, 0, -MARGIN], [0, 1 / FINENESS, -MARGIN]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = self.relief.shape[::-1]
        share, colours = (
            cv2.warpAffine(np.float32(each), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for each in (passage.mask, passage.colours)
        )
        uneven = 0.85 + 0.12 * noise(self.rng, self.relief.shape, (50, 70)) + 0.1 * self.weave
        self.colour += (share * strength * uneven.clip(0, 1))[..., None] * (colours - self.colour)

    def lit(self) -> Array:
        """Return the finished picture (H, W, 3), RGB uint8, with its relief lit from the upper left."""
        relief = cv2.GaussianBlur(self.relief, (0, 0), 1.0)
        east, south = (cv2.Sobel(relief, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1)))
        length = np.sqrt(east**2 + south**2 + 1)
        sun = np.array([-0.5, -0.62, 0.85]) / np.linalg.norm([-0.5, -0.62, 0.85])
        facing = (-east * sun[0] - south * sun[1] + sun[2]) / length
        shade = 1 + 0.6 * (facing / sun[2] - 1)
        middle = sun + np.array([0, 0, 1])
        middle /= np.linalg.norm(middle)
        gloss = np.clip((-east * middle[0] - south * middle[1] + middle[2]) / length, 0, 1) ** 60
        flat_gloss = middle[2] ** 60
        wet = np.clip(self.colour * shade[..., None] + 46 * (gloss - flat_gloss).clip(0)[..., None], 0, 255)
        edge = int(MARGIN * FINENESS)
        inner = np.ascontiguousarray(wet[edge:-edge, edge:-edge])
        small = cv2.resize(inner, self.size, interpolation=cv2.INTER_AREA)
        return np.round(small).astype(np.uint8)


def _weave(height: int, width: int, rng: np.random.Generator) -> Array:
    """Return the threads of a linen canvas, mean about 0 and spread about 0.5."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x += 1.2 * noise(rng, (height, width), (40, 12))
    y += 1.2 * noise(rng, (height, width), (12, 40))
    pitch = 2 * np.pi / 5.2
    over = np.sin(x * pitch) * np.sin(y * pitch)
    return (0.5 * over + 0.25 * noise(rng, (height, width), (2, 2))).astype(np.float32)


def _samples(path: Array, brush: Brush, rng: np.random.Generator) -> tuple[Array, ...] | None:
    """Return the samples of a stroke, (S, T) each: columns, rows, edge, along, streaks, chatter.

    `edge` is the distance to the stroke's edge in px of the canvas, negative outside; `along` goes from 0 to 1;
    `streaks` follow the hairs, `chatter` is uneven in all directions.
    """
    s = lengths(path, STEP)
    if len(s) < 3:
        return None
    half = brush.width * FINENESS / 2
    t = np.linspace(-1, 1, max(4, int(2 * half / STEP)), dtype=np.float32)
    shape = len(s), len(t)
    columns, rows = strip(path, s, half * (1 + brush.wobble * noise(rng, (len(s), 1), (half * 2, 1))) * t)

    hair = brush.hair * FINENESS / STEP
    fine = noise(rng, shape, (60 + 0.7 * len(s), hair))
    streaks = 0.7 * fine + 0.55 * noise(rng, shape, (60 + 0.3 * len(s), 3.5 * hair))
    chatter = noise(rng, shape, (22, 12))
    cap = brush.rounded * half * (1 - np.sqrt(1 - np.minimum(t**2, 1)))
    rag = brush.ragged * 2 * half * np.abs(noise(rng, (2, len(t)), (1, hair)) + noise(rng, (2, len(t)), (1, 5 * hair)))
    side = (1 - np.abs(t)) * half - 0.6 * brush.wobble * half * np.abs(noise(rng, shape, (14, len(t))))
    start, end = s[:, None] - cap - 0.5 * rag[0], s[-1] - s[:, None] - cap - rag[1]
    edge = np.minimum(np.minimum(start, end), side)
    along = np.broadcast_to((s / s[-1])[:, None], shape)
    return columns, rows, edge, along, streaks, chatter


def _dragged(beneath: Array, reach: int) -> Array:
    """Return the colours that a brush has gathered on its way, in which those of the last `reach` samples fade."""
    reach = max(2, min(reach, len(beneath)))
    weights = np.exp(-np.arange(reach)[::-1] / (reach / 3)).astype(np.float32)[:, None]
    weights /= weights.sum()
    return cv2.filter2D(beneath, -1, weights, anchor=(0, reach - 1), borderType=cv2.BORDER_REPLICATE)


def _scattered(mask: Array, spacing: float, rng: np.random.Generator) -> Array:
    """Return places (N, 2) within a mask, about `spacing` px apart, in random order."""
    height, width = mask.shape
    y, x = np.mgrid[0 : height + spacing : spacing, 0 : width + spacing : spacing]
    places = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-0.6, 0.6, (x.size, 2)) * spacing
    places = places[rng.permutation(len(places))].round().astype(int)
    inside = (places >= 0).all(axis=1) & (places[:, 0] < width) & (places[:, 1] < height)
    places = places[inside]
    return places[mask[places[:, 1], places[:, 0]]]


def _followed(start: tuple[int, int], passage: Passage, length: float, turn: float) -> Array:
    """Return a path (N, 2) that follows a passage's directions both ways from a place, and ends at its border."""
    height, width = passage.mask.shape
    step = min(6.0, length / 4)
    halves = []
    for sign in (-1, 1):
        x, y = float(start[0]), float(start[1])
        angle = passage.direction[start[1], start[0]]
        points = []
        for _ in range(int(length / 2 / step)):
            column, row = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
            if not passage.mask[row, column]:
                break
            bend = (passage.direction[row, column] - angle + np.pi) % (2 * np.pi) - np.pi
            angle += min(max(bend, -0.3), 0.3)
            x += sign * step * np.cos(angle + turn)
            y += sign * step * np.sin(angle + turn)
            points.append((x, y))
        halves.append(points)
    return np.array([*halves[0][::-1], start, *halves[1]], dtype=np.float64)
