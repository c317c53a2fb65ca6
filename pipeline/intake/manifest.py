"""A manifest (CSV or JSON Lines) to pairs. All that is wrong with it is reported at once, by line, before any work."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.errors import MACHINE_ERRNOS, ManifestError, UnreadableError, UsageError
from pipeline.pair import Pair
from pipeline.settings import PAIR_KEYS, Values, did_you_mean, explain
from pipeline.sources import for_pair, from_assignments, parse_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.settings import PairSettings

COLUMNS = ("content", "style", "output", "preset", *PAIR_KEYS)
MAX_BYTES = 1 << 26
OUTPUT_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


@dataclass(frozen=True)
class Row:
    """One line of a manifest: what it says, unchecked."""

    line: int
    content: str
    style: str
    output: str
    values: Values


@dataclass(frozen=True)
class Confines:
    """Which files a manifest may name, and which of them are images."""

    endings: tuple[str, ...]
    """Of the files that are taken from a folder, such as `.jpg`."""
    check_name: Callable[[str], str | None]
    """Why a result cannot have this name, or None."""
    roots: tuple[Path, ...] = ()
    """If any: the folders outside of which no file may be named."""
    find_style: Callable[[str], Path | None] = lambda _: None
    """The painting of a name in the style library."""


@dataclass
class Problems:
    """All that is wrong with a manifest."""

    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Take note."""
        self.found.append((line, message))

    def raise_if_any(self, manifest: str) -> None:
        """ManifestError, if there is anything."""
        if self.found:
            raise ManifestError(manifest, [f"line {line}: {message}" for line, message in sorted(self.found)])


def read_manifest(path: Path, below: Values, flags: Values, confines: Confines) -> list[Pair]:
    """Read, expand and check a manifest.

    Args:
        path: of the manifest; relative paths in it start at its folder.
        below: settings weaker than a row's own.
        flags: settings stronger than a row's own.
        confines: what it may name.

    Raises:
        ManifestError: names every line that is wrong.
        UsageError: the file cannot be read at all.
    """
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        raise ManifestError(path.name, ["line 1: the manifest lists no pairs"])
    expander = Expander(path.parent.resolve(), below, flags, confines, problems)
    pairs = [(row.line, pair) for row in rows for pair in expander.pairs(row)]
    _check_distinct(pairs, problems)
    problems.raise_if_any(path.name)
    return [pair for _, pair in pairs]


