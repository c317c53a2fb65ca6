"""From a grid to a sheet: the forecast of the full run, the proofs, and the two files."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, PngImagePlugin

from pipeline.cli.proof.contact_sheet import draw
from pipeline.cli.proof.html_page import page
from pipeline.cli.proof.sheet import GENERATOR, Heading, Sheet, SheetCell
from pipeline.disk import Disk, make_folders, put, storage_errors
from pipeline.errors import ImpastoError, OccupiedError
from pipeline.images.decode import decode
from pipeline.images.encode import to_samples
from pipeline.images.files import read_file
from pipeline.images.resize import over_white, resize_visible
from pipeline.outbox.metadata import Failure
from pipeline.outbox.report.page import may_overwrite
from pipeline.run.forecast import forecast
from pipeline.run.plan import plan
from pipeline.text import duration, memory, printable

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cli.proof.grid import Cell, Column, Grid
    from pipeline.outbox.metadata import Metadata
    from pipeline.outbox.publish import Outbox
    from pipeline.run.forecast import Forecast, Forecasts
    from pipeline.settings import Settings
    from pipeline.transfer.weights import WeightsSource

_THUMBNAIL_SIDE: Final = 264
"""Longest side of a thumbnail in px: twice that of a thumbnail on the drawn sheet, for screens with small pixels."""
_NOTABLE_ENLARGEMENT: Final = 1.5
"""Ratio of the full picture's side to a proof's from which the sheet says that the full strokes are finer."""


@dataclass(frozen=True)
class Proof:
    """A grid whose proofs have been made."""

    grid: Grid
    settings: Settings
    """Settings of the full run."""
    proof_settings: Settings
    forecasts: Forecasts
    """Forecasts of the full run, cell by cell."""
    records: dict[str, Metadata | Failure]
    """Records of the proofs, by the names of the small pairs."""

    @property
    def failed(self) -> int:
        """Number of cells without a proof."""
        return sum(isinstance(record, Failure) for record in self.records.values())


def expect(grid: Grid, settings: Settings, weights: WeightsSource, outbox: Outbox) -> Forecasts:
    """Forecast the full pictures, for an outbox that has none of them.

    Raises:
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    pairs = [cell.full for cell in grid.cells]
    return forecast(list(plan(pairs, outbox, weights, redo="all")), settings, weights)


def check_replaceable(path: Path) -> None:
    """Check that a file may be written: it does not exist yet, or is an earlier proof.

    Raises:
        OccupiedError: the file is no earlier proof.
        StorageError: the file cannot be read.
    """
    with storage_errors(path):
        may_be_written = may_overwrite(path, GENERATOR)
    if not may_be_written:
        raise OccupiedError(f"{path}: is there already and is no proof.", "Name another file with -o.")


def sheet_of(proof: Proof, outbox: Outbox) -> Sheet:
    """Put a sheet together.

    Args:
        proof: the proofs' records and forecasts.
        outbox: the outbox that holds the proofs.

    Raises:
        StorageError: a proof cannot be read.
    """
    grid, expected = proof.grid, dict(zip(proof.grid.cells, proof.forecasts.pairs, strict=True))
    by_position = {(cell.row, cell.column): cell for cell in grid.cells}
    cells = tuple(
        tuple(
            _cell(by_position[row, column], proof.records, expected[by_position[row, column]], outbox)
            for column in range(len(grid.columns))
        )
        for row in range(len(grid.rows))
    )
    one_mode = len({column.mode for column in grid.columns}) == 1
    columns = tuple(_column(column, proof.settings, with_mode=not one_mode) for column in grid.columns)
    rows = tuple(
        Heading(
            printable(path.stem),
            thumbnail=_thumbnail(path, proof.settings),
            note=_size_note(expected[by_position[row, 0]]),
        )
        for row, path in enumerate(grid.rows)
    )
    return Sheet(_title(proof), tuple(_lines(proof)), columns, rows, cells)


def _column(column: Column, settings: Settings, *, with_mode: bool) -> Heading:
    notes: list[str] = [column.mode] if with_mode else []
    if len(column.paintings) > 1:
        notes.append(f"blend of {len(column.paintings)}")
    return Heading(column.style, ", ".join(notes), _thumbnail(column.paintings[0], settings))


def _size_note(forecast: Forecast) -> str:
    size = forecast.item.size
    return f"{size[0]} × {size[1]} px in full" if size is not None else ""


def _cell(cell: Cell, records: dict[str, Metadata | Failure], expected: Forecast, outbox: Outbox) -> SheetCell:
    record = records[cell.small.name]
    if isinstance(record, Failure):
        return SheetCell(None, record.reason, record.remedy)
    path, full = outbox.picture_path(record.output.path), _needs_of(expected)
    with storage_errors(path), Image.open(path) as image:
        if image.mode == "RGBA":
            white = Image.new("RGBA", image.size, "white")
            return SheetCell(Image.alpha_composite(white, image).convert("RGB"), full=full)
        return SheetCell(image.convert("RGB"), full=full)


def _needs_of(forecast: Forecast) -> str:
    """Return time and memory of the full picture in words; empty if its photograph cannot be read."""
    expected = forecast.expected
    if expected is None:
        return ""
    time = duration(expected.seconds) if expected.seconds else "no further time"
    return f"{time}, {memory(expected.bytes)}{', too large' if expected.fit is None else ''}"


