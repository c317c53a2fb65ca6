"""Tests of the command: from outboxes to tables, lines, sheets and an exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.images.files import read_file
from tests.benchmarks import held_out, pictures
from tests.benchmarks.synthetic import HEIGHT, WIDTH, painting, photograph
from tests.outbox.report.samples import metadata, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not held_out.IS_INSTALLED, reason=held_out.INSTALL)
PAIRS = ("a__x", "b__x")


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(path)


def add_result(outbox: Path, folder: Path, name: str, picture: np.ndarray) -> None:
    """Add a result of the pair of this name, with the metadata that a run would write."""
    save(outbox / f"{name}.png", picture)
    inputs = {
        side: {"path": "", "sha256": read_file(path).sha256, "format": "png", "width": WIDTH, "height": HEIGHT}
        for side, path in (("content", folder / f"photos/{name[0]}.png"), ("style", folder / "paintings/x.png"))
    }
    height, width = picture.shape[:2]
    record = metadata(f"{name}.png", b"", pair=inputs, sides_px=(width, height))
    write(outbox / f"{name}.png.json", record.model_dump_json().encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs, a painting, and two outboxes: `near` is the photographs in dark, `noise` is noise."""
    save(tmp_path / "paintings/x.png", painting())
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 3))
    for seed, name in enumerate(PAIRS):
        save(tmp_path / f"photos/{name[0]}.png", photograph(seed))
    for seed, name in enumerate(PAIRS):
        add_result(tmp_path / "near", tmp_path, name, photograph(seed) * 0.8)
        add_result(tmp_path / "noise", tmp_path, name, noise)
    return tmp_path


def command(folder: Path, *more: str) -> int:
    """Return the exit status of the command on the two outboxes."""
    inputs = ["--pairs", str(folder / "photos"), str(folder / "paintings"), "--outbox", str(folder / "out")]
    with pytest.raises(SystemExit) as ended:
        pictures.main([*inputs, *more])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_results_and_controls_are_measured_and_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [f"--measured=near={folder / 'near'}", f"--measured=noise={folder / 'noise'}"]
    command(folder, *both, "--curve=near", "--open-sheet", "--verbose", "--salt=pepper")
    lines = [json.loads(line) for line in (folder / "out/measures.jsonl").read_text().splitlines()]
    real = [line for line in lines if not line["control"]]
    assert [(line["pair"], line["candidate"]) for line in real] == [(p, c) for p in PAIRS for c in ("near", "noise")]
    assert all(line["seconds"] == 9.5 for line in real)
    near = [line for line in real if line["candidate"] == "near"]
    for line in near:
        assert line["product"] == pytest.approx(line["style"] * (1 + line["structure"]))
        assert line["residue"][0] > 0.99
        assert line["failed"][:2] == ["R1", "R2"]
    assert len(lines) > len(real)
    printed = capsys.readouterr().out
    for text in ("means, pairs: 2", "controls", "against the curve near", "pair by pair", "R1 2, R2 2"):
        assert text in printed
    names = {path.name for path in (folder / "out/sheets").iterdir()}
    assert names == {"blind-1.png", "open-1.png", "key.json"}
    key = json.loads((folder / "out/sheets/key.json").read_text())
    assert {name: sorted(labels.values()) for name, labels in key["candidates"].items()} == {
        name: ["near", "noise"] for name in PAIRS
    }


def test_a_control_that_wins_ends_the_command_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Noise is worse than a photograph under noise, which passes the gates on pixels."""
    assert command(folder, f"--measured=noise={folder / 'noise'}") == 1
    assert "A control wins" in capsys.readouterr().out


def test_no_control_wins_against_a_real_pastiche(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stand-in for a pastiche: strokes of another canvas, as light and dark as the photograph."""
    for seed, name in enumerate(PAIRS):
        strokes = painting(seed=9 + seed)
        add_result(folder / "good", folder, name, 0.5 * photograph(seed) + strokes - 64)
    assert command(folder, f"--measured=good={folder / 'good'}") == 0
    assert "No control wins" in capsys.readouterr().out


def test_only_pairs_that_all_have_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "noise/b__x.png.json").unlink()
    command(folder, f"--measured=near={folder / 'near'}", f"--measured=noise={folder / 'noise'}")
    printed = capsys.readouterr()
    assert "means, pairs: 1" in printed.out
    assert "1 of 2 pairs have a result of every candidate: {'near': 2, 'noise': 1}" in printed.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--measured=near=NEAR", "--curve=far"], "a curve names candidates"),
        (["--measured=near=NEAR", "--measured=near=NEAR"], "every name is used once"),
        (["--measured=photos=PHOTOS"], "No pair of pairs.csv has a result of every candidate"),
        (["--candidate=a b"], "expected NAME=PRESET"),
        (["--measured=NEAR"], "expected NAME=OUTBOX"),
        (["--measured=near=NEAR", "--pairs", "a", "b", "c"], "expected a manifest, or a folder of photographs"),
    ],
)
def test_wrong_options_are_explained(
    options: list[str], reason: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.replace("NEAR", str(folder / "near")).replace("PHOTOS", str(folder / "photos")) for each in options]
    assert command(folder, *given) == 2
    assert reason in capsys.readouterr().err


def test_results_of_several_sizes_are_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_result(folder / "small", folder, "a__x", photograph()[:64])
    add_result(folder / "small", folder, "b__x", photograph()[:64])
    assert command(folder, f"--measured=near={folder / 'near'}", f"--measured=small={folder / 'small'}") == 2
    assert "the results have several sizes" in capsys.readouterr().err


def test_a_missing_network_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(held_out, "IS_INSTALLED", False)
    assert command(folder) != 0
    assert "pip install -e '.[bench]'" in capsys.readouterr().err
