from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from pipeline.errors import ImageError
from pipeline.outbox.ledger import Fingerprint, settings_in_key
from pipeline.pair import Pair
from pipeline.settings import PairSettings
from pipeline.stage import load as load_module
from pipeline.stage.budget import Closed, PixelBudget
from pipeline.stage.load import Loader, load
from pipeline.stage.task import Task
from pipeline.transfer.stylizer import ENGINE_VERSION
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = "f" * 64


class Noting(PixelBudget):
    """Knows what was asked for."""

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
    return Loader(WEIGHTS, 10**6, pin=False)


@pytest.fixture
def make_task(make_image: Callable[..., Path]) -> Callable[..., Task]:
    """A photograph of 40 × 32 px and a painting of 50 × 32 px, at 20 × 16 px."""

    def make(name: str = "a", painting: str = "style.png", **sections: Any) -> Task:
        content, style = make_image(f"{name}.png", seed=1), make_image(painting, width=50, seed=2)
        settings = PairSettings(**{"image": {"size": 20}} | sections)
        return Task(Pair(content, style, content.name, style.name, name, settings), 1, None)

    return make


def style_key(task: Task) -> object:
    return load(task.pair, 10**6).style_key


def test_a_style_that_is_recoloured_is_never_taken_for_another(make_task: Callable[..., Task]) -> None:
    assert style_key(make_task(colour={"mode": "style-yuv"})) is None


@pytest.mark.parametrize("mode", ["none", "swap-luma"])
def test_a_style_has_one_key_whatever_the_photograph(make_task: Callable[..., Task], mode: str) -> None:
    colour = {"colour": {"mode": mode}}
    key = style_key(make_task("a", **colour))
    assert key is not None
    assert hash(key) == hash(style_key(make_task("b", **colour)))
    assert key == style_key(make_task("b", **colour))
    assert key == style_key(make_task("b", "copy.png", **colour)), "the content counts, not the name"
    assert key != style_key(make_task("b", style={"fit": "cover"}, **colour))


def test_another_style_has_another_key(make_task: Callable[..., Task], make_image: Callable[..., Path]) -> None:
    task, colour = make_task(colour={"mode": "none"}), {"colour": {"mode": "none"}}
    key = style_key(task)
    make_image("style.png", width=50, seed=3)
    assert style_key(task) != key
    assert style_key(make_task(**colour)) == key


def test_both_are_brought_to_the_working_size(make_task: Callable[..., Task]) -> None:
    loaded = load(make_task(style={"fit": "whole"}, colour={"mode": "none"}).pair, 10**6)
    assert (loaded.width, loaded.height) == (20, 16)
    assert loaded.content.shape == (1, 3, 16, 20)
    assert loaded.style.shape == (1, 3, 16, 25)
    assert loaded.content.dtype == loaded.style.dtype == torch.float32
    assert loaded.content.is_contiguous()
    assert 0 <= float(loaded.content.min()) < 100 < float(loaded.content.max()) <= 255


def test_a_large_photograph_is_described_as_it_is_on_disk(make_task: Callable[..., Task], tmp_path: Path) -> None:
    task = make_task()
    exif = Image.Exif()
    exif[0x0112] = 6
    for path, (width, height) in ((task.pair.content, (640, 800)), (task.pair.style, (800, 640))):
        Image.fromarray(photo(width, height)).save(path.with_suffix(".jpg"), exif=exif)
    pair = Pair(
        task.pair.content.with_suffix(".jpg"), task.pair.style.with_suffix(".jpg"), "x/a.jpg", "b", "a", PairSettings()
    )
    loaded = load(pair, 10**6)
    assert loaded.inputs.content.model_dump(exclude={"sha256"}) == {
        "path": "x/a.jpg",
        "width": 800,
        "height": 640,
        "format": "jpeg",
    }
    assert (loaded.inputs.style.width, loaded.inputs.style.height) == (640, 800)
    assert loaded.content.shape == loaded.style.shape == (1, 3, 410, 512)


def test_warnings_of_both_images_are_told(make_task: Callable[..., Task]) -> None:
    task = make_task()
    for path in (task.pair.content, task.pair.style):
        Image.fromarray(photo()).convert("RGBA").save(path)
    assert [warning.partition(":")[0] for warning in load(task.pair, 10**6).warnings] == ["a.png", "style.png"]


def test_room_is_asked_for_once_and_before_anything_is_decoded(
    loader: Loader, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = PixelBudget()
    budget.close()
    monkeypatch.setattr(load_module, "resize", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(Closed):
        loader.load(make_task(), budget)
    assert budget.taken == 0


@pytest.mark.parametrize(("fit", "style"), [("stretch", 20 * 16), ("cover", 20 * 16), ("whole", 25 * 16)])
def test_a_loaded_pair_holds_the_pixels_of_its_two_pictures(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], fit: str, style: int
) -> None:
    loading = loader.load(make_task(style={"fit": fit}, colour={"mode": "none"}), budget)
    assert budget.asked == [40 * 32 + 50 * 32 + 2 * 20 * 16], "both files, and what they come to"
    assert budget.taken == loading.pixels == 20 * 16 + style
    budget.give_back(loading.pixels)
    assert budget.taken == 0


@pytest.mark.parametrize("which", ["content", "style"])
@pytest.mark.parametrize("data", [b"no image", b"", None], ids=["other", "empty", "half"])
def test_a_pair_that_cannot_be_used_gives_its_room_back(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], which: str, data: bytes | None
) -> None:
    task = make_task()
    path: Path = getattr(task.pair, which)
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
        Loader(WEIGHTS, 10**6, pin=True).load(make_task(), budget)
    assert budget.asked
    assert budget.taken == 0


def test_both_images_are_pinned_if_asked_for(
    loader: Loader, budget: Noting, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1000)
    plain = loader.load(make_task(), budget).loaded
    pinned = Loader(WEIGHTS, 10**6, pin=True).load(make_task(), budget).loaded
    assert torch.equal(pinned.content, plain.content + 1000)
    assert torch.equal(pinned.style, plain.style + 1000)
    assert (pinned.style_key, pinned.inputs, pinned.warnings) == (plain.style_key, plain.inputs, plain.warnings)


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

    read_file = load_module.read_file
    monkeypatch.setattr(load_module, "time", SimpleNamespace(perf_counter=lambda: shown[0]))
    monkeypatch.setattr(load_module, "read_file", read)
    loading = loader.load(make_task(), Slow())
    assert loading.seconds == 4
    assert loading.ready == 154
