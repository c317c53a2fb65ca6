"""Tests of failure records: each pair has its own, and no other file is replaced or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import OccupiedError, StorageError
from pipeline.outbox.metadata import PairPaths
from pipeline.outbox.publish import Outbox
from tests.outbox.report.samples import failure, metadata, write

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.outbox.metadata import Failure

JPEG = PairPaths(content="sea/a.jpg", style="styles/sea.jpg")
PNG = PairPaths(content="sea/a.png", style="styles/sea.jpg")


def of(pair: PairPaths, reason: str = "It is cut.", key: str | None = None) -> Failure:
    return failure(pair=pair.model_dump(), reason=reason, key=key)


def files(root: Path) -> dict[str, bytes]:
    """Return the contents of the folder of failures, by path."""
    folder = root / "failed"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "out")
    outbox.root.mkdir()
    (outbox.root / ".impasto/tmp/run").mkdir(parents=True)
    (outbox.root / ".impasto/pending").mkdir(parents=True)
    return outbox


def publish(outbox: Outbox, pair: PairPaths) -> None:
    """Publish a result of a pair under the name a__sea."""
    outbox.publish_picture("a__sea.png", b"picture")
    record = metadata("a__sea.png", b"picture", content=pair.content, style=pair.style)
    outbox.publish_metadata("a__sea", "a__sea.png", record)


def test_the_failure_of_another_photograph_stays_when_one_of_its_name_succeeds(outbox: Outbox) -> None:
    outbox.publish_failure("a__sea", of(JPEG))
    publish(outbox, PNG)
    assert outbox.failures.find("a__sea", JPEG, None) == of(JPEG)
    publish(outbox, JPEG)
    assert not (outbox.root / "failed").exists()


def test_two_photographs_of_one_name_have_a_record_each(outbox: Outbox) -> None:
    for pair in (JPEG, PNG):
        for reason in ("It is cut.", "It is still cut."):
            outbox.publish_failure("a__sea", of(pair, reason))
    assert len(files(outbox.root)) == 2
    for pair in (JPEG, PNG):
        assert outbox.failures.find("a__sea", pair, None) == of(pair, "It is still cut.")
    outbox.failures.forget("a__sea", PNG, None)
    assert outbox.failures.find("a__sea", PNG, None) is None
    assert outbox.failures.find("a__sea", JPEG, None) is not None


def test_a_photograph_that_was_moved_is_known_by_its_key(outbox: Outbox) -> None:
    outbox.publish_failure("a__sea", of(JPEG, key="a" * 64))
    moved = PairPaths(content="other/a.jpg", style="styles/sea.jpg")
    assert outbox.failures.find("a__sea", moved, "b" * 64) is None
    outbox.failures.forget("a__sea", moved, "a" * 64)
    assert not (outbox.root / "failed").exists()


@pytest.mark.parametrize("data", [b"", b"{}", b'{"status": "failed"}', b"{", b"[1]"])
def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(outbox: Outbox, data: bytes) -> None:
    write(outbox.failures.path("a__sea"), data)
    outbox.publish_failure("a__sea", of(JPEG))
    assert files(outbox.root)["a__sea.json"] == data
    assert outbox.failures.find("a__sea", JPEG, None) == of(JPEG)
    publish(outbox, JPEG)
    assert files(outbox.root) == {"a__sea.json": data}
    assert not outbox.failures.remove(outbox.failures.path("a__sea"))


def test_a_link_is_not_written_through(outbox: Outbox, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere.json", of(JPEG).model_dump_json().encode())
    path = outbox.failures.path("a__sea")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.json")
    outbox.publish_failure("a__sea", of(JPEG, "It is cut again."))
    outbox.failures.forget("a__sea", JPEG, None)
    assert path.is_symlink()
    assert (tmp_path / "elsewhere.json").read_bytes() == of(JPEG).model_dump_json().encode()


def test_a_folder_that_cannot_be_had_does_not_hide_the_failure(outbox: Outbox) -> None:
    write(outbox.root / "failed/wedding", b"a file of somebody else")
    outbox.publish_failure("wedding/a__sea", of(JPEG))
    assert outbox.failures.find("wedding/a__sea", JPEG, None) == of(JPEG)
    outbox.publish_failure("a" * 250, of(PNG))
    assert outbox.failures.find("a" * 250, PNG, None) == of(PNG)
    assert files(outbox.root)["wedding"] == b"a file of somebody else"


def test_without_a_place_for_the_record_the_outbox_is_refused(outbox: Outbox) -> None:
    write(outbox.root / "failed", b"a file of somebody else")
    with pytest.raises((OccupiedError, StorageError), match="failed"):
        outbox.publish_failure("a__sea", of(JPEG))
