"""Tests of sequences from the manifest to the outbox: which frames follow which, and that nothing depends on luck."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.cli.setup import manifest_rules_of
from pipeline.errors import ImageError
from pipeline.images.films import writing
from pipeline.images.films.reading import extract
from pipeline.outbox.publish import Outbox
from pipeline.run.manifest import read_manifest
from pipeline.run.observer import Observer
from pipeline.run.plan import plan
from pipeline.run.tally import Tally
from pipeline.settings.all_settings import Settings
from pipeline.stage import executor
from pipeline.stage.attempts import Attempts
from pipeline.stage.load import predecessor as predecessor_module
from pipeline.stage.load.flows import FrameFlow
from pipeline.stage.load.loader import Loader
from pipeline.stage.load.predecessor import Predecessors
from pipeline.stage.pool import stage_pool
from pipeline.stage.task import Outcome, failure_of
from pipeline.transfer.weights import find_weights
from tests.benchmarks.clips import flicker, sample_clips
from tests.conftest import photo, pixels
from tests.images.films.test_films import make_film, needs_av

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WIDTH, HEIGHT = 64, 48
SETTINGS = {
    "image.size": WIDTH,
    "pyramid.evaluations": "[4,4]",
    "pyramid.floor": 0,
    "pyramid.ratio": "2",
    "network.precision": "float32",
}


def write(folder: Path, frames: Iterable[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:02d}.png")


def moving(count: int) -> list[np.ndarray]:
    """Return frames that show parts of one picture, one pixel further each time."""
    picture = photo(WIDTH + 2 * count, HEIGHT, 3)
    return [picture[:, 2 * number : 2 * number + WIDTH] for number in range(count)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    Image.fromarray(photo(WIDTH, HEIGHT, 9)).save(tmp_path / "style.png")
    (tmp_path / "m.csv").write_text("content,style,sequence,output\nframes,style.png,true,film\n")
    return tmp_path


def command(base: Path, outbox: str, **changes: Any) -> list[str]:
    settings = {**SETTINGS, **changes}
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return ["run", str(base / "m.csv"), "--outbox", str(base / outbox), "--json", "--progress", "never", *sets]


def run(base: Path, outbox: str = "out", exit_code: int = 0, **changes: Any) -> dict[str, Any]:
    result = CliRunner().invoke(app, command(base, outbox, **changes))
    assert result.exit_code == exit_code, result.output
    summary: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return summary


def data(base: Path, outbox: str = "out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((base / outbox / "film").glob("*.png"))}


def records(base: Path, outbox: str = "out") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((base / outbox / "film").glob("*.png.json"))]


def follows(base: Path, outbox: str = "out") -> list[str | None]:
    return [record["frame"]["follows"] for record in records(base, outbox)]


def test_each_frame_follows_the_one_before_with_fewer_evaluations(base: Path) -> None:
    write(base / "frames", moving(4))
    assert run(base)["rendered"] == 4
    assert follows(base) == [None, "film/00.png", "film/01.png", "film/02.png"]
    first, *others = records(base)
    assert first["frame"]["frames"] == 4
    assert all(other["evaluations"] < first["evaluations"] for other in others)
    assert all(other["frame"]["trusted"] > 0.5 for other in others)
    assert all(other["objective"]["best"]["temporal"] > 0 for other in others)
    again = run(base)
    assert (again["rendered"], again["skipped"]) == (0, 4)


def test_a_cut_and_a_frame_of_another_picture_begin_a_shot(base: Path) -> None:
    write(base / "frames", [*moving(2), *(255 - frame for frame in moving(2))])
    run(base)
    assert follows(base) == [None, "film/00.png", None, "film/02.png"]
    run(base, "uncut", **{"sequence.cuts": "none"})
    assert follows(base, "uncut") == [None, "film/00.png", "film/01.png", "film/02.png"]


def test_every_so_many_frames_the_picture_is_painted_through_again(base: Path) -> None:
    write(base / "frames", moving(5))
    run(base, **{"sequence.refresh": 2})
    assert [record["frame"]["renewed"] for record in records(base)] == [False, False, True, False, True]
    assert len({record["evaluations"] for record in records(base) if record["frame"]["renewed"]}) == 1


def test_without_a_flow_and_as_a_single_frame_the_pixels_are_those_of_photographs(base: Path) -> None:
    write(base / "frames", moving(2))
    run(base, "single", **{"sequence.flow": "none"})
    run(base, "sequence")
    (base / "m.csv").write_text(
        "content,style,output\nframes/00.png,style.png,film/00\nframes/01.png,style.png,film/01\n"
    )
    run(base, "photographs")
    assert data(base, "single") == data(base, "photographs")
    assert data(base, "sequence")["00.png"] == data(base, "photographs")["00.png"]
    assert data(base, "sequence")["01.png"] != data(base, "photographs")["01.png"]
    keys = [[record["key"] for record in records(base, outbox)] for outbox in ("single", "photographs")]
    assert keys[0] == keys[1]


def test_after_a_frame_has_changed_only_later_ones_are_rendered(base: Path) -> None:
    write(base / "frames", moving(5))
    run(base)
    before = data(base)
    changed = moving(5)[2].copy()
    changed[:20] = 255 - changed[:20]
    Image.fromarray(changed).save(base / "frames" / "02.png")
    assert run(base)["rendered"] == 3
    after = data(base)
    assert [name for name in before if before[name] != after[name]] == ["02.png", "03.png", "04.png"]
    (base / "out" / "film" / "03.png").write_bytes(b"altered")
    again = run(base)
    assert (again["rendered"], again["skipped"]) == (1, 4)
    assert data(base) == after, "the frame is made again, and the next one fits to it"


def test_a_frame_that_cannot_be_read_fails_and_the_next_one_begins_a_shot(base: Path) -> None:
    write(base / "frames", moving(4))
    (base / "frames" / "01.png").write_bytes(b"no picture")
    summary = run(base, exit_code=3)
    assert (summary["rendered"], summary["failed"]) == (3, 1)
    assert follows(base) == [None, None, "film/02.png"]


@pytest.mark.parametrize("mode", ["luminance", "style-yuv", "swap-luma", "match", "histogram", "none"])
def test_all_colour_modes_have_sequences(base: Path, mode: str) -> None:
    write(base / "frames", moving(3))
    run(base, **{"colour.mode": mode, "style.fit": "stretch"})
    frames = [pixels(base / "out" / "film" / name) for name in data(base)]
    photographs = [frame.astype(float) for frame in moving(3)]
    steps = [np.abs(frame[:, 2:] - later[:, :-2]).mean() for frame, later in itertools.pairwise(frames)]
    assert max(steps) < 12
    assert np.abs(frames[2] - photographs[2]).mean() > 2


def test_masked_and_enlarged_results_have_sequences(base: Path) -> None:
    large = [cv2.resize(frame, None, fx=2, fy=2) for frame in moving(3)]
    write(base / "frames", large)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, WIDTH // 2 :] = 255
    Image.fromarray(mask).save(base / "mask.png")
    (base / "m.csv").write_text("content,style,sequence,output,mask\nframes,style.png,true,film,mask.png\n")
    run(base, **{"image.upscale": "guided", "output.format": "jpeg"})
    names = sorted((base / "out" / "film").glob("*.jpg"))
    assert len(names) == 3
    for name, frame in zip(names, large, strict=True):
        assert pixels(name).shape == frame.shape
        assert np.abs(pixels(name)[:, : WIDTH - 10] - frame[:, : WIDTH - 10]).mean() < 4
        assert np.abs(pixels(name)[:, WIDTH + 10 :] - frame[:, WIDTH + 10 :]).mean() > 5


def test_a_still_film_stays_as_it_is(base: Path) -> None:
    frame = moving(1)[0]
    write(base / "frames", [frame] * 6)
    run(base)
    first, *others = [pixels(base / "out" / "film" / name) for name in data(base)]
    assert all(np.array_equal(first, other) for other in others)


def test_a_still_film_with_noise_hardly_changes(base: Path) -> None:
    rng = np.random.default_rng(0)
    frame = moving(1)[0].astype(float)
    write(base / "frames", [np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8) for _ in range(12)])
    run(base)
    frames = [pixels(base / "out" / "film" / name) for name in data(base)]
    assert np.abs(frames[11] - frames[1]).mean() < 0.2


def test_frames_flicker_far_less_than_single_ones(base: Path) -> None:
    (clip,) = [clip for clip in sample_clips(128, 72, 4) if clip.name == "pan"]
    write(base / "frames", clip.frames)
    found = {}
    for kind in ("dis", "none"):
        run(base, kind, **{"sequence.flow": kind, "image.size": 128, "pyramid.evaluations": "[20,14]"})
        frames = [pixels(base / kind / "film" / name) for name in data(base, kind)]
        found[kind] = float(np.mean(flicker(frames, clip)))
    assert found["dis"] < 0.6 * found["none"]


CHILD = """
import os, signal, sys
from pipeline.run import tally
finish, left = tally.Tally.finish, [int(sys.argv.pop(1))]
def dying(self, outcome):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, outcome)
tally.Tally.finish = dying
from pipeline.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.timeout(300)
def test_killed_at_each_of_twelve_frames_the_bytes_are_those_of_an_undisturbed_run(
    base: Path, *, exhaustive: bool
) -> None:
    frames = 12
    write(base / "frames", moving(frames))
    run(base, "undisturbed")
    for frame in range(1, frames + 1) if exhaustive else (1, 7, 12):
        outbox = f"out{frame}"
        child = [sys.executable, "-c", CHILD, str(frame), *command(base, outbox)]
        killed = subprocess.run(child, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert 0 < len(data(base, outbox)) <= frames
        run(base, outbox)
        assert data(base, outbox) == data(base, "undisturbed")


@needs_av
def test_a_film_becomes_frames_and_a_film_again_and_a_damaged_one_does_not_stop_it(base: Path) -> None:
    film = make_film(base / "a.mp4", moving(4))
    (base / "b.mp4").write_bytes(film.read_bytes()[:2000])
    (base / "m.csv").write_text("content,style,output\na.mp4,style.png,film\nb.mp4,style.png,\n")
    summary = run(base, exit_code=3)
    assert (summary["rendered"], summary["failed"]) == (4, 1)
    assert follows(base) == [None, "film/000000.png", "film/000001.png", "film/000002.png"]
    assert records(base)[2]["pair"]["content"]["path"] == "a.mp4/000002.png"
    painted = base / "out" / "film.mp4"
    description, folder = extract(painted, base / "again")
    assert len(description.timestamps) == 4
    for name, data_ in data(base).items():
        one, other = (pixels(path / name) for path in (base / "out" / "film", folder))
        assert np.abs(one - other).mean() < 8, len(data_)
    failure = json.loads((base / "out" / "failed" / "b__style.json").read_text())
    assert "b.mp4: cannot be read" in failure["reason"]

    written = painted.stat().st_mtime_ns
    run(base, exit_code=3)
    assert painted.stat().st_mtime_ns == written, "it is there already"
    run(base, exit_code=3, **{"sequence.effort": 0.9})
    assert painted.stat().st_mtime_ns != written, "its frames have changed"


@needs_av
def test_a_film_of_another_program_is_not_replaced(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(base / "a.mp4", moving(2))
    (base / "m.csv").write_text("content,style,output\na.mp4,style.png,film\n")
    (base / "out").mkdir()
    (base / "out" / "film.mp4").write_bytes(b"somebody's")
    summary = run(base, exit_code=3)
    assert (summary["rendered"], summary["failed"]) == (2, 1)
    assert (base / "out" / "film.mp4").read_bytes() == b"somebody's"
    assert "a file that impasto has not written has the name of a film" in caplog.text
    assert "has the name of a film" in (base / "out" / "failed" / "film.json").read_text()
    (base / "out" / "film.mp4").unlink()
    assert run(base)["films"] == ["film.mp4"]
    assert "films" not in run(base)
    assert not (base / "out" / "failed" / "film.json").exists()
    assert len(extract(base / "out" / "film.mp4", base / "again")[0].timestamps) == 2


def test_shots_do_not_wait_for_each_other_and_frames_wait_for_the_one_before(base: Path) -> None:
    write(base / "frames", [*moving(3), *(255 - frame for frame in moving(3))])
    settings = Settings.model_validate({})
    rules = manifest_rules_of(settings, base / "out")
    pairs = read_manifest(base / "m.csv", {}, {}, rules)
    outbox, weights = Outbox(base / "out"), find_weights("packaged")
    items = list(plan(pairs, outbox, weights))
    with outbox.locked(), Attempts(outbox, 3) as attempts:
        tally = Tally(outbox, attempts, Observer(), len(items), None)
        tasks = tally.tasks(items, SimpleNamespace(requested=None))  # type: ignore[arg-type]
        first = [next(tasks), next(tasks), next(tasks)]
        assert [task and task.pair.name for task in first] == ["film/00", "film/03", None]
        assert first[0] is not None
        error = ImageError("It is damaged.")
        tally.finish(Outcome(first[0], failure_of(first[0], error), error))
        assert next(tasks) is None
        assert tally.waiting == 5
        attempts.take_back_one(Outcome(first[1], failure_of(first[1], error), error))  # type: ignore[arg-type]


def test_the_report_shows_how_much_frames_flicker(base: Path) -> None:
    write(base / "frames", moving(5))
    run(base)
    path = base / "out" / "film" / "03.png.json"
    record = json.loads(path.read_text())
    record["frame"]["flicker"] *= 9
    path.write_text(json.dumps(record))
    result = CliRunner().invoke(app, ["report", str(base / "out")])
    assert result.exit_code == 0, result.output
    page = (base / "out" / "index.html").read_text()
    assert "5 of 5 frames · 1 shot · flicker" in page
    assert "Far more than the others: 03.png" in page
    assert page.count("<polyline") == 2


def test_a_time_budget_counts_frames_that_follow_as_the_smaller_work_that_they_are(base: Path) -> None:
    write(base / "frames", moving(3))
    result = CliRunner().invoke(app, [*command(base, "out"), "--dry-run"])
    assert result.exit_code == 0, result.output
    first, *others, _ = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(other["evaluations"] < first["evaluations"] for other in others)
    assert all(other["expected_seconds"] < 0.9 * first["expected_seconds"] for other in others), result.stdout


def test_an_outbox_and_frames_behind_links_work(base: Path) -> None:
    write(base / "frames", moving(3))
    (base / "disk").mkdir()
    (base / "out").symlink_to(base / "disk")
    assert run(base)["rendered"] == 3


@pytest.mark.parametrize("cuts", ["auto", "none"])
def test_after_a_damaged_frame_is_mended_its_shot_is_whole_again(base: Path, cuts: str) -> None:
    write(base / "frames", moving(4))
    whole = (base / "frames" / "01.png").read_bytes()
    (base / "frames" / "01.png").write_bytes(whole[: len(whole) // 2])
    run(base, exit_code=3, **{"sequence.cuts": cuts})
    assert follows(base) == [None, None, "film/02.png"]
    (base / "frames" / "01.png").write_bytes(whole)
    run(base, **{"sequence.cuts": cuts})
    assert follows(base) == [None, "film/00.png", "film/01.png", "film/02.png"]


def test_other_cuts_take_effect(base: Path) -> None:
    write(base / "frames", [*moving(2), *(255 - frame for frame in moving(2))])
    run(base)
    assert run(base, **{"sequence.cuts": "none"})["rendered"] == 2
    assert follows(base) == [None, "film/00.png", "film/01.png", "film/02.png"]
    assert run(base)["rendered"] == 2
    assert follows(base) == [None, "film/00.png", None, "film/02.png"]


def test_a_result_that_is_altered_while_the_next_frame_waits_is_no_failure_of_that_frame(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(base / "frames", moving(3))
    shot_of = Predecessors.shot_of
    monkeypatch.setattr(predecessor_module, "VISIBLE_SECONDS", 0.3)

    def altering(self: Any, pair: Any, predecessor: Any, *arguments: Any) -> Any:
        if predecessor.result == "film/00.png":
            monkeypatch.setattr(Predecessors, "shot_of", shot_of)
            (base / "out" / "film" / "00.png").write_bytes(b"altered")
        return shot_of(self, pair, predecessor, *arguments)

    monkeypatch.setattr(Predecessors, "shot_of", altering)
    assert run(base, exit_code=3)["failed"] == 1
    assert run(base)["rendered"] == 3
    assert follows(base) == [None, "film/00.png", "film/01.png"]


def test_a_dry_run_of_a_film_writes_nothing(base: Path) -> None:
    pytest.importorskip("av", reason="needs the extra: impasto[video]")
    make_film(base / "a.mp4", moving(3))
    (base / "m.csv").write_text("content,style\na.mp4,style.png\n")
    result = CliRunner().invoke(app, [*command(base, "out"), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert not (base / "out").exists()


@needs_av
def test_a_film_that_is_mended_leaves_no_failure(base: Path) -> None:
    film = make_film(base / "a.mp4", moving(3))
    whole = film.read_bytes()
    film.write_bytes(whole[:1000])
    (base / "m.csv").write_text("content,style\na.mp4,style.png\n")
    run(base, exit_code=3)
    assert list((base / "out" / "failed").glob("*.json"))
    film.write_bytes(whole)
    run(base)
    assert not list((base / "out" / "failed").glob("*.json"))
    assert (base / "out" / "a__style.mp4").is_file()


@needs_av
def test_a_film_is_ours_however_the_outbox_is_named(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_film(base / "a.mp4", moving(2))
    (base / "m.csv").write_text("content,style,output\na.mp4,style.png,film\n")
    run(base)
    monkeypatch.chdir(base)
    relative = [
        each if each != str(base / "out") else "out" for each in command(base, "out", **{"sequence.effort": 0.9})
    ]
    result = CliRunner().invoke(app, relative)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["films"] == ["film.mp4"]


@needs_av
def test_another_sound_makes_another_film(base: Path) -> None:
    make_film(base / "a.mp4", moving(2))
    (base / "m.csv").write_text("content,style,output\na.mp4,style.png,film.mp4\n")
    run(base)
    before = (base / "out" / "film.mp4").read_bytes()
    make_film(base / "a.mp4", moving(2), sound=False)
    run(base)
    assert (base / "out" / "film.mp4").read_bytes() != before


@pytest.mark.timeout(180)
def test_on_several_devices_the_pixels_are_those_of_one(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(base / "frames", [*moving(3), *(255 - frame for frame in moving(3))])
    run(base, "one")
    monkeypatch.setattr(stage_pool, "find_devices", lambda _: [torch.device("cpu")] * 2)
    run(base, "two")
    assert follows(base, "two") == [None, "film/00.png", "film/01.png", None, "film/03.png", "film/04.png"]
    for name in data(base, "one"):
        one, other = (pixels(base / outbox / "film" / name) for outbox in ("one", "two"))
        assert np.array_equal(one, other)


def test_a_result_that_becomes_visible_later_is_waited_for(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(base / "frames", moving(2))
    looks = []
    recorded_result = predecessor_module.recorded_result

    def late(*arguments: Any) -> Any:
        looks.append(arguments)
        return recorded_result(*arguments) if len(looks) > 2 else None

    monkeypatch.setattr(predecessor_module, "recorded_result", late)
    assert run(base)["rendered"] == 2
    assert len(looks) == 3


def test_flows_are_computed_ahead_and_change_no_pixel(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(base / "frames", [*moving(5), *(255 - frame for frame in moving(2))])
    asked, between, look_ahead = [], FrameFlow.between, Loader.look_ahead
    computing: list[bool] = []
    computed: list[bool] = []

    def noted(self: Any, pair: Any, step: Any, budget: Any) -> None:
        asked.append((pair.content, step))
        computing.append(True)
        look_ahead(self, pair, step, budget)
        computing.pop()

    def counted(*photographs: Any) -> FrameFlow:
        computed.append(bool(computing))
        return between(*photographs)

    monkeypatch.setattr(executor, "LOADERS", 1)  # in the order in which they are asked for
    monkeypatch.setattr(Loader, "look_ahead", noted)
    monkeypatch.setattr(FrameFlow, "between", counted)
    run(base, "ahead")
    assert {(content.stem, step.frame.stem, step.before.stem, step.first.stem) for content, step in asked} >= {
        ("01", "02", "01", "00"),
        ("01", "03", "02", "00"),
        ("01", "04", "03", "00"),
    }
    assert "06" not in {step.frame.stem for content, step in asked if content.stem < "05"}
    assert len(computed) == 5  # each flow once: those of 1 to 4, and of 6
    assert sum(computed) >= 3
    monkeypatch.setattr(Loader, "look_ahead", lambda *_: None)
    run(base, "not-ahead")
    assert data(base, "ahead") == data(base, "not-ahead")


@needs_av
def test_without_the_encoder_a_run_ends_before_the_frames_are_painted(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_film(base / "a.mp4", moving(2))
    (base / "m.csv").write_text("content,style\na.mp4,style.png\n")
    monkeypatch.setattr(writing, "_ENCODERS", {"h264": "no-such-encoder"})
    result = CliRunner().invoke(app, command(base, "out"))
    assert result.exit_code == 4
    assert "sequence.film = h264: this PyAV was built without the encoder" in result.stderr
    assert not (base / "out" / "a__style").exists()
    assert run(base, **{"sequence.film": "none"})["rendered"] == 2


@needs_av
def test_a_pattern_of_films_brings_each_of_them_and_no_painted_one(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        make_film(base / f"{name}.mp4", moving(2))
    (base / "m.csv").write_text("content,style\n*.mp4,style.png\n")
    for _ in range(2):
        command_here = [each if each != str(base / "out") else str(base) for each in command(base, "out")]
        result = CliRunner().invoke(app, command_here)
        assert result.exit_code == 0, result.output
    assert sorted(path.name for path in base.glob("*.mp4")) == ["a.mp4", "a__style.mp4", "b.mp4", "b__style.mp4"]
    assert json.loads(result.stdout.splitlines()[-1])["skipped"] == 4
    assert "*.mp4: 2 results of earlier runs left out: a__style.mp4, b__style.mp4." in caplog.messages


@pytest.mark.parametrize("content", ["mixed", "mixed/*"])
def test_films_beside_photographs_are_left_out_with_a_warning(
    base: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    write(base / "mixed", moving(1))
    for name in ("a.mp4", "b.MOV"):
        (base / "mixed" / name).write_bytes(b"film")
    (base / "styles").mkdir()
    (base / "style.png").rename(base / "styles" / "style.png")
    (base / "styles" / "c.mp4").write_bytes(b"film")
    (base / "m.csv").write_text(f"content,style\n{content},styles\n")
    assert run(base)["rendered"] == 1
    told = [message for message in caplog.messages if "film" in message]
    remedy = "To have them painted, name them in rows of their own, or by patterns such as *.mp4."
    assert told == [f"{content}: 2 films left out: a.mp4, b.MOV. {remedy}"]


@pytest.mark.parametrize(
    ("content", "style", "told"),
    [("*.mp4", "style.png", "content '*.mp4' matches no films; nothing is painted for it now."),
     ("frames", "*.mp4", "style '*.mp4' matches no images (")],
)  # fmt: skip
def test_a_pattern_of_films_may_be_empty_as_a_content_only(
    base: Path, caplog: pytest.LogCaptureFixture, content: str, style: str, told: str
) -> None:
    write(base / "frames", moving(1))
    (base / "m.csv").write_text(f"content,style\n{content},{style}\n")
    result = CliRunner().invoke(app, command(base, "out"))
    assert told in result.output + "".join(caplog.messages)
    assert result.exit_code == (0 if style == "style.png" else 2)


def test_unfinished_films_are_told_and_a_folder_with_nothing_but_a_film_stops_nothing(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(base / "frames", moving(1))
    (base / "films").mkdir()
    (base / "films" / "a.mov").write_bytes(b"film")
    (base / "m.csv").write_text("content,style\nfilms,style.png\nframes,style.png\n")
    assert run(base)["rendered"] == 1
    assert any("films: 1 film left out: a.mov." in message for message in caplog.messages)
    (base / "films" / "a.mov").rename(base / "films" / "~b.mov")
    (base / "m.csv").write_text("content,style\nfilms/*.mov,style.png\n")
    result = CliRunner().invoke(app, command(base, "out"))
    assert result.exit_code == 2
    assert any("1 file left out" in message and "~b.mov" in message for message in caplog.messages)


@needs_av
def test_proofs_of_films_need_no_encoder(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_film(base / "a.mp4", moving(2))
    (base / "styles").mkdir()
    (base / "style.png").rename(base / "styles" / "style.png")
    monkeypatch.setattr(writing, "_ENCODERS", {})
    arguments = ["proof", str(base / "a.mp4"), "--styles", str(base / "styles"), "-o", str(base / "p.png")]
    result = CliRunner().invoke(app, [*arguments, "--size", "32", "--progress", "never"])
    assert result.exit_code == 0, result.output
