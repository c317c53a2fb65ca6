"""A night of wind and moonlight over a river, in long flowing strokes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from painters.maps import Array, Points, clouds, combed, ellipse, full, polygon, ramp, rgb, under
from painters.oil import Brush, Painting, Passage
from painters.paths import curve, shifted

WIDTH, HEIGHT = 1280, 1024
SHAPE = HEIGHT, WIDTH
MOON = 300, 235, 62
WHIRLS = ((640, 245, 210, -2.2), (930, 360, 150, 2.0), (90, 420, 130, -1.4))
"""Column, row, radius, and sense and strength of the turn."""
STARS = ((520, 80, 24), (930, 90, 30), (1190, 330, 26), (720, 390, 17), (70, 120, 20), (480, 330, 15), (1060, 500, 15))
"""Column, row and radius of each light."""
RIDGES = (
    (
        ((0, 640), (180, 590), (380, 640), (620, 660), (850, 600), (1080, 560), (1280, 620)),
        ((0, "#7fa7b8"), (0.15, "#3b5d94"), (0.6, "#263a70"), (1, "#182550")),
    ),
    (
        ((0, 700), (240, 690), (460, 720), (700, 716), (980, 660), (1280, 690)),
        ((0, "#a7b05a"), (0.12, "#3f7560"), (0.5, "#1f4652"), (1, "#0f2038")),
    ),
)
"""Ridge of each range of hills, and its colours from top to bottom, the farther one first."""
BANKS = (
    ((0, 900), (200, 872), (420, 900), (560, 960), (640, 1024)),
    ((900, 1024), (990, 960), (1090, 915), (1190, 900), (1280, 896)),
)
HOUSES = (
    (730, 58, 742, "#3c4f74", "#5a2f3f"),
    (800, 74, 730, "#54628a", "#8a4234"),
    (882, 50, 744, "#2b3a5e", "#4a2a44"),
    (950, 66, 736, "#46587c", "#7a3a3a"),
)
"""Left side, width, upper edge, and the colours of wall and roof."""
FLOW = Brush(
    15, 210, hair=2.2, streak=0.6, gaps=0.45, dry=0.4, ragged=0.5, pickup=0.12, thickness=1.0, ridge=0.5, hue=0.13,
    turn=0.1,
)  # fmt: skip
BROAD = replace(FLOW, width=34, length=280, hair=3, thickness=0.8)
FINE = replace(FLOW, width=7, length=110, hair=1.8, light=14, thickness=1.2)


def nocturne() -> Array:
    """Return the finished painting, (H, W, 3) RGB uint8."""
    painting = Painting((WIDTH, HEIGHT), "#1b1a2e", seed=11)
    sky = _sky(painting)
    _hills(painting)
    _river(painting, sky)
    _village(painting)
    _poplars(painting)
    for bank in BANKS:
        _bank(painting, bank)
    return painting.lit()


def _wind() -> Array:
    """Return the direction of the wind: a wave from left to right that turns around the whirls."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    u, v = full(SHAPE, 1.0), 0.7 * np.cos(x / 170 + y / 260)
    for column, row, radius, turn in (*WHIRLS, (*MOON[:2], 150, 1.6)):
        dx, dy = x - column, y - row
        pull = 2.5 * turn * np.exp(-((np.hypot(dx, dy) / radius) ** 2)) / np.hypot(dx, dy).clip(20)
        u, v = u - pull * (dy + 0.45 * dx), v + pull * (dx - 0.45 * dy)
    return np.arctan2(v, u)


