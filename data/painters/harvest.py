"""Haystacks and an orchard tree in late summer, in pointed dabs of broken colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from painters.maps import Array, clouds, ellipse, full, polygon, ramp, rgb, under, varied
from painters.oil import Brush, Painting, Passage
from painters.paths import curve

WIDTH, HEIGHT = 1280, 1024
SHAPE = HEIGHT, WIDTH
HORIZON = 420
DAB = Brush(
    19, 29, hair=2.6, streak=0.35, gaps=0.15, dry=0.15, ragged=0.12, pickup=0.08, thickness=1.0, ridge=0.5, keep=0.2,
    light=9, hue=0.15, turn=0.35,
)  # fmt: skip
UNDERLAYER = replace(
    DAB, width=46, length=110, hair=3, streak=0.5, gaps=0.35, dry=0.4, thickness=0.7, ridge=0.5, hue=0.12
)
POINT = replace(DAB, width=8, length=11, light=12, hue=0.2)
STACKS = ((905, 690, 190, 270), (520, 560, 92, 128), (330, 505, 50, 66), (690, 480, 34, 42))
"""Middle, foot, half the width and height of each haystack."""
CLOUD = (
    ((760, 190), (150, 60)), ((860, 150), (120, 80)), ((980, 195), (140, 56)), ((1180, 290), (150, 36)),
    ((560, 300), (130, 28)), ((900, 215), (260, 36)),
)  # fmt: skip
CROWN = (
    ((60, 220), (190, 150)), ((230, 180), (190, 150)), ((330, 310), (130, 100)), ((40, 380), (130, 80)),
    ((190, 360), (110, 70)), ((150, 60), (250, 110)),
)  # fmt: skip
"""Ellipses that make up the cloud, and those of the tree's crown: centre and radii."""
LIMBS = (
    (((150, 930), (165, 760), (150, 600), (180, 440)), 58),
    (((158, 650), (230, 520), (300, 420)), 32),
    (((155, 600), (90, 470), (30, 400)), 28),
)
"""Middle line and width of the trunk and its branches."""
BARK = (
    (0, "#4a3358", "#6f4a4a"), (-0.3, "#2f2f5c", "#53407a"), (0.28, "#b5714a", "#e2a868"), (0.05, "#5a4a80", "#8a5a4f"),
)  # fmt: skip
"""Place across a limb, as a share of its width, and two colours."""


def harvest() -> Array:
    """Return the finished painting, (H, W, 3) RGB uint8."""
    painting = Painting((WIDTH, HEIGHT), "#c9a877", seed=23)
    _sky(painting)
    _distance(painting)
    _field(painting)
    for stack in reversed(STACKS):
        _haystack(painting, *stack)
    _tree(painting)
    _crown(painting)
    _poppies(painting)
    return painting.lit()


def _dabbed(painting: Painting, passage: Passage, scale: float = 1.0, accents: float = 0.07) -> None:
    """Cover a passage with larger strokes, then with dabs of three sizes and points that stray over its border."""
    painting.tint(passage)
    stray = replace(passage, mask=_frayed(painting.rng, passage.mask, 9 * scale))
    for brush, coverage, share in (
        (UNDERLAYER, 1.8, 0.3), (replace(DAB, width=33, length=52), 0.9, 0.5), (DAB, 0.75, 1.0),
        (replace(DAB, width=12, length=17), 0.35, 1.6), (POINT, 0.08, 5.0),
    ):  # fmt: skip
        sized = replace(brush, width=brush.width * scale, length=brush.length * scale)
        where = passage if brush is UNDERLAYER else stray
        painting.lay(replace(where, accent_share=accents * share), sized, coverage, shades=18)


def _frayed(rng: np.random.Generator, mask: Array, reach: float) -> Array:
    """Return a mask whose border is scattered over about `reach` px."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x = (x + rng.normal(0, reach, SHAPE)).astype(int).clip(0, WIDTH - 1)
    y = (y + rng.normal(0, reach, SHAPE)).astype(int).clip(0, HEIGHT - 1)
    return mask[y, x]


def _sky(painting: Painting) -> None:
    """Paint a sky from blue to pale yellow, with clouds lit from the right."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    colours = ramp(y / HORIZON + 0.05 * clouds(painting.rng, SHAPE, 200), (
        (0.0, "#3f7fc0"), (0.35, "#6fb0d8"), (0.65, "#a9d3cf"), (0.85, "#f3e3b0"), (1.0, "#f7cfa0"),
    ))  # fmt: skip
    heap = np.minimum.reduce([ellipse(SHAPE, *each) for each in CLOUD])
    heap = heap + 0.16 * clouds(painting.rng, SHAPE, 60)
    cover = np.clip((1.05 - heap) / 0.3, 0, 1)[..., None]
    depth = (y - 90) / 150 - (x - 860) / 900
    shade = ramp(depth, ((0, "#fffbea"), (0.5, "#fbdcc0"), (0.9, "#b9a4cc"), (1.2, "#8f9ccc")))
    colours = colours * (1 - cover) + shade * cover
    direction = -0.5 + 0.5 * clouds(painting.rng, SHAPE, 160, 2)
    sky = Passage(y < HORIZON + 10, colours, direction, ("#f6c9a8", "#e9e6f4", "#4b6fc0", "#f3a98a"))
    _dabbed(painting, sky, 1.1, 0.05)


