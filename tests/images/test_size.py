from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ImageError
from pipeline.images.read import Picture
from pipeline.images.size import fit_style, resize, working_size
from tests.conftest import photo

STYLE = Picture(photo(90, 40).astype(np.float32), "PNG")


@pytest.mark.parametrize(
    ("picture", "size", "wanted"),
    [
        ((4000, 3000), 512, (512, 384)),
        ((300, 400), 512, (384, 512)),
        ((123, 77), "native", (123, 77)),
        ((4000, 3000), "3MP", (2000, 1500)),
    ],
)
def test_working_size_keeps_proportions(picture: tuple[int, int], size: int | str, wanted: tuple[int, int]) -> None:
    assert working_size(*picture, size) == wanted


@pytest.mark.parametrize(("picture", "size"), [((1, 1), "native"), ((1, 4000), 512), ((15, 900), "native")])
def test_a_picture_too_thin_for_the_network_is_refused(picture: tuple[int, int], size: int | str) -> None:
    with pytest.raises(ImageError, match="the shorter side needs 16"):
        working_size(*picture, size)


@pytest.mark.parametrize(("width", "height"), [(45, 20), (180, 80), (90, 40)])
def test_resize_keeps_the_mean_and_the_range(width: int, height: int) -> None:
    resized = resize(STYLE.pixels, width, height)
    assert resized.shape == (height, width, 3)
    assert resized.dtype == np.float32
    assert abs(resized.mean() - STYLE.pixels.mean()) < 1
    assert resized.min() >= 0
    assert resized.max() <= 255


@pytest.mark.parametrize(("fit", "shape"), [("stretch", (60, 50)), ("cover", (60, 50)), ("whole", (50, 112))])
def test_fit_gives_these_sizes(fit: str, shape: tuple[int, int]) -> None:
    assert fit_style(STYLE, 50, 60, fit).shape == (*shape, 3)


def test_cover_crops_the_middle_and_does_not_distort() -> None:
    np.testing.assert_array_equal(fit_style(STYLE, 40, 40, "cover"), STYLE.pixels[:, 25:65])
