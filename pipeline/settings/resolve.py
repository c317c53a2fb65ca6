"""Reads settings from their sources, and merges them.

Sources, weakest first: the default, the config file, the environment (`IMPASTO_SECTION__KEY`), the manifest's row, the
command line. A source may name a `preset`, whose values are a little weaker than the values that the source sets
itself.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import UsageError
from pipeline.settings.all_settings import ALL_KEYS, TEXT_KEYS, Settings, did_you_mean, validate
from pipeline.settings.pair_settings import PairSettings, Values
from pipeline.settings.presets import PRESETS
from pipeline.system.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX: Final = "IMPASTO_"
"""Start of the names of all variables that impasto reads."""
CONFIG_VARIABLE: Final = "IMPASTO_CONFIG"
"""Variable that names a config file."""


def parse_value(text: str) -> Any:
    """Return a value as TOML reads it (`0.5`, `true`, `["relu1_1"]`), or the text itself if it is not TOML."""
    if "\n" not in text:
        try:
            return whole(tomllib.loads(f"value = {text}")["value"])
        except (ValueError, RecursionError):  # not TOML, or nested too deeply
            pass
    return text


def whole(value: Any) -> Any:
    """Return a whole number without its decimals: 768.0, as some programs write 768, is 768."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_setting(name: str, text: str) -> Any:
    """Return the value of a setting that is written as text, such as a cell of a manifest or an option.

    Args:
        name: `section.key`, or `preset`. If its values are texts, `2024` and `true` are texts, too.
        text: the value.
    """
    value = parse_value(text)
    return text if name in TEXT_KEYS and not isinstance(value, str) else value


def from_assignments(assignments: Mapping[str, Any]) -> Values:
    """Nest values by section: `{"image.size": 384}` → `{"image": {"size": 384}}`; `preset` has no section."""
    values: Values = {}
    for name, value in assignments.items():
        section, dot, key = name.partition(".")
        if dot:
            values.setdefault(section, {})[key] = value
        else:
            values[name] = value
    return values


def from_set_options(options: list[str]) -> Values:
    """Return the values of `--set section.key=value`.

    Raises:
        UsageError: an option is not of this form, or names no setting.
    """
    assignments = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or name not in ALL_KEYS:
            raise UsageError(f"--set {option}: expected section.key=value.{did_you_mean(name, ALL_KEYS)}")
        assignments[name] = parse_setting(name, text)
    return from_assignments(assignments)


def from_file(path: Path) -> Values:
    """Return the values of a config file.

    Raises:
        UsageError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", f"{remedy_of(error)}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}.") from error


def from_environment() -> Values:
    """Return the values of `IMPASTO_SECTION__KEY` and `IMPASTO_PRESET`; the command line reads `IMPASTO_CONFIG`.

    Raises:
        UsageError: another variable has the prefix, since it would be ignored otherwise.
    """
    assignments = {}
    for variable, text in _variables():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
        if name not in {"preset", *ALL_KEYS}:
            raise UsageError(
                f"{variable}: there is no setting {name}.{did_you_mean(name, (*ALL_KEYS, 'preset'))}",
                "Name it IMPASTO_SECTION__KEY, as in IMPASTO_IMAGE__SIZE, or remove it.",
            )
        if name == "preset" and text not in PRESETS:
            raise UsageError(f"{variable}: {_no_preset(text)}")
        assignments[name] = parse_setting(name, text)
    return from_assignments(assignments)


def _variables() -> list[tuple[str, str]]:
    return [
        (variable, text)
        for variable, text in os.environ.items()
        if variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE
    ]


def preset_values(name: object) -> Values:
    """Return the values that a preset sets.

    Raises:
        UsageError: there is no such preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise UsageError(_no_preset(name))
    return PRESETS[name]


def _no_preset(name: object) -> str:
    return f"preset {name!r} does not exist.{did_you_mean(str(name), tuple(PRESETS))} There are: {', '.join(PRESETS)}."


def _merge(weaker: Values, stronger: Values) -> Values:
    merged = dict(weaker)
    for name, value in stronger.items():
        old = merged.get(name)
        merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def merge(*sources: Values) -> Values:
    """Merge sources, weakest first; the preset of a source is weaker than the values that the source sets itself."""
    merged: Values = {}
    for source in sources:
        if "preset" in source:
            merged = _merge(merged, preset_values(source["preset"]))
        merged = _merge(merged, _with_equal_weights(source))
    return merged


def _with_equal_weights(source: Values) -> Values:
    """Return a source in which layers that are set without weights have equal weights, not those of other layers."""
    objective = source.get("objective")
    if not isinstance(objective, dict):
        return source
    weights = {f"{kind}_layer_weights": () for kind in ("content", "style") if f"{kind}_layers" in objective}
    return {**source, "objective": {**weights, **objective}}


def load_settings(config: Path | None, overrides: Values) -> tuple[Values, Settings]:
    """Read the sources that hold for all pairs.

    Args:
        config: a config file, if there is one.
        overrides: the values of the command line, which are stronger than a manifest's row.

    Returns:
        The base values, which are weaker than a manifest's row (config file and environment), and the settings of a
        row that sets nothing.

    Raises:
        UsageError: a source is unreadable, or a value is unknown or out of range.
    """
    file_values = from_file(config) if config else {}
    base_values = merge(file_values, from_environment())
    try:
        settings = validate(merge(base_values, overrides))
    except UsageError:
        validate(merge(file_values), str(config))  # if the file alone is wrong, the message names it
        validate(base_values, ", ".join(variable for variable, _ in _variables()))  # likewise the environment
        raise
    return base_values, settings


def for_pair(base_values: Values, row: Values, overrides: Values) -> PairSettings:
    """Return the settings of one row: base values, then the row's own, then overrides.

    Raises:
        UsageError: the row names an unknown preset.
        ValidationError: a value is out of range.
    """
    return per_pair(Settings.model_validate(merge(base_values, row, overrides)))


def per_pair(settings: Settings) -> PairSettings:
    """Return the part of the settings that may differ from pair to pair."""
    return PairSettings.model_construct(**{name: getattr(settings, name) for name in PairSettings.model_fields})
