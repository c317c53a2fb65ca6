"""The page: one HTML file with its style, its script and its data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.text import displayable

if TYPE_CHECKING:
    from pipeline.outbox.report.view import DamagedView, FailureView, Totals
    from pipeline.outbox.run_records import RunRecord

MARKER: Final = '<meta name="generator" content="impasto report">'
"""In every page of ours, near its beginning: what has none is somebody else's and is not overwritten."""
_HERE: Final = Path(__file__).parent


def render(  # noqa: PLR0913 - all that is on the page
    *,
    title: str,
    totals: Totals,
    failures: list[FailureView],
    damaged: list[DamagedView],
    styles: list[str],
    run: RunRecord | None,
    usual: str,
    retry_all: str,
    report_again: str,
    data: dict[str, Any],
) -> str:
    """The whole page.

    Args:
        title: the outbox's name.
        totals: counts.
        failures: shown even where scripts are not allowed.
        damaged: likewise.
        styles: names to choose from.
        run: the latest, if one is on record.
        usual: what the settings of a pair are compared with, in words.
        retry_all: the command that tries all failed pairs again.
        report_again: the command that writes the page.
        data: what the script makes the gallery from.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not at the command's start
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"day_and_time": _day_and_time, "grouped": _grouped, "displayable": displayable}
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        title=title,
        totals=totals,
        failures=failures,
        damaged=damaged,
        styles=styles,
        run=run,
        usual=usual,
        retry_all=retry_all,
        report_again=report_again,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        marker=Markup(MARKER),  # noqa: S704 - ours
        css=Markup((_HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(json_in_html(data)),  # noqa: S704 - escaped there
    )


def json_in_html(value: object) -> str:
    r"""JSON that cannot end the element it stands in, nor begin another: `<`, `>`, `&`, U+2028 and U+2029 as `\u…`.

    Raises:
        ValueError: a number in it is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _day_and_time(text: str) -> str:
    """For where no script turns it into the reader's own time."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _grouped(number: int) -> str:
    """With a narrow space between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
