"""Tests of the HTML page of `impasto proof`."""

from __future__ import annotations

import base64
import io
import re

from PIL import Image

from pipeline.cli.proof.html_page import data_uri, page
from pipeline.cli.proof.sheet import GENERATOR, Heading, Sheet, SheetCell

GREEN = Image.new("RGB", (40, 30), "#00ff00")
EVIL = "<script>alert('&')</script>\""


def test_the_page_is_whole_in_itself_and_names_stay_names() -> None:
    cells = ((SheetCell(GREEN, full="3 min, 1 GiB"), SheetCell(None, EVIL, "Copy it again.")),)
    heads = (Heading("nocturne", "luminance", GREEN), Heading(EVIL))
    text = page(Sheet(EVIL, (EVIL,), heads, (Heading(EVIL, EVIL),), cells))
    assert f'content="{GENERATOR}"' in text[:4096]
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert set(re.findall(r'src="(.{11})', text)) == {"data:image/"}
    assert not re.search(r'(src|href|url)\s*[=(]\s*"?(https?:|//|file:)', text)
    assert "In full: 3 min, 1 GiB" in text
    assert "Copy it again." in text
    assert f'alt="{"&lt;script&gt;"}' in text, "a picture has a text that screen readers read"


def test_a_picture_can_be_its_own_address() -> None:
    head, _, data = data_uri(GREEN).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.size, image.format) == ((40, 30), "JPEG")
        red, green, blue = image.getpixel((20, 15))  # type: ignore[misc]  # a pixel of an RGB image is a tuple
    assert (red < 5, green > 250, blue < 5) == (True, True, True)
