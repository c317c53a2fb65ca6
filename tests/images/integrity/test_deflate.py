"""Tests of the size of compressed data."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from pipeline.images.file_errors import DamagedError
from pipeline.images.integrity.deflate import decompressed_size

SAMPLES = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
STORED = zlib.compress(SAMPLES, 0)
"""Longer than what is taken at once."""


@pytest.mark.parametrize("data", [STORED, zlib.compress(bytes(3_000_000))], ids=["long", "short"])
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_the_size_does_not_depend_on_the_parts(data: bytes, parts: int) -> None:
    length = -(-len(data) // parts)
    split = [memoryview(data)[at : at + length] for at in range(0, len(data), length)]
    assert decompressed_size(split) == (3_000_000, True)
    assert decompressed_size([*split, b"more"], 3_000_000) == (3_000_000, True)


def test_data_without_its_end_is_told() -> None:
    assert decompressed_size([STORED[:-1]]) == (3_000_000, False)
    assert decompressed_size([]) == (0, False)


def test_decompression_stops_after_more_than_is_wanted() -> None:
    size, is_ended = decompressed_size([zlib.compress(bytes(100_000_000))], 10)
    assert 10 < size <= 1 << 20
    assert not is_ended


def test_a_wrong_checksum_is_damage() -> None:
    with pytest.raises(DamagedError, match="incorrect data check"):
        decompressed_size([STORED[:-1] + bytes([STORED[-1] ^ 1])])
