"""Tests of `impasto run` and `impasto pair` as a user runs them: exit codes, stdout, and files on disk."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.errors import ExitCode
from pipeline.outbox.metadata import json_schema
from pipeline.outbox.publish import Outbox
from pipeline.settings.presets import PRESETS
from tests import oracle
from tests.conftest import pixels

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"
QUICK = ["--set", "image.size=40", "--set", "pyramid.evaluations=2"]


def impasto(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def json_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def files(folder: Path) -> set[str]:
    """Return the names of the files in a folder, without the files that a run keeps about itself."""
    kept = ("lock", "names.lock", "runs", "thumbnails")
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not set(kept) & set(p.parts)}


@pytest.fixture
def manifest(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """Return a manifest of three contents and one style."""
    for seed, name in enumerate(("a", "b", "c")):
        make_image(f"content/{name}.png", seed=seed)
    make_image("styles/swirl.png", seed=9)
    path = tmp_path / "manifest.csv"
    path.write_text("content,style\ncontent,styles/swirl.png\n")
    return path


def run(manifest: Path, *arguments: object) -> Result:
    return impasto("run", manifest, "--outbox", manifest.parent / "out", *QUICK, *arguments)


def actions(result: Result) -> dict[str, str]:
    """Return the status of each pair by its output, from the lines on stdout."""
    return {
        (line["output"]["path"] if isinstance(line["output"], dict) else line["output"]): line["status"]
        for line in json_lines(result)
        if line["event"] == "pair" and "output" in line
    }


def test_a_manifest_becomes_pictures_with_valid_metadata(manifest: Path) -> None:
    result = run(manifest)
    assert result.exit_code == 0, result.output
    assert "3 rendered" in result.stdout
    names = {f"{name}__swirl.png" for name in "abc"}
    assert files(manifest.parent / "out") == names | {f"{name}.json" for name in names}
    for name in names:
        record = json.loads((manifest.parent / "out" / f"{name}.json").read_text())
        jsonschema.validate(record, json_schema())
        assert str(manifest.parent) not in json.dumps(record), "the metadata has no absolute paths"


@pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
def test_metadata_objective_equals_an_independent_float64_computation(manifest: Path, preset: str) -> None:
    import torch  # noqa: PLC0415

    options = "--limit", "1", "--preset", preset, "--set", "network.precision=float32"
    run(manifest, *options, *(["--set", "colour.mode=none"] if preset == "painting" else []))
    record = json.loads((manifest.parent / "out/a__swirl.png.json").read_text())
    content, style = pixels(manifest.parent / "content/a.png"), pixels(manifest.parent / "styles/swirl.png")
    if preset == "colour-preserving":
        seen = oracle.yuv(style)
        seen[..., 1:] = oracle.yuv(content)[..., 1:]
        style = oracle.from_yuv(seen)
    as_tensor = [torch.from_numpy(p).permute(2, 0, 1)[None] for p in (content, style)]
    truth = oracle.objective(as_tensor[0], *as_tensor, oracle.Weighted(**PRESETS[preset]["objective"]))
    assert record["objective"]["first"] == pytest.approx(
        {"temporal": 0.0, **{k: v.item() for k, v in truth.items()}}, rel=1e-4
    )


def test_the_same_manifest_again_renders_nothing_and_says_so(manifest: Path) -> None:
    run(manifest)
    before = {name: (manifest.parent / "out" / name).stat().st_mtime_ns for name in files(manifest.parent / "out")}
    result = run(manifest)
    assert result.exit_code == 0
    assert "3 skipped (done already)" in result.stdout
    assert {name: (manifest.parent / "out" / name).stat().st_mtime_ns for name in before} == before


def test_what_changed_is_rendered_again_and_nothing_else(manifest: Path, make_image: Callable[..., Path]) -> None:
    run(manifest)
    make_image("content/b.png", seed=77)
    assert actions(run(manifest, "--json")) == {
        "a__swirl.png": "skip",
        "b__swirl.png": "done",
        "c__swirl.png": "skip",
    }
    picture = manifest.parent / "out/c__swirl.png"
    picture.write_bytes(picture.read_bytes()[:-1])
    assert actions(run(manifest, "--json"))["c__swirl.png"] == "done"
    assert set(actions(run(manifest, "--json", "--set", "objective.tv_weight=0.7")).values()) == {"done"}
    assert set(actions(run(manifest, "--json", "--redo", "all")).values()) == {"done"}


def test_bad_images_fail_with_reasons_and_the_rest_is_rendered(manifest: Path) -> None:
    content = manifest.parent / "content"
    (content / "empty.png").touch()
    (content / "text.jpg").write_text("not a picture")
    (content / "cut.png").write_bytes((content / "a.png").read_bytes()[:500])
    (content / "wrong.jpg").write_bytes((content / "a.png").read_bytes())
    result = run(manifest, "--json")
    assert result.exit_code == 3
    failed = {line["pair"]["content"]: line for line in json_lines(result) if line.get("status") == "failed"}
    assert set(failed) == {f"content/{name}" for name in ("empty.png", "text.jpg", "cut.png", "wrong.jpg")}
    for name in ("empty", "text", "cut", "wrong"):
        record = json.loads((manifest.parent / f"out/failed/{name}__swirl.json").read_text())
        jsonschema.validate(record, json_schema())
        assert record["error_class"] == "input"
        assert record["reason"]
        assert record["remedy"]
    counts = {"rendered": 3, "skipped": 0, "failed": 4, "waiting": 0, "exit_code": 3}
    summary = json_lines(result)[-1]
    assert summary["event"] == "summary"
    assert counts.items() <= summary.items()
    assert {"pairs_per_hour", "device_busy_share", "wait_seconds", "peak_memory_bytes"} <= summary.keys()


def test_a_failure_stays_one_until_it_is_mended_or_asked_for(manifest: Path, make_image: Callable[..., Path]) -> None:
    bad = manifest.parent / "content/b.png"
    good = bad.read_bytes()
    bad.write_bytes(b"")
    run(manifest)
    again = run(manifest, "--json")
    assert again.exit_code == 3
    assert actions(again)["b__swirl.png"] == "still failed"
    asked = run(manifest, "--json", "--redo", "failed")
    assert [line["attempt"] for line in json_lines(asked) if line.get("status") == "failed"] == [2]
    bad.write_bytes(good)
    assert run(manifest).exit_code == 0
    assert not (manifest.parent / "out/failed").exists()


def test_redo_failed_leaves_new_pairs_alone(manifest: Path, make_image: Callable[..., Path]) -> None:
    (manifest.parent / "content/b.png").write_bytes(b"")
    run(manifest, "--limit", "2")
    make_image("content/b.png", seed=3)
    assert actions(run(manifest, "--json", "--redo", "failed")) == {
        "a__swirl.png": "skip",
        "b__swirl.png": "done",
        "c__swirl.png": "wait",
    }


def test_fail_fast_stops_at_the_first_failure(manifest: Path) -> None:
    (manifest.parent / "content/a.png").write_bytes(b"")
    result = run(manifest, "--json", "--fail-fast")
    assert result.exit_code == 3
    assert json_lines(result)[-1]["waiting"] == 2


def test_dry_run_tells_all_and_writes_nothing(manifest: Path) -> None:
    result = run(manifest, "--dry-run")
    assert result.exit_code == 0
    assert "render: 3; nothing was written" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "a__swirl.png" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:6] == ["content/a.png", "styles/swirl.png", "a__swirl.png", "render", "not rendered yet", "2"]
    assert re.fullmatch(r"[0-9.]+ s", cells[6])
    assert re.fullmatch(r"[0-9.]+ GiB", cells[7])
    assert not (manifest.parent / "out").exists()
    run(manifest, "--limit", "1")
    before = files(manifest.parent / "out")
    *lines, summary = json_lines(run(manifest, "-n", "--json", "--limit", "1"))
    assert [(line["status"], line["reason"]) for line in lines] == [
        ("skip", "done already, nothing changed"),
        ("render", "not rendered yet"),
        ("wait", "beyond --limit 1"),
    ]
    assert summary.pop("expected_seconds") > 0
    assert summary == {
        "event": "summary",
        "dry_run": True,
        "to_render": 1,
        "skipped": 1,
        "failed": 0,
        "waiting": 1,
        "is_time_short": False,
        "exit_code": 0,
    }
    assert files(manifest.parent / "out") == before


def test_a_folder_that_is_empty_tonight_is_nothing_to_do(manifest: Path) -> None:
    for path in (manifest.parent / "content").iterdir():
        path.unlink()
    for arguments, words in ((("-n",), "nothing to do; nothing was written"), ((), "nothing to do; ")):
        result = run(manifest, *arguments)
        assert result.exit_code == 0
        assert words in result.stdout
        assert "content folder 'content' has no images" in result.stderr


def test_variants_that_share_an_optimisation_take_no_time_of_their_own(manifest: Path) -> None:
    variants = ("--set", 'colour.variants=["none", "swap-luma"]')
    lines = json_lines(run(manifest, "--dry-run", "--json", "--limit", "3", *variants))
    assert [line["output"] for line in lines[:3]] == ["a__swirl.png", "a__swirl--none.png", "a__swirl--swap-luma.png"]
    assert [line["expected_seconds"] > 0 for line in lines[:3]] == [True, True, False]
    result = run(manifest, "--json", "--limit", "3", "--time-budget", "60s", *variants)
    assert result.exit_code == 0
    done = {line["output"]["path"]: line for line in json_lines(result) if "optimisation" in line}
    plain, swapped = (done[f"a__swirl--{mode}.png"] for mode in ("none", "swap-luma"))
    assert plain["optimisation"] == swapped["optimisation"]
    assert swapped["seconds"]["stylise"] == 0


def test_a_time_budget_leaves_evaluations_out_and_says_so(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An evaluation is expected to take ten seconds, so the budget is short on any machine, and in truth it is ample.
    monkeypatch.setattr("pipeline.stage.device.estimate.Estimator._measure", lambda *_: 10.0)
    options = ("--set", "pyramid.evaluations=40", "--time-budget", "100s", "--json")
    *planned, forecast = json_lines(run(manifest, "--dry-run", *options))
    assert forecast["is_time_short"] is (sum(line["expected_seconds"] for line in planned) > 100)
    assert {line["status"] for line in planned} == {"render"}
    assert all(10 <= line["evaluations"][0] < 40 for line in planned)
    assert all(line["expected_seconds"] > 0 and line["expected_memory_bytes"] > 0 for line in planned)
    result = run(manifest, *options)
    assert result.exit_code == 0
    *done, summary = json_lines(result)
    assert len(done) == summary["rendered"] == 3
    for line in done:
        assert line["evaluations"] == line["planned"][0] < 40
        assert any("the time budget allowed only" in warning for warning in line["warnings"])
    *again, _ = json_lines(run(manifest, "-n", *options[:2], "--json"))
    assert [line["status"] for line in again].count("skip") == len(done), (
        "a picture with fewer evaluations counts as done"
    )


def test_when_the_time_is_over_no_further_pair_begins(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.run.time_budget.TimeBudget.is_over", property(lambda budget: bool(budget._granted)))
    result = run(manifest, "--set", "pyramid.evaluations=2", "--time-budget", "1h", "--json")
    summary = json_lines(result)[-1]
    assert (summary["rendered"], summary["waiting"], result.exit_code) == (1, 2, 0)


def test_a_time_budget_that_is_over_before_the_first_pair_is_told_and_nothing_is_measured(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pipeline.stage.device.estimate.Estimator._measure")
    result = run(manifest, "--time-budget", "0s")
    assert result.exit_code == 0
    assert "3 left for later" in result.stdout
    assert "run.time_budget = 0s was over before a pair could begin" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("content,style\nnone.png,styles/swirl.png\n", "line 2: content 'none.png' does not exist"),
        ("content,style,imag.size\n", "Did you mean image.size?"),
        ("content,style,output\ncontent/a.png,styles/swirl.png,x\ncontent/b.png,styles/swirl.png,x\n", "same output"),
    ],
)
def test_a_bad_manifest_is_exit_2_and_nothing_is_rendered(manifest: Path, text: str, words: str) -> None:
    manifest.write_text(text)
    result = run(manifest)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert not (manifest.parent / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "image.siez=3"], "Did you mean image.size?"),
        (["--set", "pyramid.evaluations=0"], "pyramid.evaluations: should be greater than or equal to 2 (got 0)"),
        (["--preset", "gatys"], "Did you mean gatys2016?"),
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--device", "tpu"], "run.device"),
    ],
)
def test_a_bad_option_is_exit_2(manifest: Path, arguments: list[str], words: str) -> None:
    result = run(manifest, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "network.weights=/nowhere/vgg.pth"], "/nowhere/vgg.pth: cannot be read"),
        (["--device", "cuda:99"], "CUDA devices"),
    ],
)
def test_what_the_machine_lacks_is_exit_4(manifest: Path, arguments: list[str], words: str) -> None:
    result = run(manifest, *arguments, "--json")
    assert result.exit_code == 4
    assert words in result.stderr
    assert json_lines(result)[-1]["exit_code"] == 4


def test_a_failure_that_cannot_be_recorded_is_told_and_stops_no_other_pair(manifest: Path) -> None:
    (manifest.parent / "content/a.png").write_bytes(b"no picture")
    out = manifest.parent / "out"
    out.mkdir()
    (out / "failed").touch()
    result = run(manifest)
    assert result.exit_code == 3
    assert "out/failed" in result.stderr
    assert [path.name for path in out.glob("b*.png")]


def test_an_outbox_that_is_a_file_is_exit_4(manifest: Path) -> None:
    (manifest.parent / "out").touch()
    result = run(manifest)
    assert result.exit_code == 4
    assert "cannot be read or written" in result.stderr


def test_a_file_that_is_no_result_is_never_overwritten(manifest: Path) -> None:
    precious = manifest.parent / "content/a.png"
    before = precious.read_bytes()
    manifest.write_text("content,style,output\ncontent/a.png,styles,a\ncontent/b.png,styles,\n")
    result = impasto("run", manifest, "--outbox", precious.parent, *QUICK)
    assert result.exit_code == 3
    assert precious.read_bytes() == before
    record = json.loads((precious.parent / "failed/a.json").read_text())
    assert "no result of impasto" in record["reason"]
    assert (precious.parent / "b__swirl.png.json").exists()
    precious.rename(precious.with_name("moved.png"))
    manifest.write_text("content,style,output\ncontent/moved.png,styles,a\n")
    assert impasto("run", manifest, "--outbox", precious.parent, *QUICK).exit_code == 0


@pytest.mark.parametrize("command", ["run", "pair"])
def test_a_photograph_with_the_sidecar_of_another_program_is_no_result(manifest: Path, command: str) -> None:
    precious = manifest.parent / "content/a.png"
    sidecar = precious.with_name("a.png.json")
    sidecar.write_text('{"title": "a.png", "photoTakenTime": {"timestamp": "1"}}')
    before = precious.read_bytes(), sidecar.read_bytes()
    if command == "run":
        manifest.write_text("content,style,output\ncontent/a.png,styles,a\ncontent,styles,\n")
        result = impasto("run", manifest, "--outbox", precious.parent, *QUICK)
        assert "3 rendered, 1 failed" in result.stdout
    else:
        result = impasto("pair", precious, manifest.parent / "styles/swirl.png", "-o", precious, *QUICK)
    assert result.exit_code == 3
    assert (precious.read_bytes(), sidecar.read_bytes()) == before
    assert "a.png.json" in json.loads((precious.parent / "failed/a.json").read_text())["reason"]


def test_a_raised_limit_tries_a_refused_picture_again(manifest: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[image]\nmax_pixels = 1000\n")
    assert run(manifest, "--config", config).exit_code == 3
    assert set(actions(run(manifest, "--config", config, "--json")).values()) == {"still failed"}
    assert run(manifest).exit_code == 0


def test_a_second_run_on_the_same_outbox_is_exit_11(manifest: Path) -> None:
    with Outbox(manifest.parent / "out").locked():
        result = run(manifest)
    assert result.exit_code == 11
    assert "another run works on this outbox" in result.stderr


@pytest.mark.parametrize("stop", [None, ExitCode.INTERRUPTED])
def test_the_pair_command_waits_for_another_run_in_its_folder(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, stop: ExitCode | None
) -> None:
    waits: list[float] = []
    with contextlib.ExitStack() as other_run:
        other_run.enter_context(Outbox(manifest.parent / "out").locked())

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 30 and stop is None:
                other_run.close()
            elif len(waits) == 30:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr("pipeline.run.runner.time.sleep", wait)
        content, style = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png"
        result = impasto("pair", content, style, "-o", manifest.parent / "out/x.png", *QUICK)
    assert len(waits) == 30
    assert result.exit_code == (stop or 0)
    assert "another run works on this outbox; this one waits for it" in result.stderr
    assert (manifest.parent / "out/x.png").exists() is (stop is None)


@pytest.mark.parametrize("name", ["a:b", "a\\b", "a\tb"])
def test_a_character_that_a_name_cannot_have_is_named(manifest: Path, name: str) -> None:
    content, style = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png"
    result = impasto("pair", content, style, "-o", manifest.parent / f"{name}.png", *QUICK)
    assert result.exit_code == 2
    assert f"has the character {name[1]!r}, which some systems cannot have in a name" in result.stderr


def test_verbose_logs_to_stderr_only(manifest: Path) -> None:
    code = "from pipeline.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", manifest, "--outbox", manifest.parent / "out", "-v", "--json", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3 pairs on cpu with weights packaged" in done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["pair"] * 3 + ["summary"]
    assert "\x1b" not in done.stdout + done.stderr


def test_the_pair_command_renders_now_and_again(manifest: Path) -> None:
    arguments = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png", "-o", manifest.parent / "x.jpg"
    for _ in range(2):
        result = impasto("pair", *arguments, *QUICK)
        assert result.exit_code == 0, result.output
        assert "1 rendered" in result.stdout
    assert (manifest.parent / "x.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    jsonschema.validate(json.loads((manifest.parent / "x.jpg.json").read_text()), json_schema())


def test_the_pair_command_tells_what_failed_and_where(manifest: Path) -> None:
    result = impasto("pair", manifest.parent / "content/a.png", manifest, "-o", manifest.parent / "x.png")
    assert result.exit_code == 3
    assert "failed: x: manifest.csv: is text, which is not read. Convert it" in result.stderr
    assert f"Reasons and remedies are in {manifest.parent / 'failed'}." in result.stderr


def test_the_pair_command_explains_that_it_takes_no_folder(manifest: Path) -> None:
    folder = manifest.parent
    result = impasto("pair", folder / "content", folder / "styles/swirl.png", "-o", folder / "x.png")
    assert result.exit_code == 2
    assert f"{folder}/content: is a folder." in result.stderr
    assert "impasto run" in result.stderr


def test_the_pair_command_explains_a_bad_name(manifest: Path) -> None:
    content, style = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png"
    assert "should end in" in impasto("pair", content, style, "-o", "x.gif").stderr
    assert "no such file" in impasto("pair", manifest.parent / "nix.png", style, "-o", "x.png").stderr


def test_schema_is_json_on_stdout() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(impasto("schema").stdout))


@pytest.mark.timeout(240)
def test_default_keeps_the_contents_colours_twice_as_well_as_gatys2016(tmp_path: Path) -> None:
    def chroma_difference(preset: str) -> float:
        size = ["--set", "image.size=64", "--set", "pyramid.evaluations=12"]
        assert (
            impasto("run", DATA / "manifest.csv", "--outbox", tmp_path / preset, "--preset", preset, *size).exit_code
            == 0
        )
        differences = []
        for path in (tmp_path / preset).glob("*.json"):
            record = json.loads(path.read_text())
            result = pixels(path.with_suffix(""))
            content = pixels(DATA / record["pair"]["content"]["path"], tuple(record["working_size"]))
            differences.append(np.abs(oracle.yuv(content) - oracle.yuv(result))[..., 1:].mean())
        assert len(differences) >= 6
        return float(np.mean(differences))

    assert chroma_difference("colour-preserving") <= 0.5 * chroma_difference("gatys2016")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_half_file_and_the_next_run_continues(
    manifest: Path, number: signal.Signals, code: int
) -> None:
    out = manifest.parent / "out"
    manifest.write_text("content,style,pyramid.evaluations\ncontent/a.png,styles,2\ncontent/b.png,styles,100000\n")
    command = [sys.executable, "-m", "pipeline", "run", str(manifest), "--outbox", str(out), "--json", *QUICK[:2]]
    command += ["--set", "run.grace_seconds=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["status"] == "done"
        os.kill(process.pid, number)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert json.loads(rest.splitlines()[-1])["exit_code"] == code
    (checkpoint,) = files(out) - {"a__swirl.png", "a__swirl.png.json"}
    assert checkpoint.startswith(".impasto/checkpoints/"), "the pair in work has a checkpoint"
    manifest.write_text("content,style\ncontent/a.png,styles\ncontent/b.png,styles\n")
    assert actions(run(manifest, "--json")) == {"a__swirl.png": "skip", "b__swirl.png": "done"}


def test_bench_measures_the_sizes_asked_for() -> None:
    options = ("bench", "--size", "32", "--size", "48", "--device", "cpu")
    lines = json_lines(impasto(*options, "--json"))
    assert [(line["event"], line["side"], line["device"]) for line in lines] == [
        ("size", 32, "cpu"),
        ("size", 48, "cpu"),
    ]
    assert all(line["evaluation_seconds"] > 0 for line in lines)
    table = impasto(*options).stdout
    assert "32²" in table
    assert "48²" in table
    assert "36, 22, 22, 22, 14 evaluations" in table


def test_the_pair_command_explains_settings_that_do_not_go_together(manifest: Path) -> None:
    content, style = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png"
    options = ("-o", manifest.parent / "x.jpg", "--set", "output.bit_depth=16")
    result = impasto("pair", content, style, *options)
    assert result.exit_code == 2
    assert "output.bit_depth = 16 does not go with output.format = jpeg" in result.stderr


def test_the_pair_command_takes_no_results_for_paintings(manifest: Path) -> None:
    content, styles = manifest.parent / "content/a.png", manifest.parent / "styles"
    first = impasto("pair", content, styles, "-o", styles / "r.png", *QUICK)
    assert first.exit_code == 0
    again = impasto("pair", content, styles, "-o", styles / "r.png", *QUICK)
    assert again.exit_code == 0
    assert f"{styles}: 1 result of earlier runs left out: r.png." in again.stderr
    assert json.loads((styles / "r.png.json").read_bytes())["pair"]["blend"] == []


def test_the_pair_command_follows_a_link_to_a_mask(manifest: Path, tmp_path: Path) -> None:
    content, style = manifest.parent / "content/a.png", manifest.parent / "styles/swirl.png"
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.png").symlink_to(content)
    result = impasto("pair", content, style, "-o", tmp_path / "r.png", "--mask", tmp_path / "masks", "--json", *QUICK)
    assert result.exit_code == 0
    assert json_lines(result)[0]["pair"]["mask"]["path"] == "a.png"
