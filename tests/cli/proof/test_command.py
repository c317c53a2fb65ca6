"""Tests of `impasto proof` as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from pipeline import Settings, stylise
from pipeline.cli.main import app
from pipeline.cli.proof import command as proof_module
from pipeline.run import forecast as forecast_module
from pipeline.run import runner as run_module
from pipeline.run.observer import Observer
from pipeline.settings.pair_settings import EVALUATIONS
from pipeline.stage.device.estimate import Expected
from pipeline.transfer.tiling import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.stage.task import Outcome

QUICK = ["--size", "32", "--progress", "never"]


class Estimates:
    """Estimates in place of measurements: a pair takes 1 GiB, and one second for each evaluation."""

    def __init__(self, *_: object) -> None:
        pass

    def expect(self, _: object, __: int, ___: int, evaluations: tuple[int, ...], *, follows: bool) -> Expected:
        assert not follows
        return Expected(float(sum(evaluations)), 2**30, WHOLE)


@pytest.fixture(autouse=True)
def _at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace measurements by estimates, and run each test in a folder of its own with few evaluations."""
    monkeypatch.setattr(forecast_module, "Estimator", Estimates)
    monkeypatch.setitem(EVALUATIONS["sqrt2"], "draft", (2,))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(make_image: Callable[..., Path]) -> Path:
    """Return the folder with two photographs and two paintings."""
    for seed, name in enumerate(("a", "b")):
        make_image(f"photos/{name}.png", width=64, height=48, seed=seed)
    for seed, name in enumerate(("swirl", "wave"), 5):
        make_image(f"styles/{name}.png", seed=seed)
    return Path("photos")


def proof(*arguments: object) -> Result:
    """Run `impasto proof` with small, quick settings."""
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, ["proof", *given, *([] if "--styles" in given else ["--styles", "styles"]), *QUICK])


def json_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def written(folder: Path) -> set[str]:
    """Return the files below the folder that a command wrote: all but its inputs."""
    inputs = ("photos", "styles", "temporary")
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        path.relative_to(folder).as_posix() for name in inputs for path in (folder / name).rglob("*")
    }


