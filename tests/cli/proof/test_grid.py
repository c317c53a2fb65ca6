"""Tests of the grid of `impasto proof`: which photographs and paintings are paired, with which settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.cli.proof.grid import read_grid, reductions
from pipeline.run.manifest import ManifestRules
from pipeline.settings import PairSettings
from pipeline.settings.resolve import from_set_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.cli.proof.grid import Grid

RULES = ManifestRules((".png",), lambda _: None)


@pytest.fixture
def make_grid(tmp_path: Path, make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Grid]:
    for name in ("photos/a.png", "photos/deep/a.png", "styles/x.png", "styles/y.png"):
        make_image(name)
    monkeypatch.chdir(tmp_path)

    def make(*options: str, size: int = 100) -> Grid:
        overrides = from_set_options(list(options))
        reduced = reductions(size, "draft", overrides.get("image", {}).get("size", 512))
        return read_grid(["photos/**/*.png"], tmp_path / "styles", {}, overrides, reduced, RULES)

    return make


def test_a_proof_has_the_settings_of_the_full_run_but_few(make_grid: Callable[..., Grid]) -> None:
    options = "image.size=700", "image.upscale=guided", "pyramid.evaluations=[9, 9]", "output.format=jpeg"
    cell = make_grid(*options, "objective.style_weight=7").cells[0]
    full, small = cell.full.settings, cell.small.settings
    assert (full.image.size, full.pyramid.planned, full.output.format) == (700, (9, 9), "jpeg")
    assert (small.image.size, small.image.upscale, small.pyramid.planned) == (100, "none", (20, 20, 20, 10, 6))
    assert small.output.format == "png"
    assert small.objective == full.objective != PairSettings().objective


@pytest.mark.parametrize(("full", "small"), [("50", 50), ("native", 100), ("0.001MP", 100)])
def test_a_proof_is_not_larger_than_it_needs_to_be(make_grid: Callable[..., Grid], full: str, small: int) -> None:
    assert make_grid(f"image.size={full}").cells[0].small.settings.image.size == small


def test_each_cell_has_a_name_and_a_mode_of_its_own(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid('colour.variants=["none"]')
    assert [(each.style, each.mode) for each in grid.columns] == [
        (style, mode) for style in "xy" for mode in ("regions", "none")
    ]
    assert [(cell.row, cell.column) for cell in grid.cells] == [
        (row, column) for row in range(2) for column in range(4)
    ]
    assert [cell.small.settings.colour.mode for cell in grid.cells] == ["regions", "none"] * 4
    assert len({cell.small.file_name for cell in grid.cells}) == 8
    assert all(cell.small.files == cell.full.files for cell in grid.cells)


def test_what_is_hidden_or_no_picture_is_no_painting(make_grid: Callable[..., Grid], tmp_path: Path) -> None:
    (tmp_path / "styles/.hidden.png").touch()
    (tmp_path / "styles/notes.txt").touch()
    (tmp_path / "styles/empty").mkdir()
    (tmp_path / "styles/@eaDir").mkdir()
    (tmp_path / "styles/@eaDir/x.png").write_bytes((tmp_path / "styles/x.png").read_bytes())
    (tmp_path / "styles/z.png").symlink_to(tmp_path / "styles/x.png")
    assert [column.style for column in make_grid().columns] == ["x", "y"]
