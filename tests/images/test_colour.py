from __future__ import annotations

import cv2
import numpy as np

from pipeline.images.colour import rgb_to_yuv, with_chroma_of, yuv_to_rgb
from tests import oracle
from tests.conftest import photo

PICTURE, OTHER = photo(seed=1).astype(np.float32), photo(seed=2).astype(np.float32)


def test_yuv_is_bt601_and_its_inverse_gives_the_picture_back() -> None:
    np.testing.assert_allclose(rgb_to_yuv(PICTURE), oracle.yuv(PICTURE), atol=1e-3)
    np.testing.assert_allclose(yuv_to_rgb(rgb_to_yuv(PICTURE)), PICTURE, atol=1e-3)
    by_opencv = cv2.cvtColor(PICTURE / 255, cv2.COLOR_RGB2YUV) * 255 - [0, 127.5, 127.5]
    np.testing.assert_allclose(rgb_to_yuv(PICTURE), by_opencv, atol=0.1)


def test_with_chroma_of_keeps_luma_and_takes_chroma_unclipped() -> None:
    before = PICTURE.copy()
    mixed = oracle.yuv(with_chroma_of(PICTURE, OTHER))
    np.testing.assert_allclose(mixed[..., 0], oracle.yuv(PICTURE)[..., 0], atol=1e-3)
    np.testing.assert_allclose(mixed[..., 1:], oracle.yuv(OTHER)[..., 1:], atol=1e-3)
    np.testing.assert_array_equal(PICTURE, before)
    assert with_chroma_of(PICTURE, OTHER).min() < 0
