"""Tests of the candidates: how they are named, rendered and found again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.errors import ImpastoError, UsageError
from tests.benchmarks.candidates import (
    Candidate,
    Inputs,
    Result,
    parse_candidate,
    read_pairs,
    read_picture,
    read_results,
    render,
    write_manifest,
)
from tests.outbox.report.samples import add_failure, add_result, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gatys2016", Candidate("gatys2016", "gatys2016")),
        ("gram=gatys2016", Candidate("gram", "gatys2016")),
        (
            "gram300=gatys2016:objective.style_weight=300,colour.mode=match",
            Candidate("gram300", "gatys2016", ("objective.style_weight=300", "colour.mode=match")),
        ),
        (
            "a.b-c=x:pyramid.evaluations=[40,25],colour.mode=none",
            Candidate("a.b-c", "x", ("pyramid.evaluations=[40,25]", "colour.mode=none")),
        ),
    ],
)
def test_a_candidate_is_a_preset_with_settings(text: str, expected: Candidate) -> None:
    assert parse_candidate(text) == expected


@pytest.mark.parametrize("text", ["", "=x", "a=", "a=x:", "../a=x", "a=:colour.mode=none", "a b"])
def test_a_malformed_candidate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=PRESET"):
        parse_candidate(text)


def test_a_candidate_is_rendered_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(subprocess, "run", run)
    candidate, status = Candidate("gram", "gatys2016", ("colour.mode=match",)), 0
    render(candidate, tmp_path / "m.csv", tmp_path / "gram", ["image.size=64"])
    command = [sys.executable, "-m", "pipeline", "run", str(tmp_path / "m.csv"), "--outbox", str(tmp_path / "gram")]
    assert commands == [[*command, "--preset", "gatys2016", "--set", "image.size=64", "--set", "colour.mode=match"]], (
        "later settings are the stronger ones"
    )
    status = 3
    with pytest.raises(ImpastoError, match="gram: impasto run ended with status 3"):
        render(candidate, tmp_path / "m.csv", tmp_path / "gram", [])


def test_two_folders_are_all_their_pairs(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    for seed, name in enumerate(("photos/a.png", "photos/b.png", "paintings/x.png")):
        make_image(name, seed=seed)
    manifest = write_manifest(tmp_path / "out/pairs.csv", tmp_path / "photos", tmp_path / "paintings")
    pairs = read_pairs(manifest)
    assert sorted(pairs.values(), key=lambda pair: pair.name) == [
        Inputs(f"{name}__x", tmp_path / f"photos/{name}.png", tmp_path / "paintings/x.png") for name in "ab"
    ]
    assert all(len(digest) == 64 for key in pairs for digest in key)


def test_results_are_found_by_the_hashes_of_their_inputs(tmp_path: Path) -> None:
    add_result(tmp_path, "cat__sea.png", content="cat.jpg", style="sea.jpg", sides_px=(30, 20))
    add_failure(tmp_path, "dog__sea")
    (tmp_path / "notes.json").write_text('["no metadata"]')
    (tmp_path / "other.json").write_text('{"status": "running"}')
    assert read_results(tmp_path) == {
        (sha256("cat.jpg"), sha256("sea.jpg")): Result(tmp_path / "cat__sea.png", (30, 20), "regions", 9.5)
    }


def test_an_outbox_with_two_results_of_a_pair_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a--match.png"):
        add_result(tmp_path, name)
    with pytest.raises(UsageError, match=r"a--match.png and a.png are results of one pair"):
        read_results(tmp_path)


def test_what_is_no_outbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_results(tmp_path / "missing")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_results(tmp_path)


def test_pictures_are_read_as_the_program_reads_them(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    picture = read_picture(make_image("a.png", width=31, height=22))
    assert picture.shape == (22, 31, 3)
    assert picture.dtype == np.float32
    assert picture.max() > 100
