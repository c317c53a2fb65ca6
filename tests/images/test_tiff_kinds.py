"""Tests of TIFFs of many kinds: channels, depth, extra channels, layout, compression, byte order."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pipeline.images.decode import SourceFile, decode
from tests.images.files import SHORT, tiff

HEIGHT, WIDTH = 21, 37
COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Number of channels with colours, by PhotometricInterpretation."""
KINDS = [
    (bits, photometric, extra)
    for bits, photometric, extra in itertools.product(
        (8, 16), COLOURS, [(), None, (0,), (1,), (2,), (0, 0), (0, 2), (2, 0)]
    )
]
STORED = [
    {"separate": separate, **block, **compressed, **order}
    for separate, block, compressed, order in itertools.product(
        (False, True),
        ({}, {"rows": 5}, {"tile": 16}),
        ({}, {"compression": 5}, {"compression": 8, "predictor": 2}, {"compression": 32773}),
        ({}, {"order": ">"}, {"order": ">", "big": True}),
    )
]


def expected(
    samples: np.ndarray, photometric: int, extra: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels 0–255 and alpha, by the words of the specification."""
    values = samples / np.float64(np.iinfo(samples.dtype).max)
    count = COLOURS[photometric]
    colours, rest = values[:, :, :count], values[:, :, count:]
    kinds = extra if extra is not None else (2,) if photometric != 5 else (0,)
    found = [each for each, kind in enumerate(kinds) if kind in (1, 2)]
    alpha = rest[:, :, found[0]] if found and rest.shape[2] else None
    if photometric == 0:
        colours = 1 - colours
    if alpha is not None and kinds[found[0]] == 1:
        colours = np.minimum(colours / np.maximum(alpha, 1e-9)[:, :, None], 1)
    if photometric == 5:
        colours = (1 - colours[:, :, :3]) * (1 - colours[:, :, 3:])
    pixels = np.broadcast_to(colours * 255, (*colours.shape[:2], 3))
    return (pixels if alpha is None else np.where(alpha[:, :, None] == 0, 255, pixels)), alpha


@pytest.mark.parametrize(("bits", "photometric", "extra"), KINDS)
def test_every_kind_of_channels_is_read_as_it_is_meant(
    bits: int, photometric: int, extra: tuple[int, ...] | None, *, exhaustive: bool
) -> None:
    count = COLOURS[photometric] + (1 if extra is None else len(extra))
    chance = np.random.default_rng(bits + photometric)
    kind = np.uint8 if bits == 8 else np.uint16
    samples = chance.integers(1, 2**bits, (HEIGHT, WIDTH, count)).astype(kind)
    tags = {338: (SHORT, extra)} if extra else {}
    sample = STORED if exhaustive else [STORED[each] for each in chance.choice(len(STORED), 6, replace=False)]
    wanted, alpha = expected(samples, photometric, extra)
    for how in sample:
        if how["separate"] and count == 1:
            continue
        data = tiff(samples, photometric=photometric, tags=tags, **how)
        picture = decode(SourceFile(Path("a.tif"), data, ""), max_pixels=10**6)
        # 8 bits per channel are rounded once for each step.
        tolerance = 0.02 if bits == 16 and photometric != 5 else 3
        np.testing.assert_allclose(picture.pixels, wanted, atol=tolerance, err_msg=str(how))
        assert (picture.alpha is None) == (alpha is None)
        if alpha is not None and picture.alpha is not None:
            np.testing.assert_allclose(picture.alpha, alpha, atol=1e-3)
        unknown = count - COLOURS[photometric] - (alpha is not None)
        said = [each for each in picture.warnings if "further channels" in each]
        assert bool(said) == bool(unknown), "no channel is dropped in silence"


def test_exif_of_a_tiff_that_pillow_does_not_know_is_kept() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (20, 30, 5), dtype=np.uint16)
    artist = tuple(b"Anna\0")
    data = tiff(samples, photometric=5, tags={315: (7, artist), 700: (7, tuple(b"<x:xmpmeta/>"))})
    picture = decode(SourceFile(Path("a.tif"), data, ""), max_pixels=10**6)
    assert b"Anna" in picture.tags.exif
    assert picture.tags.xmp == b"<x:xmpmeta/>"
