"""Tests of the expected time of pairs: each objective has a pace of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.settings.presets import PRESETS
from pipeline.stage.device.estimate import Estimator
from pipeline.transfer.weights import find_weights

if TYPE_CHECKING:
    from pipeline.transfer.vgg import Vgg19


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a measurement say how much a Gram matrix takes; return the styles that were measured."""
    styles: list[str] = []

    def measure(_: Estimator, side: int, settings: PairSettings) -> float:
        styles.append(settings.objective.style)
        return side**2 * (1e-6 if settings.objective.style == "gram" else 3e-6)

    monkeypatch.setattr(Estimator, "_measure", measure)
    return styles


def preset(name: str, **more: Any) -> PairSettings:
    """Return the settings of a preset with equal scales."""
    objective = {**PRESETS[name]["objective"], **more}
    return PairSettings(objective=objective, pyramid={"evaluations": 10})  # type: ignore[arg-type]


def test_rows_with_other_presets_have_their_own_time(measured: list[str], network: Vgg19) -> None:
    estimator = Estimator(Settings(run={"device": "cpu"}), find_weights("packaged"))  # type: ignore[call-arg]
    seconds = [estimator.expect(preset(name), 100, 80).seconds for name in ("painting", "colour-preserving")]
    assert seconds[0] == pytest.approx(3 * seconds[1])
    assert measured == ["wasserstein"] * 2 + ["gram"] * 2
    for size in (100, 200):
        estimator.expect(preset("colour-preserving", style_weight=3.0), size, 80)
    assert len(measured) == 4, "weights do not change the time, so nothing is measured again"
