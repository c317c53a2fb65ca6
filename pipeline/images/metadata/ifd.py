"""TIFF directories (IFDs), the structure of EXIF and of TIFF files: entries with their values as a file stores them.

Values are copied, never interpreted, so that a camera's entries are written as they were read. TIFF 6.0, section 2;
EXIF 3.0 (CIPA DC-008), section 4.6.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, Literal

import numpy as np

Order = Literal["<", ">"]
"""Byte order, little or big endian, as `struct` writes it."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type."""
_RATIONALS = (5, 10)
"""Types whose values are two integers."""
_POINTERS = (13, 16, 17, 18)
"""Types of values that may be offsets in the file."""

EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C


@dataclass(frozen=True)
class IfdEntry:
    """One or several values of one type."""

    kind: int
    """Type by its number in TIFF, such as `ASCII`."""
    raw: bytes
    """Values, in the byte order of their directory."""


Directory = Mapping[int, IfdEntry]
"""Entries by tag."""


@dataclass(frozen=True)
class Exif:
    """The directories that describe a picture."""

    order: Order = "<"
    main: Directory = field(default_factory=dict)
    """Entries of IFD0, without the pointers to the other directories."""
    exif: Directory = field(default_factory=dict)
    """Entries of the Exif IFD."""
    gps: Directory = field(default_factory=dict)
    """Entries of the GPS IFD."""
    note_at: int | None = None
    """Offset of MakerNote in bytes from the beginning, which its own pointers often rely on; None: unknown."""


class IfdError(ValueError):
    """The bytes are no TIFF structure; the message says why, and calls the file "it"."""


class EmptyIfdError(IfdError):
    """The structure has a directory without entries: there is nothing in it, but it is not damaged."""


def ascii_entry(text: str) -> IfdEntry:
    """Return an entry of a text with its terminating NUL; characters outside ASCII become `?`."""
    return IfdEntry(ASCII, text.encode("ascii", "replace") + b"\0")


def number(order: Order, kind: int, *values: int) -> IfdEntry:
    """Return an entry of `BYTE`, `SHORT`, `LONG`, or `RATIONAL` values (numerator and denominator in turn)."""
    return IfdEntry(kind, struct.pack(f"{order}{len(values)}{ {BYTE: 'B', SHORT: 'H'}.get(kind, 'I') }", *values))


def integers(order: Order, entry: IfdEntry | None) -> list[int]:
    """Return the values of a `BYTE`, `SHORT`, `LONG` or `LONG8`, or the numerators and denominators of a `RATIONAL`.

    The list is empty for other types, and for None.
    """
    letter = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "I", LONG8: "Q"}.get(entry.kind) if entry else None
    if entry is None or letter is None:
        return []
    return [
        int(each) for each in struct.unpack(f"{order}{len(entry.raw) // struct.calcsize(letter)}{letter}", entry.raw)
    ]


def rational(order: Order, value: float) -> IfdEntry:
    """Return a `RATIONAL` entry, exact to a thousandth."""
    fraction = Fraction(value).limit_denominator(1000)
    return number(order, RATIONAL, fraction.numerator, fraction.denominator)


def with_byte_order(exif: Exif, wanted: Order) -> Exif:
    """Return EXIF in another byte order; `UNDEFINED` values are kept, since their structure is unknown."""
    if exif.order == wanted:
        return exif

    def swapped(entry: IfdEntry) -> IfdEntry:
        size = 4 if entry.kind in _RATIONALS else _SIZES[entry.kind]
        return IfdEntry(
            entry.kind, np.frombuffer(entry.raw, f"{exif.order}u{size}").astype(f"{wanted}u{size}").tobytes()
        )

    main, rest, gps = ({tag: swapped(each) for tag, each in part.items()} for part in (exif.main, exif.exif, exif.gps))
    return Exif(wanted, main, rest, gps, exif.note_at)


def read_exif(file: BinaryIO) -> Exif:
    """Read IFD0, the Exif IFD and the GPS IFD of a TIFF structure, classic or BigTIFF; damaged entries are left out.

    Raises:
        IfdError: there is no IFD0 that can be read.
    """
    reader = IfdReader(file)
    main = reader.directory(reader.first).entries
    exif, gps = (reader.pointed_to(main.get(tag)) for tag in (EXIF_IFD, GPS_IFD))
    main, below, position = (_without_pointers(each) for each in (main, exif.entries, gps.entries))
    return Exif(reader.order, main, below, position, exif.note_at)


