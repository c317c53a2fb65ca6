"""Tests of films in the drop folder: their frames follow each other, and the film is written last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import ImageError
from pipeline.images.films import writing
from pipeline.images.films.reading import extract
from pipeline.stage.load import loader
from tests.conftest import photo
from tests.images.films.test_films import make_film, needs_av
from tests.run.test_frames import HEIGHT, SETTINGS, WIDTH, moving

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 5
pytestmark = needs_av


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "styles").mkdir()
    Image.fromarray(photo(WIDTH, HEIGHT, 9)).save(tmp_path / "styles" / "brush.png")
    drop(make_film(tmp_path / "inbox" / "brush" / "clip.mp4", moving(FRAMES)))
    return tmp_path


def drop(path: Path) -> None:
    """Make a file look as if it had been there for long."""
    os.utime(path, (time.time() - 3600,) * 2)


def command(base: Path, *, name: str = "drain", outbox: str = "out") -> list[str]:
    settings = {**SETTINGS, "watch.settle_seconds": 0.1}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [name, str(base / "inbox"), "--outbox", str(base / outbox), "--styles", str(base / "styles"), *sets]


def drain(base: Path, exit_code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*command(base), "--json", "--progress", "never"])
    assert result.exit_code == exit_code, result.output
    summary: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return summary


def run(base: Path) -> dict[str, bytes]:
    """Return the frames that `impasto run` paints of the film."""
    make_film(base / "clip.mp4", moving(FRAMES))
    (base / "m.csv").write_text("content,style,output\nclip.mp4,styles/brush.png,clip__brush\n")
    sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(app, ["run", str(base / "m.csv"), "--outbox", str(base / "by-run"), *sets])
    assert result.exit_code == 0, result.output
    return frames(base, "by-run")


def frames(base: Path, outbox: str = "out") -> dict[str, bytes]:
    """Return the pixels of the frames."""
    paths = sorted((base / outbox / "clip__brush").glob("*.png"))
    return {path.name: Image.open(path).tobytes() for path in paths}


def test_a_film_is_painted_as_by_a_run_and_written_last(base: Path) -> None:
    summary = drain(base)
    assert (summary["seen"], summary["done"]) == (1, 1)
    assert frames(base) == run(base)
    assert len(frames(base)) == FRAMES
    records = [json.loads(path.read_text()) for path in sorted((base / "out" / "clip__brush").glob("*.json"))]
    assert [bool(record["frame"]["follows"]) for record in records] == [False, True, True, True, True]
    painted, _ = extract(base / "out" / "clip__brush.mp4", base / "again")
    assert len(painted.timestamps) == FRAMES
    assert not (base / "inbox" / "brush" / "clip.mp4").exists()


def test_flows_of_the_next_frames_are_computed_ahead(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    look_ahead = loader.Loader.look_ahead

    def noted(self: Any, pair: Any, step: Any, budget: Any) -> None:
        asked.add(" ".join(path.stem[-1] for path in (pair.content, step.frame, step.before, step.first)))
        look_ahead(self, pair, step, budget)

    monkeypatch.setattr(loader.Loader, "look_ahead", noted)
    drain(base)
    assert asked == {"0 1 0 0", "0 2 1 0", "0 3 2 0", "0 4 3 0", "1 2 1 0", "1 3 2 0", "1 4 3 0"} | {
        "2 3 2 0",
        "2 4 3 0",
        "3 4 3 0",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_stop_the_next_drain_goes_on_to_the_same_bytes(base: Path, blow: signal.Signals) -> None:
    slower = [*command(base), "--set", "run.grace_seconds=0"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline", *slower], stderr=subprocess.DEVNULL)
    while len(list((base / "out" / "clip__brush").glob("*.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(blow)
    process.wait()
    begin = time.monotonic()
    while not (base / "out" / "clip__brush.mp4").exists() and time.monotonic() - begin < 90:
        drain(base)  # a killed worker is dead after a while
        for path in (base / "inbox" / "brush").glob("*"):
            drop(path)
    assert frames(base) == run(base)


def test_a_damaged_film_fails_with_its_reason_and_photographs_go_on(base: Path) -> None:
    film = base / "inbox" / "brush" / "clip.mp4"
    film.write_bytes(film.read_bytes()[:1000])
    Image.fromarray(photo(WIDTH, HEIGHT, 3)).save(base / "inbox" / "brush" / "cat.png")
    for path in (base / "inbox" / "brush").iterdir():
        drop(path)
    summary = drain(base, exit_code=3)
    assert (summary["done"], summary["failed"]) == (1, 1)
    (reason,) = (base / "inbox" / ".impasto" / "failed").glob("*/reason.json")
    assert "clip.mp4: cannot be read" in reason.read_text()


def test_without_the_encoder_films_fail_at_once_and_photographs_go_on(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_ENCODERS", {"h264": "no-such-encoder"})
    Image.fromarray(photo(WIDTH, HEIGHT, 3)).save(base / "inbox" / "brush" / "cat.png")
    drop(base / "inbox" / "brush" / "cat.png")
    summary = drain(base, exit_code=3)
    assert (summary["done"], summary["failed"]) == (1, 1)
    (reason,) = (base / "inbox" / ".impasto" / "failed").glob("*/reason.json")
    assert "clip.mp4: sequence.film = h264: this PyAV was built without the encoder" in reason.read_text()
    assert not frames(base)


def test_single_frames_of_a_film_need_no_flow(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(loader.Loader, "look_ahead", lambda *arguments: asked.append(arguments))
    monkeypatch.setitem(SETTINGS, "sequence.flow", "none")
    assert drain(base)["done"] == 1
    assert len(frames(base)) == FRAMES
    assert not asked


def test_a_frame_that_fails_does_not_stop_the_frames_after_it_but_there_is_no_film(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = loader.load

    def failing(pair: Any, *arguments: Any) -> Any:
        if pair.name.endswith("000002"):
            raise ImageError("It is damaged.")
        return load(pair, *arguments)

    monkeypatch.setattr(loader, "load", failing)
    summary = drain(base, exit_code=3)
    assert summary["failed"] == 1
    assert sorted(frames(base)) == ["000000.png", "000001.png", "000003.png", "000004.png"]
    third = json.loads((base / "out" / "clip__brush" / "000003.png.json").read_text())
    assert third["frame"]["follows"] is None
    assert not (base / "out" / "clip__brush.mp4").exists()


def test_the_file_of_another_program_in_the_films_place_stays_and_the_job_fails(base: Path) -> None:
    (base / "out").mkdir()
    (base / "out" / "clip__brush.mp4").write_bytes(b"somebody's")
    assert drain(base, exit_code=3)["failed"] == 1
    assert (base / "out" / "clip__brush.mp4").read_bytes() == b"somebody's"
