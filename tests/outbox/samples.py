"""A pair, its fingerprint and its records, for the tests of the outbox."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pipeline.outbox.ledger import Fingerprint, settings_in_key, settings_in_metadata
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.pair import Pair
from pipeline.settings import PairSettings

PICTURE = b"picture"
PAIR = Pair(Path("/in/a.jpg"), Path("/in/s.jpg"), "a.jpg", "s.jpg", "a__s", PairSettings())


def fingerprint(of: PairSettings = PAIR.settings, **parts: Any) -> Fingerprint:
    values = {
        "content_sha256": "1" * 64,
        "style_sha256": "2" * 64,
        "settings": settings_in_key(of),
        "weights_sha256": "3" * 64,
        "engine_version": "1",
    }
    return Fingerprint(**(values | parts))


def metadata(**changes: Any) -> Metadata:
    terms = {"total": 6.0, "content": 1.0, "style": 2.0, "tv": 3.0}
    image = {"width": 30, "height": 20, "format": "jpeg"}
    values = {
        "key": fingerprint().key,
        "pair": {
            "content": {"path": "a.jpg", "sha256": "1" * 64, **image},
            "style": {"path": "s.jpg", "sha256": "2" * 64, **image},
        },
        "preset": "colour-preserving",
        "settings": settings_in_metadata(PAIR.settings),
        "weights": {"name": "packaged", "sha256": "3" * 64},
        "engine_version": "1",
        "device": "cpu",
        "working_size": [30, 20],
        "evaluations": 2,
        "objective": {"first": terms, "last": terms, "best": terms, "trace": [[1, 9.0], [2, 6.0]]},
        "seconds": {"load": 0.1, "queue": 0.0, "stylise": 1.0, "save": 0.1},
        "peak_memory_bytes": None,
        "attempt": 1,
        "warnings": [],
        "output": {"path": "a__s.png", "sha256": hashlib.sha256(PICTURE).hexdigest(), "width": 30, "height": 20},
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "versions": {"impasto": "0"},
    }
    return Metadata.model_validate(values | changes)


def failure(**changes: Any) -> Failure:
    values = {
        "key": fingerprint().key,
        "pair": {"content": "a.jpg", "style": "s.jpg"},
        "preset": "colour-preserving",
        "settings": settings_in_metadata(PAIR.settings),
        "error_class": "input",
        "reason": "a.jpg: truncated",
        "remedy": "Copy it again.",
        "attempt": 3,
        "failed": "2026-01-01T00:00:00+00:00",
        "versions": {"impasto": "0"},
    }
    return Failure.model_validate(values | changes)