def _without_pointers(directory: Directory) -> Directory:
    """Return the entries that hold no offsets, since their targets are not copied."""
    pointers = (EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD)
    return {tag: each for tag, each in directory.items() if tag not in pointers and each.kind not in _POINTERS}


@dataclass(frozen=True)
class Ifd:
    """One directory of a file."""

    entries: Directory
    """Complete entries, only the first of each tag."""
    note_at: int | None
    """Offset of MakerNote in bytes; None: there is none, or it is in the table itself."""
    next_at: int | None
    """Offset of the following directory in bytes; 0: this is the last; None: the table is cut short."""


_MAX_ENTRIES = 65_535
"""Number of entries of a directory that are read: the limit of TIFF. BigTIFF has none, so a file could cost minutes."""


class IfdReader:
    """Reads the directories of a TIFF structure, classic or BigTIFF.

    The values that one reader returns have at most as many bytes in total as the file. Otherwise overlapping values
    could exhaust memory.
    """

    def __init__(self, file: BinaryIO, *, is_wanted: Callable[[int, int], bool] = lambda _tag, _kind: True) -> None:
        """Read the header.

        Args:
            file: the structure, from its beginning.
            is_wanted: whether an entry is read, by its tag and its type.

        Raises:
            IfdError: the file does not begin like a TIFF structure.
        """
        self._file, self._is_wanted = file, is_wanted
        self._left = self._size = file.seek(0, os.SEEK_END)
        head = self._bytes(0, min(16, self._size))
        orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
        if len(head) < 8 or head[:2] not in orders:  # noqa: PLR2004 - the header's size
            raise IfdError("it has no TIFF header")
        self.order = orders[head[:2]]
        self._big = struct.unpack_from(f"{self.order}H", head, 2)[0] == 43  # noqa: PLR2004 - BigTIFF's version
        if self._big and len(head) < 16:  # noqa: PLR2004 - the header's size
            raise IfdError("it has no BigTIFF header")
        self.first = self._number(head[8:16] if self._big else head[4:8])
        """Offset of IFD0 in bytes."""

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or at + size > self._size:
            raise IfdError("its directory lies beyond its end")
        self._file.seek(at)
        return self._file.read(size)

    def _number(self, raw: bytes) -> int:
        return int.from_bytes(raw, "little" if self.order == "<" else "big")

    def pointed_to(self, pointer: IfdEntry | None) -> Ifd:
        """Read the directory that an entry points to; it is empty if it cannot be read."""
        try:
            return self.directory(self._number(pointer.raw)) if pointer else _NO_IFD
        except IfdError:
            return _NO_IFD

    def directory(self, at: int) -> Ifd:
        """Read the directory at an offset in bytes; if its table is cut short, read the entries that it has.

        Raises:
            IfdError: there is no directory, or it is empty.
        """
        word, cell = (8, 8) if self._big else (2, 4)
        size = 4 + 2 * cell
        stated = self._number(self._bytes(at, word))
        count = min(stated, (self._size - at - word) // size, _MAX_ENTRIES)
        if not stated:
            raise EmptyIfdError("its directory is empty")
        if not count:
            raise IfdError("its directory lies beyond its end")
        table = self._bytes(at + word, count * size)
        following = at + word + stated * size
        next_at = self._number(self._bytes(following, cell)) if following + cell <= self._size else None
        entries: dict[int, IfdEntry] = {}
        note_at = None
        for start in range(0, len(table), size):
            tag, kind = struct.unpack_from(f"{self.order}HH", table, start)
            length = self._number(table[start + 4 : start + 4 + cell]) * _SIZES.get(kind, 0)
            value = table[start + 4 + cell : start + size]
            if tag in entries or not 0 < length <= self._left or not self._is_wanted(tag, kind):
                continue
            if length > cell:
                where = self._number(value)
                if where + length > self._size:
                    continue
                note_at = where if tag == MAKER_NOTE else note_at
                value = self._bytes(where, length)
                self._left -= length
            entries[tag] = IfdEntry(kind, value[:length])
        return Ifd(entries, note_at, next_at)

    def with_short(self, data: bytes, tag: int, value: int) -> bytes:
        """Return the file's bytes with another value of a `SHORT` in IFD0.

        Raises:
            IfdError: IFD0 has no such entry.
        """
        word, cell = (8, 8) if self._big else (2, 4)
        size = 4 + 2 * cell
        begin = self.first + word
        count = self._number(data[self.first : begin])
        for start in range(begin, min(begin + count * size, len(data) - size), size):
            if struct.unpack_from(f"{self.order}HH", data, start) == (tag, SHORT):
                at = start + 4 + cell
                return data[:at] + struct.pack(f"{self.order}H", value) + data[at + 2 :]
        raise IfdError(f"it has no tag {tag}")


_NO_IFD = Ifd({}, None, 0)


def write_exif(exif: Exif, *, at: int = 8, keep_note: bool = True) -> bytes:
    """Write IFD0, then the other directories and all values.

    Args:
        exif: directories to write; pointers to those that are not empty are added to IFD0.
        at: offset of the result's first byte in its file; even.
        keep_note: leave MakerNote at `note_at` if that is possible, with zeros in the gap before it.

    Returns:
        The directories; `header` returns the bytes before them in a structure of its own.
    """
    layout = _DirectoryLayout(at, exif, keep_note=keep_note)
    main, order = dict(exif.main), exif.order
    tables = [(tag, part) for tag, part in ((EXIF_IFD, exif.exif), (GPS_IFD, exif.gps)) if part]
    main.update({tag: number(order, LONG, 0) for tag, _ in tables})
    main_at = layout.place(b"\0" * _table_size(main))
    offsets = {tag: layout.place(b"\0" * _table_size(part)) for tag, part in tables}
    main.update({tag: number(order, LONG, offset) for tag, offset in offsets.items()})
    for offset, directory in ((main_at, main), *((offsets[tag], part) for tag, part in tables)):
        layout.put(offset, _table(directory, order, layout))
    return layout.result()


def header(order: Order, first: int) -> bytes:
    """Return the first bytes of a TIFF structure, for an IFD0 at offset `first`."""
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first)


