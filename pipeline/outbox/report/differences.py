"""In which settings a pair differs from the others."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.outbox.report.read import SettingsByName
    from pipeline.outbox.report.records import PairRecord
    from pipeline.outbox.run_records import RunRecord

Difference = tuple[str, str, str]
"""A setting's name, its value for the pair, and the usual one, as text."""


@dataclass(frozen=True)
class Usual:
    """What a pair's settings are compared with."""

    preset: str
    settings: Mapping[str, Mapping[str, Any]]
    said: str
    """Where it comes from, as the page says it."""


def of_run(run: RunRecord) -> Usual:
    """The settings of a run's pairs that have none of their own."""
    return Usual(run.preset, run.settings, "those of the latest run")


def commonest(pairs: Iterable[PairRecord], settings: SettingsByName) -> Usual:
    """For each setting the value that most pairs have: for an outbox without a record of its runs.

    Args:
        pairs: that are done or failed.
        settings: by the names that pairs have for them.
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
        usual.setdefault(section, {})[key] = json.loads(_most(counts))
    said = "what most pairs here have, since there is no record of a run"
    return Usual(_most(presets) if presets else "", usual, said)


def _most(counts: Counter[str]) -> str:
    """The commonest; of several the first by its text, so that two reports say the same."""
    return min(counts, key=lambda value: (-counts[value], value))


def differences(preset: str, values: Mapping[str, Mapping[str, Any]], usual: Usual) -> tuple[Difference, ...]:
    """What a pair has of its own, in the order of its settings."""
    found = [] if preset == usual.preset else [("preset", preset, usual.preset)]
    for section, keys in values.items():
        for key, value in keys.items():
            others = usual.settings.get(section, {}).get(key)
            if value != others:
                found.append((f"{section}.{key}", _text(value), _text(others)))
    return tuple(found)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)
