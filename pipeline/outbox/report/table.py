"""The results, failures and damaged files of an outbox as a table, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from pipeline.text import single_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.outbox.report.cache import FailedPair, Result
    from pipeline.outbox.report.read import Contents

_COLUMNS: Final = (
    "file",
    "status",
    "content",
    "style",
    "preset",
    "width",
    "height",
    "evaluations",
    "objective",
    "device_seconds",
    "started",
    "finished",
    "clip",
    "frame",
    "follows",
    "renewed",
    "flicker",
    "flicker_of_photographs",
    "notes",
)
HEADER: Final = ",".join(_COLUMNS)
"""First line of each table."""
_FORMULA: Final = ("=", "+", "-", "@")
"""First characters with which spreadsheets let a formula begin."""


def table(contents: Contents) -> str:
    """Return CSV with a header and a row for each of them, the frames of a sequence in their order."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(contents):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a value on one line; an apostrophe keeps a name from being taken for a formula."""
    if not isinstance(value, str):
        return value
    return f"'{single_line(value)}" if value.startswith(_FORMULA) else single_line(value)


def _rows(contents: Contents) -> Iterator[dict[str, Any]]:
    def place(item: tuple[str, Result]) -> tuple[str, int, str]:
        path, result = item
        return (result.frame.clip, result.frame.number, path) if result.frame is not None else (path, 0, path)

    for path, result in sorted(contents.results.items(), key=place):
        yield _of_result(path, result)
    for path, failure in sorted(contents.failures.items()):
        yield _of_failure(path, failure)
    for path, damaged in sorted(contents.damaged.items()):
        yield {"file": path, "status": "damaged", "notes": f"{damaged.reason} {damaged.remedy}"}


def _of_result(path: str, result: Result) -> dict[str, Any]:
    row = {
        "file": path,
        "status": "done",
        "content": result.content.path,
        "style": result.style,
        "preset": result.preset,
        "width": result.size[0],
        "height": result.size[1],
        "evaluations": result.evaluations,
        "objective": result.curves[-1].best if result.curves else None,
        "device_seconds": result.device_seconds,
        "started": result.started,
        "finished": result.finished,
        "notes": "; ".join(result.warnings),
    }
    if result.frame is not None:
        row |= {
            "clip": result.frame.clip,
            "frame": result.frame.number,
            "follows": str(result.frame.follows).lower(),
            "renewed": str(result.frame.renewed).lower(),
        }
        if result.frame.follows:
            row |= {
                "flicker": round(result.frame.flicker, 3),
                "flicker_of_photographs": round(result.frame.flicker_of_photographs, 3),
            }
    return row


def _of_failure(path: str, failure: FailedPair) -> dict[str, Any]:
    return {
        "file": path,
        "status": "failed",
        "content": failure.content,
        "style": failure.style,
        "preset": failure.preset,
        "finished": failure.failed,
        "notes": f"{failure.reason} {failure.remedy}",
    }