def _distance(painting: Painting) -> None:
    """Paint blue hills, and a row of poplars before them."""
    rows = np.mgrid[0:HEIGHT, 0:WIDTH][0]
    line = curve(((0, 372), (220, 330), (470, 378), (760, 352), (1010, 300), (1280, 350)))
    mask = under(SHAPE, line) & (rows < HORIZON + 24)
    height = (rows - 300) / 130 + 0.12 * clouds(painting.rng, SHAPE, 70)
    colours = ramp(height, ((0, "#6f7fc0"), (0.6, "#8a8fc4"), (1, "#9fb48c")))
    _dabbed(painting, Passage(mask, colours, full(SHAPE, -0.2), ("#e79a6a", "#4a55a0", "#c9b4dc")), 0.7)
    for column in range(30, 1280, 62):
        tall = 112 + 46 * np.sin(column / 97) + painting.rng.normal(0, 14)
        centre = column + painting.rng.normal(0, 12), HORIZON - tall / 2 + 14
        far = ellipse(SHAPE, centre, (12 + tall / 14, tall / 2)) + 0.1 * clouds(painting.rng, SHAPE, 20, 2)
        light = (np.mgrid[0:HEIGHT, 0:WIDTH][1] - centre[0]) / 22
        colours = ramp(light, ((-1, "#233a70"), (-0.2, "#2f6a5a"), (0.4, "#5f9a48"), (1, "#d3c652")))
        tree = Passage(far < 1, colours, full(SHAPE, -1.2), ("#d8643f", "#35449a", "#e8e08a"), 0.14)
        painting.tint(tree)
        painting.lay(tree, replace(DAB, width=11, length=24), 1.4, shades=20)
        painting.lay(tree, POINT, 0.4)


def _field(painting: Painting) -> None:
    """Paint the stubble field, whose rows run to a point on the horizon."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    away = np.arctan2(y - HORIZON + 60, x - 420)
    rows = np.sin(52 * away + 0.8 * clouds(painting.rng, SHAPE, 150))
    tone = 0.5 + 0.2 * rows * np.clip((y - HORIZON) / 200, 0.2, 1) + 0.13 * clouds(painting.rng, SHAPE, 180)
    colours = ramp(tone, ((0, "#7a4f8a"), (0.22, "#b5643c"), (0.42, "#dd9a34"), (0.65, "#f3c64a"), (0.9, "#fbe79a")))
    meadow = np.clip(1 - np.abs(y - HORIZON - 26) / 22, 0, 1)[..., None] * 0.8
    colours = colours * (1 - meadow) + rgb("#93b356") * meadow
    field = Passage(y > HORIZON + 4, colours, away, ("#5a4fa8", "#e0502e", "#6f9a4a", "#fbf0c0"), 0.08)
    far, near = replace(field, mask=(y > HORIZON + 4) & (y < 560)), replace(field, mask=y >= 545)
    _dabbed(painting, far, 0.6)
    _dabbed(painting, near, 1.1)
    painting.lay(replace(near, mask=y > 720), replace(DAB, width=9, length=48, turn=0.15), 0.5)


def _haystack(painting: Painting, middle: float, foot: float, half: float, tall: float) -> None:
    """Paint a haystack lit from the right, and its long blue shadow."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    size = half / 190
    shadow = polygon(SHAPE, [
        (middle + right * half, foot + down * size)
        for right, down in ((-1, -20), (0.7, 4), (-0.4, 92), (-2.3, 84), (-2.5, 50))
    ])  # fmt: skip
    dark = ramp(0.5 + 0.3 * clouds(painting.rng, SHAPE, 60), ((0, "#3a3f90"), (0.5, "#5c58a8"), (1, "#8a6a94")))
    _dabbed(painting, Passage(shadow, dark, full(SHAPE, 0.12), ("#e2953a", "#2f7f8a", "#b85f8a")), 0.5 + 0.5 * size)
    up = (foot - y) / tall
    dome = np.sqrt(1 - ((up - 0.42) / 0.58).clip(0, 1) ** 1.6)
    outline = half * np.where(up < 0.42, 0.86 + 0.34 * up, dome)
    mask = (np.abs(x - middle) < outline * (1 + 0.03 * np.sin(y / 5))) & (up > 0) & (up < 1)
    side = (x - middle) / half + 0.12 * clouds(painting.rng, SHAPE, 50) - 0.35 * (up < 0.42)
    colours = ramp(side, (
        (-1.1, "#4a3f86"), (-0.6, "#8a4f7a"), (-0.15, "#c7683a"), (0.25, "#e9a23a"), (0.65, "#f9d667"), (1, "#fff3bd"),
    ))  # fmt: skip
    slope = np.where(up > 0.42, 1.57 - 0.8 * (x - middle) / half, 1.57 + 0.15 * (x - middle) / half)
    stack = Passage(mask, colours, slope, ("#5a62b8", "#e4573a", "#8aa860"), 0.08)
    _dabbed(painting, stack, 0.45 + 0.6 * size)
    painting.lay(stack, replace(DAB, width=3 + 4 * size, length=14 + 36 * size, turn=0.3), 0.7, shades=24)


