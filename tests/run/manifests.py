"""Manifests for tests, the pairs that they mean, and results of earlier runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ManifestError
from pipeline.outbox.paths import check_name
from pipeline.run.earlier_results import EarlierResults
from pipeline.run.manifest import ManifestRules, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.pair import Pair

NAMES = ("a.jpg", "b.png", "sub/c.jpg", "häuschen, groß.jpg", "x[1].jpg", "style.jpg", "other/style2.webp", "notes.txt")


def read(folder: Path, text: str | bytes, name: str = "m.csv", **keywords: Any) -> list[Pair]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    roots, mask = keywords.pop("roots", ()), keywords.pop("mask", None)
    earlier = EarlierResults(keywords.pop("outbox", None))
    rules = ManifestRules((".jpg", ".png", ".webp"), check_name, roots, mask=mask, earlier=earlier)
    return read_manifest(path, keywords.pop("base_values", {}), keywords.pop("overrides", {}), rules)


def make_result(path: Path, content: str, style: str, sha256: str = "0" * 64) -> None:
    """Write what a run leaves of a result, as far as it shows what it was made of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    inputs = {"content": {"path": content, "sha256": sha256}, "style": {"path": style, "sha256": "1" * 64}}
    record = {
        "schema_version": 1,
        "status": "done",
        "key": "2" * 64,
        "pair": inputs,
        "output": {"path": path.name, "sha256": "3" * 64},
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(record))


def problems(folder: Path, text: str | bytes, name: str = "m.csv", **keywords: Any) -> list[str]:
    """Return the problems of a manifest that is refused."""
    with pytest.raises(ManifestError) as error:
        read(folder, text, name, **keywords)
    return error.value.problems


def names(pairs: list[Pair]) -> list[str]:
    return [pair.file_name for pair in pairs]
