"""`Settings`: everything in config.toml; its keys, and its errors in words."""

from __future__ import annotations

import difflib
from typing import Final

from pydantic import BaseModel, ValidationError

from pipeline.errors import UsageError
from pipeline.settings.base import Section
from pipeline.settings.pair_settings import LAYER_PATTERN, PairSettings, Values
from pipeline.settings.run_settings import (
    DEVICE_PATTERN,
    HooksSettings,
    MaskSettings,
    MetricsSettings,
    NetworkSettings,
    RunSettings,
    StylesSettings,
    WatchSettings,
)


class Settings(PairSettings):
    """All settings: everything in config.toml."""

    mask: MaskSettings = MaskSettings()
    network: NetworkSettings = NetworkSettings()
    run: RunSettings = RunSettings()
    styles: StylesSettings = StylesSettings()
    watch: WatchSettings = WatchSettings()
    metrics: MetricsSettings = MetricsSettings()
    hooks: HooksSettings = HooksSettings()


def _sections(model: type[BaseModel]) -> dict[str, type[Section]]:
    fields = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}


SECTIONS: Final = _sections(Settings)
"""Models of all sections, by name."""
ALL_KEYS: Final = tuple(f"{section}.{key}" for section, kind in SECTIONS.items() for key in kind.model_fields)
"""Keys of all settings, as `section.key`."""
RUN_WIDE: Final = frozenset({"image.max_pixels", "image.formats"})
"""Keys of a pair's sections that nevertheless hold for the whole run."""
PAIR_KEYS: Final = tuple(
    f"{section}.{key}"
    for section, kind in _sections(PairSettings).items()
    for key in kind.model_fields
    if f"{section}.{key}" not in RUN_WIDE
)
"""Keys of settings that may differ from pair to pair."""
TEXT_KEYS: Final = frozenset(
    {"preset"}
    | {
        f"{section}.{key}"
        for section, kind in SECTIONS.items()
        for key, field in kind.model_fields.items()
        if field.annotation is str
    }
)
"""Keys of settings whose values are any text."""

_PATTERNS: Final = {
    DEVICE_PATTERN: "should be auto, cpu, cuda or cuda:N",
    LAYER_PATTERN: "should be a layer of VGG19 up to conv5_1, such as conv4_2 or relu4_2",
}
"""Messages for values that do not match a pattern."""
_MESSAGES: Final = {
    "string_type": "should be a text, in quotes",
    "tuple_type": 'should be a list, such as ["a", "b"]',
    "too_short": "should have at least {min_length} value",
    "too_long": "should have at most {max_length} values",
    "model_type": "should be a section with settings of its own",
}
"""Messages for findings of pydantic that it words for programmers, by their types."""


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """Return `' Did you mean x?'`, or an empty text if no known word is close."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def explain(error: ValidationError) -> list[str]:
    """Return each finding of pydantic as one line: `section.key: what is wrong (got …)`."""
    lines = []
    for finding in error.errors():
        name = ".".join(str(part) for part in finding["loc"][:2])
        if finding["type"] == "extra_forbidden":
            lines.append(f"{name}: there is no such setting.{did_you_mean(name, (*ALL_KEYS, *SECTIONS))}")
            continue
        context = finding.get("ctx", {})
        if finding["type"] == "too_short" and len(finding["input"]) >= context["min_length"]:
            continue  # the values that are wrong have findings of their own, and are not counted
        message = _PATTERNS.get(context.get("pattern", "")) or _MESSAGES.get(finding["type"], "").format(**context)
        message = message or finding["msg"].removeprefix("Value error, ").removeprefix("Input ")
        got = finding["input"]
        lines.append(f"{name}: {message} (got {got!r})" if name and not isinstance(got, dict | BaseModel) else message)
    return lines


def validate(values: Values, source: str = "settings") -> Settings:
    """Return merged values as settings.

    Args:
        values: the values of all sources together.
        source: word that each line of an error begins with.

    Raises:
        UsageError: names every value that is wrong.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UsageError([f"{source}: {line}" for line in explain(error)]) from error
