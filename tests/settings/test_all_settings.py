"""Tests of the settings: their documentation in config.toml, and the explanation of wrong values."""

from __future__ import annotations

import re
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.settings import PairSettings, Settings, all_settings
from pipeline.settings.all_settings import SECTIONS
from pipeline.settings.base import LONGEST_SECONDS

CONFIG = Path(__file__).parents[2] / "config.toml"


def test_config_toml_has_every_setting_at_its_default_and_no_other() -> None:
    written = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    assert Settings.model_validate(written) == Settings()
    assert {name: set(values) for name, values in written.items() if name != "preset"} == {
        name: set(model.model_fields) for name, model in SECTIONS.items()
    }


def test_config_toml_explains_every_setting_with_the_models_own_words() -> None:
    lines = CONFIG.read_text(encoding="utf-8").splitlines()
    for model in SECTIONS.values():
        for key, field in model.model_fields.items():
            (number,) = (i for i, line in enumerate(lines) if line.startswith(f"{key} ="))
            assert lines[number - 1] == f"# {field.description}"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"run": {"device": "gpu"}}, "run.device: should be auto, cpu, cuda or cuda:N (got 'gpu')"),
        ({"objective": {"style_layers": ["conv6_1"]}}, "should be a layer of VGG19 up to conv5_1, such as conv4_2"),
        ({"image": 3}, "image: should be a section with settings of its own"),
        ({"run": {"roots": "/a"}}, """run.roots: should be a list, such as ["a", "b"]"""),
        ({"image": {"formats": []}}, "image.formats: should have at least 1 value (got [])"),
        ({"pyramid": {"evaluations": [2] * 10}}, "pyramid.evaluations: should have at most 9 values"),
    ],
)
def test_what_does_not_match_is_explained_in_words(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        all_settings.validate(values)


@pytest.mark.parametrize(
    ("given", "size"), [(16, 16), ("512", 512), ("native", "native"), ("12MP", "12MP"), ("0.5MP", "0.5MP")]
)
def test_sizes(given: object, size: object) -> None:
    assert PairSettings.model_validate({"image": {"size": given}}).image.size == size


@pytest.mark.parametrize(
    "given", [15, 20000, "big", "12 MP", True, 512.5, "-3MP", None, "infMP", "nanMP", "inf", "1e3MP"]
)
def test_wrong_sizes(given: object) -> None:
    with pytest.raises(ValidationError, match="longest side in px"):
        PairSettings.model_validate({"image": {"size": given}})


@pytest.mark.parametrize("given", ["0MP", "0.0MP", "0.0002MP", "269MP", "1" * 400 + "MP"])
def test_wrong_megapixels(given: object) -> None:
    with pytest.raises(ValidationError, match=r"should be from 0.000256 to 268 megapixels"):
        PairSettings.model_validate({"image": {"size": given}})


@pytest.mark.parametrize("given", [float("inf"), float("nan"), 0, -1])
@pytest.mark.parametrize("name", ["image.max_pixels", "style.scale"])
def test_sizes_that_are_no_size(given: object, name: str) -> None:
    section, key = name.split(".")
    with pytest.raises(ValidationError, match=name):
        PairSettings.model_validate({section: {key: given}})


@pytest.mark.parametrize(
    ("given", "detail"), [("none", 0.0), ("photograph", 1.0), (0.3, 0.3), ("0.3", 0.3), (0, 0.0), (1, 1.0)]
)
def test_the_photographs_detail_has_names_for_its_ends(given: object, detail: float) -> None:
    assert PairSettings.model_validate({"pyramid": {"detail": given}}).pyramid.detail == detail


@pytest.mark.parametrize("given", ["half", 1.5, -0.1, float("nan"), None])
def test_wrong_shares_of_detail(given: object) -> None:
    with pytest.raises(ValidationError, match=r"pyramid\.detail"):
        PairSettings.model_validate({"pyramid": {"detail": given}})


@pytest.mark.parametrize(("given", "ratio"), [(2, "2"), ("2", "2"), ("sqrt2", "sqrt2")])
def test_a_ratio_may_be_a_number(given: object, ratio: str) -> None:
    assert PairSettings.model_validate({"pyramid": {"ratio": given}}).pyramid.ratio == ratio


@pytest.mark.parametrize("given", [3, 1.41, 2.0, "√2"])
def test_wrong_ratios(given: object) -> None:
    with pytest.raises(ValidationError, match=r"pyramid\.ratio"):
        PairSettings.model_validate({"pyramid": {"ratio": given}})


@pytest.mark.parametrize(
    ("ratio", "quality", "planned"),
    [
        ("2", "draft", (20, 20, 20, 20, 20, 20, 20, 12, 10)),
        ("2", "standard", (30, 30, 30, 30, 30, 30, 30, 20, 25)),
        ("2", "print", (100, 100, 100, 100, 100, 100, 100, 75, 100)),
        ("sqrt2", "draft", (20, 20, 20, 20, 20, 20, 20, 10, 6)),
        ("sqrt2", "standard", (36, 36, 36, 36, 36, 22, 22, 22, 14)),
        ("sqrt2", "print", (70, 70, 70, 70, 70, 45, 45, 45, 45)),
    ],
)
def test_evaluations_are_planned_from_the_finest_scale_up(ratio: str, quality: str, planned: tuple[int, ...]) -> None:
    for scales in range(1, 10):
        pyramid = {"ratio": ratio, "quality": quality, "scales": scales}
        assert PairSettings.model_validate({"pyramid": pyramid}).pyramid.planned == planned[-scales:]
    given = {"ratio": ratio, "quality": quality, "evaluations": (3, 2)}
    assert PairSettings.model_validate({"pyramid": given}).pyramid.planned == (3, 2)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"objective": {"style_layer_weights": [1, 2]}}, "2 values"),
        ({"objective": {"style_layers": [], "content_layers": []}}, "nothing to minimise"),
        ({"objective": {"style_layers": ["conv6_1"]}}, "should be a layer of VGG19"),
        ({"objective": {"style_layers": ["conv1_1", "conv2_1", "conv1_1"]}}, "style_layers names conv1_1 twice"),
        ({"objective": {"content_layers": ["relu4_2"] * 2, "content_layer_weights": [1, 2]}}, "names relu4_2 twice"),
        ({"pyramid": {"evaluations": [20, 1]}}, "greater than or equal to 2"),
        ({"objective": {"tv_weight": float("nan")}}, "finite"),
        ({"colour": {"mode": "style-yuv"}}, 'set style.fit = "stretch", or use preset = "colour-preserving"'),
        (
            {"preset": "gatys2016", "colour": {"mode": "none", "variants": ["style-yuv"]}, "style": {"fit": "whole"}},
            "of one size",
        ),
        ({"output": {"format": "jpeg", "bit_depth": 16}}, "bit_depth = 16 does not go with"),
        ({"output": {"format": "webp", "bit_depth": 16}}, "bit_depth = 16 does not go with"),
        ({"colour": {"strength": 1.5}}, "less than or equal to 1"),
        ({"style": {"blend_weights": [1, 0]}}, "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        all_settings.validate(values)


NUMBERS = [
    (section, key)
    for section, model in SECTIONS.items()
    for key, field in model.model_fields.items()
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
]


@pytest.mark.parametrize(("section", "key"), NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1, 1e300, 10**30])
def test_no_number_is_infinite_negative_or_too_large_for_a_machine(section: str, key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"settings: {section}\.{key}: "):
        all_settings.validate({section: {key: value}})