def read_rows(path: Path, problems: Problems) -> Iterator[Row]:
    """The rows of a manifest as they stand there.

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
            raise UnreadableError(f"{path}: cannot be read: {error.strerror}.") from error
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", "Name a CSV or JSON Lines file.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.add(line, f"byte {data[error.start]:#04x} is not UTF-8; save the manifest as UTF-8")
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
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        if not _check_header(header, problems):
            return
        previous = reader.line_num
        for cells in reader:
            line, previous = previous + 1, reader.line_num  # a quoted cell may span lines: name the first
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                problems.add(line, f"{len(cells)} cells for {len(header)} columns; quote a cell that has a comma")
                continue
            texts = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
            yield from _row(line, texts, problems, parse_value)
    except csv.Error as error:
        problems.add(reader.line_num, f"not CSV: {error}")


def _check_header(header: list[str], problems: Problems) -> bool:
    before = len(problems.found)
    for name in header:
        if name not in COLUMNS:
            problems.add(1, f"unknown column {name!r}.{did_you_mean(name, COLUMNS)}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.add(1, f"column {name!r} stands twice")
    for name in ("content", "style"):
        if name not in header:
            problems.add(1, f"there is no column {name!r}; the first line must name the columns: content,style,…")
    return len(problems.found) == before


def _read_json_lines(text: str, problems: Problems) -> Iterator[Row]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            cells = json.loads(row)
        except json.JSONDecodeError as error:
            problems.add(line, f"not JSON: {error.msg} at column {error.colno}; JSON Lines has one object per line")
            continue
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
            problems.add(line, f"not JSON as anybody writes it: {error}")
            continue
        if not isinstance(cells, dict):
            problems.add(line, 'not a JSON object such as {"content": …, "style": …}')
            continue
        unknown = [name for name in cells if name not in COLUMNS]
        for name in unknown:
            problems.add(line, f"unknown key {name!r}.{did_you_mean(name, COLUMNS)}")
        if not unknown:
            yield from _row(
                line, {k: v for k, v in cells.items() if v not in (None, "")}, problems, lambda value: value
            )


def _row(line: int, cells: dict[str, Any], problems: Problems, parse: Callable[[Any], Any]) -> Iterator[Row]:
    paths = {name: cells.pop(name, "") for name in ("content", "style", "output")}
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
    if paths["content"] and paths["style"]:
        values = {name: value if name == "preset" else parse(value) for name, value in cells.items()}
        yield Row(line, **paths, values=from_assignments(values))


@dataclass(frozen=True)
class Expander:
    """What every row of one manifest is judged by."""

    folder: Path
    below: Values
    flags: Values
    confines: Confines
    problems: Problems

    def pairs(self, row: Row) -> Iterator[Pair]:
        """The pairs that a row stands for: every content that it names × every style."""
        contents = self._find(row.line, "content", row.content)
        styles = self._find(row.line, "style", row.style)
        output = row.output.replace(os.sep, "/")
        ending = Path(output).suffix.lower()
        if ending in OUTPUT_FORMATS:
            output = output[: -len(ending)]
        settings = self.settings(row)
        if settings is None:
            return
        if output and len(contents) * len(styles) > 1:
            count = len(contents) * len(styles)
            self.problems.add(row.line, f"output {row.output!r} for {count} pairs; leave it empty")
            return
        for content in contents:
            for style in styles:
                name = unicodedata.normalize(
                    "NFC", _text(output or f"{content.stem}__{self._name_of_style(row, style)}")
                )
                wrong = self.confines.check_name(f"{name}.{settings.output.extension}")
                if wrong:
                    self.problems.add(row.line, f"output {name!r} {wrong}")
                else:
                    labels = _label(content, self.folder), self._label_of_style(row, style)
                    yield Pair(content, style, *labels, name, settings)

    def _name_of_style(self, row: Row, style: Path) -> str:
        return row.style if self.confines.find_style(row.style) else style.stem

    def _label_of_style(self, row: Row, style: Path) -> str:
        return _text(style.name) if self.confines.find_style(row.style) else _label(style, self.folder)

    def settings(self, row: Row) -> PairSettings | None:
        """Those of a row, whose output's ending is one of them; None if something is wrong with them."""
        values = row.values
        image_format = OUTPUT_FORMATS.get(Path(row.output).suffix.lower())
        if image_format:
            values = {**values, "output": {"format": image_format, **values.get("output", {})}}
        try:
            settings = for_pair(self.below, values, self.flags)
        except ValidationError as error:
            for message in explain(error):
                self.problems.add(row.line, message)
            return None
        except UsageError as error:
            self.problems.add(row.line, str(error))
            return None
        if image_format and settings.output.format != image_format:
            self.problems.add(
                row.line, f"output {row.output!r} is a {image_format}, but output.format is {settings.output.format}"
            )
        return settings

    def _find(self, line: int, what: str, text: str) -> list[Path]:
        """The files that a cell names: a file, all images in a folder, or all matches of a glob."""
        named = self.confines.find_style(text) if what == "style" else None
        if named is not None:
            return [named]
        path = Path(os.path.normpath(self.folder / text))
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if _is_image(p, self.confines))
            complaint = f"{what} folder {text!r} has no images ({', '.join(self.confines.endings)})"
        elif path.exists():
            files, complaint = [path], ""
        elif glob.has_magic(text):
            matches = glob.glob(text, root_dir=self.folder, recursive=True)  # noqa: PTH207 - takes absolute ones, too
            files = sorted(Path(os.path.normpath(self.folder / match)) for match in matches)
            files = [p for p in files if _is_image(p, self.confines)]
            complaint = f"{what} {text!r} matches no images"
        else:
            files, complaint = [], f"{what} {text!r} does not exist"
        if not files:
            self.problems.add(line, complaint)
        results = [p.name for p in files if complaint and p.with_name(f"{p.name}.json").exists()]
        if results:
            self.problems.add(line, f"{what} {text!r} takes in results of an earlier run: {', '.join(results[:3])}")
        roots = self.confines.roots
        outside = [p for p in files if roots and not _inside(p, roots)]
        for stranger in outside:
            self.problems.add(line, f"{what} {_label(stranger, self.folder)!r} is outside of run.roots")
        return [p for p in files if p not in outside]


def _is_image(path: Path, confines: Confines) -> bool:
    return path.is_file() and path.suffix.lower() in confines.endings and not path.name.startswith(".")


def _inside(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(path.resolve().is_relative_to(root.resolve()) for root in roots)


def _label(path: Path, folder: Path) -> str:
    """A path relative to the manifest."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive on Windows
        relative = path.name
    return _text(relative.replace(os.sep, "/"))


def _text(name: str) -> str:
    """A file name as any JSON can carry it: what is not Unicode (bytes, lone surrogates) becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name)


def _check_distinct(pairs: list[tuple[int, Pair]], problems: Problems) -> None:
    """Two results must differ in more than case, because some file systems do not tell such names apart."""
    taken: dict[str, tuple[int, Pair]] = {}
    for line, pair in pairs:
        other_line, other = taken.setdefault(pair.name.casefold(), (line, pair))
        if other is not pair:
            problems.add(
                line,
                f"{pair.content_label} × {pair.style_label} would have the same output name {pair.name!r} as "
                f"{other.content_label} × {other.style_label} (line {other_line}); give one of them an output",
            )
