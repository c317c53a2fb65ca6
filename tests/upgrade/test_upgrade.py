"""An outbox and an inbox that an earlier version left behind go on without a pair being rendered again.

`state-engine-5.tar.gz` was written by `make_state.py` with the first version of that engine. A new `ENGINE_VERSION`, or
a new setting in the key, makes new keys on purpose: then make a new state with that version.
`state-engine-4.tar.gz` was written with commit 99798c6, before the modules were moved: its pairs are rendered again.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from tests.upgrade.make_state import LONG

STATE, OLDER_STATE = (Path(__file__).with_name(f"state-engine-{engine}.tar.gz") for engine in (5, 4))
RENDERED_BEFORE = {"lake__waves.png", "tower__waves.png", "lake__dots.png", "dropped__waves.png", "ordered.png"}

PAIRS = ("lake__waves", "tower__waves", "lake__dots")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders as a version with this engine left them."""
    return unpacked(STATE, tmp_path, monkeypatch)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders as a version with the engine before left them."""
    return unpacked(OLDER_STATE, tmp_path, monkeypatch)


def unpacked(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(state) as tar:
        tar.extractall(tmp_path, filter="data")
    config = tmp_path / "config.toml"
    of_that_version = config.read_text(encoding="utf-8")
    if state == OLDER_STATE:
        config.write_text(f'preset = "colour-preserving"\n{of_that_version}', encoding="utf-8")  # its default preset
    monkeypatch.setenv("IMPASTO_CONFIG", str(config))
    return tmp_path


def impasto(*arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and events of a command."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def files(outbox: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and times of all results."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in outbox.iterdir() if path.is_file()}


def outputs(events: list[dict[str, Any]], status: str) -> list[str]:
    """The names of the pairs with a status."""
    names = [
        each["output"] if isinstance(each["output"], str) else each["output"]["path"]
        for each in events
        if each["event"] == "pair" and each["status"] == status
    ]
    return sorted(Path(name).name for name in names)


def test_a_manifest_is_done_already(base: Path) -> None:
    before = files(base / "outbox")
    code, events = impasto("run", base / "manifest.csv", "--outbox", base / "outbox", "--progress", "never")
    counts = {name: events[-1][name] for name in ("rendered", "skipped", "failed", "waiting")}
    assert counts == {"rendered": 0, "skipped": 3, "failed": 1, "waiting": 0}
    assert code == 3
    assert files(base / "outbox") == before


def test_an_interrupted_pair_goes_on_from_its_checkpoint(base: Path) -> None:
    code, events = impasto("run", base / "interrupted.csv", "--outbox", base / "outbox", "--progress", "never")
    assert (code, outputs(events, "done")) == (0, ["long__dots.png"])
    metadata = json.loads((base / "outbox/long__dots.png.json").read_text(encoding="utf-8"))
    assert metadata["warnings"] == []
    assert 0 < metadata["resumed_at"] < LONG


def test_a_dead_watchers_job_goes_on_from_its_checkpoint_and_no_other_pair_is_rendered(base: Path) -> None:
    before = files(base / "outbox")
    quick = ("--set", f"pyramid.evaluations=[{LONG}]", "--progress", "never")
    code, events = impasto("drain", base / "inbox", "--outbox", base / "outbox", "--styles", base / "styles", *quick)
    assert (code, outputs(events, "done")) == (0, ["in-work__dots.png", "waiting__waves.png"])
    metadata = json.loads((base / "outbox/in-work__dots.png.json").read_text(encoding="utf-8"))
    assert 0 < metadata["resumed_at"] < LONG
    after = files(base / "outbox")
    assert {name: after[name] for name in before} == before
    assert {name for name in before if name.endswith(".png")} == RENDERED_BEFORE


def test_status_report_and_retry_read_what_is_there(base: Path) -> None:
    code, (survey,) = impasto("status", base / "outbox")
    assert code == 0
    assert survey["done"] == len(RENDERED_BEFORE)
    code, (report,) = impasto("report", base / "outbox")
    assert code == 0
    assert report["done"] == len(RENDERED_BEFORE)
    code, _ = impasto("retry", base / "inbox")
    assert code == 0
    assert (base / "inbox/waves/bad.png").is_file()


def test_another_engine_renders_everything_again_under_the_same_names(older: Path) -> None:
    outbox = older / "outbox"
    before = files(outbox)
    code, events = impasto("run", older / "manifest.csv", "--outbox", outbox, "--progress", "never")
    counts = {name: events[-1][name] for name in ("rendered", "skipped", "failed", "waiting")}
    assert counts == {"rendered": 3, "skipped": 0, "failed": 1, "waiting": 0}
    assert code == 3
    after = files(outbox)
    assert after.keys() == before.keys()
    replaced = {name for name in before if after[name] != before[name]}
    assert {name for name in replaced if name.endswith(".png")} == {f"{name}.png" for name in PAIRS}
    code, events = impasto("run", older / "interrupted.csv", "--outbox", outbox, "--progress", "never")
    assert (code, outputs(events, "done")) == (0, ["long__dots.png"])
    assert json.loads((outbox / "long__dots.png.json").read_text(encoding="utf-8"))["resumed_at"] == 0


def test_status_and_report_read_what_another_engine_has_made(older: Path) -> None:
    for command in ("status", "report"):
        code, (found,) = impasto(command, older / "outbox")
        assert (code, found["done"]) == (0, len(RENDERED_BEFORE))
