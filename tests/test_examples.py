"""Tests that run every shell example of the README, the docs and `--help`, in a folder with the files they name."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.settings.pair_settings import EVALUATIONS
from tests.outbox.report.samples import add_failure

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
OF_CLUSTERS = "many-machines"
"""Page whose commands need several machines."""
COMMANDS = tuple(get_command(app).commands)  # type: ignore[attr-defined]  # the app is a group
OF_ROOT = ("python3 -m venv", "useradd", "systemctl", "systemd-run")
"""Beginnings of lines that change the system; the test lets bash check their syntax only."""
LINES_OF_A_SCREEN = 50
SIZES = re.compile(r"(image\.size=|--size |\"image\.size\": )\d+")


def examples(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def place(tmp_path: Path, make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with small pictures under the names in the examples, and set few evaluations."""
    names = ["photo.jpg", "painting.jpg", "photos/cat.jpg", "inbox/nocturne/dog.jpg"]
    names += [path.relative_to(ROOT).as_posix() for path in ROOT.glob("data/*/*.jpg")]
    for seed, name in enumerate(names):
        make_image(name, width=48, height=40, seed=seed)
    manifest = (ROOT / "data/manifest.csv").read_text()
    (tmp_path / "data/manifest.csv").write_text(manifest.replace(",320,60", ",40,1"))
    (tmp_path / "night.csv").write_text("content,style\nphotos,painting.jpg\n")
    for number in range(1, 4):
        make_image(f"frames/{number:04d}.png", width=48, height=40, seed=7)
    (tmp_path / "clips.csv").write_text("content,style,sequence\nframes,painting.jpg,true\n")
    (tmp_path / "inbox/.impasto/done/2026-01-01").mkdir(parents=True)
    os.utime(tmp_path / "inbox/.impasto/done/2026-01-01", (0, 0))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_IMAGE__SIZE", "40")
    monkeypatch.setenv("IMPASTO_WATCH__SETTLE_SECONDS", "0.1")
    monkeypatch.setattr("pipeline.cli.bench.measure.SIDES", (32,))
    for quality in EVALUATIONS["sqrt2"]:
        monkeypatch.setitem(EVALUATIONS["sqrt2"], quality, (1,))
    return tmp_path


def until_stopped(arguments: list[str]) -> None:
    """Run a watcher, and send it SIGTERM when the result is there."""

    def stop() -> None:
        begin = time.monotonic()
        while not any(Path("out").glob("dog__*.png.json")) and time.monotonic() - begin < 60:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    result = CliRunner().invoke(app, arguments)
    stopper.join()
    assert result.exit_code == 143, result.output
    assert any(Path("out").glob("dog__*.png.json")), result.output


def bash(line: str, *options: str) -> None:
    """Run a line in bash; check that it succeeds and writes nothing to stderr."""
    done = subprocess.run(["/bin/bash", *options, "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), line


def run_in_place(line: str) -> None:
    """Run a line as written, except for the size of pictures."""
    first, *arguments = shlex.split(SIZES.sub(r"\g<1>40", line), comments=True)
    if first == "impasto" and arguments[0] == "watch":
        until_stopped(arguments)
    elif first == "impasto":
        arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    elif first == "make":
        bash(f"make --dry-run {shlex.join(arguments)}")
    elif line.startswith(OF_ROOT):
        bash(line, "-n")
        assert "impasto" in line
    else:
        assert first in {"mkdir", "find"}, f"this test cannot run {line!r}"
        bash(line)


@pytest.mark.parametrize("block", re.findall(r"^```sh\n(.*?)^```", PAGES[OF_CLUSTERS], re.DOTALL | re.MULTILINE))
def test_scripts_for_several_machines_are_correct_as_far_as_one_machine_can_tell(block: str) -> None:
    subprocess.run(["bash", "-n", "-c", block], check=True)  # noqa: S607


def test_commands_for_several_machines_have_options_that_exist() -> None:
    commands = re.findall(r"impasto (run|watch|drain) ([^\n'|]*)", PAGES[OF_CLUSTERS])
    assert len(commands) >= 5
    for command, rest in commands:
        known = {name for option in get_command(app).commands[command].params for name in option.opts}  # type: ignore[attr-defined]
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page) and page != OF_CLUSTERS])
def test_the_examples_of_a_page_run_one_after_the_other(page: str) -> None:
    for line in examples(page):
        run_in_place(line)


def test_pages_with_commands_have_them_where_they_are_tried() -> None:
    assert {page for page in PAGES if examples(page)} == {
        "README",
        "pictures",
        "sequences",
        "tuning",
        "operations",
        OF_CLUSTERS,
    }
    words = r"impasto|make|pip|python3?|mkdir|find|systemctl|useradd|sudo|cd|git"
    languages = {"sh", "toml", "python", "systemd", "crontab", "yaml"}
    for page, text in PAGES.items():
        assert re.findall(rf"^    (?:{words}) .*", text, re.MULTILINE) == [], page
        assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= languages, page


def test_old_photographs_are_removed_as_the_docs_say(place: Path) -> None:
    (line,) = (line for line in examples("operations") if line.startswith("find"))
    (place / "inbox/.impasto/done/2026-11-25").mkdir()
    run_in_place(line)
    assert [path.name for path in (place / "inbox/.impasto/done").iterdir()] == ["2026-11-25"]


@pytest.mark.usefixtures("place")
def test_the_python_of_the_readme_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGES["README"], re.DOTALL | re.MULTILINE)
    exec(compile(SIZES.sub(r"\g<1>40", code), "README.md", "exec"), {})  # noqa: S102 - the code is from the README
    assert Path("result.png").exists()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_screen(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, [command, "--help"] if command else ["--help"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= LINES_OF_A_SCREEN
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_runs(command: str, place: Path) -> None:
    text = get_command(app).commands[command].help  # type: ignore[attr-defined]
    (example,) = re.findall(r"Example: (impasto .*)", text)
    if command in {"report", "status", "retry"}:
        assert CliRunner().invoke(app, shlex.split("drain inbox --outbox out --styles data/styles")).exit_code == 0
    if command == "retry":
        add_failure(place / "out", "sea/cat")
    assert shlex.split(example)[:2] == ["impasto", command]
    run_in_place(example)
