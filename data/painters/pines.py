"""Pines on rocks above a misty river, in ink and thin colour."""

from __future__ import annotations

import numpy as np

from painters.ink import Sheet, ink
from painters.maps import Array, Points, clouds, polygon
from painters.paths import curve, shifted

WIDTH, HEIGHT = 1024, 1280
SHAPE = HEIGHT, WIDTH
BLACK, GREY, BLUE, OCHRE, RUST, GREEN = (
    ink(code) for code in ("#16161c", "#6f7480", "#7f9ab4", "#d3a562", "#b0603c", "#7f9078")
)
RANGES = (
    (
        ((0, 520), (150, 470), (330, 500), (520, 400), (640, 350), (760, 440), (900, 380), (1024, 470)),
        BLUE, 0.55, 230,
    ),
    (
        ((380, 690), (520, 600), (600, 500), (650, 455), (700, 500), (790, 560), (880, 480), (960, 440), (1024, 500)),
        GREY, 0.8, 260,
    ),
    (
        ((620, 800), (740, 720), (820, 610), (880, 570), (960, 640), (1024, 610)),
        1.2 * GREY + 0.4 * BLUE, 0.9, 230,
    ),
)  # fmt: skip
"""Ridge, ink, strength, and depth in px to the mist, of each range of mountains."""
ROCKS = (
    (
        ((-20, 985), (40, 930), (130, 918), (215, 965), (300, 972), (400, 1000), (455, 1065), (430, 1120), (250, 1150),
         (-20, 1140)),
        0.7,
    ),
    (
        ((-20, 1135), (70, 1085), (170, 1100), (250, 1165), (370, 1172), (440, 1240), (450, 1300), (-20, 1300)),
        0.9,
    ),
    (
        ((620, 1130), (668, 1080), (745, 1068), (800, 1102), (860, 1150), (800, 1185), (660, 1180)),
        0.7,
    ),
    (
        ((790, 1240), (850, 1180), (925, 1140), (1000, 1165), (1050, 1190), (1050, 1300), (770, 1300)),
        0.9,
    ),
)  # fmt: skip
"""Outline and strength of each rock."""


def pines() -> Array:
    """Return the finished sheet, (H, W, 3) RGB uint8."""
    sheet = Sheet((WIDTH, HEIGHT), "#f4eee0", seed=53)
    _sun(sheet)
    _mountains(sheet)
    _water(sheet)
    _rocks(sheet)
    _pine(sheet, ((300, 1010), (330, 860), (285, 720), (350, 560), (430, 400), (410, 250)), 46)
    _pine(sheet, ((200, 1030), (170, 920), (205, 800), (150, 690), (120, 590)), 30)
    _birds(sheet)
    _drops(sheet)
    return sheet.dried()


def _sun(sheet: Sheet) -> None:
    """Wash a pale sky with a red sun behind mist."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    sky = np.clip(0.55 + 0.35 * clouds(sheet.rng, SHAPE, 300) - y / 620, 0, 1)
    sheet.wash(0.3 * sky, BLUE, 0.2, 20, bloom=3)
    sheet.wash(0.22 * np.clip(1 - np.abs(y - 430) / 160 + 0.3 * clouds(sheet.rng, SHAPE, 200), 0, 1), OCHRE, 0.1, 20)
    sun = np.clip((58 - np.hypot(x - 745, y - 265)) / 3, 0, 1) * (1.1 - 0.7 * np.clip((y - 265) / 60, 0, 1))
    sheet.wash(0.75 * sun, RUST * (0.5, 1.1, 1.1), 0.6, 2)


def _mountains(sheet: Sheet) -> None:
    """Wash ranges of mountains that fade into mist, with dry texture strokes down their flanks."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    rng = sheet.rng
    for top, colour, strength, depth in RANGES:
        line = curve(top)
        near = np.clip((x - line[0, 0] + 20) / 130, 0, 1) if top[0][0] > 0 else 1.0
        ridge = np.interp(np.arange(WIDTH), line[:, 0], line[:, 1], left=2000) + 5 * clouds(rng, SHAPE, 30)[0]
        below = y - ridge
        fade = near * (below > 0) * np.clip(1 - below / depth, 0, 1) ** 1.3
        body = fade * (0.75 + 0.3 * clouds(rng, SHAPE, 90)).clip(0)
        sheet.wash(strength * body, colour, 0.9, 5, bloom=2)
        sheet.wash(0.5 * strength * body * (clouds(rng, SHAPE, 80) > 0.4), colour, 0.7, 8)
        steepness = np.gradient(line[:, 1]) / np.hypot(*np.gradient(line, axis=0).T)
        for at, steep in zip(line[::3], steepness[::3], strict=True):
            lean, fall = 46 * steep + rng.normal(0, 12), rng.uniform(30, 110)
            start = at + rng.uniform((-8, 0), (8, 70))
            path = curve((start, shifted(start, 0.7 * lean, 0.4 * fall), shifted(start, lean, fall)))
            sheet.stroke(path, rng.uniform(3, 30), 0.13 * strength * BLACK + 0.3 * colour, 0.95)
        for start in range(4, len(line) - 30, 26):
            sheet.stroke(line[start : start + 30], rng.uniform(3, 9), BLACK * 0.4 * strength, 0.85, "swell")


