"""The rows of a manifest (CSV or JSON Lines) as they are written, and the errors of writing."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import MACHINE_ERRNOS, ManifestError, UnreadableError, UsageError
from pipeline.settings.all_settings import PAIR_KEYS, did_you_mean
from pipeline.settings.resolve import from_assignments, parse_setting, whole
from pipeline.system.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.settings import Values

COLUMNS: Final = ("content", "style", "mask", "output", "sequence", "preset", *PAIR_KEYS)
MAX_BYTES: Final = 1 << 26
"""Size in bytes of the largest manifest that is read."""
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""First bytes of texts in UTF-16, as spreadsheets save "Unicode text"."""
_SEPARATOR_LINE: Final = re.compile(r'\s*"?sep=([^\r"])"?[ \t]*\r?\n', re.IGNORECASE)
"""A line before the header that names the separator, for Excel."""
_TRUTH: Final = {"true": True, "false": False}
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
"""A number as spreadsheets write it that separate cells by semicolons or tabs."""


@dataclass(frozen=True)
class Row:
    """One row of a manifest as it is written; its values are not checked yet."""

    line: int
    """Number of the row's first line, from 1."""
    content: str
    style: str
    mask: str
    output: str
    values: Values
    is_sequence: bool = False
    """Whether the content is a folder or a pattern of frames, in the order of their numbers."""


@dataclass
class Problems:
    """The problems of a manifest, collected so that a user sees all of them at once."""

    found: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers with messages."""
    errors: list[OSError] = field(default_factory=list)
    """Errors of the file system that caused some of them."""

    def add(self, line: int, message: str, error: OSError | None = None) -> None:
        """Add a problem in a line, and the error of the file system that caused it, if one did."""
        self.found.append((line, message))
        if error is not None:
            self.errors.append(error)

    def raise_if_any(self, manifest: str) -> None:
        """Raise a `ManifestError` if there are problems.

        Raises:
            ManifestError: names every problem with its line.
        """
        if self.found:
            problems = [f"line {line}: {message}" for line, message in sorted(self.found)]
            is_of_machine = any(error.errno in MACHINE_ERRNOS for error in self.errors)
            raise ManifestError(manifest, problems, is_of_machine=is_of_machine)


def read_rows(path: Path, problems: Problems) -> Iterator[Row]:
    """Read the rows of a manifest; errors in a line are added to the problems.

    Raises:
        UnreadableError: the disk or the network failed.
        UsageError: the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: is larger than {MAX_BYTES >> 20} MB.", "Name a CSV or JSON Lines file.")
        data = path.read_bytes()
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise UnreadableError(f"{path}: cannot be read: {error.strerror}.", f"{remedy_of(error)}.") from error
        is_name = error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
        remedy = "Name a CSV or JSON Lines file." if is_name else f"{remedy_of(error)}."
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", remedy) from error
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.add(line, f"byte {data[error.start]:#04x} is not UTF-8; save the manifest as UTF-8 (CSV UTF-8)")
        return
    if "\0" in text:
        problems.add(text[: text.index("\0")].count("\n") + 1, "there is a NUL character: this is no text file")
        return
    if not text.strip():
        problems.add(1, "the manifest is empty")
        return
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        yield from _read_json_lines(text, problems)
    else:
        yield from _read_csv(text, problems)


