"""Tests of `impasto doctor` as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from pipeline.cli.main import app

if TYPE_CHECKING:
    from pathlib import Path


def test_it_ends_with_0_where_all_is_well_or_nearly(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", str(tmp_path), str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("OK    versions: impasto ")
    assert f"OK    {tmp_path}: can be written; renames, links and locks work" in lines
    assert lines[-2] == f"WARN  {tmp_path}/out: does not exist."
    assert lines[-1].startswith("      A run makes its outbox itself")


def test_it_ends_with_4_where_something_would_fail(tmp_path: Path) -> None:
    weights = tmp_path / "none.pth"
    arguments = ["doctor", "--device", "cpu", "--set", f"network.weights={weights}"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 4
    assert f"FAIL  weights: {weights}: cannot be read" in result.stdout

    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 4
    told = json.loads(as_json.stdout)
    assert (told["event"], told["exit_code"]) == ("doctor", 4)
    failed = [each for each in told["findings"] if each["level"] == "FAIL"]
    assert [each["about"] for each in failed] == ["weights"]
    assert failed[0]["remedy"]


def test_a_wrong_setting_is_a_wrong_setting() -> None:
    result = CliRunner().invoke(app, ["doctor", "--set", "image.sise=3"])
    assert result.exit_code == 2
    assert "image.size" in result.stderr
