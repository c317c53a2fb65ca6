"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    for_types_only: bool


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / "pipeline").rglob("*.py"))}


class Finder(ast.NodeVisitor):
    """Collects imports of ours, those inside functions and TYPE_CHECKING blocks too."""

    def __init__(self, importer: str, *, is_package: bool) -> None:
        self._importer, self._package = importer, importer if is_package else importer.rpartition(".")[0]
        self._for_types_only = False
        self.found: set[Import] = set()

    def _add(self, *names: str) -> None:
        """The first name that is a module of ours, most exact first."""
        for name in names:
            if name in MODULES:
                self.found.add(Import(self._importer, name, self._for_types_only))
                return

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        above = self._package.split(".")[: len(self._package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            self._add(f"{module}.{alias.name}", module)

    def visit_If(self, node: ast.If) -> None:
        before = self._for_types_only
        self._for_types_only = before or "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body:
            self.visit(child)
        self._for_types_only = before
        for child in node.orelse:
            self.visit(child)


def imports_of(source: str, importer: str, *, is_package: bool = False) -> set[Import]:
    finder = Finder(importer, is_package=is_package)
    finder.visit(ast.parse(source))
    return finder.found


@cache
def all_imports() -> frozenset[Import]:
    return frozenset(
        each
        for name, path in MODULES.items()
        for each in imports_of(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py")
    )


def within(module: str, *parts: str) -> bool:
    return any(module == f"pipeline.{part}" or module.startswith(f"pipeline.{part}.") for part in parts)


def test_the_finder_sees_every_kind_of_import() -> None:
    source = """
import pipeline.run.runner
from pipeline import progress
if TYPE_CHECKING:
    from pipeline.errors import UsageError
def f():
    from pipeline.transfer import weights
    from ..images.read import decode
    from . import load
"""
    assert imports_of(source, "pipeline.stage.stage") == {
        Import("pipeline.stage.stage", "pipeline.run.runner", for_types_only=False),
        Import("pipeline.stage.stage", "pipeline.monitoring.progress", for_types_only=False),
        Import("pipeline.stage.stage", "pipeline.errors", for_types_only=True),
        Import("pipeline.stage.stage", "pipeline.transfer.weights", for_types_only=False),
        Import("pipeline.stage.stage", "pipeline.images.decode", for_types_only=False),
        Import("pipeline.stage.stage", "pipeline.stage.load.loader", for_types_only=False),
    }


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("transfer", ("errors", "transfer")),
        ("images", ("errors", "images")),
    ],
)
def test_a_package_imports_only_what_it_may(package: str, allowed: tuple[str, ...]) -> None:
    ours = [each for each in all_imports() if within(each.importer, package)]
    assert ours, "there is something to check"
    assert [each for each in ours if not within(each.imported, *allowed)] == []


def test_the_outbox_knows_nothing_of_rendering_or_manifests() -> None:
    ours = [each for each in all_imports() if within(each.importer, "outbox")]
    assert ours, "there is something to check"
    assert [each for each in ours if within(each.imported, "stage", "transfer", "run", "watch")] == []


def test_run_time_imports_have_no_cycle() -> None:
    graph = {
        name: {each.imported for each in all_imports() if each.importer == name and not each.for_types_only}
        for name in MODULES
    }
    while leaves := {name for name, imported in graph.items() if not imported & graph.keys()}:
        graph = {name: imported for name, imported in graph.items() if name not in leaves}
    assert graph == {}, "each of these imports another of these"


def test_the_command_starts_without_heavy_libraries() -> None:
    heavy = {"torch", "torchvision", "cv2", "numpy", "PIL"}
    code = f"import sys, pipeline.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
