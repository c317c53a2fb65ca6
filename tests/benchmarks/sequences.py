"""Films: how much frames flicker along their true motion, what they cost, and what they lose.

    python -m tests.benchmarks.sequences [--size 512x288] [--frames 8] [--clips pan,object,cut,closer,turn]
        [--style harvest] [--set SECTION.KEY=VALUE] [--outbox FOLDER]

Each clip is rendered by `impasto run` twice: as a sequence, and frame by frame (sequence.flow = none). A strip of
frames of each is written into the folder: photographs, frame by frame, sequence. The columns:

    flicker     RMS difference in levels between each frame and the one before, moved along the true motion, where it is
                visible; of the photographs, of single frames, of the sequence, and the ratio of the last two
    objective   of the frames that follow others, without the temporal term, ÷ that of single frames
    cost        evaluations at full size of those frames ÷ those of single frames
    uncovered   RMS difference of luma to the photograph in the large (a Gaussian of 3 px) where the frame before did
                not show the place ÷ that elsewhere: ghosts raise it
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.benchmarks.clips import PHOTOGRAPHS, flicker, read, sample_clips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.clips import Array, Clip

STYLES = PHOTOGRAPHS.parent / "styles"


def write(clip: Clip, folder: Path) -> None:
    """Write the frames of a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(clip.frames):
        Image.fromarray(frame).save(folder / f"{number:04d}.png")


def render(clips: Sequence[Clip], base: Path, kind: str, style: str, settings: Sequence[str]) -> None:
    """Render all clips into `base/kind`."""
    rows = ["content,style,sequence,output"]
    rows += [f"frames/{clip.name},{STYLES / style}.jpg,true,{clip.name}" for clip in clips]
    manifest = base / f"{kind}.csv"
    manifest.write_text("\n".join(rows))
    sets = [part for each in settings for part in ("--set", each)]
    command = [sys.executable, "-m", "pipeline", "run", manifest, "--outbox", base / kind, "--progress", "never", *sets]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def results(clip: Clip, folder: Path) -> tuple[list[Array], list[dict[str, Any]]]:
    """Return the pictures of a clip and their metadata."""
    paths = sorted((folder / clip.name).glob("*.png"))
    return [read(path) for path in paths], [
        json.loads(path.with_name(f"{path.name}.json").read_text()) for path in paths
    ]


def cost_of(metadata: dict[str, Any]) -> float:
    """Return the evaluations of a frame, as evaluations at its full size."""
    width, height = metadata["working_size"]
    scales = [*metadata["coarser"], metadata["objective"]]
    made = sum(len(scale["trace"]) * scale["size"][0] * scale["size"][1] for scale in scales) / (width * height)
    return made + (1 if metadata["frame"]["follows"] else 0)  # for the weight of the temporal term


def objective_of(metadata: dict[str, Any]) -> float:
    """Return the objective without the temporal term."""
    best = metadata["objective"]["best"]
    return float(best["total"] - best["temporal"])


def uncovered(pictures: Sequence[Array], clip: Clip) -> float:
    """Return the error where the frame before did not show a place, as a multiple of that elsewhere; NaN: nowhere."""
    found = []
    for picture, frame, visible in zip(pictures, clip.frames, clip.visible, strict=True):
        if visible is None or (~visible).sum() < 0.005 * visible.size:
            continue
        luma = (picture.astype(np.float32) - frame) @ np.array([0.299, 0.587, 0.114], np.float32)
        error = cv2.GaussianBlur(luma, (0, 0), 3.0) ** 2
        found.append(np.sqrt(error[~visible].mean() / error[visible].mean()))
    return float(np.mean(found)) if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x288")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--clips", default="pan,object,cut,closer,turn")
    parser.add_argument("--style", default="harvest")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--outbox", type=Path, default=None)
    options = parser.parse_args()
    base = options.outbox or Path(tempfile.mkdtemp())
    width, height = map(int, options.size.split("x"))
    clips = [clip for clip in sample_clips(width, height, options.frames) if clip.name in options.clips.split(",")]
    for clip in clips:
        write(clip, base / "frames" / clip.name)
    settings = [f"image.size={max(width, height)}", *options.settings]
    render(clips, base, "single", options.style, [*settings, "sequence.flow=none"])
    render(clips, base, "sequence", options.style, settings)
    table = Table("clip", "photographs", "single", "sequence", "ratio", "objective", "cost", "uncovered", "single's")
    for clip in clips:
        (single, about_single), (sequence, about) = (results(clip, base / kind) for kind in ("single", "sequence"))
        following = [index for index, each in enumerate(about) if each["frame"]["follows"]]
        rates = [float(np.mean(flicker(each, clip))) for each in (clip.frames, single, sequence)]
        ratios = [
            np.mean([value(about[index]) / value(about_single[index]) for index in following])
            for value in (objective_of, cost_of)
        ]
        table.add_row(
            clip.name,
            *(f"{rate:.1f}" for rate in rates),
            f"{rates[2] / rates[1]:.3f}",
            *(f"{ratio:.3f}" for ratio in ratios),
            *(f"{uncovered(each, clip):.2f}" for each in (sequence, single)),
        )
        shown = [0, 1, len(clip.frames) // 2, len(clip.frames) - 1]
        strip = np.vstack([np.hstack([each[index] for index in shown]) for each in (clip.frames, single, sequence)])
        Image.fromarray(strip).save(base / f"{clip.name}.png")
    console = Console(width=110)
    console.print(table)
    console.print(f"{width}×{height} px, {options.frames} frames, {options.style}; strips in {base}")


if __name__ == "__main__":
    main()
