"""Tests that check what the pages name: settings, columns, links, units, crontab lines and the table of cards."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.run.manifest_rows import Problems, read_rows
from pipeline.settings.all_settings import ALL_KEYS
from pipeline.settings.pair_settings import ColourMode, PairSettings
from pipeline.settings.resolve import for_pair

ROOT = Path(__file__).parents[1]
DOCS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
OPERATIONS, PICTURES = DOCS["operations"], DOCS["pictures"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", OPERATIONS, re.DOTALL)


def impasto_arguments(line: str) -> list[str]:
    command, *arguments = shlex.split(line)
    assert Path(command).name == "impasto"
    return arguments


def check_understood(arguments: list[str]) -> None:
    """Check that the command accepts the arguments: it fails only because the folder or file does not exist."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert re.search(rf"{arguments[1]}: (there is no such folder|cannot be read: No such file)", result.stderr)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "impasto.service"
    unit.write_text(blocks("systemd")[0].replace("/opt/impasto/bin/impasto", "/bin/true").replace("User=impasto\n", ""))
    command = [str(shutil.which("systemd-analyze")), "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_a_command_that_is_understood() -> None:
    (line,) = re.findall(r"ExecStart=(.*)", blocks("systemd")[0])
    check_understood(impasto_arguments(line))


@pytest.mark.parametrize("line", blocks("crontab"))
def test_a_crontab_line_is_understood(line: str) -> None:
    fields = line.split(maxsplit=5)
    assert len(fields) == 6
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
    command, _, _ = fields[5].partition(">>")
    check_understood(impasto_arguments(command))


def test_every_setting_that_the_docs_name_exists() -> None:
    texts = "".join(DOCS.values())
    sections = {key.partition(".")[0] for key in ALL_KEYS}
    named = set(re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)", texts))
    assert "watch.settle_seconds" in named
    assert named <= set(ALL_KEYS)


@pytest.mark.parametrize("page", ["pictures", "drop-folder", "README"])
def test_the_manifests_have_columns_that_there_are(page: str, tmp_path: Path) -> None:
    tables = re.findall(r"(?:^    content,style.*\n)(?:^    .*\n)+", DOCS[page], re.MULTILINE)
    assert tables
    for block_of_rows in tables:
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


def test_the_table_of_cards_is_what_its_script_prints() -> None:
    spec = importlib.util.spec_from_file_location("make_capacity", ROOT / "docs/make_capacity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "\n".join(module.rows()) in OPERATIONS
    million = f"{module.flops_of_a_pixel() / 1e6:.2f} million floating-point operations for each pixel"
    assert million in OPERATIONS.replace("\n", " ")
    takes = f"as long as {module.evaluations_of_a_pair(PairSettings()):.0f} evaluations of full size"
    assert takes in OPERATIONS.replace("\n", " ")
    assert f"reach {module.SHARE:.0%}".replace("%", " %") in OPERATIONS.replace("\n", " ")


@pytest.mark.parametrize("page", DOCS)
def test_links_lead_somewhere(page: str) -> None:
    folder = ROOT if page == "README" else ROOT / "docs"
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", DOCS[page])]
    missing = [each for each in targets if not each.startswith("https://") and not (folder / each).exists()]
    assert missing == []


def test_every_page_is_linked_from_the_readme() -> None:
    assert {name for name in DOCS if f"](docs/{name}.md)" in DOCS["README"]} == set(DOCS) - {"README"}


def test_scripts_that_are_named_exist() -> None:
    text = "".join(DOCS.values())
    modules, files = set(re.findall(r"python -m (tests[\w.]+)", text)), set(re.findall(r"python (docs/\w+\.py)", text))
    assert (len(modules), len(files)) >= (2, 2)
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_the_tree_in_internals_lists_every_module() -> None:
    (tree,) = re.findall(r"^pipeline/\n((?:  .*\n)+)", DOCS["internals"], re.MULTILINE)
    listed, folders = set(), [ROOT / "pipeline"]
    for line in tree.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [folders[depth - 1] / name]
        listed.add(folders[depth])
    modules = {path for path in (ROOT / "pipeline").rglob("*.py") if path.name != "__init__.py"}
    packages = {path.parent for path in (ROOT / "pipeline").rglob("*/__init__.py")}
    top = {ROOT / "pipeline/__init__.py"}
    assert listed == modules | packages | top


def test_the_reading_orders_only_go_down() -> None:
    """Each file of a reading order is imported by the file above that it is indented under."""
    orders = re.findall(r"^```\n(cli/(?:run|watch)\.py.*?)```", DOCS["internals"], re.MULTILINE | re.DOTALL)
    assert len(orders) == 2
    for order in orders:
        callers: list[str] = []
        for line in order.splitlines():
            path, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
            callers[depth:] = [path]
            assert (ROOT / "pipeline" / path).is_file(), path
            if depth:
                source = (ROOT / "pipeline" / callers[depth - 1]).read_text(encoding="utf-8")
                module = f"pipeline.{path.removesuffix('.py').replace('/', '.')}"
                assert f"from {module} import" in source, f"{callers[depth - 1]} does not import {path}"
