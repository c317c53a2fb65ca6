"""A harbour at evening, laid on with the palette knife."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from painters.maps import Array, clouds, ellipse, polygon, ramp, rgb, under
from painters.oil import Brush, Painting, Passage

WIDTH, HEIGHT = 1280, 1024
SHAPE = HEIGHT, WIDTH
QUAY = 590
"""Row of the water's far edge."""
SUN = 800, 430
HILLS = (
    (((0, 400), (250, 452), (520, 470), (800, 500), (1050, 452), (1280, 395)), "#6f5585", 0.1),
    (((0, 500), (420, 530), (760, 556), (1000, 520), (1280, 470)), "#33446b", -0.1),
)
"""Ridge, colour and direction of the strokes of each range of hills, the farther one first."""
SLAB = Brush(
    100, 260, hair=4, streak=0.35, gaps=0.3, dry=0.55, rounded=0.03, ragged=0.1, wobble=0.025, pickup=0.45,
    thickness=0.9, ridge=2.4, keep=0.3, light=8, hue=0.12, turn=0.3,
)  # fmt: skip
KNIFE = replace(SLAB, width=42, length=120, hair=3, dry=0.4, pickup=0.3, turn=0.15)
TIP = replace(SLAB, width=13, length=54, hair=2.2, dry=0.45, pickup=0.2, ridge=1.6, turn=0.2, light=12)
EDGE = replace(SLAB, width=4.5, length=200, hair=1.5, dry=0.25, ragged=0.5, wobble=0.12, pickup=0.1, ridge=1.2)


class House(NamedTuple):
    """Place of a house, in px, and its colours."""

    left: int
    right: int
    top: int
    """Row of the wall's upper edge."""
    rise: int
    """Height of the roof."""
    wall: str
    roof: str


class Boat(NamedTuple):
    """Place of a sailing boat, in px, and its colours."""

    x: float
    y: float
    """Column and row of the mast's foot."""
    height: float
    """Height of the mast."""
    sail: str
    hull: str


HOUSES = (
    House(-40, 70, 330, 60, "#2c3350", "#7e2a2a"),
    House(64, 150, 400, 46, "#d9a24f", "#8f3424"),
    House(146, 218, 300, 74, "#efe0c0", "#30405f"),
    House(214, 318, 420, 40, "#a8422f", "#4a2733"),
    House(312, 380, 360, 60, "#3f6f78", "#b6502c"),
    House(376, 470, 440, 44, "#e8c27a", "#6d2b2e"),
    House(466, 520, 470, 30, "#7d3a46", "#2b3048"),
    House(1010, 1090, 470, 40, "#2b3350", "#7e2a2a"),
    House(1086, 1190, 410, 50, "#c9813f", "#4c2533"),
    House(1186, 1320, 340, 70, "#253048", "#8a3226"),
)
BOATS = (
    Boat(770, 626, 180, "#e9c793", "#3a1f2a"),
    Boat(640, 655, 330, "#fbeed2", "#1c2233"),
    Boat(905, 690, 430, "#c8492f", "#15303a"),
)


def harbour() -> Array:
    """Return the finished painting, (H, W, 3) RGB uint8."""
    painting = Painting((WIDTH, HEIGHT), "#6b3b34", seed=37)
    scene = _sky(painting)
    _hills(painting, scene)
    for house in HOUSES:
        _house(painting, scene, house)
    _water(painting, scene)
    for boat in BOATS:
        _boat(painting, boat)
    _moored_boat(painting)
    _posts(painting)
    return painting.lit()


def _sky(painting: Painting) -> Array:
    """Paint the sky, and return its colours."""
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0]
    glow = np.exp(-((ellipse(SHAPE, SUN, (420, 190))) ** 2))
    colours = ramp(y / QUAY + 0.14 * clouds(painting.rng, SHAPE, 420) + 0.25 * glow, (
        (0.0, "#273463"), (0.25, "#5b4f86"), (0.45, "#b7546b"), (0.68, "#ee7440"), (0.9, "#f9b552"), (1.1, "#fdeab4"),
    ))  # fmt: skip
    direction = 0.25 * clouds(painting.rng, SHAPE, 300, 2)
    sky = Passage(y < QUAY, colours, direction, ("#f7d9a0", "#7fa9b0", "#e8573a", "#2e3a68"), 0.1)
    painting.tint(sky)
    painting.lay(sky, SLAB, 3.6)
    painting.lay(replace(sky, accent_share=0.25), replace(KNIFE, width=52, length=150, turn=0.4, dry=0.7), 0.7)
    painting.lay(replace(sky, mask=(y < QUAY) & (glow > 0.2)), replace(KNIFE, width=30, length=110), 1.2)
    sun = Passage.plain(ellipse(SHAPE, SUN, (38, 38)) < 1, "#fff3c4", 0.3)
    painting.lay(sun, replace(TIP, width=24, length=50, dry=0.1, pickup=0.1, thickness=1.6), 3)
    painting.lay(replace(sky, accent_share=0.3), TIP, 0.03)
    return colours


