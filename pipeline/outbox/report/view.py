"""What the page says, as values that the template and the script take: totals, failures, a compact row a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.outbox.paths import FAILED_FOLDER
from pipeline.outbox.report.differences import differences
from pipeline.outbox.report.links import href
from pipeline.text import displayable, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from pathlib import Path

    from pipeline.outbox.report.differences import Difference, Usual
    from pipeline.outbox.report.read import Contents
    from pipeline.outbox.report.records import Curve, Failed, Input, Result

Value = TypeVar("Value", bound="Hashable")

_WHO: Final = {"input": "the picture", "environment": "the machine", "internal": "impasto itself"}
"""Where the trouble lies, by error class."""


@dataclass(frozen=True)
class Totals:
    """Counts of an outbox, and the time that its results took."""

    done: int
    failed: int
    damaged: int
    with_warnings: int
    pairs_per_hour: float | None
    """While anything was in work: nights between runs do not count."""
    started: str | None
    finished: str | None
    """UTC, ISO 8601, of the first and the last result."""


@dataclass(frozen=True)
class FailureView:
    """A pair that failed, as text."""

    name: str
    link: str
    content: str
    style: str
    reason: str
    remedy: str
    who: str
    attempt: int
    failed: str
    command: str
    older_picture: str | None
    """Link to a result of the same name that an earlier run made."""
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class DamagedView:
    """A file that is no whole result."""

    name: str
    link: str
    reason: str
    remedy: str


class Numbered:
    """Values by number, each once."""

    def __init__(self) -> None:
        self.values: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        """Of this value, which is new or known."""
        return self.values.setdefault(value, len(self.values))


def totals(contents: Contents) -> Totals:
    """Count, and measure."""
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
    """Seconds since 1970; None if it is no time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that are in at least one of them."""
    covered, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, until))
        until = max(until, end)
    return covered


def failure_views(contents: Contents, root: Path, usual: Usual) -> list[FailureView]:
    """The latest first."""
    pictures = {picture.rpartition(".")[0]: picture for picture in contents.results}

    def view(path: str, failure: Failed) -> FailureView:
        name = path.removeprefix(f"{FAILED_FOLDER}/").removesuffix(".json")
        older = pictures.get(name)
        return FailureView(
            name=displayable(name),
            link=href(path),
            content=displayable(failure.content),
            style=displayable(failure.style),
            reason=displayable(failure.reason),
            remedy=displayable(failure.remedy),
            who=_WHO[failure.error_class],
            attempt=failure.attempt,
            failed=failure.failed,
            command=f"impasto retry {shell_quoted(str(root))} --only {shell_quoted(name)}",
            older_picture=href(older) if older is not None else None,
            differences=differences(failure.preset, contents.settings[failure.settings], usual),
        )

    latest = sorted(contents.failures.items(), key=lambda item: (item[1].failed, item[0]), reverse=True)
    return [view(path, failure) for path, failure in latest]


def damaged_views(contents: Contents) -> list[DamagedView]:
    """By name."""
    return [
        DamagedView(displayable(path), href(path), displayable(damaged.reason), displayable(damaged.remedy))
        for path, damaged in sorted(contents.damaged.items())
    ]


def data_of_script(contents: Contents, usual: Usual, thumbnail_of: Callable[[str], str]) -> dict[str, Any]:
    """The results, newest first, as the script takes them; short names and numbers, since there may be thousands.

    Args:
        contents: of the outbox.
        usual: what settings are compared with.
        thumbnail_of: from a picture's SHA-256 to its thumbnail's file name, or "" if there is none.
    """
    tables = _Tables(thumbnail_of)
    latest = sorted(contents.results.items(), key=lambda item: (item[1].finished, item[0]), reverse=True)
    own = {
        key: differences(key[0], contents.settings[key[1]], usual)
        for key in {(result.preset, result.settings) for result in contents.results.values()}
    }
    rows = [tables.row(name, result, own[result.preset, result.settings]) for name, result in latest]
    return {
        "results": rows,
        "inputs": list(tables.inputs.values),
        "styles": list(tables.styles.values),
        "warnings": list(tables.warnings.values),
        "differences": list(tables.differences.values),
    }


class _Tables:
    """What results share."""

    def __init__(self, thumbnail_of: Callable[[str], str]) -> None:
        self._thumbnail_of = thumbnail_of
        self.inputs, self.styles, self.warnings, self.differences = (Numbered() for _ in range(4))

    def row(self, name: str, result: Result, own: tuple[Difference, ...]) -> dict[str, Any]:
        """A result; what is empty or usual is left out."""
        paintings = tuple(self._input(painting) for painting in result.paintings)
        is_plain = displayable(name) == name
        found = {
            "name": displayable(name),
            "href": "" if is_plain else href(name),
            "thumb": self._thumbnail_of(result.output_sha256),
            "content": self._input(result.content),
            "style": self.styles.number((displayable(result.style), paintings)),
            "size": result.size,
            "curves": [_short(curve) for curve in result.curves],
            "best": _rounded(result.curves[-1].best),
            "time": _timestamp(result.finished),
            "seconds": result.device_seconds,
            "evaluations": result.evaluations,
            "differences": self.differences.number(own),
            "warnings": [self.warnings.number(displayable(warning)) for warning in result.warnings],
            "attempt": result.attempt if result.attempt > 1 else None,
        }
        return {key: value for key, value in found.items() if value not in ("", None, [])}

    def _input(self, picture: Input) -> int:
        return self.inputs.number((displayable(picture.path), self._thumbnail_of(picture.sha256)))


def _short(curve: Curve) -> list[Any]:
    return [*curve.size, curve.evaluations, _rounded(curve.first), _rounded(curve.best), curve.heights]


def _rounded(value: float | None) -> float | None:
    """To five digits, which is more than a person reads."""
    return None if value is None else float(f"{value:.5g}")


def style_names(contents: Contents) -> list[str]:
    """Of all pairs, for the choice of one."""
    found = {displayable(each.style) for each in contents.pairs}
    return sorted(found, key=lambda name: (PurePosixPath(name).name.casefold(), name))
