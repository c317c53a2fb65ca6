"""The settings in which a pair differs from the others."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.outbox.report.cache import PairRecord
    from pipeline.outbox.report.read import SettingsByName
    from pipeline.outbox.run_records import RunRecord

Difference = tuple[str, str, str]
"""Name of a setting, its value for the pair, and its usual value, as text."""


@dataclass(frozen=True)
class UsualSettings:
    """The settings with which the settings of each pair are compared."""

    preset: str
    settings: Mapping[str, Mapping[str, Any]]
    """Values by section and key."""
    origin: str
    """Origin of the settings, as the page words it."""


def settings_of_run(run: RunRecord) -> UsualSettings:
    """Return the settings of a run, which its pairs have unless they have settings of their own."""
    return UsualSettings(run.preset, run.settings, "those of the latest run")


def commonest_settings(pairs: Iterable[PairRecord], settings: SettingsByName) -> UsualSettings:
    """Return the commonest value of each setting, for an outbox without a record of its runs.

    Args:
        pairs: done and failed pairs.
        settings: the settings that the pairs refer to by name.
    """
    presets: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for pair in pairs:
        presets[pair.preset] += 1
        names[pair.settings] += 1
    values: dict[tuple[str, str], Counter[str]] = {}
    for name, count in names.items():
        for section, keys in settings[name].items():
            for key, value in keys.items():
                values.setdefault((section, key), Counter())[json.dumps(value)] += count
    usual: dict[str, dict[str, Any]] = {}
    for (section, key), counts in values.items():
        usual.setdefault(section, {})[key] = json.loads(_commonest(counts))
    origin = "those of most pairs here, since there is no record of a run"
    return UsualSettings(_commonest(presets) if presets else "", usual, origin)


def _commonest(counts: Counter[str]) -> str:
    """Return the commonest text; among equally common ones the first in order, so that every report says the same."""
    return min(counts, key=lambda value: (-counts[value], value))


def differences(preset: str, values: Mapping[str, Mapping[str, Any]], usual: UsualSettings) -> tuple[Difference, ...]:
    """Return the differences between a pair's settings and the usual ones, in the order of the pair's settings."""
    differing = [] if preset == usual.preset else [("preset", preset, usual.preset)]
    for section, keys in values.items():
        for key, value in keys.items():
            usual_value = usual.settings.get(section, {}).get(key)
            if value != usual_value:
                differing.append((f"{section}.{key}", _text(value), _text(usual_value)))
    return tuple(differing)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)