def _hills(painting: Painting, scene: Array) -> None:
    """Paint two ranges of hills, and note their colours in the scene."""
    for line, code, slope in HILLS:
        mask = under(SHAPE, line) & (np.arange(HEIGHT)[:, None] < QUAY)
        scene[mask] = rgb(code)
        hills = Passage.plain(mask, code, slope, ("#b7546b", "#8fa0b8", "#232c50"), 0.25)
        painting.lay(hills, replace(KNIFE, length=150), 2.5)
        painting.lay(hills, TIP, 0.4)


def _house(painting: Painting, scene: Array, house: House) -> None:
    """Paint a house, and note its colours in the scene: wall, roof, windows, and light on an edge."""
    rng = painting.rng
    left, right, top, rise, *_ = house
    width, ridge = right - left, top - rise
    wall = (left, top), (right, top), (right, QUAY), (left, QUAY)
    roof = (left - 6, top + 4), (left + width * 0.3, ridge), (left + width * 0.75, ridge), (right + 6, top + 4)
    for points, code, angle, accents in (
        (wall, house.wall, 1.5, ("#f3c98a", "#33304c", "#7d8ea0")),
        (roof, house.roof, 0.9, ("#e0703a", "#2a1d30")),
    ):
        mask = polygon(SHAPE, points)
        scene[mask] = rgb(code)
        part = Passage.plain(mask, code, angle, accents, 0.18)
        painting.lay(part, replace(KNIFE, width=min(44, width / 2.4), length=130, light=12), 3.5, shades=34)
        painting.lay(part, TIP, 0.5, shades=34)
    in_shade = sum(rgb(house.wall)) < 330
    for row in range(top + 34, QUAY - 30, 52):
        for column in np.arange(left + 20, right - 12, max(26.0, width / 3.4)):
            lit = in_shade and rng.random() < 0.7
            x, y = column + rng.normal(0, 2), row + rng.normal(0, 3)
            colours = ("#ffc861", "#cca04d") if lit else ("#2a2238", "#221b2d")
            painting.draw(((x, y), (x + 1, y + 22)), *colours, replace(TIP, pickup=0.1))
    painting.draw(((right - 3, top + 6), (right - 4, QUAY - 12)), "#f6d59b", "#c5aa7c", EDGE)


def _water(painting: Painting, scene: Array) -> None:
    """Paint the water: the scene upside down, broken by level slabs, and the sun's path of light."""
    rng = painting.rng
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth = (y - QUAY).clip(0)
    sway = (10 * np.sin(y / 11 + 2 * np.sin(x / 90)) + 14 * clouds(rng, SHAPE, 60, 2)).astype(int)
    mirrored = scene[(QUAY - depth * 1.15).clip(0, HEIGHT - 1).astype(int), (x + sway).clip(0, WIDTH - 1)]
    share = (0.3 + 0.5 * depth / (HEIGHT - QUAY) + 0.12 * clouds(rng, SHAPE, 160))[..., None].clip(0, 0.92)
    deep = ramp(depth / (HEIGHT - QUAY), ((0, "#2f8288"), (0.5, "#125a68"), (1, "#0a2b42")))
    colours = mirrored * (1 - share) + deep * share
    level = 0.08 * clouds(rng, SHAPE, 200, 2)
    water = Passage(y >= QUAY, colours, level, ("#f08a4c", "#12343f", "#7fb3ac", "#f6cf8a"), 0.06)
    painting.tint(water)
    painting.lay(replace(water, direction=level + np.pi / 2), replace(SLAB, width=70, length=190), 2, shades=34)
    painting.lay(replace(water, mask=y > QUAY + 160), replace(SLAB, width=76, turn=0.08), 1.3)
    painting.lay(water, replace(KNIFE, width=26, length=150, turn=0.06, dry=0.6), 1.0, shades=36)
    painting.lay(replace(water, accent_share=0.3), replace(TIP, width=9, length=70, turn=0.05), 0.3)
    path = (y > QUAY + 6) & (np.abs(x - SUN[0] - 20 * np.sin(y / 23)) < 24 + depth * 0.32)
    glitter = Passage(path, ramp(depth / 430, ((0, "#fff0bd"), (0.5, "#fbb54f"), (1, "#e5633a"))), level)
    painting.lay(glitter, replace(KNIFE, width=17, length=84, turn=0.05, dry=0.6, thickness=1.5), 0.55, shades=30)
    painting.lay(glitter, replace(TIP, width=8, length=40, turn=0.04, thickness=1.7), 0.25)


