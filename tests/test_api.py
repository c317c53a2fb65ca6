"""Tests of the functions that scripts call: results equal those of the command, and files are optional."""

from __future__ import annotations

import doctest
import gc
import json
import subprocess
import sys
import threading
import weakref
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pipeline
from pipeline import Evaluation, ImpastoError, Settings, Stylisation, stylise
from pipeline import api as api_module
from pipeline.cli.main import app
from pipeline.errors import (
    ExitCode,
    ImageError,
    Interrupted,
    NotFiniteError,
    OccupiedError,
    StorageError,
    UsageError,
    WeightsError,
)
from pipeline.outbox.metadata import Metadata
from pipeline.settings.pair_settings import ObjectiveSettings
from pipeline.settings.resolve import from_set_options, load_settings
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
VALUES: dict[str, Any] = {"image.size": 40, "pyramid.evaluations": [2, 2]}
QUICK = Settings(VALUES)
_TOO_MUCH = QUICK.objective.model_copy(update={"content_weight": 1e300})
OVERFLOWING = QUICK.model_copy(update={"objective": _TOO_MUCH})
"""Settings with a larger weight than a setting may have, with which the objective is infinite."""


@pytest.fixture
def files(make_image: Callable[..., Path]) -> tuple[Path, Path]:
    return make_image("a.png", width=60, height=48, seed=1), make_image("swirl.png", seed=2)


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    return photo(40, 32, 1), photo(40, 32, 2)


def by_command(content: Path, style: Path, out: Path, *more: str) -> Metadata:
    """Render a pair with `impasto pair`; return its metadata."""
    flags = [option for name, value in VALUES.items() for option in ("--set", f"{name}={value}")]
    result = CliRunner().invoke(app, ["pair", str(content), str(style), "-o", str(out), *flags, *more])
    assert result.exit_code == 0, result.output
    return Metadata.model_validate_json(out.with_name(f"{out.name}.json").read_bytes())


def told(metadata: Metadata) -> dict[str, Any]:
    """Return metadata without the fields that differ each time."""
    return metadata.model_dump(exclude={"seconds", "peak_memory_bytes", "started", "finished"})


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_a_script_and_the_command_write_the_same_file(files: tuple[Path, Path], tmp_path: Path, ending: str) -> None:
    content, style = files
    with Image.open(content) as image:
        exif = Image.Exif()
        exif[0x13B] = "Somebody"  # Artist
        image.save(content, exif=exif)
    mask = tmp_path / "mask.png"
    Image.fromarray(np.tile(np.linspace(0, 255, 30, dtype=np.uint8), (24, 1))).save(mask)
    metadata = by_command(content, style, tmp_path / f"command/x.{ending}", "--mask", str(mask))
    result = stylise(content, str(style), QUICK, mask=mask)
    written = result.save(tmp_path / f"script/x.{ending}", metadata=True)
    data = (tmp_path / f"script/x.{ending}").read_bytes()
    assert data == (tmp_path / f"command/x.{ending}").read_bytes()
    assert b"Somebody" in data
    assert told(written) == told(metadata)
    beside = Metadata.model_validate_json((tmp_path / f"script/x.{ending}.json").read_bytes())
    assert beside == written
    assert written.seconds.save > 0
    assert sorted(path.name for path in (tmp_path / "script").iterdir()) == [f"x.{ending}", f"x.{ending}.json"]


def test_arrays_give_what_files_of_the_same_pixels_give(files: tuple[Path, Path], tmp_path: Path) -> None:
    from_files = stylise(*files, QUICK)
    content, style = (np.asarray(Image.open(path)) for path in files)
    from_arrays = [
        stylise(content, style, QUICK),
        stylise(content.astype(np.uint16) * 257, style, QUICK),
        stylise(content.astype(np.float64) / 255, style.astype(np.float32) / 255, QUICK),
    ]
    for each in from_arrays[:2]:
        assert np.array_equal(each.pixels, from_files.pixels)
    assert np.abs(from_arrays[2].picture - from_files.picture).max() < 1 / 255, "floats differ by rounding only"
    described = from_arrays[0].metadata.pair
    assert (described.content.path, described.style.path, described.content.format) == ("content", "style", "array")
    assert len({each.metadata.pair.content.sha256 for each in (from_files, *from_arrays)}) == 4
    assert stylise(content[::-1], style, QUICK).metadata.pair.content.sha256 != described.content.sha256
    bits = [each.save(tmp_path / "x.png").output.bits for each in from_arrays]
    assert bits == [8, 16, 16], "the result has the bits of the photograph"


def test_the_result_is_there_as_floats_and_as_the_bytes_of_a_file(
    arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    before = [each.copy() for each in arrays]
    result = stylise(*arrays, QUICK)
    assert [np.array_equal(*each) for each in zip(before, arrays, strict=True)] == [True, True], (
        "the arrays of the caller are not changed"
    )
    assert (result.picture.shape, result.picture.dtype) == ((32, 40, 3), np.float32)
    assert 0 <= result.picture.min() < 0.4 < result.picture.max() <= 1
    assert result.alpha is None
    assert np.abs(result.to_uint8() - result.picture * 255).max() <= 0.501
    result.save(tmp_path / "new/x.png")
    with Image.open(tmp_path / "new/x.png") as image:
        assert np.array_equal(np.asarray(image), result.to_uint8())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]
    assert repr(result) == "<Stylisation content__style: 40×32 px>"


