"""Tests of the rules of architecture that the import contracts in pyproject.toml cannot express."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_command_starts_without_heavy_libraries() -> None:
    heavy = {"torch", "torchvision", "cv2", "numpy", "PIL"}
    code = f"import sys, pipeline.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_top_of_the_package_stays_small() -> None:
    entries = [path for path in (ROOT / "pipeline").iterdir() if path.name != "__pycache__"]
    folders = [path.name for path in entries if path.is_dir()]
    files = [path.name for path in entries if path.is_file()]
    assert len(folders) <= 10, folders
    assert len(files) <= 9, files


def test_each_package_says_what_it_is_for() -> None:
    packages = sorted((ROOT / "pipeline").rglob("__init__.py"))
    assert packages
    assert [str(path) for path in packages if not path.read_text(encoding="utf-8").startswith('"""')] == []
