"""The folder of files that the tests of manifests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.run.manifests import NAMES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files that only have to exist."""
    for name in NAMES:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"
