"""Outboxes for the tests of the report, made without rendering."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.outbox.metadata import Failure, Metadata
from pipeline.settings.pair_settings import PairSettings

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
SETTINGS = PairSettings().model_dump(mode="json", exclude={"preset"})
VERSIONS = {"impasto": "0.1.0"}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def picture(seed: int, width: int = 24, height: int = 18) -> bytes:
    """Return a PNG, different for each seed."""
    colour = [(seed * step) % 256 for step in (37, 91, 151)]
    pixels = np.full((height, width, 3), colour, dtype=np.uint8)
    pixels[0, 0] = [seed % 256, seed // 256 % 256, seed // 65536]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def terms(total: float) -> dict[str, float]:
    """Return the terms of an objective by their total."""
    return {"total": total, "content": total / 2, "style": total / 2, "tv": 0.0}


def scale(width: int, height: int, first: float, best: float, evaluations: int) -> dict[str, Any]:
    """Return the record of a scale of the pyramid."""
    trace = [(step + 1, best + (first - best) / (1 + step) ** 1.5) for step in range(evaluations)]
    sides = {"first": terms(first), "last": terms(best), "best": terms(best)}
    return {"size": (width, height), "trace": trace, **sides}


def metadata(name: str, data: bytes, **changes: Any) -> Metadata:
    """Return the metadata of a result.

    `changes` replace fields; further keys are the paths `content` and `style`, the objective `best`, and `sides_px`.
    """
    content, style = changes.pop("content", "photos/cat.jpg"), changes.pop("style", "paintings/sea.jpg")
    best = changes.pop("best", 1e6)
    width, height = changes.pop("sides_px", (24, 18))
    size = {"width": width, "height": height}
    record: dict[str, Any] = {
        "key": sha256(f"key of {name}"),
        "pair": {
            side: {"path": path, "sha256": sha256(path), "format": "jpeg", **size}
            for side, path in (("content", content), ("style", style))
        },
        "preset": "colour-preserving",
        "settings": SETTINGS,
        "weights": {"name": "packaged", "sha256": "f" * 64},
        "engine_version": "4",
        "device": "cpu",
        "precision": "float32",
        "working_size": (width, height),
        "evaluations": 115,
        "objective": scale(24, 18, 4 * best, best, 25),
        "coarser": [scale(6, 5, 2e8, 2e7, 60), scale(12, 9, 4e7, 8e6, 30)],
        "seconds": {"load": 0.1, "queue": 0.1, "stylise": 9.5, "save": 0.1},
        "peak_memory_bytes": 10**9,
        "attempt": 1,
        "warnings": [],
        "output": {"path": name, "sha256": hashlib.sha256(data).hexdigest(), **size},
        "started": BEGIN.isoformat(),
        "finished": (BEGIN + timedelta(seconds=10)).isoformat(),
        "versions": VERSIONS,
    }
    return Metadata.model_validate({**record, **changes})


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def add_result(root: Path, name: str, seed: int = 1, **changes: Any) -> Metadata:
    """Add a picture and its metadata, as the outbox publishes them."""
    (root / ".impasto").mkdir(parents=True, exist_ok=True)
    data = picture(seed)
    record = metadata(name.encode(errors="replace").decode(), data, **changes)
    write(root / name, data)
    write(root / f"{name}.json", record.model_dump_json(indent=2).encode())
    return record


def failure(**changes: Any) -> Failure:
    """Return the record of a failure; `changes` replace fields."""
    record: dict[str, Any] = {
        "key": None,
        "pair": {"content": "photos/dog.jpg", "style": "paintings/sea.jpg"},
        "preset": "colour-preserving",
        "settings": SETTINGS,
        "error_class": "input",
        "reason": "dog.jpg: truncated or damaged.",
        "remedy": "Copy it again from its source.",
        "attempt": 1,
        "failed": (BEGIN + timedelta(minutes=5)).isoformat(),
        "versions": VERSIONS,
    }
    return Failure.model_validate({**record, **changes})


def add_failure(root: Path, name: str, **changes: Any) -> Failure:
    """Add the record of a failure."""
    (root / ".impasto").mkdir(parents=True, exist_ok=True)
    record = failure(**changes)
    write(root / "failed" / f"{name}.json", record.model_dump_json(indent=2).encode())
    return record


def add_thumbnails(root: Path, record: Metadata) -> None:
    """Add thumbnails of a photograph and its paintings; the report makes those of results."""
    for each in (record.pair.content, *(record.pair.blend or [record.pair.style])):
        add_thumbnail(root, each.sha256)


def add_thumbnail(root: Path, name_sha256: str) -> None:
    file = io.BytesIO()
    colour = bytes.fromhex(name_sha256[:6])
    Image.new("RGB", (24, 18), (colour[0], colour[1], colour[2])).save(file, "jpeg")
    write(root / ".impasto" / "thumbnails" / f"{name_sha256[:32]}.jpg", file.getvalue())


def page_data(page: Path) -> dict[str, Any]:
    """Return the data of the page's script."""
    text = page.read_text(encoding="utf-8").partition('<script type="application/json" id="data">')[2]
    data: dict[str, Any] = json.loads(text.partition("</script>")[0])
    return data