def _water(sheet: Sheet) -> None:
    """Leave the river white, with a few level strokes and thin washes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    rng = sheet.rng
    bands = np.clip(clouds(rng, SHAPE, 150) * 0.4 + 0.35 * np.sin(y / 23 + x / 300), 0, 1)
    sheet.wash(0.45 * bands * np.clip((y - 840) / 120, 0, 1) * np.clip((x - 330) / 200, 0, 1), BLUE, 0.5, 14, bloom=3)
    for x0, y0 in rng.uniform((420, 850), (1000, 1230), (70, 2)):
        length = rng.uniform(30, 190) * (y0 - 700) / 500
        path = curve(((x0, y0), (x0 + length / 2, y0 + rng.normal(0, 3)), (x0 + length, y0 + rng.normal(0, 4))))
        sheet.stroke(path, rng.uniform(1.5, 6), BLACK * rng.uniform(0.1, 0.45), 0.7, "swell")


def _rocks(sheet: Sheet) -> None:
    """Draw rocks: washes, contours of a loaded brush, and hatching on the sides in shade."""
    rng = sheet.rng
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0]
    for points, strength in ROCKS:
        outline = curve((*points, points[0]))
        mask = polygon(SHAPE, outline).astype(np.float32)
        shade = np.clip((y - outline[:, 1].min()) / 220 + 0.35 * clouds(rng, SHAPE, 70), 0.02, 1.0)
        sheet.wash(0.5 * strength * mask * shade, GREY, 0.9, 6, bloom=2)
        sheet.wash(0.45 * mask * (clouds(rng, SHAPE, 120) > 0.2), OCHRE, 0.4, 9)
        sheet.wash(0.5 * mask * (clouds(rng, SHAPE, 90) > 0.9), GREEN, 0.5, 9)
        sheet.wash(0.6 * strength * mask * (shade > 0.75), GREY + 0.3 * BLACK, 0.6, 7)
        for start in range(0, len(outline) - 20, 34):
            part = outline[start : start + 44] + rng.normal(0, 2, 2)
            sheet.stroke(part, rng.uniform(5, 15), BLACK * rng.uniform(0.55, 0.95), 0.65)
        _hatching(sheet, mask * shade, strength)


def _hatching(sheet: Sheet, shade: Array, strength: float) -> None:
    """Hatch the darker part of a rock in groups of strokes that share a direction."""
    rng = sheet.rng
    rows, columns = np.nonzero(shade > 0.35)
    for at in rng.integers(len(rows), size=int(22 * strength)):
        angle, length = rng.choice((0.9, 1.9, 2.4)) + rng.normal(0, 0.15), rng.uniform(18, 52)
        across = np.array([-np.sin(angle), np.cos(angle)])
        along = np.array([np.cos(angle), np.sin(angle)])
        for k in range(rng.integers(4, 10)):
            start = np.array([columns[at], rows[at]]) + across * k * rng.uniform(5, 8) + along * rng.normal(0, 5)
            path = curve((start, start + along * length * 0.5 + across * 2, start + along * length))
            sheet.stroke(path, rng.uniform(1.8, 5), BLACK * rng.uniform(0.35, 0.9), 0.55)
    for at in rng.integers(len(rows), size=int(14 * strength)):  # broad side of a nearly dry brush
        start = np.array([columns[at], rows[at]])
        path = curve((start, start + rng.normal((30, 12), 14), start + rng.normal((70, 30), 22)))
        sheet.stroke(path, rng.uniform(14, 34), BLACK * rng.uniform(0.2, 0.5), 0.95)


def _pine(sheet: Sheet, trunk: Points, width: float) -> None:
    """Draw a pine: trunk, branches, and fans of needles over soft washes."""
    rng = sheet.rng
    line = curve(trunk)
    _trunk(sheet, line, width)
    twigs = _branches(sheet, line, width)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    cover = np.zeros(SHAPE, np.float32)
    for tip in twigs:
        cover = np.maximum(cover, np.clip(1.2 - np.hypot((x - tip[0]) / 52, (y - tip[1] + 4) / 22), 0, 0.8))
    sheet.wash(0.8 * cover, GREEN + 0.25 * BLACK, 0.6, 9, bloom=2)
    sheet.wash(0.5 * cover * (clouds(rng, SHAPE, 40) > 0.5), 0.5 * BLACK + 0.4 * BLUE, 0.6, 7)
    for tip in twigs:
        for centre, dark in zip(tip + rng.normal(0, (24, 9), (3, 2)), (0.2, 0.45, 0.8), strict=True):
            _needles(sheet, centre, rng.uniform(18, 40), dark * rng.uniform(0.7, 1.1))


def _trunk(sheet: Sheet, line: Array, width: float) -> None:
    """Draw the trunk of a pine, with broken contours and scales of bark."""
    rng = sheet.rng
    sheet.stroke(line, width, 0.5 * OCHRE + 0.5 * GREY, 0.25)
    taper = np.linspace(1, 0.25, len(line))
    for side, share, dark in ((-0.42, 0.2, 0.72), (0.42, 0.3, 0.8), (0.2, 0.3, 0.4)):
        contour = line + np.stack([side * width * taper, 0 * taper], axis=1)
        for start in range(0, len(line) - 10, 16):
            sheet.stroke(contour[start : start + 26] + rng.normal(0, 1.5, 2), width * share, dark * BLACK, 0.6)
    for at in line[4 : -len(line) // 3 : 3]:
        spot = shifted(at, rng.normal(0, width / 5), 0)
        scale = curve((spot, shifted(spot, rng.normal(4, 3), 9), shifted(spot, 0, 17)))
        sheet.stroke(scale, rng.uniform(2, 5), 0.6 * BLACK, 0.4)


def _branches(sheet: Sheet, line: Array, width: float) -> list[Array]:
    """Draw branches to both sides of a trunk, and return the tips of their twigs."""
    rng = sheet.rng
    tips = []
    for i, share in enumerate(np.linspace(0.42, 1.0, 9)):
        root = line[int(share * (len(line) - 1))]
        way = 1 if i % 2 else -1
        reach, bend = way * ((1.25 - share) * 4.2 * width + 40), rng.normal(0, 18)
        bends = (0, 0), (0.4 * reach, bend - 12), (0.8 * reach, bend + 14), (reach, bend + 2)
        branch = curve([shifted(root, *each) for each in bends])
        sheet.stroke(branch, 0.26 * width, 0.95 * BLACK, 0.3)
        tips.append(branch[-1])
        for fork in branch[rng.integers(len(branch) // 3, len(branch), 5)]:
            tip = shifted(fork, way * rng.uniform(10, 50), rng.uniform(-46, 10))
            sheet.stroke(curve((fork, tip)), 0.11 * width, 0.9 * BLACK, 0.3)
            tips.append(tip)
    return tips


def _needles(sheet: Sheet, centre: Array, length: float, dark: float) -> None:
    """Draw a fan of needles that opens upwards."""
    for angle in np.linspace(np.pi * 0.95, np.pi * 2.05, 13) + sheet.rng.normal(0, 0.09, 13):
        end = centre + length * sheet.rng.uniform(0.75, 1.1) * np.array([np.cos(angle), 0.75 * np.sin(angle)])
        sheet.stroke(np.linspace(centre, end, 4), sheet.rng.uniform(1.2, 2.6), BLACK * dark, 0.25)


def _birds(sheet: Sheet) -> None:
    """Draw a few birds before the mist."""
    for x, y in ((560, 150), (612, 172), (590, 118), (662, 140), (880, 330)):
        for way in (-1, 1):
            wing = curve(((x, y), (x + way * 9, y - 8), (x + way * 22, y - 3)))
            sheet.stroke(wing, 3.4, BLACK * 0.9, 0.2)


def _drops(sheet: Sheet) -> None:
    """Spatter a few drops over the foreground."""
    for at in sheet.rng.uniform((0, 800), (WIDTH, HEIGHT), (40, 2)):
        size = sheet.rng.exponential(2.2) + 0.8
        drop = np.linspace(at, shifted(at, size, 0.4 * size), 5)
        sheet.stroke(drop, 1.6 * size, 0.7 * BLACK, 0.05, "swell")
