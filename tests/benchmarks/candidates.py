"""Candidates: presets with settings, rendered by `impasto run`, or results that some version has made already."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.cli.setup import manifest_rules_of
from pipeline.disk import Disk
from pipeline.errors import ImpastoError, UsageError
from pipeline.images.decode import decode
from pipeline.images.files import read_file
from pipeline.images.resize import over_white
from pipeline.outbox.listing import list_outbox
from pipeline.run.manifest import read_manifest
from pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.images.picture import Pixels

_NEXT_SETTING = re.compile(r",(?=\w+\.\w+=)")
_NAME = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Candidate:
    """A way to render pairs."""

    name: str
    preset: str
    settings: tuple[str, ...] = ()
    """Settings as `section.key=value`, which differ from the preset's."""


@dataclass(frozen=True)
class Inputs:
    """A photograph and a painting."""

    name: str
    """The name that the manifest gives to their result."""
    photograph: Path
    painting: Path


@dataclass(frozen=True)
class Result:
    """A result in an outbox, as its metadata tells."""

    picture: Path
    size: tuple[int, int]
    """Width and height in px."""
    mode: str
    """Colour mode."""
    seconds: float
    """Seconds on the device."""


def parse_candidate(text: str) -> Candidate:
    """Return the candidate that `NAME=PRESET:SECTION.KEY=VALUE,…` describes; `PRESET` alone is its own name.

    Raises:
        UsageError: the text has another form.
    """
    name, equals, recipe = text.partition("=")
    preset, colon, settings = (recipe if equals else name).partition(":")
    if not _NAME.fullmatch(name) or not preset or bool(colon) != bool(settings):
        raise UsageError(f"--candidate {text}: expected NAME=PRESET or NAME=PRESET:SECTION.KEY=VALUE,….")
    return Candidate(name, preset, tuple(_NEXT_SETTING.split(settings)) if settings else ())


def write_manifest(path: Path, photographs: Path, paintings: Path) -> Path:
    """Write a manifest of every photograph of one folder with every painting of another, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["content", "style"], [photographs.resolve(), paintings.resolve()]])
    return path


def read_pairs(manifest: Path) -> dict[tuple[str, str], Inputs]:
    """Return the pairs of a manifest by the SHA-256 of photograph and painting, as a result's metadata names them.

    Raises:
        UsageError: the manifest is wrong.
        ImageError: a file cannot be read.
    """
    pairs = read_manifest(manifest, {}, {"style": {"blend": False}}, manifest_rules_of(Settings()))
    files = {path: read_file(path).sha256 for pair in pairs for path in (pair.content, *pair.styles)}
    return {
        (files[pair.content], files[pair.styles[0]]): Inputs(pair.name, pair.content, pair.styles[0]) for pair in pairs
    }


def render(candidate: Candidate, manifest: Path, outbox: Path, settings: Sequence[str]) -> None:
    """Render a manifest by `impasto run`, which leaves out what is in the outbox already.

    Args:
        candidate: its settings are stronger than `settings`.
        manifest: the pairs.
        outbox: folder for the results.
        settings: settings of all candidates, as `section.key=value`.

    Raises:
        ImpastoError: a pair failed, or nothing could be rendered.
    """
    command = [sys.executable, "-m", "pipeline", "run", str(manifest), "--outbox", str(outbox)]
    command += ["--preset", candidate.preset]
    for setting in (*settings, *candidate.settings):
        command += ["--set", setting]
    status = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    if status:
        raise ImpastoError(
            f"{candidate.name}: impasto run ended with status {status}.",
            "See its messages above, then run the same command again; finished pairs are not rendered again.",
        )


def read_results(outbox: Path) -> dict[tuple[str, str], Result]:
    """Return the results of an outbox by the SHA-256 of photograph and painting.

    Raises:
        UsageError: the folder cannot be read, or has several results of one pair.
    """
    found: dict[tuple[str, str], Result] = {}
    try:
        names = list_outbox(outbox, Disk()).metadata
        records = [json.loads((outbox / name).read_text(encoding="utf-8")) for name in sorted(names)]
    except (OSError, ValueError) as error:
        raise UsageError(f"{outbox}: cannot be read: {error}. Name an outbox of impasto run.") from error
    for record in records:
        if not isinstance(record, dict) or record.get("status") != "done":
            continue
        key = record["pair"]["content"]["sha256"], record["pair"]["style"]["sha256"]
        if key in found:
            raise UsageError(
                f"{outbox}: {found[key].picture.name} and {record['output']['path']} are results of one pair. "
                "Render each colour mode into an outbox of its own."
            )
        found[key] = _result(outbox, record)
    return found


def _result(outbox: Path, record: dict[str, Any]) -> Result:
    output = record["output"]
    return Result(
        outbox / output["path"],
        (output["width"], output["height"]),
        record["settings"]["colour"]["mode"],
        record["seconds"]["stylise"],
    )


def read_picture(path: Path) -> Pixels:
    """Return a picture as (H, W, 3) float32 sRGB, 0–255, on white if it has transparent places.

    Raises:
        ImageError: the file is no picture that impasto reads.
    """
    picture = decode(read_file(path), max_pixels=Settings().image.max_pixels)
    return picture.pixels if picture.alpha is None else over_white(picture.pixels, picture.alpha)
