"""Optical flow between two frames of a film, and where it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import cv2
import numpy as np

from pipeline.images.colour.luma_chroma import luma

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

_ROUND_TRIP: Final = 0.01
_ROUND_TRIP_PX2: Final = 0.5
"""A flow is not trusted where its round trip is longer than this, in px², plus `_ROUND_TRIP` times the squared lengths
of both ways."""
_BORDER: Final = 0.01
_BORDER_PX2: Final = 0.002
"""A flow is not trusted either where its squared derivative is larger than this plus `_BORDER` times its squared
length: there it changes from one object to another, and lies between both."""


_STILL_PX: Final = 0.25
"""Length in px of a displacement that counts as none."""
_STILL_LEVELS: Final = 4.0
"""Mean difference of luma in levels, around a place, up to which nothing changes there: noise has about 2."""
_STILL_RADIUS_PX: Final = 2.0


def flow(frame: Pixels, before: Pixels) -> tuple[Pixels, Plane]:
    """Return the flow from a frame to the frame before it (DIS, Kroeger et al. 2016), and where it can be trusted.

    The trust follows Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", section 4.2: where the way
    there and back does not end at its start, a place was hidden in the frame before.

    Args:
        frame: (H, W, 3), 0–255.
        before: of the same size.

    Returns:
        The displacement (H, W, 2) in px, x before y: the place in the frame before; and the trust (H, W), 0 or 1.
    """
    now, then = (np.clip(np.rint(luma(each)), 0, 255).astype(np.uint8) for each in (frame, before))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The preset ends at half the size, which halves the precision; strokes are sharper than photographs.
    search.setFinestScale(0)
    search.setVariationalRefinementIterations(10)
    search.setVariationalRefinementAlpha(60.0)
    back = cast("Pixels", search.calc(now, then, None))  # type: ignore[call-overload]
    forth = cast("Pixels", search.calc(then, now, None))  # type: ignore[call-overload]
    return back, _trust(back, forth)


def _trust(back: Pixels, forth: Pixels) -> Plane:
    height, width = back.shape[:2]
    returned = moved(forth, back)
    lengths = (returned**2).sum(2) + (back**2).sum(2)
    is_hidden = ((returned + back) ** 2).sum(2) > _ROUND_TRIP * lengths + _ROUND_TRIP_PX2
    slopes = np.asarray(np.gradient(back, axis=(0, 1)))
    slope = (slopes**2).sum((0, 3))
    is_border = slope > _BORDER * (back**2).sum(2) + _BORDER_PX2
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + back[:, :, 0], y + back[:, :, 1]
    is_outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return np.asarray(~(is_hidden | is_border | is_outside), np.float32)


def moved(pixels: Pixels, displacement: Pixels) -> Pixels:
    """Return what lies at the displaced places of a picture, by bicubic interpolation.

    Args:
        pixels: (H, W, C).
        displacement: (H, W, 2) in px, x before y.
    """
    height, width = displacement.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = x + displacement[:, :, 0], y + displacement[:, :, 1]
    return cast("Pixels", cv2.remap(pixels, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def still(frame: Pixels, before: Pixels, first: Pixels, displacement: Pixels) -> Plane:
    """Return where a frame shows what the frame before and the first frame of the shot show in the same place, 0–1.

    The comparison with the first frame ends the stillness where slow changes of light have added up.

    Args:
        frame: (H, W, 3), 0–255.
        before: the frame before, of the same size.
        first: the first frame of the shot, of the same size.
        displacement: the flow from the frame to the frame before, (H, W, 2) in px.
    """
    is_still = (displacement**2).sum(2) < _STILL_PX**2
    now = luma(frame)
    for other in (before, first):
        difference = cv2.GaussianBlur(np.abs(now - luma(other)), (0, 0), _STILL_RADIUS_PX)
        is_still &= difference < _STILL_LEVELS
    # An edge that is soft inwards shows no seam to what is painted beside it.
    inner = cv2.erode(is_still.astype(np.float32), np.ones((5, 5), np.uint8), borderValue=1)
    return np.asarray(cv2.blur(inner, (5, 5)), np.float32)
