"""Tests of the shards of one manifest, rendered side by side into one outbox."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.status.outbox import survey_outbox
from pipeline.outbox.run_lock import Shard
from tests.conftest import photo

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS, PAINTINGS, SHARDS = 20, 10, 4


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_cache")
def test_four_shards_side_by_side_render_each_of_200_pairs_once(tmp_path: Path) -> None:
    for folder, count in (("photos", PHOTOGRAPHS), ("paintings", PAINTINGS)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            Image.fromarray(photo(32, 24, number)).save(tmp_path / folder / f"{number}.png")
    manifest, outbox = tmp_path / "night.csv", tmp_path / "out"
    manifest.write_text("content,style\nphotos,paintings\n")
    sets = [
        "--set",
        "image.size=32",
        "--set",
        "pyramid.evaluations=2",
        "--device",
        "cpu",
        "--json",
        "--progress",
        "never",
    ]
    command = [sys.executable, "-m", "pipeline", "run", str(manifest), "--outbox", str(outbox), *sets]
    processes = [
        subprocess.Popen(
            [*command, "--shard", f"{number}/{SHARDS}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(1, SHARDS + 1)
    ]
    rendered: Counter[str] = Counter()
    printed = [process.communicate(timeout=280) for process in processes]
    for number, (process, (stdout, stderr)) in enumerate(zip(processes, printed, strict=True), 1):
        assert process.returncode == 0, stderr
        lines = [json.loads(line) for line in stdout.splitlines()]
        own = [line["output"]["path"] for line in lines if line["event"] == "pair"]
        assert all(Shard(number, SHARDS).has(name) for name in own)
        assert len(own) == lines[-1]["rendered"] > 0
        rendered.update(own)
    assert len(rendered) == PHOTOGRAPHS * PAINTINGS
    assert set(rendered.values()) == {1}
    assert {path.name for path in outbox.glob("*.png")} == rendered.keys()
    survey = survey_outbox(outbox, frozenset({".png"}))
    assert survey.done == len(rendered)
    assert {run.shard for run in survey.runs} == {f"{number}/{SHARDS}" for number in range(1, SHARDS + 1)}
    assert all(f"--shard {run.shard}" in run.again for run in survey.runs)
    assert list(outbox.glob(".impasto/pending/*")) == []
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    summary = json.loads(again.stdout.splitlines()[-1])
    assert (again.returncode, summary["rendered"], summary["skipped"]) == (0, 0, len(rendered))
