"""A sheet as one HTML file, with its pictures inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.cli.proof.view import GENERATOR
from pipeline.outbox.report.page import html_environment

if TYPE_CHECKING:
    from PIL import Image

    from pipeline.cli.proof.view import SheetView

_HERE: Final = Path(__file__).parent
_QUALITY: Final = 90


def page(view: SheetView) -> str:
    """The whole page."""
    from markupsafe import Markup

    environment = html_environment(_HERE)
    environment.filters["data_uri"] = data_uri
    css = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - ours
    return environment.get_template("page.html.j2").render(view=view, generator=GENERATOR, css=css)


def data_uri(image: Image.Image) -> str:
    """A picture as the address of itself: JPEG, without chroma subsampling."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
