"""Pixels to the bytes of an image file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from pipeline.images.read import Pixels


def encode(pixels: Pixels, *, image_format: Literal["png", "jpeg", "webp"], jpeg_quality: int) -> bytes:
    """Encode as 8 bits per channel; this is the one place where values are clipped and rounded.

    Args:
        pixels: (H, W, 3) float32, sRGB, nominally 0–255.
        image_format: WebP is written lossless, JPEG without chroma subsampling.
        jpeg_quality: 1 to 100, for JPEG only.
    """
    bgr = np.clip(np.round(pixels), 0, 255).astype(np.uint8)[:, :, ::-1]
    ending, parameters = {
        "png": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 6]),
        "jpeg": (
            ".jpg",
            [
                cv2.IMWRITE_JPEG_QUALITY,
                jpeg_quality,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
            ],
        ),
        "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100: lossless
    }[image_format]
    encoded, buffer = cv2.imencode(ending, np.ascontiguousarray(bgr), parameters)
    if not encoded:
        msg = f"OpenCV could not encode {bgr.shape} as {image_format}"
        raise RuntimeError(msg)
    return buffer.tobytes()
