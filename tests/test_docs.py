"""What the docs show is tried as written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.intake.rows import Problems, read_rows
from pipeline.settings import ALL_KEYS, ColourMode
from pipeline.sources import for_pair

ROOT = Path(__file__).parents[1]
DROP_FOLDER, PICTURES, README = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("docs/drop-folder.md", "docs/pictures.md", "README.md")
)


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", DROP_FOLDER, re.DOTALL)
    return str(text)


def impasto_arguments(line: str) -> list[str]:
    command, *arguments = shlex.split(line)
    assert Path(command).name == "impasto"
    return arguments


def check_understood(arguments: list[str]) -> None:
    """The command gets as far as looking for its inbox."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert f"{arguments[1]}: there is no such folder" in result.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "impasto.service"
    unit.write_text(block("systemd").replace("/opt/impasto/bin/impasto", "/bin/true").replace("User=impasto\n", ""))
    command = [str(shutil.which("systemd-analyze")), "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_a_command_that_is_understood() -> None:
    (line,) = re.findall(r"ExecStart=(.*)", block("systemd"))
    check_understood(impasto_arguments(line))


def test_the_crontab_line_is_understood() -> None:
    fields = block("crontab").split(maxsplit=5)
    assert len(fields) == 6
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
    command, _, _ = fields[5].partition(">>")
    check_understood(impasto_arguments(command))


def test_every_setting_that_the_docs_name_exists() -> None:
    texts = DROP_FOLDER + PICTURES + README
    sections = {key.partition(".")[0] for key in ALL_KEYS}
    named = set(re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)", texts))
    assert "watch.settle_seconds" in named
    assert named <= set(ALL_KEYS)


@pytest.mark.parametrize("line", re.findall(r"^    (impasto pair .*)$", PICTURES, re.MULTILINE))
def test_the_pair_commands_are_understood(line: str) -> None:
    result = CliRunner().invoke(app, impasto_arguments(line))
    assert result.exit_code == 2
    assert "photo.jpg: there is no such file" in result.stderr


@pytest.mark.parametrize("text", [PICTURES, DROP_FOLDER, README], ids=["pictures", "drop-folder", "README"])
def test_the_manifests_have_columns_that_there_are(text: str, tmp_path: Path) -> None:
    blocks = re.findall(r"(?:^    content,style.*\n)(?:^    .*\n)+", text, re.MULTILINE)
    assert blocks
    for block_of_rows in blocks:
        manifest = tmp_path / "m.csv"
        manifest.write_text(textwrap.dedent(block_of_rows))
        problems = Problems()
        rows = list(read_rows(manifest, problems))
        assert problems.found == []
        assert len(rows) == block_of_rows.count("\n") - 1
        for row in rows:
            for_pair({}, row.values, {})


def test_every_colour_mode_is_explained() -> None:
    explained = re.findall(r"^\| `([a-z-]+)` \|", PICTURES, re.MULTILINE)
    assert explained == list(get_args(ColourMode))
