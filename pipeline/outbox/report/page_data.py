"""The values for the template and the script of the page: totals, failures, and a compact row for each result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from pipeline.outbox.paths import FAILED_FOLDER
from pipeline.outbox.report.differences import differences
from pipeline.outbox.report.links import href
from pipeline.text import displayable, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from pathlib import Path

    from pipeline.outbox.report.cache import Curve, FailedPair, Input, Result
    from pipeline.outbox.report.differences import Difference, UsualSettings
    from pipeline.outbox.report.read import Contents

_CAUSES: Final = {"input": "the picture", "environment": "the machine", "internal": "impasto itself"}
"""Words for the cause of a failure, by error class."""


@dataclass(frozen=True)
class Totals:
    """Counts of an outbox, and the time that its results took."""

    done: int
    failed: int
    damaged: int
    with_warnings: int
    pairs_per_hour: float | None
    """Pairs per hour; time in which no pair was in progress does not count. None: no result has readable times."""
    started: str | None
    """Start of the first result in UTC, ISO 8601. None: no result has readable times."""
    finished: str | None
    """End of the last result in UTC, ISO 8601. None: no result has readable times."""


@dataclass(frozen=True)
class FailureView:
    """A failed pair, as text."""

    name: str
    link: str
    """Relative URL of the failure record."""
    content: str
    style: str
    reason: str
    remedy: str
    cause: str
    attempt: int
    failed: str
    command: str
    """Command that tries the pair again."""
    older_picture: str | None
    """Relative URL of a result of this name that an earlier run made."""
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class DamagedView:
    """A file that is not a complete result, as text."""

    name: str
    link: str
    """Relative URL of the file."""
    reason: str
    remedy: str


class NumberedValues:
    """Distinct values, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.values: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        """Return the number of a value, which is added if it is new."""
        return self.values.setdefault(value, len(self.values))


def totals(contents: Contents) -> Totals:
    """Return the totals of an outbox."""
    results = contents.results.values()
    spans = [span for result in results if (span := _span(result)) is not None]
    seconds = _covered(spans)
    return Totals(
        done=len(results),
        failed=len(contents.failures),
        damaged=len(contents.damaged),
        with_warnings=sum(1 for result in results if result.warnings),
        pairs_per_hour=round(3600 * len(spans) / seconds, 1) if seconds > 0 else None,
        started=_iso(min(begin for begin, _ in spans)) if spans else None,
        finished=_iso(max(end for _, end in spans)) if spans else None,
    )


def _span(result: Result) -> tuple[float, float] | None:
    begin, end = _timestamp(result.started), _timestamp(result.finished)
    return None if begin is None or end is None else (begin, end)


def _timestamp(text: str) -> float | None:
    """Return seconds since 1970; None if the text is not a time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds that at least one of the (begin, end) spans covers."""
    covered, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, until))
        until = max(until, end)
    return covered


def failure_views(contents: Contents, root: Path, usual: UsualSettings) -> list[FailureView]:
    """Return the failed pairs, the latest first."""
    pictures = {picture.rpartition(".")[0]: picture for picture in contents.results}

    def view(path: str, failure: FailedPair) -> FailureView:
        name = path.removeprefix(f"{FAILED_FOLDER}/").removesuffix(".json")
        older = pictures.get(name)
        return FailureView(
            name=displayable(name),
            link=href(path),
            content=displayable(failure.content),
            style=displayable(failure.style),
            reason=displayable(failure.reason),
            remedy=displayable(failure.remedy),
            cause=_CAUSES[failure.error_class],
            attempt=failure.attempt,
            failed=failure.failed,
            command=f"impasto retry {shell_quoted(str(root))} --only {shell_quoted(name)}",
            older_picture=href(older) if older is not None else None,
            differences=differences(failure.preset, contents.settings[failure.settings], usual),
        )

    latest = sorted(contents.failures.items(), key=lambda item: (item[1].failed, item[0]), reverse=True)
    return [view(path, failure) for path, failure in latest]


def damaged_views(contents: Contents) -> list[DamagedView]:
    """Return the damaged files by name."""
    return [
        DamagedView(displayable(path), href(path), displayable(damaged.reason), displayable(damaged.remedy))
        for path, damaged in sorted(contents.damaged.items())
    ]


def data_of_script(contents: Contents, usual: UsualSettings, thumbnail_of: Callable[[str], str]) -> dict[str, Any]:
    """Return the results for the script, newest first; they refer by number to the values that they share.

    Args:
        contents: files of the outbox.
        usual: settings with which those of a result are compared.
        thumbnail_of: returns the file name of a picture's thumbnail by the picture's SHA-256, or "" if there is none.
    """
    tables = _SharedValues(thumbnail_of)
    latest = sorted(contents.results.items(), key=lambda item: (item[1].finished, item[0]), reverse=True)
    own_settings = {
        key: differences(key[0], contents.settings[key[1]], usual)
        for key in {(result.preset, result.settings) for result in contents.results.values()}
    }
    rows = [tables.row(name, result, own_settings[result.preset, result.settings]) for name, result in latest]
    return {
        "results": rows,
        "inputs": list(tables.inputs.values),
        "styles": list(tables.styles.values),
        "warnings": list(tables.warnings.values),
        "differences": list(tables.differences.values),
    }


class _SharedValues:
    """The values that results share, and the rows that refer to them by number."""

    def __init__(self, thumbnail_of: Callable[[str], str]) -> None:
        self._thumbnail_of = thumbnail_of
        self.inputs, self.styles, self.warnings, self.differences = (NumberedValues() for _ in range(4))

    def row(self, name: str, result: Result, own_settings: tuple[Difference, ...]) -> dict[str, Any]:
        """Return the row of a result; empty values are left out."""
        paintings = tuple(self._input(painting) for painting in result.paintings)
        is_plain = displayable(name) == name
        fields = {
            "name": displayable(name),
            "href": "" if is_plain else href(name),
            "thumb": self._thumbnail_of(result.output_sha256),
            "content": self._input(result.content),
            "style": self.styles.number((displayable(result.style), paintings)),
            "size": result.size,
            "curves": [_compact(curve) for curve in result.curves],
            "best": result.curves[-1].best,
            "time": _timestamp(result.finished),
            "seconds": result.device_seconds,
            "evaluations": result.evaluations,
            "differences": self.differences.number(own_settings),
            "warnings": [self.warnings.number(displayable(warning)) for warning in result.warnings],
            "attempt": result.attempt if result.attempt > 1 else None,
        }
        return {key: value for key, value in fields.items() if value not in ("", None, [])}

    def _input(self, picture: Input) -> int:
        return self.inputs.number((displayable(picture.path), self._thumbnail_of(picture.sha256)))


def _compact(curve: Curve) -> list[Any]:
    return [*curve.size, curve.evaluations, curve.first, curve.best, curve.heights]


def style_names(contents: Contents) -> list[str]:
    """Return the names of all pairs' styles, sorted by file name."""
    names = {displayable(each.style) for each in contents.pairs}
    return sorted(names, key=lambda name: (PurePosixPath(name).name.casefold(), name))