def test_the_numbers_of_lists_have_limits_too() -> None:
    for name in ("content_layer_weights", "style_layer_weights"):
        for value in (float("nan"), float("inf"), 1e300, -1):
            with pytest.raises(UsageError, match=name):
                all_settings.validate({"objective": {name: [value] * 5}})
    for value in (float("nan"), float("inf"), 1e300, 0, -1):
        with pytest.raises(UsageError, match="blend_weights"):
            all_settings.validate({"style": {"blend_weights": [value]}})


@pytest.mark.parametrize("text", ["1" + "0" * 400 + "h", "9999999999h"])
def test_a_duration_has_a_limit(text: str) -> None:
    with pytest.raises(UsageError, match=r"run\.time_budget: should be at most"):
        all_settings.validate({"run": {"time_budget": text}})


def test_a_wrong_value_of_a_list_is_told_once() -> None:
    with pytest.raises(UsageError, match=r"^settings: image\.formats: should be 'jpeg'[^:]*\(got 'heic'\)$"):
        all_settings.validate({"image": {"formats": ["heic"]}})


def test_some_format_is_read() -> None:
    with pytest.raises(UsageError, match=r"image\.formats"):
        all_settings.validate({"image": {"formats": []}})


def test_the_longest_time_is_one_that_the_systems_timers_take() -> None:
    assert threading.TIMEOUT_MAX > LONGEST_SECONDS
    assert all_settings.validate({"run": {"grace_seconds": LONGEST_SECONDS}}).run.grace_seconds == LONGEST_SECONDS
