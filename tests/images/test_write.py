from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from pipeline.images.write import encode
from tests.conftest import photo


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_lossless_formats_keep_every_pixel(image_format: str) -> None:
    data = encode(photo().astype(np.float32), image_format=image_format, jpeg_quality=1)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), photo())


def test_values_are_rounded_and_clipped_once() -> None:
    pixels = np.full((2, 2, 3), [-30.0, 99.6, 400.0], dtype=np.float32)
    data = encode(pixels, image_format="png", jpeg_quality=90)
    assert Image.open(io.BytesIO(data)).getpixel((0, 0)) == (0, 100, 255)


def test_jpeg_is_close_and_its_chroma_is_not_subsampled() -> None:
    data = encode(photo().astype(np.float32), image_format="jpeg", jpeg_quality=98)
    with Image.open(io.BytesIO(data)) as image:
        assert JpegImagePlugin.get_sampling(image) == 0
        assert np.abs(np.asarray(image, dtype=float) - photo()).mean() < 2
    assert len(encode(photo().astype(np.float32), image_format="jpeg", jpeg_quality=30)) < len(data)
