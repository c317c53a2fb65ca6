"""The page: one HTML file with its style, its script and its data inside."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.text import displayable

if TYPE_CHECKING:
    from jinja2 import Environment

    from pipeline.outbox.report.clips import ClipView
    from pipeline.outbox.report.page_data import DamagedView, FailureView, Totals
    from pipeline.outbox.run_records import RunRecord

MARKER: Final = '<meta name="generator" content="impasto report">'
"""Text near the beginning of every page that impasto writes; a file without it is never overwritten."""
_HERE: Final = Path(__file__).parent
_MARKED_BYTES: Final = 2048
"""Number of bytes at the beginning of a file in which the marker is looked for."""


@dataclass(frozen=True)
class PageContent:
    """The content of the page."""

    title: str
    """Name of the outbox."""
    totals: Totals
    failures: list[FailureView]
    """Failed pairs, shown even where scripts are not allowed."""
    damaged: list[DamagedView]
    """Damaged files, shown even where scripts are not allowed."""
    clips: list[ClipView]
    """Sequences of frames."""
    styles: list[str]
    """Names of styles to choose from."""
    run: RunRecord | None
    """Record of the latest run, if there is one."""
    usual: str
    """Origin of the settings with which those of a pair are compared, as the page words it."""
    retry_all: str
    """Command that tries all failed pairs again."""
    report_again: str
    """Command that writes the page again."""
    data: dict[str, Any]
    """Data from which the script makes the gallery."""


def render(content: PageContent) -> str:
    """Return the page as HTML."""
    from markupsafe import Markup  # noqa: PLC0415 - not at the command's start

    environment = html_environment(_HERE)
    environment.filters |= {"day_and_time": _day_and_time, "grouped": _grouped, "displayable": displayable}
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    fields = {
        **vars(content),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "marker": Markup(MARKER),  # noqa: S704 - a constant of this module
        "css": Markup((_HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
        "script": Markup(script),  # noqa: S704 - a file of this package
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "data": Markup(json_in_html(content.data)),  # noqa: S704 - escaped there
    }
    return environment.get_template("report.html.j2").render(fields)


def html_environment(folder: Path) -> Environment:
    """Return the environment of the HTML templates in a folder: all values are escaped, undefined names are errors."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not at the command's start

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def may_overwrite(path: Path, marker: str) -> bool:
    """Return whether a file may be written: it does not exist yet, or it has the marker near its beginning.

    Args:
        path: the file; a folder, or a link that leads nowhere, must stay as it is.
        marker: the text that every file of this kind contains.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return marker.encode() in file.read(_MARKED_BYTES)
    except FileNotFoundError:
        return not path.is_symlink()
    except IsADirectoryError:
        return False


def json_in_html(value: object) -> str:
    r"""Return JSON that cannot end its HTML element or begin another: `<`, `>`, `&`, U+2028 and U+2029 become `\u…`.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _day_and_time(text: str) -> str:
    """Return a time in UTC as text, for readers without scripts; scripts replace it by the reader's own time."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _grouped(number: int) -> str:
    """Return a number with narrow spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
