"""TIFF directories as hostile files state them."""

from __future__ import annotations

import io
import struct

from pipeline.images.metadata.ifd import IfdReader


def test_a_directory_with_more_entries_than_tiff_allows_is_not_read_to_its_end() -> None:
    entry = struct.pack("<HHQQ", 1, 4, 1, 0)
    table = struct.pack("<Q", 2**40) + entry * 100_000
    asked: list[int] = []

    def is_wanted(tag: int, _: int) -> bool:
        asked.append(tag)
        return False

    reader = IfdReader(io.BytesIO(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + table), is_wanted=is_wanted)
    assert reader.directory(reader.first).next_at is None, "the table is cut short"
    assert len(asked) == 65_535