def write_structure(exif: Exif, *, keep_note: bool) -> bytes:
    """Write a TIFF structure of its own, as EXIF is stored; see `write_exif`."""
    return header(exif.order, 8) + write_exif(exif, at=8, keep_note=keep_note)


def _table_size(directory: Directory) -> int:
    """Return the bytes of a directory without the values outside of its table."""
    return 2 + 12 * len(directory) + 4


def _table(directory: Directory, order: Order, layout: _DirectoryLayout) -> bytes:
    """Return the table of a directory, and place the values that are too long for its entries."""
    rows = [struct.pack(f"{order}H", len(directory))]
    for tag, entry in sorted(directory.items()):
        count = len(entry.raw) // _SIZES[entry.kind]
        if len(entry.raw) <= 4:  # noqa: PLR2004 - what an entry holds itself
            value = entry.raw.ljust(4, b"\0")
        else:
            note = layout.note if tag == MAKER_NOTE else None
            value = struct.pack(f"{order}I", layout.place(entry.raw) if note is None else note)
        rows.append(struct.pack(f"{order}HHI", tag, entry.kind, count) + value)
    return b"".join(rows) + bytes(4)  # no directory follows: IFD1 would hold a thumbnail


class _DirectoryLayout:
    """Layout of directories and their values: one after another at even offsets, around MakerNote if that is fixed."""

    def __init__(self, at: int, exif: Exif, *, keep_note: bool) -> None:
        self._at = at
        self._data = bytearray()
        self.note: int | None = None
        """Fixed offset of MakerNote in bytes; None: it is placed like all values."""
        self._note = exif.exif.get(MAKER_NOTE, IfdEntry(UNDEFINED, b"")).raw
        main = _table_size(exif.main) + 2 * 12  # with pointers to the two others
        if keep_note and len(self._note) > 4 and exif.note_at is not None and exif.note_at >= at + main:  # noqa: PLR2004
            self.note = exif.note_at

    def place(self, block: bytes) -> int:
        """Append a table or a value, and return its offset."""
        begin = self._at + len(self._data)
        begin += begin % 2
        if self.note is not None:
            end = self.note + len(self._note)
            if begin < end and begin + len(block) > self.note:
                begin = end + end % 2
        self.put(begin, block)
        return begin

    def put(self, offset: int, block: bytes) -> None:
        """Write a table or a value at an offset."""
        start = offset - self._at
        self._data.extend(bytes(max(0, start + len(block) - len(self._data))))
        self._data[start : start + len(block)] = block

    def result(self) -> bytes:
        """Return all bytes, with MakerNote at its fixed offset."""
        if self.note is not None:
            self.put(self.note, self._note)
        return bytes(self._data)