def _tree(painting: Painting) -> None:
    """Paint the trunk of an apple tree in the left foreground, and its shade in the grass."""
    rng = painting.rng
    shade = ellipse(SHAPE, (150, 905), (330, 70)) + 0.12 * clouds(rng, SHAPE, 60)
    colours = ramp(0.5 + 0.3 * clouds(rng, SHAPE, 70), ((0, "#2b3f80"), (0.5, "#3f6f70"), (1, "#6f8f50")))
    _dabbed(painting, Passage(shade < 1, colours, full(SHAPE, -0.9), ("#8a5aa8", "#d88a3a", "#b9c860")))
    for limb, width in LIMBS:
        for side, code, second in BARK:
            line = curve(limb) + np.array([side * width, 0])
            for start in range(0, len(line) - 8, 5):
                part = line[start : start + 12] + rng.normal(0, (0.12 * width, 4))
                colour = varied(rgb(code), rng, 12, 0.2)
                painting.stroke(part, (colour, rgb(second)), replace(DAB, width=width * rng.uniform(0.2, 0.42)))


def _crown(painting: Painting) -> None:
    """Paint the leaves of the apple tree, light above and dark below, and its apples."""
    rng = painting.rng
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    leaves = np.minimum.reduce([ellipse(SHAPE, *each) for each in CROWN]) + 0.24 * clouds(rng, SHAPE, 70)
    light = 0.4 + (x - 180) / 700 - (y - 220) / 620 + 0.24 * clouds(rng, SHAPE, 90)
    colours = ramp(light, (
        (-0.3, "#1f2a60"), (0.1, "#23505a"), (0.35, "#2f7a48"), (0.6, "#7fae3f"), (0.85, "#d9d95a"), (1.1, "#fbf3a8"),
    ))  # fmt: skip
    swirl = -0.8 + 0.9 * clouds(rng, SHAPE, 110, 2)
    crown = Passage(leaves < 1, colours, swirl, ("#c8503a", "#3f3f98", "#a8d0b0", "#f0b54a"), 0.1)
    painting.tint(crown, 0.7)
    painting.lay(crown, replace(UNDERLAYER, width=38, length=70), 1.2, shades=30)
    painting.lay(crown, replace(DAB, width=22, length=38, turn=0.6), 1.6, shades=24)
    painting.lay(replace(crown, mask=leaves < 1.12), replace(DAB, width=12, length=22, turn=0.8), 0.6, shades=24)
    painting.lay(crown, POINT, 0.3)
    for x, y in rng.uniform((0, 90), (420, 430), (46, 2)):
        if leaves[int(y), int(x)] < 0.95:
            for up, code, second, width in (
                (0, "#7a2038", "#671b2f", 19), (1.5, "#d8352c", "#b72d25", 15), (4, "#ff9a5a", "#d8824c", 7),
            ):  # fmt: skip
                apple = (x + up - 5, y - up - 2), (x + up + 5, y - up + 2)
                painting.draw(apple, code, second, replace(DAB, width=width))


def _poppies(painting: Painting) -> None:
    """Paint grass and poppies along the lower edge."""
    line = curve(((0, 900), (300, 950), (700, 985), (1000, 960), (1280, 880)))
    mask = under(SHAPE, line)
    tone = 0.5 + 0.3 * clouds(painting.rng, SHAPE, 80)
    colours = ramp(tone, ((0, "#23506a"), (0.4, "#3f8a52"), (0.75, "#9fb848"), (1, "#e6d560")))
    direction = -1.35 + 0.4 * clouds(painting.rng, SHAPE, 90, 2)
    grass = Passage(mask, colours, direction, ("#6f4a9a", "#d87a3a", "#cfe0a0"), 0.12)
    painting.tint(grass, 0.5)
    grass = replace(grass, mask=_frayed(painting.rng, mask, 22))
    painting.lay(grass, replace(UNDERLAYER, width=22, length=80), 1.4, shades=30)
    painting.lay(grass, replace(DAB, width=8, length=50, turn=0.3), 1.6, shades=28)
    for x, y in painting.rng.uniform((0, 880), (1280, 1015), (150, 2)):
        if mask[int(y), int(x)]:
            size = painting.rng.uniform(7, 19)
            for up, code, second, share in (
                (0, "#a81f34", "#971c2f", 1.0), (0.12, "#e8402c", "#d13a28", 0.75), (0.3, "#ff8a5c", "#e67c53", 0.35),
            ):  # fmt: skip
                centre = x + 0.6 * up * size, y - up * size
                petal = (centre[0] - 0.4 * size, centre[1]), (centre[0] + 0.4 * size, centre[1])
                painting.draw(petal, code, second, replace(DAB, width=share * size))