def _sky(painting: Painting) -> Array:
    """Paint the sky with its moon and stars, and return its colours."""
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0]
    wind = _wind()
    bands = combed(clouds(painting.rng, SHAPE, 80, 2), wind)
    colours = ramp(0.5 + 0.2 * bands - 0.1 * np.exp(-y / 200), (
        (0.0, "#0b1238"), (0.25, "#1c2f78"), (0.45, "#2c62ae"), (0.62, "#3f9cb8"), (0.8, "#a9d6c8"), (1.0, "#f3eecb"),
    ))  # fmt: skip
    dusk = np.exp(-(((y - 610) / 95.0) ** 2))[..., None] * (0.6 + 0.25 * bands[..., None])
    colours = colours * (1 - dusk.clip(0, 0.9)) + rgb("#e58b5b") * dusk.clip(0, 0.9)
    for column, row, radius in (MOON, *STARS):
        far = ellipse(SHAPE, (column, row), (radius, radius))
        halo = np.exp(-((far / 2.4) ** 4))[..., None] * (0.85 + 0.1 * bands[..., None]).clip(0, 1)
        glow = ramp(far, ((0.0, "#fffbe0"), (0.8, "#ffe9a0"), (1.2, "#f6c65a"), (1.9, "#dfe0a8"), (3, "#6fb8bc")))
        colours = colours * (1 - halo) + glow * halo
    mask = ~under(SHAPE, [(x, row + 26) for x, row in RIDGES[0][0]])
    sky = Passage(mask, colours, wind, ("#0d1440", "#dfe7c0", "#6a4f96", "#e39a62"), 0.07)
    painting.tint(sky, 0.6)
    painting.lay(sky, BROAD, 2.2, shades=30)
    painting.lay(sky, FLOW, 2.0, shades=34)
    painting.lay(replace(sky, accent_share=0.16), FINE, 0.6, shades=34)
    for light in (MOON, *STARS):
        _light(painting, replace(sky, accents=("#f2b441", "#fff6cf", "#3f83b8"), accent_share=0.2), bands, light)
    return colours


def _light(painting: Painting, sky: Passage, bands: Array, light: tuple[float, float, float]) -> None:
    """Paint the moon or a star, and rings of strokes around it; `light` is column, row and radius."""
    column, row, radius = light
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    far = ellipse(SHAPE, (column, row), (radius, radius))
    around = np.arctan2(y - row, x - column) + np.pi / 2
    rings = replace(sky, mask=(far + 0.3 * bands < 2.2) & sky.mask, direction=around)
    brush = replace(FLOW, width=4 + radius / 7, length=30 + radius * 1.4, thickness=1.5)
    painting.lay(rings, brush, 1.6, shades=30)
    disc = replace(Passage.plain(far < 0.9, "#fff6cc", 0), direction=around)
    brush = replace(FINE, width=3 + radius / 7, length=12 + radius * 0.7, thickness=2, pickup=0.05)
    painting.lay(disc, brush, 2.5, shades=14)


def _hills(painting: Painting) -> None:
    """Paint two ranges of hills, whose strokes roll along their ridges."""
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0]
    for points, stops in RIDGES:
        line = curve(points)
        ridge = np.interp(np.arange(WIDTH), *line.T)
        mask = under(SHAPE, line) & (y < 800)
        slope = np.tile(np.arctan(np.gradient(ridge)), (HEIGHT, 1))
        rolls = combed(clouds(painting.rng, SHAPE, 60, 2), slope + 0.5)
        colours = ramp((y - ridge) / 110 + 0.1 * rolls, stops)
        along = slope + 0.5 * np.sin(y / 37 + ridge / 41)
        hills = Passage(mask, colours, along, ("#d9a24a", "#0c1630", "#7a5a96"), 0.07)
        painting.tint(hills, 0.6)
        painting.lay(hills, replace(BROAD, width=24, length=130), 1.2)
        painting.lay(hills, replace(FLOW, width=11, length=90), 1.8, shades=30)
        painting.lay(hills, replace(FINE, width=5, length=50), 0.4, shades=34)
        for start in range(0, len(line) - 60, 34):
            painting.draw(line[start : start + 60], "#0d1734", "#3d6a86", replace(FLOW, width=8))


