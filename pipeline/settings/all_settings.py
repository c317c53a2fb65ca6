"""`Settings`: everything in config.toml, its keys by name, and its errors in words."""

from __future__ import annotations

import difflib

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
    """Everything in config.toml."""

    mask: MaskSettings = MaskSettings()
    network: NetworkSettings = NetworkSettings()
    run: RunSettings = RunSettings()
    styles: StylesSettings = StylesSettings()
    watch: WatchSettings = WatchSettings()
    metrics: MetricsSettings = MetricsSettings()
    hooks: HooksSettings = HooksSettings()


RUN_WIDE = frozenset({"image.max_pixels", "image.formats"})
"""Keys of per-pair sections that nevertheless hold for the whole run."""


def _sections(model: type[BaseModel]) -> dict[str, type[Section]]:
    fields = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}


SECTIONS = _sections(Settings)


ALL_KEYS = tuple(f"{section}.{key}" for section, kind in SECTIONS.items() for key in kind.model_fields)


PAIR_KEYS = tuple(
    f"{section}.{key}"
    for section, kind in _sections(PairSettings).items()
    for key in kind.model_fields
    if f"{section}.{key}" not in RUN_WIDE
)


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """`' Did you mean x?'`, or nothing if no known word is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


_PATTERNS = {
    DEVICE_PATTERN: "should be auto, cpu, cuda or cuda:N",
    LAYER_PATTERN: "should be a layer of VGG19 up to conv5_1, such as conv4_2 or relu4_2",
}


def explain(error: ValidationError) -> list[str]:
    """Each finding of pydantic as one line: `section.key: what is wrong (got …)`."""
    lines = []
    for finding in error.errors():
        name = ".".join(str(part) for part in finding["loc"][:2])
        if finding["type"] == "extra_forbidden":
            lines.append(f"{name}: there is no such setting.{did_you_mean(name, (*ALL_KEYS, *SECTIONS))}")
            continue
        message = _PATTERNS.get(finding.get("ctx", {}).get("pattern", ""), finding["msg"])
        message = message.removeprefix("Value error, ").removeprefix("Input ")
        got = finding["input"]
        lines.append(f"{name}: {message} (got {got!r})" if name and not isinstance(got, dict | BaseModel) else message)
    return lines


def validate(values: Values, source: str = "settings") -> Settings:
    """Merged values as settings.

    Raises:
        UsageError: names every value that is wrong.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UsageError("\n".join(f"{source}: {line}" for line in explain(error))) from error