def test_the_objective_is_told_while_it_falls_and_afterwards(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    seen: list[Evaluation] = []
    settings = Settings(image={"size": 80}, pyramid={"evaluations": [2, 3], "ratio": 2, "floor": 0})
    result = stylise(*arrays, settings, on_evaluation=seen.append)
    traces = [scale.trace for scale in result.objective]
    assert [scale.size for scale in result.objective] == [(40, 32), (80, 64)]
    assert [point for trace in traces for point in trace] == [(each.number, each.total) for each in seen]
    assert [len(trace) for trace in traces] == [2, 3]
    assert traces[1][-1][1] < traces[1][0][1]


@pytest.mark.parametrize("error", [TimeoutError(), Interrupted(ExitCode.INTERRUPTED), MemoryError()])
def test_a_callback_can_end_it_and_the_next_call_is_none_the_worse(
    arrays: tuple[np.ndarray, np.ndarray], error: Exception
) -> None:
    calls = 0

    def enough(evaluation: Evaluation) -> None:
        nonlocal calls
        if evaluation.number == 2:
            calls += 1
            raise error

    before = stylise(*arrays, QUICK)
    with pytest.raises(type(error)):
        stylise(*arrays, QUICK, on_evaluation=enough)
    assert calls == 1, "a lack of memory of the caller is not taken for one of the device"
    assert np.array_equal(stylise(*arrays, QUICK).pixels, before.pixels)


def test_a_callback_does_not_outlive_its_call(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    class Window:
        def show(self, evaluation: Evaluation) -> None:
            assert evaluation.number

    window = Window()
    alive = weakref.ref(window)
    stylise(*arrays, QUICK, on_evaluation=window.show)
    del window
    gc.collect()
    assert alive() is None


def test_several_paintings_are_blended(
    files: tuple[Path, Path], tmp_path: Path, make_image: Callable[..., Path]
) -> None:
    content = files[0]
    paintings = [make_image(f"blend/{name}.png", seed=seed) for seed, name in enumerate("bc", 5)]
    weighted = Settings(VALUES, style={"blend_weights": [1, 3]})
    metadata = by_command(content, tmp_path / "blend", tmp_path / "out/x.png", "--set", "style.blend_weights=[1, 3]")
    of_list, of_folder = stylise(content, paintings, weighted), stylise(content, tmp_path / "blend", weighted)
    assert np.array_equal(of_list.pixels, of_folder.pixels)
    assert told(of_folder.save(tmp_path / "x.png")) == told(metadata)
    assert of_list.metadata.pair.style.path == "b.png + c.png"
    assert [each.weight for each in of_list.metadata.pair.blend] == [1, 3]


def test_a_mask_says_where(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    content, style = arrays
    mask = np.zeros((32, 40), np.float32)
    mask[:, 20:] = 1
    result = stylise(content, style, QUICK, mask=mask)
    change = np.abs(result.to_uint8().astype(int) - content).max(axis=(0, 2))
    assert change[:19].max() == 0
    assert change[21:].min() > 1
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    by_setting = stylise(content, style, Settings(VALUES, mask={"file": str(tmp_path / "mask.png")}))
    assert np.array_equal(by_setting.pixels, result.pixels)


def test_weights_are_loaded_once(arrays: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    original = api_module.load_weights
    monkeypatch.setattr(api_module, "load_weights", lambda source: loaded.append(source) or original(source))
    api_module._kept_painter.cache_clear()
    for size in (32, 40):
        stylise(*arrays, Settings(VALUES, image={"size": size}))
    assert len(loaded) == 1
    stylise(*arrays, Settings(VALUES, network={"precision": "float32"}))
    assert len(loaded) == 2


def test_threads_do_not_disturb_each_other(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    alone, told, found = stylise(*arrays, QUICK), [], []

    def work() -> None:
        numbers: list[int] = []
        found.append(stylise(*arrays, QUICK, on_evaluation=lambda each: numbers.append(each.number)).pixels)
        told.append(numbers)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [[1, 2]] * 3
    assert [np.array_equal(each, alone.pixels) for each in found] == [True] * 3


@pytest.mark.parametrize("preset", ["painting", "colour-preserving", "gatys2016", "luminance", "pytorch-tutorial"])
def test_settings_mean_what_they_mean_on_the_command_line(preset: str) -> None:
    flags = from_set_options(["image.size=99", "objective.style_weight=7"])
    _, wanted = load_settings(None, flags | {"preset": preset})
    for given in (
        Settings({"image.size": 99, "objective.style_weight": 7}, preset=preset),
        Settings({"image": {"size": 99}, "objective.style_weight": 7, "preset": preset}),
        Settings(preset=preset, image={"size": 99}, objective={"style_weight": 7}),
        Settings(preset=preset, image=wanted.image, objective=wanted.objective),
        Settings(preset=preset, image=wanted.image, objective=ObjectiveSettings(style_weight=7)),
        Settings.model_validate({"preset": preset, "image": {"size": 99}, "objective": {"style_weight": 7}}),
    ):
        assert given.model_dump() == wanted.model_dump()


def test_settings_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_IMAGE__SIZE", "99")
    assert Settings().image.size == 512


@pytest.mark.parametrize(
    ("arguments", "named", "error", "words"),
    [
        (("nowhere.png", "STYLE"), {}, ImageError, "nowhere.png: cannot be read"),
        (("CONTENT", []), {}, UsageError, "an empty list"),
        (("CONTENT", "STYLE", Settings(style={"blend_weights": [1, 2]})), {"style": 3}, UsageError, "2 values"),
        (("CONTENT", "STYLE", Settings(colour={"variants": ["none"]})), {}, UsageError, "one result"),
        (("CONTENT", "STYLE", OVERFLOWING), {}, NotFiniteError, "not finite"),
        (("CONTENT", "STYLE", Settings(network={"weights": "none.pth"})), {}, WeightsError, "none.pth"),
        (("CONTENT", np.zeros((4, 4))), {}, ImageError, r"style: an array of the shape \(4, 4\)"),
        (("CONTENT", np.zeros((4, 4, 3), np.int64)), {}, ImageError, "style: an array of int64"),
        ((np.full((40, 40, 3), 200.0), "STYLE"), {}, ImageError, "content: has values from 200 to 200"),
        ((np.full((40, 40, 3), np.nan), "STYLE"), {}, ImageError, "floats should be from 0 to 1"),
        ((np.zeros((0, 40, 3), np.uint8), "STYLE"), {}, ImageError, r"\(0, 40, 3\) is no picture"),
        (("CONTENT", "STYLE"), {"mask": np.zeros((4, 4), np.uint8)}, ImageError, "mask: the mask is black"),
        (("CONTENT", "STYLE"), {"mask": np.zeros((4, 4, 3), np.uint8)}, ImageError, "mask: an array of the shape"),
    ],
)
def test_what_is_wrong_is_explained(
    files: tuple[Path, Path],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    error: type[ImpastoError],
    words: str,
) -> None:
    places = {"CONTENT": files[0], "STYLE": files[1]}
    content, style, *more = (places.get(each, each) if isinstance(each, str) else each for each in arguments)
    if "style" in named:
        style = [files[1]] * named.pop("style")
    with pytest.raises(error, match=words):
        stylise(content, style, *more, **named)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"preset": "gatys"}, "Did you mean gatys2016"),
        ({"image.sice": 256}, "Did you mean image.size"),
        ({"image": {"size": 3}, "colour.mode": "x"}, r"image\.size: .*colour\.mode: "),
        ({"picture": {}}, "picture: there is no such setting"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings(values)


def test_what_cannot_be_saved_is_explained(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    result = stylise(*arrays, Settings(VALUES, output={"bit_depth": 16}))
    with pytest.raises(UsageError, match=r"should end in \.png"):
        result.save(tmp_path / "x.gif")
    with pytest.raises(UsageError, match=r"does not go with output\.format = jpeg"):
        result.save(tmp_path / "x.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        result.save(tmp_path / "file/x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_package_is_light_until_it_is_used() -> None:
    code = """
import json, sys, pipeline
heavy = {"torch", "cv2", "numpy", "PIL", "pydantic"}
found = [sorted(heavy & set(sys.modules))]
pipeline.Settings
found.append(sorted((heavy - {"pydantic"}) & set(sys.modules)))
print(json.dumps([*found, sorted(set(pipeline.__all__) - set(dir(pipeline)))]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], [], []]
    assert [getattr(pipeline, name) for name in ("stylise", "Stylisation")] == [stylise, Stylisation]
    with pytest.raises(AttributeError, match="no attribute 'stylize'"):
        pipeline.stylize  # noqa: B018 - reading the attribute is the test


@pytest.mark.parametrize("name", ["pipeline.api", "pipeline.settings.api"])
def test_the_examples_in_the_docstrings_are_true(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(import_module(name))
    assert found.attempted >= 3
    assert found.failed == 0


def test_the_json_of_another_program_is_not_replaced(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = stylise(*files, QUICK)
    sidecar = tmp_path / "x.png.json"
    sidecar.write_text('{"title": "x.png"}')
    with pytest.raises(OccupiedError, match=r"x\.png\.json"):
        result.save(tmp_path / "x.png", metadata=True)
    assert (sidecar.read_text(), (tmp_path / "x.png").exists()) == ('{"title": "x.png"}', False)
    sidecar.unlink()
    for _ in ("first", "again"):
        result.save(tmp_path / "x.png", metadata=True)
