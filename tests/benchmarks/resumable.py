"""A CSV file that is written row by row, and continued after an interruption."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Row = dict[str, str]


class ResumableTable:
    """Rows about pairs, of which the columns `content` and `style` are the key; all have equal `settings`."""

    def __init__(self, path: Path | None, columns: Sequence[str], settings: str, rows_per_pair: int) -> None:
        """Read the pairs that a file has, and drop the rows of a pair that is not finished.

        Args:
            path: the file; None: rows are only kept in memory.
            columns: names of the columns, without `settings`, which comes last.
            settings: text that says how all rows are measured.
            rows_per_pair: number of rows of a pair that is finished.

        Raises:
            UsageError: the file has other columns, or rows with other settings.
        """
        self._path, self._columns, self._settings = path, (*columns, "settings"), settings
        self.rows: list[Row] = []
        """Rows so far, in the order of the file."""
        if path is None:
            return
        if path.exists():
            found = self._read(path)
            for _, group in groupby(found, key=_pair_of):
                rows = list(group)
                self.rows += rows if len(rows) == rows_per_pair else []
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_text(self._as_text(self.rows, header=True), encoding="utf-8")
        new.replace(path)

    def _read(self, path: Path) -> list[Row]:
        text = path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]  # the last line may be torn
        reader = csv.DictReader(io.StringIO(complete))
        if complete and tuple(reader.fieldnames or ()) != self._columns:
            raise UsageError(f"{path}: has other columns. Name another --output.")
        rows = list(reader)
        if other := next((row["settings"] for row in rows if row["settings"] != self._settings), None):
            message = f"{path}: was measured with other settings; name another --output."
            raise UsageError([message, f"there: {other}", f"now:   {self._settings}"])
        return rows

    def _as_text(self, rows: Iterable[Row], *, header: bool = False) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def has(self, content: str, style: str) -> bool:
        """Whether a pair is there already."""
        return (content, style) in {_pair_of(row) for row in self.rows}

    def add(self, row: Row) -> None:
        """Append a row, and write it at once."""
        self.rows.append(row | {"settings": self._settings})
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(self._as_text(self.rows[-1:]))


def _pair_of(row: Row) -> tuple[str, str]:
    return row["content"], row["style"]
