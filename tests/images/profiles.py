"""ICC profiles (ICC.1:2010, version 2), built by hand for tests."""

from __future__ import annotations

import itertools
import struct


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_number, values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(value * 256), 0)


def _profile(space: bytes, connection: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": _xyz(0.9642, 1, 0.8249),
        **tags,
    }
    at = 128 + 4 + 12 * len(tags)
    table, blocks = struct.pack(">I", len(tags)), b""
    for name, block in tags.items():
        table += name + struct.pack(">II", at + len(blocks), len(block))
        blocks += block
    size = at + len(blocks)
    date = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head = struct.pack(">I", size) + bytes(4) + b"\2\x20\0\0" + device + space + connection + date + b"acsp"
    head = head.ljust(68, b"\0") + _number(0.9642) + _number(1) + _number(0.8249)
    return head.ljust(128, b"\0") + table + blocks


def _rgb(gamma: float, *primaries: tuple[float, float, float]) -> bytes:
    columns = {bytes([letter]) + b"XYZ": _xyz(*column) for letter, column in zip(b"rgb", primaries, strict=True)}
    curves = {bytes([letter]) + b"TRC": _gamma(gamma) for letter in b"rgb"}
    return _profile(b"RGB ", b"XYZ ", b"mntr", columns | curves)


def _ink(levels: tuple[int, ...]) -> tuple[float, float, float]:
    """Return Lab of full-tone inks over each other: no ink is white, black is black, mixtures have unusual colours."""
    cyan, magenta, yellow, black = levels
    if black:
        return 0, 0, 0
    light = 100 - 38 * cyan - 45 * magenta - 6 * yellow
    return max(light, 12), 60 * magenta - 34 * cyan + 4 * yellow, 75 * yellow - 42 * cyan - 8 * magenta


def _cmyk() -> bytes:
    """Return a CMYK profile whose `mft2` table has two levels per ink, between which littleCMS interpolates."""
    grid = b""
    for levels in itertools.product((0, 1), repeat=4):
        light, a, b = _ink(levels)
        grid += struct.pack(">3H", round(light * 652.8), *(round((each + 128) * 256) for each in (a, b)))
    unity = b"".join(_number(float(row == column)) for row in range(3) for column in range(3))
    line = struct.pack(">HH", 0, 65535)
    lut = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + unity + struct.pack(">HH", 2, 2) + 4 * line + grid + 3 * line
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": lut})


DISPLAY_P3 = _rgb(2.2, (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""Profile with the primaries of Display P3 and a plain exponent as the curve."""
ADOBE_RGB = _rgb(2.19921875, (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
GREY = _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": _gamma(1.8)})
CMYK = _cmyk()
