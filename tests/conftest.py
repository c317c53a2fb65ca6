"""Fixtures that several test modules share: small pictures, and folders of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.transfer.weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pipeline.transfer.vgg import Vgg19


def photo(width: int = 40, height: int = 32, seed: int = 0) -> np.ndarray:
    """Return a smooth, colourful picture with an edge and some grain: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    phases = rng.uniform(0, 6, 3)
    waves = np.stack([np.sin(7 * x + 5 * y * (i + 1) + phase) for i, phase in enumerate(phases)], axis=-1)
    picture = 127 + 90 * waves + rng.normal(0, 6, (height, width, 3))
    picture[(x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05] = rng.uniform(20, 230, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def pixels(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read a picture as (H, W, 3) float64, resampled to `size` (width, height) if it is given."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    return np.asarray(rgb.resize(size, Image.Resampling.BOX) if size else rgb, dtype=np.float64)


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small picture. Equal arguments give equal bytes."""

    def make(name: str, *, width: int = 40, height: int = 32, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(width, height, seed)).save(path)
        return path

    return make


@pytest.fixture
def nest_folders() -> Iterator[Callable[[Path, int], None]]:
    """Return a function that makes folders `d` one in another, and remove them, which pytest cannot."""
    made = []

    def nest(folder: Path, depth: int) -> None:
        made.append(folder / "d")
        before = Path.cwd()
        os.chdir(folder)
        try:
            for _ in range(depth):
                os.mkdir("d")  # noqa: PTH102 - the whole path may be longer than the system takes
                os.chdir("d")
        finally:
            os.chdir(before)

    yield nest
    subprocess.run(["rm", "-rf", *made], check=True)  # noqa: S607


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use one temporary cache for all tests: the user's cache stays untouched, and the weights are decoded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def network() -> Vgg19:
    """Return the packaged VGG19."""
    return load_weights(find_weights("packaged"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape characters in captured output that UTF-8 cannot hold: parallel processes send their reports as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="run all cases, not a part of them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `exhaustive`, unless `--exhaustive` is given."""
    if config.getoption("--exhaustive"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether tests run all of their cases instead of a part."""
    return bool(request.config.getoption("--exhaustive"))
