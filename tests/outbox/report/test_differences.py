"""Tests of the differences between the settings of a pair and the usual settings, as the report shows them."""

from __future__ import annotations

from typing import Any

from pipeline.outbox.report.cache import PairRecord
from pipeline.outbox.report.differences import UsualSettings, commonest_settings, differences


def pair(settings: str, preset: str = "p") -> PairRecord:
    return PairRecord(style="s", preset=preset, settings=settings, attempt=1)


def values(size: Any, weight: float = 10.0) -> dict[str, dict[str, Any]]:
    return {"image": {"size": size}, "objective": {"style_weight": weight}}


def test_what_differs_is_named_with_both_values() -> None:
    usual = UsualSettings("p", values(512), "")
    assert differences("p", values(512), usual) == ()
    assert differences("q", values("native", 2.5), usual) == (
        ("preset", "q", "p"),
        ("image.size", "native", "512"),
        ("objective.style_weight", "2.5", "10"),
    )


def test_lists_switches_and_what_an_older_version_does_not_know_are_readable() -> None:
    usual = UsualSettings("p", {"pyramid": {"evaluations": [], "on": True}}, "")
    own = {"pyramid": {"evaluations": [60, 30], "on": False, "new": "x"}}
    assert differences("p", own, usual) == (
        ("pyramid.evaluations", "60, 30", "none"),
        ("pyramid.on", "false", "true"),
        ("pyramid.new", "x", "null"),
    )


def test_the_commonest_value_is_found_for_each_setting_on_its_own() -> None:
    settings = {"a": values(512, 1.0), "b": values(256, 2.0), "c": values(512, 2.0)}
    usual = commonest_settings([pair("a"), pair("b"), pair("c", "q")], settings)
    assert usual.settings == values(512, 2.0)
    assert usual.preset == "p"
    assert "no record of a run" in usual.origin


def test_of_equally_common_values_it_is_always_the_same() -> None:
    settings = {"a": values(512), "b": values(256)}
    assert commonest_settings([pair("a"), pair("b")], settings) == commonest_settings([pair("b"), pair("a")], settings)


def test_an_empty_outbox_has_nothing_usual() -> None:
    assert commonest_settings([], {}).settings == {}