def _title(proof: Proof) -> str:
    rows, columns = len(proof.grid.rows), len(proof.grid.columns)
    styles = len({column.paintings for column in proof.grid.columns})
    modes = f" × {columns // styles} colour modes" if columns > styles else ""
    return f"{_count(rows, 'photograph')} × {_count(styles, 'painting')}{modes}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _lines(proof: Proof) -> list[str]:
    small, full = proof.proof_settings, proof.settings
    planned = "+".join(map(str, full.pyramid.planned))
    budget = f", in a time budget of {full.run.time_budget}" if full.run.time_budget else ""
    of_sequences = any(cell.full.frame is not None for cell in proof.grid.cells)
    lines = [
        *(["Of each sequence the first, middle and last frame; times are those of these frames."] * of_sequences),
        f"Proofs: at most {small.image.size} px, {small.pyramid.quality}, preset {full.preset}.",
        f"In full: image.size = {full.image.size}, {planned} evaluations{budget}: {in_full(proof)}.",
    ]
    enlarged = enlargement(proof.forecasts, small.image.size)
    if enlarged >= _NOTABLE_ENLARGEMENT:
        lines.append(
            f"The full pictures are up to {enlarged:.2g} times as large. Their strokes are finer in proportion, and "
            "the painting often takes hold of the photograph more: see here what goes together, and prove a few of "
            "them in a larger size."
        )
    return lines


def in_full(proof: Proof) -> str:
    """Return time and memory of the full run in words; pairs without a proof will fail there, too."""
    pairs, cells = proof.forecasts.pairs, proof.grid.cells
    known = [
        each.expected
        for each, cell in zip(pairs, cells, strict=True)
        if each.expected is not None and not isinstance(proof.records[cell.small.name], Failure)
    ]
    fail = f"; {_count(proof.failed, 'pair')} will fail" if proof.failed else ""
    if not known:
        return f"nothing to do{fail}"
    seconds, peak = expected_seconds(proof), max(each.bytes for each in known)
    takes = f"about {duration(seconds)} and at most {memory(peak)} on this machine"
    return f"{_count(len(known), 'pair')}, {takes}{fail}"


def expected_seconds(proof: Proof) -> float:
    """Return the seconds of the full run, on all devices at once, without pairs that have no proof."""
    proved, failing = 0.0, 0.0
    for each, cell in zip(proof.forecasts.pairs, proof.grid.cells, strict=True):
        seconds = each.expected.seconds if each.expected is not None else 0.0
        if isinstance(proof.records[cell.small.name], Failure):
            failing += seconds
        else:
            proved += seconds
    return proof.forecasts.seconds * proved / (proved + failing) if proved else 0.0


def enlargement(forecasts: Forecasts, size: int | str) -> float:
    """Return the longest side of the largest full picture, as a multiple of the proofs'."""
    sides = [max(each.item.size) for each in forecasts.pairs if each.item.size is not None]
    return max(sides, default=0) / size if isinstance(size, int) else 1.0


def _thumbnail(path: Path, settings: Settings) -> Image.Image | None:
    """Return a small RGB picture of an input; None if it cannot be read, which the cells explain."""

    def wanted(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, _THUMBNAIL_SIDE / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    try:
        picture = decode(
            read_file(path), max_pixels=settings.image.max_pixels, formats=settings.image.kinds, wanted=wanted
        )
    except ImpastoError:
        return None
    pixels, alpha = resize_visible(picture.pixels, picture.alpha, *wanted(picture.width, picture.height))
    if alpha is not None:
        pixels = over_white(pixels, alpha)
    return Image.fromarray(to_samples(pixels, None, 8, bgr=False))


def write(sheet: Sheet, picture: Path, html: Path) -> None:
    """Write the picture and the page, each whole or not at all.

    Raises:
        StorageError: one of them cannot be written.
    """
    described = PngImagePlugin.PngInfo()
    described.add_text("Software", GENERATOR)
    buffer = io.BytesIO()
    draw(sheet).save(buffer, "PNG", pnginfo=described)
    disk = Disk()
    for path, data in ((html, page(sheet).encode()), (picture, buffer.getvalue())):
        with storage_errors(path):
            make_folders(disk, path.parent)
            put(disk, path, data, path.with_name(f".{path.name}.{os.getpid()}.tmp"))


def describe(cell: Cell, forecast: Forecast, record: Metadata | Failure) -> dict[str, Any]:
    """Return a cell as the fields of a JSON object."""
    expected, size = forecast.expected, forecast.item.size
    full: dict[str, Any] = {"size": size, "evaluations": list(forecast.evaluations)}
    if expected is not None:
        fit = None if expected.fit is None else str(expected.fit)
        full |= {"expected_seconds": round(expected.seconds, 2), "expected_memory_bytes": expected.bytes, "fit": fit}
    fields = {
        "status": record.status,
        "content": cell.full.content_label,
        "style": cell.full.style_label,
        "colour": cell.full.settings.colour.mode,
        "row": cell.row,
        "column": cell.column,
        "full": full,
    }
    if isinstance(record, Failure):
        return {**fields, "reason": record.reason, "remedy": record.remedy}
    return fields
