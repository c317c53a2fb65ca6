"""Image files of kinds that libraries do not write, built by hand for tests."""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT, LONG, UNDEFINED, LONG8 = 3, 4, 7, 16
_LETTERS = {SHORT: "H", LONG: "I", UNDEFINED: "B", LONG8: "Q"}
_SIZES = {SHORT: 2, LONG: 4, UNDEFINED: 1, LONG8: 8}
_COMPRESS = {1: bytes, 5: imagecodecs.lzw_encode, 8: zlib.compress, 32773: imagecodecs.packbits_encode}


@dataclass(frozen=True)
class Tiff:
    """A TIFF file: samples (H, W, C) or (H, W), and the way they are stored; the directory precedes them."""

    samples: np.ndarray
    order: str = "<"
    photometric: int = 2
    separate: bool = False
    tile: int = 0
    rows: int = 0
    compression: int = 1
    predictor: int = 1
    big: bool = False
    next_at: int = 0
    tags: Mapping[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def blocks(self) -> list[bytes]:
        samples = self.samples[:, :, None] if self.samples.ndim == 2 else self.samples
        height, width, count = samples.shape
        planes = [samples[:, :, [each]] for each in range(count)] if self.separate else [samples]
        blocks = []
        for plane in planes:
            if self.tile:
                padded = np.pad(plane, ((0, -height % self.tile), (0, -width % self.tile), (0, 0)))
                corners = itertools.product(range(0, height, self.tile), range(0, width, self.tile))
                blocks += [padded[top : top + self.tile, left : left + self.tile] for top, left in corners]
            else:
                rows = self.rows or height
                blocks += [plane[top : top + rows] for top in range(0, height, rows)]
        if self.predictor == 2:
            blocks = [np.concatenate([block[:, :1], np.diff(block, axis=1)], axis=1) for block in blocks]
        kind = self.samples.dtype.newbyteorder(self.order)
        return [bytes(_COMPRESS[self.compression](block.astype(kind).tobytes())) for block in blocks]

    def layout(self, blocks: list[bytes]) -> dict[int, tuple[int, tuple[int, ...]]]:
        height, width = self.samples.shape[:2]
        count = 1 if self.samples.ndim == 2 else self.samples.shape[2]
        tags = {
            256: (LONG, (width,)),
            257: (LONG, (height,)),
            258: (SHORT, (8 * self.samples.dtype.itemsize,) * count),
            259: (SHORT, (self.compression,)),
            262: (SHORT, (self.photometric,)),
            277: (SHORT, (count,)),
            284: (SHORT, (2 if self.separate else 1,)),
        }
        if self.tile:
            tags |= {322: (LONG, (self.tile,)), 323: (LONG, (self.tile,))}
        else:
            tags |= {278: (LONG, (self.rows or height,))}
        if self.predictor != 1:
            tags[317] = SHORT, (self.predictor,)
        sizes = tuple(map(len, blocks))
        return tags | {324 if self.tile else 273: (LONG, sizes), 325 if self.tile else 279: (LONG, sizes), **self.tags}

    def data(self) -> bytes:
        blocks = self.blocks()
        tags, at = self.layout(blocks), 16 if self.big else 8
        begin = at + len(self.directory(tags, at))
        places = tuple(begin + sum(map(len, blocks[:each])) for each in range(len(blocks)))
        tags[324 if self.tile else 273] = LONG, places
        mark = b"II" if self.order == "<" else b"MM"
        head = struct.pack(f"{self.order}HHHQ", 43, 8, 0, at) if self.big else struct.pack(f"{self.order}HI", 42, at)
        return b"".join([mark, head, self.directory(tags, at), *blocks])

    def directory(self, tags: Mapping[int, tuple[int, tuple[int, ...]]], at: int) -> bytes:
        cell, letter = (8, "Q") if self.big else (4, "I")
        size = (8 if self.big else 2) + (4 + 2 * cell) * len(tags) + cell
        rows, values = [struct.pack(f"{self.order}{'Q' if self.big else 'H'}", len(tags))], b""
        for tag, (kind, numbers) in sorted(tags.items()):
            raw = struct.pack(f"{self.order}{len(numbers)}{_LETTERS[kind]}", *numbers)
            value = raw.ljust(cell, b"\0")
            if len(raw) > cell:
                value = struct.pack(f"{self.order}{letter}", at + size + len(values))
                values += raw + bytes(-len(raw) % 2)
            rows.append(struct.pack(f"{self.order}HH{letter}", tag, kind, len(raw) // _SIZES[kind]) + value)
        return b"".join([*rows, struct.pack(f"{self.order}{letter}", self.next_at), values])


def tiff(samples: np.ndarray, **how: object) -> bytes:
    return Tiff(samples, **how).data()  # type: ignore[arg-type]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples: np.ndarray, *before: bytes, size: tuple[int, int] | None = None) -> bytes:
    """Return a PNG of samples (H, W) or (H, W, C), uint8 or uint16; `before` precedes the pixels."""
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    height, width, count = samples.shape
    rows = np.frombuffer(samples.astype(samples.dtype.newbyteorder(">")).tobytes(), np.uint8).reshape(height, -1)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    head = struct.pack(">IIBBBBB", *(size or (width, height)), 8 * samples.dtype.itemsize, kind, 0, 0, 0)
    pixels = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    parts = [chunk(b"IHDR", head), *before, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