def _river(painting: Painting, sky: Array) -> None:
    """Paint the river, with the sky, the moon and the lamps in it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    level = 0.10 * np.sin(x / 130 + y / 50)
    waves = combed(clouds(painting.rng, SHAPE, 50, 2), level)
    row, column = (640 - (y - 780) * 2.2).clip(0, 640), (x + 12 * np.sin(y / 9)).clip(0, WIDTH - 1)
    mirrored = sky[row.astype(int), column.astype(int)]
    share = (0.45 + 0.2 * waves)[..., None].clip(0.1, 0.85)
    colours = mirrored * (1 - share) + ramp((y - 780) / 240, ((0, "#2e6a86"), (1, "#0c1c44"))) * share
    river = Passage(y > 770 + 12 * np.sin(x / 160), colours, level, ("#0b1534", "#e7a468", "#cfe0c4"), 0.08)
    painting.tint(river, 0.6)
    painting.lay(river, replace(BROAD, width=26, length=190, turn=0.04), 1.5, shades=30)
    painting.lay(river, replace(FLOW, width=12, length=130, turn=0.04), 1.4, shades=34)
    streak = np.abs(x - MOON[0] - 30 - 14 * np.sin(y / 13)) < 26 + (y - 780) * 0.28
    colours = ramp((y - 780) / 200, ((0, "#fff2b8"), (0.5, "#f4c65a"), (1, "#d98a3c")))
    lights = Passage((y > 785) & streak, colours, level)
    painting.lay(lights, replace(FLOW, width=10, length=70, turn=0.05, thickness=1.7), 0.7, shades=20)
    for column in (760, 840, 905, 985):
        near = (y > 790) & (y < 900) & (np.abs(x - column - 5 * np.sin(y / 8)) < 9)
        lamp = Passage.plain(near, "#f0a03c", 0)
        painting.lay(lamp, replace(FINE, width=7, length=26, turn=0.05, thickness=1.6), 0.7, shades=34)


def _bank(painting: Painting, points: Points) -> None:
    """Paint a near bank with reeds along its edge."""
    rng, line = painting.rng, curve(points)
    x = np.mgrid[0:HEIGHT, 0:WIDTH][1]
    colours = ramp(0.5 + 0.3 * clouds(rng, SHAPE, 70), ((0, "#0c1626"), (0.6, "#24453f"), (1, "#6d7a3a")))
    mask = under(SHAPE, line) & (x >= line[0, 0]) & (x <= line[-1, 0])
    grass = Passage(mask, colours, -1.3 + 0.35 * np.sin(x / 60), ("#c79a3e", "#3c2f5c"), 0.1)
    painting.tint(grass)
    painting.lay(grass, replace(FLOW, width=11, length=90, turn=0.25), 2.5, shades=30)
    for foot in line[::2]:
        tip = shifted(foot, *rng.normal((0, -50), (14, 18)))
        blade = shifted(foot, 0, 30), shifted((foot + tip) / 2, 6, 0), shifted(tip, *rng.normal(0, 12, 2))
        painting.draw(blade, "#1a3434", "#8a8a45", replace(FINE, width=5))


def _village(painting: Painting) -> None:
    """Paint houses with lit windows on the far bank."""
    for left, width, top, wall, roof in HOUSES:
        for points, code, lean in (
            (((left, top), (left + width, top), (left + width, 790), (left, 790)), wall, 1.5),
            (((left - 7, top + 3), (left + width / 2, top - 34), (left + width + 7, top + 3)), roof, 0.5),
        ):
            part = Passage.plain(polygon(SHAPE, points), code, lean, ("#8fb0c0", "#1a2140"), 0.15)
            painting.tint(part, 1.0)
            painting.lay(part, replace(FLOW, width=9, length=44, gaps=0.1, turn=0.05), 3, shades=30)
        for column in (left + width * 0.3, left + width * 0.68):
            window = (column, top + 14), (column + 1, top + 30)
            painting.draw(window, "#ffd056", "#f08c2e", replace(FINE, width=10, thickness=2, pickup=0))


def _poplars(painting: Painting) -> None:
    """Paint a group of poplars as dark flames on the right."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for foot, top, half in ((1110, 250, 40), (1195, 120, 58), (1262, 330, 44)):
        sway = 16 * np.sin((y - top) / 130 + foot)
        height = ((y - top) / (930 - top)).clip(0, 1)
        outline = half * np.sqrt(height) * (1.25 - height) * 1.5 * (1 + 0.25 * np.sin(y / 17 + foot))
        mask = (np.abs(x - foot - sway) < outline) & (y > top) & (y < 935)
        side = (x - foot - sway) / half
        flames = -np.pi / 2 + 0.55 * side * np.cos(height * 2) + 0.35 * np.sin(y / 40 + x / 23)
        colours = ramp(side + 0.5 * clouds(painting.rng, SHAPE, 50), (
            (-1.2, "#7d8f3f"), (-0.6, "#2c5a46"), (0.1, "#12303a"), (0.8, "#0b1428"), (1.4, "#3a2a52"),
        ))  # fmt: skip
        tree = Passage(mask, colours, flames, ("#c9a648", "#0a0f20", "#3f7f7a", "#7c3f4a"), 0.1)
        painting.tint(tree)
        painting.lay(tree, replace(FLOW, width=20, length=130, turn=0.2), 1.6, shades=26)
        painting.lay(tree, replace(FLOW, width=10, length=90, turn=0.25, thickness=1.3), 1.6, shades=32)
        painting.lay(tree, replace(FINE, width=5, length=60, turn=0.3), 0.5, shades=36)