def _read_csv(text: str, problems: Problems) -> Iterator[Row]:
    separator = _SEPARATOR_LINE.match(text)
    before = text[: separator.end()].count("\n") if separator else 0
    table = text[separator.end() :] if separator else text
    delimiter = separator[1] if separator else _delimiter(table)
    reader = csv.reader(io.StringIO(table, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not _check_header(header, before + 1, problems):
            return
        previous = reader.line_num
        for cells in reader:
            line, previous = before + previous + 1, reader.line_num  # a quoted cell may span lines: name the first
            texts = {number: cell.strip() for number, cell in enumerate(cells) if cell.strip()}
            if texts:
                yield from _row_of_cells(line, header, texts, delimiter, problems)
    except csv.Error as error:
        problems.add(before + reader.line_num, f"not CSV: {error}")


def _row_of_cells(
    line: int, header: list[str], texts: dict[int, str], delimiter: str, problems: Problems
) -> Iterator[Row]:
    """Yield the row of the cells that have a text, by their numbers."""
    if max(texts) >= len(header):
        problems.add(line, f"{max(texts) + 1} cells for {len(header)} columns; quote a cell that has a separator")
        return
    unnamed = [text for number, text in texts.items() if not header[number]]
    if unnamed:
        problems.add(line, f"cell {unnamed[0]!r} is in a column without a name; name the column, or remove it")
        return

    def parse(name: str, text: str) -> Any:
        is_decimal = delimiter != "," and _DECIMAL_COMMA.fullmatch(text) is not None
        return parse_setting(name, text.replace(",", ".") if is_decimal else text)

    yield from _row(line, {header[number]: text for number, text in texts.items()}, problems, parse)


def _delimiter(text: str) -> str:
    """Return the delimiter of the header; spreadsheets write semicolons if the comma is the decimal separator."""
    header = text.lstrip().partition("\n")[0]
    return next((mark for mark in (",", ";", "\t") if mark in header), ",")


def _check_header(header: list[str], line: int, problems: Problems) -> bool:
    """Whether the header is right; columns without a name may stand in it as long as their cells are empty."""
    before = len(problems.found)
    for name in header:
        if name and name not in COLUMNS:
            problems.add(line, f"unknown column {name!r}.{did_you_mean(name, COLUMNS)}")
    for name in sorted({name for name in header if name and header.count(name) > 1}):
        problems.add(line, f"column {name!r} appears twice")
    for name in ("content", "style"):
        if name not in header:
            problems.add(line, f"there is no column {name!r}; the first line must name the columns: content,style,…")
    return len(problems.found) == before


def _read_json_lines(text: str, problems: Problems) -> Iterator[Row]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            cells = json.loads(row, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            problems.add(line, f"not JSON: {error.msg} at column {error.colno}; JSON Lines has one object per line")
            continue
        except (ValueError, RecursionError) as error:  # a repeated key, thousands of digits, a thousand brackets
            problems.add(line, f"not JSON that can be read: {error}")
            continue
        if not isinstance(cells, dict):
            problems.add(line, 'not a JSON object such as {"content": …, "style": …}')
            continue
        unknown = [name for name in cells if name not in COLUMNS]
        for name in unknown:
            problems.add(line, f"unknown key {name!r}.{did_you_mean(name, COLUMNS)}")
        if not unknown:
            yield from _row(
                line, {k: v for k, v in cells.items() if v not in (None, "")}, problems, lambda _, value: whole(value)
            )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, of whose repeated keys `json` would keep the last.

    Raises:
        ValueError: a key is repeated.
    """
    cells = dict(pairs)
    if len(cells) != len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"key {repeated!r} appears more than once")
    return cells


def _row(line: int, cells: dict[str, Any], problems: Problems, parse: Callable[[str, Any], Any]) -> Iterator[Row]:
    paths = {name: cells.pop(name, "") for name in ("content", "style", "mask", "output")}
    for name, path in paths.items():
        if not isinstance(path, str):
            problems.add(line, f"{name} should be text (got {path!r})")
            return
        if "\0" in path:
            problems.add(line, f"{name} has a NUL character")
            return
    for name in ("content", "style"):
        if not paths[name]:
            problems.add(line, f"no {name}")
    text = cells.pop("sequence", False)
    is_sequence = text if isinstance(text, bool) else _TRUTH.get(str(text).lower())
    if is_sequence is None:
        problems.add(line, f"sequence should be true or false (got {text!r})")
    elif paths["content"] and paths["style"]:
        values = {name: parse(name, value) for name, value in cells.items()}
        yield Row(line, **paths, values=from_assignments(values), is_sequence=is_sequence)
