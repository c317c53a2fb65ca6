"""Tests of results of earlier runs: which files are results, and of what."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.errors import StorageError
from pipeline.outbox.publish import Outbox
from pipeline.run.earlier_results import PROOF_GENERATOR, EarlierResults, Origin
from tests.run.manifests import make_result

if TYPE_CHECKING:
    from pathlib import Path


def test_a_result_tells_its_origin(tmp_path: Path) -> None:
    make_result(tmp_path / "x/a__s.png", "p/a.jpg", "s.jpg", "4" * 64)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed/b__s.json").write_text(
        json.dumps({"status": "failed", "pair": {"content": "p/b.jpg", "style": "s.jpg"}, "key": None})
    )
    earlier = EarlierResults(tmp_path)
    assert earlier.origin("x/a__s.png") == Origin("p/a.jpg", "s.jpg", "4" * 64)
    assert earlier.origin("b__s.png") is None
    assert earlier.origin_of_failure("b__s") == Origin("p/b.jpg", "s.jpg")
    assert EarlierResults().origin("x/a__s.png") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pair": 3}', "[" * 100_000, '{"title": "a.png"}', "\xff"])
def test_a_json_file_of_another_program_is_no_metadata(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.png.json").write_bytes(text.encode("latin-1"))
    assert not EarlierResults(tmp_path).is_result(tmp_path / "a.png")


@pytest.mark.parametrize("part", ["content", "style"])
@pytest.mark.parametrize("path", [None, 7, ["a"]])
def test_a_record_whose_names_are_no_texts_tells_no_origin(tmp_path: Path, part: str, path: object) -> None:
    make_result(tmp_path / "a.png", "a.jpg", "s.jpg")
    metadata = tmp_path / "a.png.json"
    values = json.loads(metadata.read_text())
    values["pair"][part]["path"] = path
    metadata.write_text(json.dumps(values))
    assert EarlierResults(tmp_path).origin("a.png") is None


def test_a_fifo_and_a_folder_are_no_metadata(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png.json")
    (tmp_path / "b.png.json").mkdir()
    for name in ("a.png", "b.png"):
        assert not EarlierResults(tmp_path).is_result(tmp_path / name)


def test_a_proof_sheet_is_a_result(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    for name, program in (("proof.png", PROOF_GENERATOR), ("a.png", "another program")):
        described = PngInfo()
        described.add_text("Software", program)
        picture.save(tmp_path / name, pnginfo=described)
    os.mkfifo(tmp_path / "fifo.png")
    names = ("proof.png", "a.png", "fifo.png", "none.png")
    assert [EarlierResults().is_result(tmp_path / name) for name in names] == [True, False, False, False]


def test_a_picture_that_vanishes_meanwhile_is_no_failed_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()

    def vanish(path: Path, *_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr("pathlib.Path.open", vanish)
    assert not EarlierResults().is_result(tmp_path / "a.png")


def test_a_picture_whose_publication_was_interrupted_is_a_result(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    with outbox.locked():
        outbox.publish_picture("a__s.png", b"half")
        (tmp_path / "b.png").touch()
    assert [EarlierResults(tmp_path).is_result(tmp_path / name) for name in ("a__s.png", "b.png")] == [True, False]
    assert not EarlierResults(tmp_path / "other").is_result(tmp_path / "a__s.png")


def test_a_disk_that_fails_is_not_taken_for_a_missing_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_result(tmp_path / "a__s.png", "a.jpg", "s.jpg")

    def fail(path: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    with pytest.raises(StorageError):
        EarlierResults(tmp_path).origin("a__s.png")
