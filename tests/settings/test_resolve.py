"""Tests of the order of the sources of settings: which value wins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.settings.presets import PRESETS
from pipeline.settings.resolve import for_pair, from_set_options, load_settings, merge, parse_value

if TYPE_CHECKING:
    from pathlib import Path


def test_stronger_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    assert load_settings(None, {})[1].image.size == 512
    config.write_text("[image]\nsize = 100\n")
    assert load_settings(config, {})[1].image.size == 100
    monkeypatch.setenv("IMPASTO_IMAGE__SIZE", "200")
    base_values, of_run = load_settings(config, {})
    assert of_run.image.size == 200
    row, overrides = {"image": {"size": 300}}, {"image": {"size": 400}}
    assert for_pair(base_values, row, {}).image.size == 300
    assert for_pair(base_values, row, overrides).image.size == 400
    assert load_settings(config, overrides)[1].image.size == 400


def test_a_preset_stands_just_below_the_values_beside_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('preset = "gatys2016"\n[objective]\ntv_weight = 5\n[optimiser]\nplateau = 0.1\n')
    base_values, of_run = load_settings(config, {})
    assert (of_run.colour.mode, of_run.objective.tv_weight, of_run.preset) == ("none", 5, "gatys2016")
    again = for_pair(base_values, {"preset": "colour-preserving"}, {})
    wanted = load_settings(None, {"preset": "colour-preserving"})[1]
    assert again.objective == wanted.objective != Settings().objective, "the row's preset resets what the file set"
    assert again.optimiser.plateau == 0.1, "a preset does not touch what it does not name"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_says_its_name(preset: str) -> None:
    assert load_settings(None, {"preset": preset})[1].preset == preset


def test_environment_takes_lists_and_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_OBJECTIVE__STYLE_LAYERS", '["relu1_1"]')
    monkeypatch.setenv("IMPASTO_PRESET", "luminance")
    monkeypatch.setenv("IMPASTO_CONFIG", "is no setting")
    of_run = load_settings(None, {})[1]
    assert of_run.objective.style_layers == ("relu1_1",)
    assert of_run.colour.mode == "swap-luma"


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("IMPASTO_IMAG__SIZE", "IMPASTO_IMAG__SIZE: there is no setting imag.size. Did you mean image.size?"),
        ("IMPASTO_SIZE", "IMPASTO_SIZE: there is no setting size."),
        ("IMPASTO_IMAGE", "IMPASTO_IMAGE: there is no setting image."),
        ("IMPASTO_IMAGE_SIZE", "IMPASTO_IMAGE_SIZE: there is no setting image_size. Did you mean image.size?"),
        ("IMPASTO_IMAGE__SIZE__X", "IMPASTO_IMAGE__SIZE__X: there is no setting image.size__x"),
        ("IMPASTO_STYLES", "IMPASTO_STYLES"),
        ("IMPASTO_RUN", "IMPASTO_RUN"),
        ("IMPASTO_", "IMPASTO_"),
        ("IMPASTO_CONFIGS", "IMPASTO_CONFIGS"),
        ("IMPASTO_IMAGE__SIZ", "Did you mean image.size?"),
        ("IMPASTO_OPTIMISER__HISTORY", "IMPASTO_OPTIMISER__HISTORY: optimiser.history: should be a valid integer"),
        ("IMPASTO_PRESET", "IMPASTO_PRESET: preset 'x' does not exist"),
    ],
)
def test_a_wrong_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str, words: str) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(UsageError) as error:
        load_settings(None, {})
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["[image]\nsiez = 1", "[imag]\nsize = 1", "image = 3", "[image", 'preset = "no"'])
def test_a_wrong_config_file_is_an_error(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(UsageError):
        load_settings(config, {})


@pytest.mark.parametrize("option", ["image.size", "size=3", "image.siez=3", "=3"])
def test_a_wrong_set_option_is_an_error(option: str) -> None:
    with pytest.raises(UsageError, match=r"expected section\.key=value"):
        from_set_options([option])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ("png", "png"),
        ('"3"', "3"),
        ("768.0", 768),
        ("inf", math.inf),
        ("1\nx=2", "1\nx=2"),
    ],
)
def test_values_are_read_as_toml_or_else_as_text(text: str, value: Any) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["2024", "2024-05-01", "true", "3.0", "inf", "[1]", '"2024"'])
def test_the_value_of_a_setting_for_texts_is_a_text(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    wanted = text.strip('"')
    assert load_settings(None, from_set_options([f"styles.default={text}"]))[1].styles.default == wanted
    monkeypatch.setenv("IMPASTO_STYLES__DEFAULT", text)
    assert load_settings(None, {})[1].styles.default == wanted


def test_a_text_of_a_config_file_wants_quotes(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[styles]\ndefault = 2024\n")
    with pytest.raises(UsageError, match=r"styles.default: should be a text, in quotes \(got 2024\)"):
        load_settings(config, {})


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    config = tmp_path / "config.toml"
    config.write_text(
        '[styles]\nfolder = "~/styles"\n[mask]\nfile = "~/m.png"\n[run]\nroots = ["~"]\n[watch]\nspool = "~/s"\n'
        '[metrics]\ntextfile = "~/m.prom"\n[network]\nweights = "~/w.pth"\n[hooks]\non_pair = ["~/hook", "x~y"]\n'
    )
    settings = load_settings(config, {})[1]
    home = "/home/anna"
    assert (settings.styles.folder, settings.mask.file, settings.run.roots) == (
        f"{home}/styles",
        f"{home}/m.png",
        (home,),
    )
    assert (settings.watch.spool, settings.metrics.textfile, settings.network.weights) == (
        f"{home}/s",
        f"{home}/m.prom",
        f"{home}/w.pth",
    )
    assert settings.hooks.on_pair == (f"{home}/hook", "x~y")


def test_layers_without_weights_have_equal_weights(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[objective]\ncontent_layers = ["relu4_2"]\n')
    base_values, of_run = load_settings(config, {})
    assert (of_run.objective.content_layers, of_run.objective.content_layer_weights) == (("relu4_2",), ())
    weighted = {"objective": {"content_layers": ["relu3_1"], "content_layer_weights": [2.0]}}
    assert for_pair(base_values, weighted, {}).objective.content_layer_weights == (2.0,)
    assert (
        for_pair(merge(base_values, weighted), {"objective": {"content_layers": []}}, {}).objective.content_layers == ()
    )


@pytest.mark.parametrize(("name", "value"), [("style_weight", 30), ("tv_weight", 20000)])
def test_weights_for_gram_matrices_want_their_preset(tmp_path: Path, name: str, value: int) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[objective]\n{name} = {value}\n")
    with pytest.raises(UsageError, match=rf"config.toml.*{name} = {value} is a weight for Gram.*colour-preserving"):
        load_settings(config, {})
    config.write_text(f'preset = "colour-preserving"\n[objective]\n{name} = {value}\n')
    assert getattr(load_settings(config, {})[1].objective, name) == value


def test_the_command_line_may_complete_what_a_file_sets(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[colour]\nmode = "style-yuv"\n')
    with pytest.raises(UsageError, match=r"config.toml.*style.fit = \"stretch\""):
        load_settings(config, {})
    assert load_settings(config, {"style": {"fit": "stretch"}})[1].style.fit == "stretch"