def _boat(painting: Painting, boat: Boat) -> None:
    """Paint a sailing boat with its dark reflection."""
    size = boat.height / 330

    def place(*points: tuple[float, float]) -> list[tuple[float, float]]:
        """Scale points about the mast's foot."""
        return [(boat.x + right * size, boat.y + down) for right, down in points]

    shadow = polygon(SHAPE, place((-95, 18), (105, 18), (60, 150 * size), (-40, 130 * size)))
    hull = polygon(SHAPE, place((-100, -18), (118, -22), (84, 22), (-74, 22)))
    mainsail = polygon(SHAPE, place((5, -boat.height), (118, -34), (6, -26)))
    jib = polygon(SHAPE, place((-5, -0.86 * boat.height), (-6, -22), (-78, -30)))
    level = replace(KNIFE, width=18, length=115, turn=0.05)
    painting.lay(Passage.plain(shadow, boat.hull, 0.03, (boat.sail, "#1d5661"), 0.3), level, 1.5)
    for mask, lean in ((mainsail, 1.25), (jib, -1.2)):
        cloth = Passage.plain(mask, boat.sail, lean, ("#e9a25a", "#8a5a6a", "#fff6df"), 0.14)
        painting.lay(cloth, replace(KNIFE, width=36 * size, length=150 * size, light=9, dry=0.3), 3, shades=24)
        painting.lay(cloth, replace(TIP, length=80), 0.3)
    painting.lay(Passage.plain(hull, boat.hull, 0.0, ("#7d2f2c", "#3f7e86"), 0.2), level, 4)
    rope = replace(EDGE, width=3 + 2 * size)
    painting.draw(place((0, -boat.height - 18), (0, 0)), "#1a1620", "#292630", rope)
    painting.draw(place((0, -boat.height), (-96, -24)), "#1a1620", "#292630", rope)
    painting.draw(place((3, -28), (124, -36)), "#1a1620", "#292630", rope)
    painting.draw(place((-98, -20), (116, -24)), "#f3d9a6", "#d6c299", rope)


def _moored_boat(painting: Painting) -> None:
    """Paint a boat in the shade of the foreground."""
    hull = polygon(SHAPE, ((-20, 850), (180, 880), (390, 872), (440, 850), (360, 960), (240, 990), (-20, 1000)))
    inside = polygon(SHAPE, ((-20, 836), (130, 842), (300, 846), (440, 846), (390, 876), (180, 888), (-20, 866)))
    for mask, code, accents in (
        (hull, "#18202f", ("#7b2a2b", "#2f5a66", "#0d0f16")),
        (inside, "#8a4a34", ("#d9a05f", "#3a2030")),
    ):
        part = Passage.plain(mask, code, 0.06, accents, 0.25)
        painting.lay(part, replace(KNIFE, width=40, length=200, turn=0.06), 3)
        painting.lay(part, replace(TIP, length=90), 0.4)
    painting.draw(((-20, 852), (150, 874), (330, 872), (444, 846)), "#e8b878", "#8a4a34", replace(EDGE, width=9))


def _posts(painting: Painting) -> None:
    """Paint posts with ropes between them."""
    for x, top in ((1090, 720), (1172, 690), (1240, 760)):
        mask = polygon(SHAPE, ((x - 17, top), (x + 15, top - 6), (x + 20, 1024), (x - 22, 1024)))
        post = Passage.plain(mask, "#241b26", 1.57, ("#7c4a34", "#2f5560"), 0.3)
        painting.lay(post, replace(KNIFE, width=18, length=150, turn=0.04), 4)
        edge = (x - 12, top + 8), (x - 15, 1000)
        painting.draw(edge, "#e8b878", "#b25b3a", replace(EDGE, width=6, dry=0.6))
    for rope in (((1090, 760), (1130, 800), (1172, 730)), ((1172, 730), (1210, 800), (1240, 790))):
        painting.draw(rope, "#caa06a", "#3a2a30", EDGE)
