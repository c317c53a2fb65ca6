"""Tests of PNGs of all kinds: colour type, depth, interlacing and transparency, by the words of the specification."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import SourceFile, decode
from tests.conftest import photo
from tests.images.files import chunk

HEIGHT, WIDTH = 13, 22
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
KINDS = [(colour, bits) for colour, depths in DEPTHS.items() for bits in depths]


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Return the rows of samples (H, W, C), each after its filter byte."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1) if samples.size else []:
        if bits == 16:
            rows.append(row.astype(">u2").tobytes())
        else:
            digits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]
            rows.append(np.packbits(digits.ravel()).tobytes())
    return b"".join(b"\0" + row for row in rows)


def stored(samples: np.ndarray, bits: int, colour: int, *before: bytes, is_interlaced: bool) -> bytes:
    parts = [samples[top::down, left::across] for left, top, across, down in PASSES] if is_interlaced else [samples]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, is_interlaced)
    pixels = zlib.compress(b"".join(packed(each, bits) for each in parts))
    chunks = [chunk(b"IHDR", header), *before, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("colour", "bits"), KINDS)
@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("is_transparent", [False, True])
def test_every_kind_of_png_is_read_as_it_is_meant(
    colour: int,
    bits: int,
    is_interlaced: bool,  # noqa: FBT001
    is_transparent: bool,  # noqa: FBT001
) -> None:
    chance, top = np.random.default_rng(bits), 2**bits - 1
    samples = chance.integers(0, top + 1, (HEIGHT, WIDTH, CHANNELS[colour]))
    before: list[bytes] = []
    alpha = samples[:, :, -1] / top if colour in (GREY_ALPHA, RGB_ALPHA) else None
    if colour == PALETTE:
        colours, levels = chance.integers(0, 256, (top + 1, 3)), chance.integers(0, 256, top)
        before.append(chunk(b"PLTE", colours.astype(np.uint8).tobytes()))
        pixels = colours[samples[:, :, 0]]
        if is_transparent:
            before.append(chunk(b"tRNS", levels.astype(np.uint8).tobytes()))
            alpha = np.append(levels, 255)[samples[:, :, 0]] / 255
    else:
        pixels = samples[:, :, : 1 if colour in (GREY, GREY_ALPHA) else 3] / top * 255
        if is_transparent and alpha is None:
            before.append(chunk(b"tRNS", samples[3, 4].astype(">u2").tobytes()))
            alpha = 1.0 - (samples == samples[3, 4]).all(axis=2)
    if alpha is not None:
        pixels = np.where(alpha[:, :, None] == 0, 255, pixels)
    data = stored(samples, bits, colour, *before, is_interlaced=is_interlaced)
    picture = decode(SourceFile(Path("a.png"), data, ""), max_pixels=10**6)
    np.testing.assert_allclose(picture.pixels, np.broadcast_to(pixels, picture.pixels.shape), atol=0.01)
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None and picture.alpha is not None:
        np.testing.assert_allclose(picture.alpha, alpha, atol=1e-4)
    assert picture.warnings == ()


@pytest.mark.parametrize("default_image", [False, True])
def test_the_first_picture_of_an_animated_png_is_taken(default_image: bool) -> None:  # noqa: FBT001
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], default_image=default_image)
    picture = decode(SourceFile(Path("a.png"), buffer.getvalue(), ""), max_pixels=10**6)
    np.testing.assert_array_equal(picture.pixels, photo())
    assert picture.warnings == ("a.png: has further pages or frames; only the first was taken",)