def test_every_photograph_is_proved_with_every_painting(pictures: Path, tmp_path: Path) -> None:
    result = proof(pictures, "-o", "sheets/x.png", "--json")
    assert result.exit_code == 0, result.output
    *pairs, summary = json_lines(result)
    assert [(each["content"], each["style"], each["status"], each["row"], each["column"]) for each in pairs] == [
        ("photos/a.png", "swirl.png", "done", 0, 0),
        ("photos/a.png", "wave.png", "done", 0, 1),
        ("photos/b.png", "swirl.png", "done", 1, 0),
        ("photos/b.png", "wave.png", "done", 1, 1),
    ]
    assert {"done": 4, "failed": 0, "sheet": "sheets/x.png", "page": "sheets/x.html"}.items() <= summary.items()
    assert written(tmp_path) == {"sheets/x.png", "sheets/x.html"}
    assert list((tmp_path / "temporary").iterdir()) == []
    sheet = np.asarray(Image.open("sheets/x.png"))
    settings = Settings({"image.size": 32, "pyramid.quality": "draft"})
    for content, style in (("a", "wave"), ("b", "swirl")):
        wanted = stylise(f"photos/{content}.png", f"styles/{style}.png", settings).to_uint8()
        width = wanted.shape[1]
        lefts = [at for at in range(sheet.shape[1] - width) if is_at(sheet, wanted[:1], at)]
        assert len(lefts) == 1, "the sheet has the exact pixels of the run, once"
    page = Path("sheets/x.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 4 + 2 + 2


def is_at(sheet: np.ndarray, row: np.ndarray, left: int) -> bool:
    """Whether a row of pixels appears in any line of the sheet, `left` px from its left edge."""
    return bool((sheet[:, left : left + row.shape[1]] == row).all(axis=(1, 2)).any())


def test_the_forecast_is_that_of_the_full_run(pictures: Path) -> None:
    result = proof(pictures, "--json", "--set", "image.size=64", "--set", "pyramid.evaluations=[3, 4]")
    *pairs, summary = json_lines(result)
    assert [each["full"] for each in pairs] == [
        {
            "size": [64, 48],
            "evaluations": [3, 4],
            "expected_seconds": 7.0,
            "expected_memory_bytes": 2**30,
            "fit": "whole",
        }
    ] * 4
    assert summary["expected_seconds"] == 28.0
    with Image.open("proof.png") as sheet:
        assert sheet.info["Software"] == "impasto proof"
    page = Path("proof.html").read_text(encoding="utf-8")
    assert "4 pairs, about 28 s and at most 1 GiB" in page
    assert "up to 2 times as large" in page


def test_what_cannot_be_read_says_so_in_its_cells(pictures: Path) -> None:
    Path("photos/c.png").write_bytes(Path("photos/a.png").read_bytes()[:999])
    result = proof("photos/*.png", "--json")
    assert result.exit_code == 3
    *pairs, summary = json_lines(result)
    failed = [each for each in pairs if each["status"] == "failed"]
    assert [(each["row"], "truncated" in each["reason"]) for each in failed] == [(2, True), (2, True)]
    assert (summary["done"], summary["failed"], summary["exit_code"]) == (4, 2, 3)
    assert summary["expected_seconds"] == 4 * float(sum(Settings().pyramid.planned)), (
        "the pairs that cannot be read are not counted: they fail in the full run, too"
    )
    page = Path("proof.html").read_text(encoding="utf-8")
    assert page.count("No proof:") == 2
    assert "2 pairs will fail" in page
    for_people = proof("photos/c.png")
    assert for_people.exit_code == 3
    assert "2 proofs, 2 of them failed: proof.png and proof.html" in for_people.stdout
    assert "nothing to do; 2 pairs will fail" in for_people.stdout


def test_variants_and_blends_have_columns_of_their_own(pictures: Path, make_image: Callable[..., Path]) -> None:
    make_image("styles/both/x.png", seed=7)
    make_image("styles/both/y.png", seed=8)
    result = proof("photos/a.png", "--json", "--set", 'colour.variants=["none", "swap-luma"]')
    *pairs, _ = json_lines(result)
    assert [(each["style"], each["colour"], each["column"]) for each in pairs] == [
        (style, mode, 3 * place + number)
        for place, style in enumerate(("both", "swirl.png", "wave.png"))
        for number, mode in enumerate(("regions", "none", "swap-luma"))
    ]
    assert [each["full"]["expected_seconds"] > 0 for each in pairs] == [True, True, False] * 3, (
        "the last mode is a variant that needs no evaluations of its own"
    )
    page = Path("proof.html").read_text(encoding="utf-8")
    assert "1 photograph × 3 paintings × 3 colour modes" in page
    assert "swap-luma, blend of 2" in page


def test_pictures_of_one_name_do_not_meet(pictures: Path, make_image: Callable[..., Path]) -> None:
    make_image("more/a.png", seed=9)
    make_image("styles/wave.jpg", seed=10)
    result = proof(pictures, "more/a.png", "photos/a.png", "--json")
    assert result.exit_code == 0, result.output
    *pairs, summary = json_lines(result)
    assert summary["done"] == 9
    assert [each["content"] for each in pairs] == [
        name for name in ("photos/a.png", "photos/b.png", "more/a.png") for _ in range(3)
    ]
    page = Path("proof.html").read_text(encoding="utf-8")
    assert [f'"name">{name}<' in page for name in ("swirl", "wave.jpg", "wave.png", "wave")] == [True] * 3 + [False]
    assert len(set(re.findall(r"base64,([^\"]+)", page))) == 9 + 3 + 3, "every proof has a picture of its own"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("photos", "-o", "x.jpg"), "-o x.jpg: should end in .png"),
        (("photos", "--set", "styles.folder=", "--styles", "nowhere"), "--styles nowhere: cannot be read"),
        (("photos", "--styles", "photos/a.png"), "photos/a.png: cannot be read"),
        (("photos", "--styles", "temporary"), "there are no paintings"),
        (("nowhere", "none"), "content 'nowhere' does not exist\ncontent 'none' does not exist"),
        (("temporary",), "temporary: there are no photographs"),
        (("photos", "--set", "image.size=3"), "image.size"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    pictures: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = proof(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert written(tmp_path) == set()


def test_the_folder_of_paintings_may_be_a_setting(pictures: Path) -> None:
    arguments = ["proof", "photos/a.png", *QUICK]
    without = CliRunner().invoke(app, arguments)
    assert (without.exit_code, "Name their folder with --styles" in without.stderr) == (2, True)
    assert CliRunner().invoke(app, arguments, env={"IMPASTO_STYLES__FOLDER": "styles"}).exit_code == 0


def test_only_an_earlier_proof_is_replaced(pictures: Path) -> None:
    for name in ("proof.png", "proof.html"):
        Path(name).write_bytes(b"a dear memory")
        result = proof("photos/a.png")
        assert result.exit_code == 3
        assert f"{name}: is there already and is no proof" in result.stderr
        assert Path(name).read_bytes() == b"a dear memory"
        Path(name).unlink()
    assert [proof("photos/a.png").exit_code for _ in range(2)] == [0, 0]


def test_a_sheet_among_the_photographs_is_not_proved_itself(pictures: Path) -> None:
    first, second = (proof("photos", "-o", "photos/proof.png", "--json") for _ in range(2))
    assert json_lines(first)[-1]["done"] == json_lines(second)[-1]["done"] == 4
    assert "photos: 1 result of earlier runs left out: proof.png." in second.stderr


def test_a_defect_of_the_display_costs_no_sheet(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Observer):
        def outcome(self, outcome: Outcome) -> None:
            raise KeyError(outcome.pair.name)

    monkeypatch.setattr(proof_module, "display_of", lambda *_: Broken())
    result = proof("photos/a.png")
    assert result.exit_code == 1
    assert "This is a defect of impasto" in result.stderr
    assert Path("proof.png").is_file()
    assert Path("proof.html").is_file()


def test_many_proofs_are_made_only_if_they_are_meant(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_module, "CONFIRM_ABOVE", 3)
    for arguments in ((pictures,), (pictures, "--json")):
        result = proof(*arguments)
        assert result.exit_code == 2
        assert "These are 4 proofs" in result.stderr
        assert "--yes" in result.stderr
    assert written(tmp_path) == set()
    assert proof(pictures, "--yes").exit_code == 0


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
def test_who_sits_there_is_asked(pictures: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(proof_module, "CONFIRM_ABOVE", 3)
    monkeypatch.setattr(proof_module, "_is_interactive", lambda: True)
    result = CliRunner().invoke(app, ["proof", "photos", "--styles", "styles", *QUICK], input=answer)
    assert result.exit_code == 0
    assert "Make them all?" in result.stderr
    assert proof(pictures, "--json").exit_code == 2, "with --json the command fails instead of asking"
    assert Path("proof.png").exists() == (answer == "y\n")


def test_ctrl_c_leaves_nothing(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = run_module.make_stage

    def make_and_stop(*arguments: Any) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(run_module, "make_stage", make_and_stop)
    result = proof(pictures)
    assert result.exit_code == 130
    assert "No sheet was written." in result.stderr
    assert written(tmp_path) == set()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_of_a_sequence_three_frames_are_proved(make_image: Callable[..., Path]) -> None:
    for number in range(1, 8):
        make_image(f"shots/f{number}.png", seed=number)
    make_image("styles/sea.png", seed=99)
    arguments = ["proof", "shots", "--styles", "styles", "--size", "32", "--sequence", "--json", "--progress", "never"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    page = Path("proof.html").read_text()
    assert "Of each sequence the first, middle and last frame" in page
    assert [f"f{number}" for number in range(1, 8) if f">f{number}<" in page] == ["f1", "f4", "f7"]
