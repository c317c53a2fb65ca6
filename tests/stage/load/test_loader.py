"""Tests of loading the photographs, paintings and masks of pairs."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import ImageError
from pipeline.outbox.ledger import Fingerprint, settings_in_key, style_sha256
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair, Step
from pipeline.settings.pair_settings import ImageSettings, PairSettings
from pipeline.stage.load import loader as loader_module
from pipeline.stage.load import photograph as photograph_module
from pipeline.stage.load.loader import Loader, load
from pipeline.stage.pixel_budget import Closed, PixelBudget
from pipeline.stage.task import Task
from pipeline.transfer.styliser import ENGINE_VERSION
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGES = ImageSettings(max_pixels=10**6)
WEIGHTS = "f" * 64
STYLE_YUV = {"colour": {"mode": "style-yuv"}, "style": {"fit": "stretch"}}
"""Settings with which the network sees the painting with the photograph's chroma."""


class Noting(PixelBudget):
    """A budget that records the pixels that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def take(self, pixels: int) -> None:
        self.asked.append(pixels)
        super().take(pixels)


@pytest.fixture
def budget() -> Noting:
    return Noting()


@pytest.fixture
def loader() -> Loader:
    return Loader(WEIGHTS, IMAGES, pin=False)


@pytest.fixture
def make_task(make_image: Callable[..., Path]) -> Callable[..., Task]:
    """Return a function that makes a task: a photograph of 40 × 32 px and a painting of 50 × 32 px, at 20 × 16 px."""

    def make(
        name: str = "a", painting: str = "style.png", mask: Path | None = None, paintings: int = 1, **sections: Any
    ) -> Task:
        content = make_image(f"{name}.png", seed=1)
        styles = tuple(make_image(f"{i or ''}{painting}", width=50 + i, seed=2 + i) for i in range(paintings))
        settings = PairSettings(**{"image": {"size": 20}} | sections)
        label = mask.name if mask is not None else ""
        return Task(Pair(content, styles, content.name, styles[0].name, name, settings, mask, label), 1, None)

    return make


def style_key(task: Task) -> object:
    return load(task.pair, IMAGES).paintings[0].key


@pytest.mark.parametrize("sections", [STYLE_YUV, {"colour": {"mode": "regions"}}])
def test_a_style_that_is_recoloured_is_never_taken_for_another(
    make_task: Callable[..., Task], sections: dict[str, Any]
) -> None:
    assert style_key(make_task(**sections)) is None


@pytest.mark.parametrize("mode", ["none", "swap-luma"])
def test_a_style_has_one_key_whatever_the_photograph(make_task: Callable[..., Task], mode: str) -> None:
    colour = {"colour": {"mode": mode}}
    key = style_key(make_task("a", **colour))
    assert key is not None
    assert hash(key) == hash(style_key(make_task("b", **colour)))
    assert key == style_key(make_task("b", **colour))
    assert key == style_key(make_task("b", "copy.png", **colour)), (
        "the key depends on the content of the file, not on its name"
    )
    assert key != style_key(make_task("b", style={"fit": "cover"}, **colour))


def test_another_style_has_another_key(make_task: Callable[..., Task], make_image: Callable[..., Path]) -> None:
    task, colour = make_task(colour={"mode": "none"}), {"colour": {"mode": "none"}}
    key = style_key(task)
    make_image("style.png", width=50, seed=3)
    assert style_key(task) != key
    assert style_key(make_task(**colour)) == key


def test_both_are_brought_to_the_working_size(make_task: Callable[..., Task]) -> None:
    loaded = load(make_task(style={"fit": "whole"}, colour={"mode": "none"}).pair, IMAGES)
    assert (loaded.width, loaded.height) == (20, 16)
    assert loaded.content.shape == (1, 3, 16, 20)
    assert loaded.paintings[0].image.shape == (1, 3, 16, 25)
    assert loaded.content.dtype == loaded.paintings[0].image.dtype == torch.float32
    assert loaded.content.is_contiguous()
    assert 0 <= float(loaded.content.min()) < 100 < float(loaded.content.max()) <= 255


def test_a_large_photograph_is_described_as_it_is_on_disk(make_task: Callable[..., Task], tmp_path: Path) -> None:
    task = make_task()
    exif = Image.Exif()
    exif[0x0112] = 6
    for path, (width, height) in ((task.pair.content, (640, 800)), (task.pair.styles[0], (800, 640))):
        Image.fromarray(photo(width, height)).save(path.with_suffix(".jpg"), exif=exif)
    pair = Pair(
        task.pair.content.with_suffix(".jpg"),
        (task.pair.styles[0].with_suffix(".jpg"),),
        "x/a.jpg",
        "b",
        "a",
        PairSettings(),
    )
    loaded = load(pair, IMAGES)
    assert loaded.inputs.content.model_dump(exclude={"sha256"}) == {
        "path": "x/a.jpg",
        "width": 800,
        "height": 640,
        "format": "jpeg",
    }
    assert (loaded.inputs.style.width, loaded.inputs.style.height) == (640, 800)
    assert loaded.content.shape == (1, 3, 410, 512)
    assert loaded.paintings[0].image.shape == (1, 3, 512, 410), "the painting has the short side of the photograph"


def test_warnings_of_both_images_are_told(make_task: Callable[..., Task]) -> None:
    task = make_task()
    for path in (task.pair.content, task.pair.styles[0]):
        Image.fromarray(photo()).convert("CMYK").save(path.with_suffix(".tif"))
        path.with_suffix(".tif").rename(path.with_suffix(""))
    pair = replace(task.pair, content=task.pair.content.with_suffix(""), styles=(task.pair.styles[0].with_suffix(""),))
    assert [warning.partition(":")[0] for warning in load(pair, IMAGES).warnings] == ["a", "style"]


def test_room_is_asked_for_once_and_before_anything_is_decoded(
    loader: Loader, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = PixelBudget()
    budget.close()
    monkeypatch.setattr(photograph_module, "resize_visible", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(Closed):
        loader.load(make_task(), budget)
    assert budget.taken == 0


@pytest.mark.parametrize(("fit", "style"), [("stretch", 20 * 16), ("cover", 20 * 16), ("whole", 25 * 16)])
def test_a_loaded_pair_holds_the_pixels_of_its_two_pictures(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], fit: str, style: int
) -> None:
    loading = loader.load(make_task(style={"fit": fit}, colour={"mode": "none"}), budget)
    assert budget.asked == [40 * 32 + 50 * 32 + 20 * 16 + style], (
        "the budget covers the pixels of both files and of both working pictures"
    )
    assert budget.taken == loading.pixels == 20 * 16 + style
    budget.release(loading.pixels)
    assert budget.taken == 0


@pytest.mark.parametrize("which", ["content", "style"])
@pytest.mark.parametrize("data", [b"no image", b"", None], ids=["other", "empty", "half"])
def test_a_pair_that_cannot_be_used_gives_its_room_back(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], which: str, data: bytes | None
) -> None:
    task = make_task()
    path = {"content": task.pair.content, "style": task.pair.styles[0]}[which]
    path.write_bytes(path.read_bytes()[:600] if data is None else data)
    with pytest.raises(ImageError, match=re.escape(path.name)):
        loader.load(task, budget)
    assert budget.taken == 0


def test_a_photograph_that_is_too_thin_is_named_and_takes_no_room(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], make_image: Callable[..., Path]
) -> None:
    task = make_task()
    make_image("a.png", width=400, height=10)
    with pytest.raises(ImageError, match=r"^a\.png: 400×10 px becomes") as caught:
        loader.load(task, budget)
    assert caught.value.remedy
    assert budget.asked == []


def test_a_card_that_refuses_to_pin_memory_costs_no_room(
    budget: Noting, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError

    monkeypatch.setattr(torch.Tensor, "pin_memory", refuse)
    with pytest.raises(RuntimeError):
        Loader(WEIGHTS, IMAGES, pin=True).load(make_task(), budget)
    assert budget.asked
    assert budget.taken == 0


def test_both_images_are_pinned_if_asked_for(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1000)
    plain = loader.load(make_task(), budget).loaded
    pinned = Loader(WEIGHTS, IMAGES, pin=True).load(make_task(), budget).loaded
    assert torch.equal(pinned.content, plain.content + 1000)
    assert torch.equal(pinned.paintings[0].image, plain.paintings[0].image + 1000)
    assert (pinned.paintings[0].key, pinned.inputs, pinned.warnings) == (
        plain.paintings[0].key,
        plain.inputs,
        plain.warnings,
    )


def test_the_key_is_that_of_the_ledger(loader: Loader, budget: Noting, make_task: Callable[..., Task]) -> None:
    task = make_task(output={"format": "webp"})
    loading = loader.load(task, budget)
    inputs = loading.loaded.inputs
    parts = settings_in_key(task.pair.settings)
    assert loading.key == Fingerprint(inputs.content.sha256, inputs.style.sha256, parts, WEIGHTS, ENGINE_VERSION).key
    assert loading.task is task
    assert inputs.content.sha256 != inputs.style.sha256


def test_waiting_for_room_does_not_count_as_loading(
    loader: Loader, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [50.0]

    class Slow(PixelBudget):
        def take(self, pixels: int) -> None:
            super().take(pixels)
            shown[0] += 100

    def read(path: Path) -> object:
        shown[0] += 2
        return read_file(path)

    read_file = loader_module.read_file
    monkeypatch.setattr(loader_module, "time", SimpleNamespace(perf_counter=lambda: shown[0]))
    monkeypatch.setattr(loader_module, "read_file", read)
    loading = loader.load(make_task(), Slow())
    assert loading.seconds == 4
    assert loading.ready == 154


def grey(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def test_paintings_that_are_blended_have_their_weights_and_are_described(make_task: Callable[..., Task]) -> None:
    loaded = load(make_task(paintings=2, style={"blend_weights": [3, 1]}).pair, IMAGES)
    assert [painting.weight for painting in loaded.paintings] == [3, 1]
    assert not torch.equal(loaded.paintings[0].image, loaded.paintings[1].image)
    one, other = loaded.inputs.blend
    assert (one.path, one.weight, one.width) == ("style.png", 3, 50)
    assert (other.path, other.weight, other.width) == ("1style.png", 1, 51)
    assert loaded.inputs.style.sha256 == style_sha256([one.sha256, other.sha256])
    assert len({one.sha256, other.sha256, loaded.inputs.style.sha256}) == 3
    assert load(make_task().pair, IMAGES).inputs.blend == []


@pytest.mark.parametrize(("mode", "fit"), [("style-yuv", "stretch"), ("none", "cover"), ("match", "stretch")])
def test_a_style_is_scaled_relative_to_the_photograph(make_task: Callable[..., Task], mode: str, fit: str) -> None:
    sections = {"image": {"size": 40}, "colour": {"mode": mode}}
    loaded = load(make_task(style={"scale": 1.5, "fit": fit}, **sections).pair, IMAGES)
    assert loaded.content.shape == (1, 3, 32, 40)
    assert loaded.paintings[0].image.shape == (1, 3, 48, 60)


def test_a_mask_is_brought_to_the_working_size(make_task: Callable[..., Task], tmp_path: Path) -> None:
    values = np.zeros((32, 40))
    values[:, 20:] = 255
    loaded = load(make_task(mask=grey(tmp_path / "m.png", values)).pair, IMAGES)
    assert loaded.mask is not None
    assert loaded.mask.shape == (1, 1, 16, 20)
    assert loaded.mask.dtype == torch.float32
    assert (loaded.mask[..., :9] == 0).all()
    assert (loaded.mask[..., 11:] == 1).all()
    assert loaded.inputs.mask is not None
    assert loaded.inputs.mask.path == "m.png"
    assert load(make_task().pair, IMAGES).mask is None


def test_what_is_transparent_in_a_mask_is_black(make_task: Callable[..., Task], tmp_path: Path) -> None:
    rgba = np.full((32, 40, 4), 255, np.uint8)
    rgba[:16, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "m.png")
    mask = load(make_task(mask=tmp_path / "m.png").pair, IMAGES).mask
    assert mask is not None
    assert (mask[0, 0, :7] == 0).all()
    assert (mask[0, 0, 9:] == 1).all()


def test_a_black_mask_is_refused(make_task: Callable[..., Task], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=re.escape("m.png: the mask is black everywhere")):
        load(make_task(mask=grey(tmp_path / "m.png", np.zeros((32, 40)))).pair, IMAGES)


def test_a_mask_of_other_proportions_is_noted(make_task: Callable[..., Task], tmp_path: Path) -> None:
    loaded = load(make_task(mask=grey(tmp_path / "m.png", np.full((32, 32), 255))).pair, IMAGES)
    assert loaded.warnings == ("m.png: has other proportions than the photograph and was stretched to it",)
    assert loaded.mask is not None
    assert (loaded.mask == 1).all()


def test_a_mask_is_part_of_the_key(make_task: Callable[..., Task], tmp_path: Path, loader: Loader) -> None:
    mask = grey(tmp_path / "m.png", np.full((32, 40), 255))
    plain, masked = (loader.load(make_task(mask=each), PixelBudget()) for each in (None, mask))
    assert plain.key != masked.key
    assert plain.optimisation != masked.optimisation


@pytest.mark.parametrize(
    ("other", "shares"), [("swap-luma", True), ("match", False), ("style-yuv", False), ("regions", False)]
)
def test_pairs_that_differ_in_the_end_only_share_an_optimisation(
    make_task: Callable[..., Task], loader: Loader, other: str, *, shares: bool
) -> None:
    plain, variant = (
        loader.load(make_task(colour={"mode": mode}, output={"format": kind}, style={"fit": "stretch"}), PixelBudget())
        for mode, kind in (("none", "png"), (other, "tiff"))
    )
    assert (plain.optimisation == variant.optimisation) == shares
    assert plain.key != variant.key


def test_the_photograph_is_kept_only_if_it_is_needed_once_more(make_task: Callable[..., Task]) -> None:
    def kept(**sections: Any) -> tuple[int, ...] | None:
        pixels = load(make_task(**sections).pair, IMAGES).original.pixels
        return pixels.shape if pixels is not None else None

    assert kept(**STYLE_YUV) is None
    assert kept(colour={"mode": "luminance"}) == (16, 20, 3)
    assert kept(colour={"mode": "luminance", "strength": 0}) is None
    assert kept(colour={"mode": "regions"}) == (16, 20, 3)
    assert kept(image={"size": 20, "upscale": "guided"}) == (32, 40, 3)
    assert kept(image={"size": 40, "upscale": "guided"}, **STYLE_YUV) is None


def test_the_pixels_of_a_photograph_that_is_kept_are_counted(
    loader: Loader, budget: Noting, make_task: Callable[..., Task]
) -> None:
    loading = loader.load(make_task(image={"size": 20, "upscale": "guided"}), budget)
    assert loading.pixels == budget.taken == 16 * 20 + 16 * 25 + 32 * 40


def test_transparency_is_kept_at_the_results_size(make_task: Callable[..., Task], tmp_path: Path) -> None:
    task = make_task()
    rgba = np.dstack([photo(), np.full((32, 40), 255, np.uint8)])
    rgba[:16, :, 3] = 0
    rgba[:16, :, :3] = 0
    Image.fromarray(rgba).save(task.pair.content)
    loaded = load(task.pair, IMAGES)
    assert loaded.original.alpha is not None
    assert loaded.original.alpha.shape == (16, 20)
    assert loaded.original.alpha[:7].max() == 0
    assert loaded.original.alpha[9:].min() == 1
    assert (loaded.content[0, :, :7] == 255).all(), "the content is white where the photograph is invisible"
    assert loaded.warnings == ()


def test_what_may_be_read_is_a_setting(make_task: Callable[..., Task]) -> None:
    task = make_task()
    with pytest.raises(ImageError, match=re.escape(task.pair.content.name)):
        load(task.pair, ImageSettings(formats=("jpeg",)))


def test_of_a_style_with_the_photographs_chroma_the_part_below_the_mask_counts(
    make_task: Callable[..., Task], tmp_path: Path
) -> None:
    values = np.zeros((32, 40))
    values[:, 20:] = 255
    mask = grey(tmp_path / "m.png", values)
    style = {"fit": "stretch", "scale": 2}
    recoloured = load(make_task(mask=mask, colour={"mode": "style-yuv"}, style=style).pair, IMAGES)
    part = recoloured.paintings[0].mask
    assert part is not None
    assert part.shape == (1, 1, *recoloured.paintings[0].image.shape[2:]) == (1, 1, 32, 40)
    assert (part[..., :18] == 0).all()
    assert (part[..., 22:] == 1).all()
    for others in ({"mode": "none"}, {"mode": "regions"}, {"mode": "match"}, {"mode": "style-yuv", "strength": 0}):
        assert load(make_task(mask=mask, colour=others, style=style).pair, IMAGES).paintings[0].mask is None


@pytest.mark.parametrize("mode", ["match", "histogram", "luminance", "regions"])
def test_the_colours_that_a_style_is_matched_to_are_those_below_the_mask(
    make_task: Callable[..., Task], tmp_path: Path, mode: str
) -> None:
    values = np.zeros((32, 40))
    values[:, 20:] = 255
    task = make_task(mask=grey(tmp_path / "m.png", values), colour={"mode": mode}, image={"size": 40})
    two = np.zeros((32, 40, 3), np.uint8)
    two[:, 20:] = 200
    two[::2, 20:] = 220
    Image.fromarray(two).save(task.pair.content)
    lowest, highest = (205, 215) if mode != "regions" else (150, 170)  # half way from the photograph to the painting
    assert lowest < float(load(task.pair, IMAGES).paintings[0].image.mean()) < highest


def test_a_style_lies_on_white_where_it_is_transparent(make_task: Callable[..., Task]) -> None:
    task = make_task(colour={"mode": "none"})
    rgba = np.zeros((32, 50, 4), np.uint8)
    rgba[:, :25, 3] = 51
    rgba[:, 25:, 3] = 255
    Image.fromarray(rgba).save(task.pair.styles[0])
    loaded = load(task.pair, IMAGES)
    assert loaded.warnings == ("style.png: transparency was laid over white",)
    assert torch.allclose(loaded.paintings[0].image[..., :11], torch.tensor(204.0))
    assert (loaded.paintings[0].image[..., 14:] == 0).all()


def test_an_error_of_a_look_ahead_is_left_to_the_frame(
    make_task: Callable[..., Task], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = tmp_path / "damaged.png"
    content.write_bytes(make_task().pair.content.read_bytes()[:60])
    budget, ours = PixelBudget(), Loader(WEIGHTS, IMAGES, pin=False, outbox=Outbox(tmp_path / "out"))
    with caplog.at_level("DEBUG", "pipeline"):
        ours.look_ahead(make_task().pair, Step(content, content, content), budget)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert "damaged.png: no flow was computed ahead" in caplog.text
    assert budget.taken == 0
