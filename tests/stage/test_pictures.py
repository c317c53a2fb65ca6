"""Tests of pictures that go through the whole stage: sizes, formats, colours and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.paint.painted import Painted
from pipeline.stage.paint.painter import Painter
from pipeline.stage.stage import Stage
from pipeline.stage.task import Task
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.state import Evaluation, ScaleResult
from pipeline.transfer.styliser import StyliseResult
from pipeline.transfer.tiling import WHOLE
from pipeline.transfer.weights import find_weights
from tests import oracle
from tests.conftest import photo, pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.stage.load.loader import Loading
    from pipeline.transfer.vgg import Vgg19


WHEN = Evaluation(1, 4.0, 1.0, 2.0, 1.0)
RESULTS = (ScaleResult(Scale(64, 48, 1), WHEN, WHEN, WHEN, ((1, 4.0),)),)


class Silent:
    """A listener that ignores all events."""

    def pair_started(self, pair: Pair) -> None:
        pass

    def evaluated(self, pair: Pair, evaluation: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: for such small pictures, two take ten times as long as one on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "out")


@pytest.fixture
def make_stage(outbox: Outbox, network: Vgg19) -> Callable[[], Stage]:
    def make() -> Stage:
        return Stage(
            network=network,
            weights=find_weights("packaged"),
            device=torch.device("cpu"),
            precision=torch.float32,
            outbox=outbox,
            listener=Silent(),
        )

    return make


@pytest.fixture
def render(outbox: Outbox, make_stage: Callable[[], Stage]) -> Callable[..., list[Metadata]]:
    def render(*pairs: Pair) -> list[Metadata]:
        with outbox.locked():
            records = [each.record for each in make_stage().process([Task(pair, 1, None) for pair in pairs])]
        assert all(isinstance(record, Metadata) for record in records), records
        return [record for record in records if isinstance(record, Metadata)]

    return render


def style_of(mode: str) -> dict[str, str]:
    """Return the size of the painting that goes with a colour mode."""
    return {"fit": "stretch" if mode == "style-yuv" else "whole"}


@pytest.fixture
def make_pair(make_image: Callable[..., Path]) -> Callable[..., Pair]:
    def make(name: str = "a.png", mask: Path | None = None, **sections: Any) -> Pair:
        content, style = make_image(name, width=64, height=48, seed=1), make_image("style.png", width=50, seed=2)
        settings = PairSettings(**{"image": {"size": 32}, "pyramid": {"evaluations": [3, 3]}} | sections)
        label = mask.name if mask is not None else ""
        return Pair(content, (style,), content.name, style.name, "a", settings, mask, label)

    return make


def half_mask(path: Path, width: int = 64, height: int = 48) -> Path:
    """Write a mask whose right half is white; return its path."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    Image.fromarray(mask).save(path)
    return path


