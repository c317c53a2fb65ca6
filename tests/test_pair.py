"""Tests of pairs: variants, blends, weights, and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.pair import InputFile, Pair, Style, check_blend, library_label, make_pairs
from pipeline.settings.resolve import for_pair


def make(content: str = "/a.jpg", styles: int = 1, **settings: Any) -> Pair:
    paintings = tuple(Path(f"/{i}.png") for i in range(styles))
    return Pair(Path(content), paintings, content[1:], "0.png", "a", for_pair({}, settings, {}))


@pytest.mark.parametrize(
    ("wanted", "content", "file_name"),
    [
        ("png", "/a.jpg", "a.png"),
        ("jpeg", "/a.png", "a.jpg"),
        ("tiff", "/a.png", "a.tif"),
        ("same", "/a.JPEG", "a.jpg"),
        ("same", "/a.TIFF", "a.tif"),
        ("same", "/a.webp", "a.webp"),
        ("same", "/a.gif", "a.png"),
        ("same", "/a", "a.png"),
    ],
)
def test_the_results_ending(wanted: str, content: str, file_name: str) -> None:
    assert make(content, output={"format": wanted}).file_name == file_name


def test_variants_are_the_pair_itself_and_one_for_every_other_mode() -> None:
    pair = make(colour={"mode": "none", "variants": ["swap-luma", "none", "match", "swap-luma"]})
    variants = list(pair.variants())
    assert variants[0] is pair
    assert [(each.name, each.settings.colour.mode) for each in variants] == [
        ("a", "none"),
        ("a--swap-luma", "swap-luma"),
        ("a--match", "match"),
    ]
    assert [each.content for each in variants] == [pair.content] * 3


def test_weights_are_equal_unless_they_are_given() -> None:
    assert make(styles=2).style_weights == (1, 1)
    assert make(styles=2, style={"blend_weights": [3, 1]}).style_weights == (3, 1)
    assert make(styles=1, style={"blend_weights": [3, 1]}).style_weights == (1,)


@pytest.mark.parametrize(("paintings", "weights", "fits"), [(2, [], True), (2, [1, 2], True), (3, [1, 2], False)])
def test_a_blend_needs_a_weight_for_each_painting(paintings: int, weights: list[float], *, fits: bool) -> None:
    settings = make(style={"blend_weights": weights}).settings
    assert (check_blend(paintings, settings) is None) == fits
    assert check_blend(1, settings, may_be_alone=True) is None
    assert (check_blend(1, settings) is None) == (not weights or len(weights) == 1)


def test_all_files_of_a_pair() -> None:
    pair = make(styles=2)
    assert pair.files == (Path("/a.jpg"), Path("/0.png"), Path("/1.png"))
    masked = replace(pair, mask=Path("/m.png"))
    assert masked.files[-1] == Path("/m.png")


PHOTOGRAPH = InputFile(Path("/photos/a.jpg"), "photos/a.jpg")
SEA = Style("sea", "sea.png", (Path("/sea.png"),))


def test_a_pair_is_made_of_its_parts() -> None:
    settings = for_pair({}, {"colour": {"variants": ["none"]}}, {})
    pair, variant = make_pairs(
        content=PHOTOGRAPH, style=SEA, name="x/a", settings=settings, mask=InputFile(Path("/masks/a.png"), "a.png")
    )
    assert pair == Pair(
        Path("/photos/a.jpg"), (Path("/sea.png"),), "photos/a.jpg", "sea.png", "x/a", settings, Path("/masks/a.png"),
        "a.png",
    )  # fmt: skip
    assert (variant.name, variant.mask, variant.settings.colour.mode) == ("x/a--none", pair.mask, "none")


def test_labels_can_be_written_as_json() -> None:
    odd = "\udcff.png"
    (pair,) = make_pairs(
        content=InputFile(Path("/a"), odd),
        style=Style("s", odd, (Path("/s.png"),)),
        name="a",
        settings=for_pair({}, {}, {}),
        mask=InputFile(Path("/m"), odd),
    )
    assert {pair.content_label, pair.style_label, pair.mask_label} == {"\ufffd.png"}


def test_weights_fit_the_paintings_or_are_meant_for_others() -> None:
    settings = for_pair({}, {"style": {"blend_weights": [3, 1]}}, {})
    with pytest.raises(UsageError, match="2 values, but there is one painting") as error:
        make_pairs(content=PHOTOGRAPH, style=SEA, name="a", settings=settings)
    assert error.value.remedy == "Give one weight for each painting, or none."
    (pair,) = make_pairs(content=PHOTOGRAPH, style=SEA, name="a", settings=settings, settings_are_shared=True)
    assert pair.style_weights == (1,)


def test_a_library_style_is_labelled_by_its_file_or_its_folder() -> None:
    assert library_label((Path("/styles/sea.png"),)) == "sea.png"
    assert library_label((Path("/styles/coast/a.png"), Path("/styles/coast/b.png"))) == "coast"
