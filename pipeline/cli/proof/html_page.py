"""A proof sheet as one HTML file, with its pictures inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.cli.proof.sheet import GENERATOR
from pipeline.outbox.report.page import html_environment

if TYPE_CHECKING:
    from PIL import Image

    from pipeline.cli.proof.sheet import Sheet

_HERE: Final = Path(__file__).parent
_QUALITY: Final = 90
"""JPEG quality of the pictures."""


def page(sheet: Sheet) -> str:
    """Return the whole page."""
    from markupsafe import Markup

    environment = html_environment(_HERE)
    environment.filters["data_uri"] = data_uri
    css = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of this package
    return environment.get_template("page.html.j2").render(sheet=sheet, generator=GENERATOR, css=css)


def data_uri(image: Image.Image) -> str:
    """Return a picture as a data URI: JPEG, without chroma subsampling."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