def test_variants_that_can_share_are_optimised_once(
    outbox: Outbox,
    render: Callable[..., list[Metadata]],
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painted: list[str] = []
    paint = Painter.paint

    def note(painter: Painter, batch: Sequence[Loading], evaluations: tuple[int, ...]) -> Any:
        painted.extend(loading.task.pair.name for loading in batch)
        return paint(painter, batch, evaluations)

    monkeypatch.setattr(Painter, "paint", note)
    pair = make_pair(colour={"mode": "none", "variants": ["swap-luma", "match"]})
    records = {record.output.path: record for record in render(*pair.variants())}
    assert painted == ["a", "a--match"]
    assert sorted(records) == ["a--match.png", "a--swap-luma.png", "a.png"]
    plain, swapped, matched = (records[name] for name in ("a.png", "a--swap-luma.png", "a--match.png"))
    assert plain.optimisation == swapped.optimisation != matched.optimisation
    assert plain.objective == swapped.objective != matched.objective
    assert plain.key != swapped.key
    assert swapped.settings["colour"]["mode"] == "swap-luma"
    assert plain.seconds.stylise > 0 == swapped.seconds.stylise
    ours, theirs = (oracle.yuv(pixels(outbox.picture_path(name)))[..., 0] for name in ("a.png", "a--swap-luma.png"))
    assert np.abs(ours - theirs)[(theirs > 60) & (theirs < 190)].mean() < 1.5, "both variants have one luma"


def test_a_variant_alone_is_painted_too(render: Callable[..., list[Metadata]], make_pair: Callable[..., Pair]) -> None:
    _, swapped = make_pair(colour={"mode": "none", "variants": ["swap-luma"]}).variants()
    (record,) = render(swapped)
    assert record.seconds.stylise > 0


@pytest.mark.parametrize("mode", ["style-yuv", "luminance", "swap-luma", "regions", "none"])
def test_where_a_mask_is_black_the_photograph_stays(
    outbox: Outbox, render: Callable[..., list[Metadata]], make_pair: Callable[..., Pair], tmp_path: Path, mode: str
) -> None:
    mask = half_mask(tmp_path / "m.png")
    (record,) = render(make_pair(mask=mask, image={"size": 64}, colour={"mode": mode}, style=style_of(mode)))
    result, photograph = pixels(outbox.picture_path("a.png")), pixels(tmp_path / "a.png")
    assert np.abs(result[:, :31] - photograph[:, :31]).max() <= 1
    assert np.abs(result[:, 33:] - photograph[:, 33:]).mean() > 0.5
    assert record.pair.mask is not None
    assert record.pair.mask.path == "m.png"


@pytest.mark.parametrize("masked", [False, True])
def test_a_guided_result_has_the_photographs_size(
    outbox: Outbox,
    render: Callable[..., list[Metadata]],
    make_pair: Callable[..., Pair],
    tmp_path: Path,
    *,
    masked: bool,
) -> None:
    mask = half_mask(tmp_path / "m.png") if masked else None
    (record,) = render(make_pair(mask=mask, image={"size": 32, "upscale": "guided"}))
    result, photograph = pixels(outbox.picture_path("a.png")), pixels(tmp_path / "a.png")
    assert record.working_size == (32, 24)
    assert (record.output.width, record.output.height) == (64, 48)
    assert result.shape == (48, 64, 3)
    left = np.abs(result[:, :31] - photograph[:, :31])
    assert (left.max() <= 1) == masked
    assert np.abs(result[:, 33:] - photograph[:, 33:]).mean() > 2


def test_sixteen_bits_and_transparency_come_out_as_they_went_in(
    outbox: Outbox, render: Callable[..., list[Metadata]], make_pair: Callable[..., Pair]
) -> None:
    pair = make_pair(image={"size": 64}, output={"format": "tiff"}, colour={"mode": "swap-luma"})
    alpha = np.full((48, 64, 1), 65535, np.uint16)
    alpha[:, :20] = 12345
    deep = np.dstack([photo(64, 48).astype(np.uint16) * 257, alpha])
    pair.content.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    (record,) = render(pair)
    result = cv2.imdecode(np.frombuffer(outbox.picture_path("a.tif").read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[..., 3:], alpha)
    assert record.output.bits == 16
    assert record.warnings == []
    chroma = [oracle.yuv(each[..., 2::-1].astype(np.float64))[..., 1:] for each in (result, deep)]
    assert np.abs(chroma[0] - chroma[1]).mean() < 65535 / 4096
    assert (result[..., :3] % 257 != 0).any()


def test_what_a_format_cannot_hold_is_said(
    outbox: Outbox, render: Callable[..., list[Metadata]], make_pair: Callable[..., Pair]
) -> None:
    pair = make_pair(image={"size": 64}, output={"format": "jpeg"})
    rgba = np.dstack([photo(64, 48).astype(np.uint16) * 257, np.full((48, 64), 30000, np.uint16)])
    pair.content.write_bytes(cv2.imencode(".png", rgba)[1].tobytes())
    (record,) = render(pair)
    assert record.warnings == [
        "16 bits per channel were reduced to 8, which is all that jpeg has",
        "transparency was laid over white, since jpeg has none",
    ]
    assert record.output.bits == 8


def test_the_photographs_date_and_camera_are_in_the_result(
    outbox: Outbox, render: Callable[..., list[Metadata]], make_pair: Callable[..., Pair]
) -> None:
    pair = make_pair("b.jpg", output={"format": "same"})
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Kodak Brownie", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:25 01:02:03"
    Image.fromarray(photo(64, 48)).save(pair.content, exif=exif)
    (record,) = render(pair)
    with Image.open(outbox.picture_path("a.jpg")) as image:
        found = image.getexif()
        assert image.size == (24, 32)
        assert (found[0x0110], found[0x0112]) == ("Kodak Brownie", 1)
        assert found.get_ifd(0x8769)[0x9003] == "2026:11:25 01:02:03"
        assert found[0x0131].startswith("impasto ")
        assert record.key in found.get_ifd(0x8769)[0x9213]
        assert image.info["icc_profile"]


ODD = {
    "1×1": np.full((1, 1, 3), 77, np.uint8),
    "1×4000": photo(1, 4000),
    "one colour": np.full((48, 64, 3), (250, 3, 90), np.uint8),
    "black": np.zeros((48, 64, 3), np.uint8),
    "grey": photo(64, 48)[:, :, :1].repeat(3, axis=2),
}
TOO_THIN = {("1×4000", "content")}


@pytest.mark.parametrize("mode", ["regions", "style-yuv", "luminance", "match"])
@pytest.mark.parametrize(("kind", "role"), [(kind, role) for kind in ODD for role in ("content", "style")])
def test_odd_pictures_give_a_clear_error_or_a_finite_result(  # noqa: PLR0913, PLR0917 - by name
    outbox: Outbox, make_stage: Callable[[], Stage], make_pair: Callable[..., Pair], kind: str, role: str, mode: str
) -> None:
    pair = make_pair(colour={"mode": mode}, style=style_of(mode), pyramid={"evaluations": [3]})
    Image.fromarray(ODD[kind]).save(pair.content if role == "content" else pair.styles[0])
    with outbox.locked():
        (outcome,) = make_stage().process([Task(pair, 1, None)])
    record = outcome.record
    if (kind, role) in TOO_THIN:
        assert isinstance(record, Failure)
        assert record.error_class == "input"
        assert record.reason.startswith("a.png: 1×4000 px becomes")
        assert record.remedy
        return
    assert isinstance(record, Metadata)
    assert np.isfinite(list(dict(record.objective.best).values())).all()
    assert 1 <= record.evaluations <= 3, "a picture of one colour has nothing to paint in luminance"
    assert not [warning for warning in record.warnings if "finite" in warning]
    assert pixels(outbox.picture_path("a.png")).shape == (
        (32, 32, 3) if kind == "1×1" and role == "content" else (24, 32, 3)
    )


def painted_grey(monkeypatch: pytest.MonkeyPatch, value: float = 120.0) -> None:
    """Replace the optimisation by one that makes everything grey where the mask allows it."""

    def paint(_: Painter, batch: Sequence[Loading], __: object) -> Iterator[tuple[Loading, Painted]]:
        for loading in batch:
            loaded = loading.loaded
            grey, mask = torch.full_like(loaded.content, value), loaded.mask
            image = grey if mask is None else torch.lerp(loaded.content, grey, mask)
            yield loading, Painted(StyliseResult(image, RESULTS, 1, ()), 1.0, WHOLE, 1, (1,), 0, None)

    monkeypatch.setattr(Painter, "paint", paint)


def test_a_guided_result_is_masked_once(
    outbox: Outbox,
    render: Callable[..., list[Metadata]],
    make_pair: Callable[..., Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painted_grey(monkeypatch)
    half = tmp_path / "m.png"
    Image.fromarray(np.full((48, 64), 128, np.uint8)).save(half)
    changes = []
    for upscale in ("none", "guided"):
        pair = make_pair(mask=half, image={"size": 32 if upscale == "guided" else 64, "upscale": upscale})
        render(pair)
        changes.append(np.abs(pixels(outbox.picture_path("a.png")) - pixels(tmp_path / "a.png")).mean())
    assert changes[1] == pytest.approx(changes[0], rel=0.1)


def test_what_is_not_visible_does_not_bleed_into_a_guided_result(
    outbox: Outbox,
    render: Callable[..., list[Metadata]],
    make_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def paint(_: Painter, batch: Sequence[Loading], __: object) -> Iterator[tuple[Loading, Painted]]:
        for loading in batch:
            yield loading, Painted(StyliseResult(loading.loaded.content, RESULTS, 1, ()), 1.0, WHOLE, 1, (1,), 0, None)

    monkeypatch.setattr(Painter, "paint", paint)
    pair = make_pair(image={"size": 24, "upscale": "guided"})
    rgba = np.dstack([np.full((48, 64, 3), 90, np.uint8), np.full((48, 64), 255, np.uint8)])
    rgba[:, 35:] = 0
    Image.fromarray(rgba).save(pair.content)
    render(pair)
    with Image.open(outbox.picture_path("a.png")) as image:
        result = np.asarray(image).astype(int)
    assert np.abs(result[:, :35, :3] - 90).max() <= 12
    assert (result[:, 35:, 3] == 0).all()


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("mode", ["luminance", "regions"])
@pytest.mark.parametrize("upscale", ["none", "guided"])
def test_part_of_a_mode_leaves_the_photograph_where_the_mask_is_black(  # noqa: PLR0913, PLR0917 - by name
    outbox: Outbox,
    render: Callable[..., list[Metadata]],
    make_pair: Callable[..., Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strength: float,
    mode: str,
    upscale: str,
) -> None:
    painted_grey(monkeypatch)
    mask, size = half_mask(tmp_path / "m.png"), {"none": 64, "guided": 32}[upscale]
    image, colour = {"size": size, "upscale": upscale}, {"mode": mode, "strength": strength}
    render(make_pair(mask=mask, image=image, colour=colour))
    difference = np.abs(pixels(outbox.picture_path("a.png")) - pixels(tmp_path / "a.png"))
    assert difference[:, :31].max() <= 1
    assert difference[:, 33:].mean() > 5
