"""Tests of the doctor's checks of the machine: the real one, and one with simulated faults."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.cli.doctor import machine_checks
from pipeline.cli.doctor.checks import examine
from pipeline.errors import MachineError, UsageError
from pipeline.images.films import writing
from pipeline.settings.all_settings import validate
from pipeline.stage.device import estimate
from pipeline.transfer import weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.cli.doctor.finding import Finding
    from pipeline.settings import Settings


@pytest.fixture
def _measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate.Estimator, "_measure", lambda *_: 0.1)


def found(check: Callable[[Settings], Iterator[Finding]], values: dict[str, Any] | None = None) -> dict[str, Finding]:
    """Return the findings of a check by their subject."""
    return {each.about: each for each in check(validate(values or {}))}


def test_all_is_well_here() -> None:
    findings = list(examine(validate({"run": {"device": "cpu"}, "network": {"precision": "float32"}})))
    about = [each.about for each in findings]
    assert about == ["versions", "device", "precision", "weights", "a pair", "codecs", "extras"]
    assert {each.level for each in findings} == {"OK"}
    assert not any(each.remedy for each in findings)


@pytest.mark.usefixtures("_measured_at_once")
def test_a_device_that_does_not_exist_is_a_finding_and_the_rest_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    findings = list(examine(validate({"run": {"device": "cuda:5"}})))
    failed = [each for each in findings if each.level == "FAIL"]
    assert [each.about for each in failed] == ["device", "weights"]
    assert "this machine offers 0 CUDA devices" in failed[0].text
    assert "--device cpu" in failed[0].remedy
    assert findings[-1].about == "extras"


def test_a_card_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", fail)
    with pytest.raises(MachineError, match="cuda:0 cannot be used: CUDA error: all CUDA-capable devices are busy"):
        found(machine_checks.device)


def test_a_card_that_torch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine_checks, "NVIDIA_DRIVER", tmp_path)
    assert found(machine_checks.device)["device"].level == "WARN"
    assert found(machine_checks.device, {"run": {"device": "cpu"}})["device"].level == "OK"


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "level"),
    [
        ("bfloat16", False, "WARN"),
        ("bfloat16", True, "OK"),
        ("float16", True, "WARN"),  # a processor with bfloat16 may lack float16
        ("float32", False, "OK"),
        ("auto", False, "OK"),
        ("auto", True, "OK"),
    ],
)
def test_emulated_precision(monkeypatch: pytest.MonkeyPatch, precision: str, level: str, *, has_bfloat16: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bfloat16}, raising=False)
    values = {"run": {"device": "cpu"}, "network": {"precision": precision}}
    assert found(machine_checks.device, values)["precision"].level == level


def test_weights_that_are_to_be_downloaded_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    findings = found(machine_checks.weights, {"network": {"weights": "torchvision"}})
    assert list(findings) == ["weights"]
    assert findings["weights"].level == "WARN"
    assert f"put the file at {tmp_path}" in findings["weights"].remedy
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"no\.pth: cannot be read"):
        found(machine_checks.weights, {"network": {"weights": str(tmp_path / "no.pth")}})


@pytest.mark.usefixtures("_measured_at_once")
def test_weights_that_cannot_be_kept_are_a_warning_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(weights, "_cache_path", lambda _: tmp_path / "file/cache.safetensors")
    findings = list(examine(validate({"run": {"device": "cpu"}})))
    (warning,) = (each for each in findings if each.level == "WARN")
    assert warning.about == "weights"
    assert "cannot be kept" in warning.text
    assert warning.remedy
    assert caplog.messages == [], "the finding reports it, so the log need not"


def test_a_device_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(estimate.Estimator, "_measure", fail)
    with pytest.raises(MachineError, match="no kernel image is available for execution on the device") as caught:
        found(machine_checks.weights)
    assert "more" not in caught.value.message


@pytest.mark.usefixtures("_measured_at_once")
@pytest.mark.parametrize(("gib", "level"), [(2.5, "WARN"), (0.001, "FAIL")])
def test_a_pair_that_has_no_room(gib: float, level: str) -> None:
    values = {"run": {"device": "cpu", "memory_gb": gib}, "image": {"size": 2048}}
    assert found(machine_checks.weights, values)["a pair"].level == level


def test_a_codec_that_breaks_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine_checks.encode
    monkeypatch.setattr(
        machine_checks,
        "encode",
        lambda pixels, encoding: real(255 - pixels if encoding.format == "webp" else pixels, encoding),
    )
    finding = found(machine_checks.codecs)["codecs"]
    assert finding.level == "FAIL"
    assert finding.text == "a picture changes when it is written and read again: webp 8 bits."


def test_a_codec_that_writes_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine_checks.encode
    monkeypatch.setattr(
        machine_checks, "encode", lambda pixels, how: b"nonsense" if how.bits == 16 else real(pixels, how)
    )
    assert "png 16 bits, tiff 16 bits" in found(machine_checks.codecs)["codecs"].text


def test_a_format_that_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "unavailable", lambda: frozenset({"AVIF"}))
    finding = found(machine_checks.codecs, {"image": {"formats": ["jpeg", "avif"]}})["codecs"]
    assert (finding.level, "AVIF" in finding.text) == ("FAIL", True)
    finding = found(machine_checks.codecs)["codecs"]
    assert (finding.level, "AVIF" in finding.text) == ("OK", False)


def test_hooks() -> None:
    assert found(machine_checks.hooks) == {}
    assert found(machine_checks.hooks, {"hooks": {"on_pair": ["true", "x"]}})["hooks"].text == "true"
    with pytest.raises(UsageError, match="no program 'no-such-program'"):
        found(machine_checks.hooks, {"hooks": {"on_finish": ["no-such-program"]}})


@pytest.mark.usefixtures("_measured_at_once")
def test_metrics_and_styles_are_looked_at_where_they_are_set(tmp_path: Path) -> None:
    values = {"metrics": {"textfile": str(tmp_path / "no/a.prom")}, "styles": {"folder": str(tmp_path)}}
    findings = {each.about: each.level for each in examine(validate({"run": {"device": "cpu"}, **values}))}
    assert (findings["metrics.textfile"], findings["styles.folder"]) == ("FAIL", "FAIL")
    values = {"metrics": {"textfile": str(tmp_path / "a.prom")}}
    findings = {each.about: each.level for each in examine(validate({"run": {"device": "cpu"}, **values}))}
    assert findings["metrics.textfile"] == "OK"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("installed", [(), ("av",), ("ray",), ("av", "ray")])
def test_extras_are_named_and_missed_only_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...]
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return f"of {name}"

    monkeypatch.setattr(machine_checks, "version", version)
    monkeypatch.setattr(machine_checks, "check_encoder", lambda _: None)
    finding = found(machine_checks.extras)["extras"]
    assert finding.level == "OK"
    assert ("PyAV of av" in finding.text) == ("av" in installed)
    assert ("impasto[video]" in finding.text) != ("av" in installed)
    assert ("impasto[cluster]" in finding.text) != ("ray" in installed)
    wanted = found(machine_checks.extras, {"run": {"cluster": "auto"}})["extras"]
    assert (wanted.level == "OK") == ("ray" in installed)
    assert ("impasto[cluster]" in wanted.remedy) != ("ray" in installed)


def test_an_encoder_that_pyav_lacks_is_found_before_the_night(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="needs the extra: impasto[video]")
    monkeypatch.setattr(writing, "_ENCODERS", {"h264": "no-such-encoder", "ffv1": "ffv1"})
    finding = found(machine_checks.extras)["extras"]
    assert finding.level == "WARN"
    assert "h264: this PyAV was built without the encoder no-such-encoder" in finding.text
    assert "sequence.film=ffv1" in finding.remedy
    assert found(machine_checks.extras, {"sequence": {"film": "ffv1"}})["extras"].level == "OK"
