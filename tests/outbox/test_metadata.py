"""Tests that the published schema fits the records that the code makes."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.metadata import Failure, Metadata, json_schema
from pipeline.settings.pair_settings import PairSettings

DIGEST = "0123456789abcdef" * 4


def metadata() -> dict[str, Any]:
    terms = {"total": 6.0, "content": 1.0, "style": 2.0, "tv": 3.0}
    file = {"path": "a.png", "sha256": DIGEST, "width": 40, "height": 32, "format": "png"}
    record = {
        "key": DIGEST,
        "pair": {"content": file, "style": file},
        "preset": "colour-preserving",
        "settings": settings_in_metadata(PairSettings()),
        "weights": {"name": "torchvision", "sha256": DIGEST[:8]},
        "engine_version": "1",
        "device": "cpu",
        "working_size": (40, 32),
        "evaluations": 2,
        "precision": "float32",
        "objective": {"size": (4, 4), "first": terms, "last": terms, "best": terms, "trace": [(1, 6.0), (2, 5.5)]},
        "coarser": [],
        "seconds": {"load": 0.1, "queue": 0.0, "stylise": 1.5, "save": 0.01},
        "peak_memory_bytes": None,
        "attempt": 1,
        "warnings": ["a.png has no colour profile"],
        "output": {"path": "a__b.png", "sha256": DIGEST, "width": 40, "height": 32},
        "started": "2024-01-01T00:00:00.000+00:00",
        "finished": "2024-01-01T00:00:09.000+00:00",
        "versions": {"torch": "2.6"},
    }
    return Metadata.model_validate(record).model_dump(mode="json")


def failure() -> dict[str, Any]:
    record = {
        "key": None,
        "pair": {"content": "a.png", "style": "b.png"},
        "preset": "colour-preserving",
        "settings": settings_in_metadata(PairSettings()),
        "error_class": "input",
        "reason": "a.png is no image.",
        "remedy": "Replace it.",
        "attempt": 1,
        "failed": "2024-01-01T00:00:00.000+00:00",
        "versions": {"torch": "2.6"},
    }
    return Failure.model_validate(record).model_dump(mode="json")


RECORDS = {"done": metadata, "failed": failure}


def is_valid(record: object) -> bool:
    return jsonschema.Draft202012Validator(json_schema()).is_valid(record)


def test_the_schema_is_valid_draft_2020_12() -> None:
    assert json_schema()["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("status", RECORDS)
def test_a_record_is_valid(status: str) -> None:
    record = RECORDS[status]()
    assert record["status"] == status
    jsonschema.validate(record, json_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("status", RECORDS)
def test_a_record_with_a_field_too_many_is_not_valid(status: str) -> None:
    assert not is_valid({**RECORDS[status](), "extra": 1})


@pytest.mark.parametrize(("status", "field"), [(status, field) for status, make in RECORDS.items() for field in make()])
def test_a_record_that_lacks_a_field_is_not_valid(status: str, field: str) -> None:
    record = RECORDS[status]()
    del record[field]
    assert not is_valid(record)


@pytest.mark.parametrize("part", ["pair", "objective", "seconds", "weights", "output"])
def test_parts_of_a_record_are_strict_too(part: str) -> None:
    record = metadata()
    assert not is_valid({**record, part: {**record[part], "extra": 1}})
    for field in record[part]:
        assert not is_valid({**record, part: {k: v for k, v in record[part].items() if k != field}}), field


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("done", {"key": "no digest"}),
        ("done", {"key": None}),
        ("done", {"status": "failed"}),
        ("done", {"schema_version": 2}),
        ("done", {"attempt": 0}),
        ("done", {"working_size": [40]}),
        ("failed", {"error_class": "other"}),
        ("failed", {"key": DIGEST.upper()}),
    ],
)
def test_a_wrong_value_is_not_valid(status: str, changes: dict[str, Any]) -> None:
    assert not is_valid(RECORDS[status]() | changes)


def test_messages_that_quote_a_file_command_no_terminal() -> None:
    text, clean = "a\x1b[2J\x9b\u202e\nb", "a\ufffd[2J\ufffd\ufffd\nb"
    failed = Failure.model_validate({**failure(), "reason": text, "remedy": text})
    done = Metadata.model_validate({**metadata(), "warnings": [text]})
    assert (failed.reason, failed.remedy, done.warnings) == (clean, clean, [clean])
