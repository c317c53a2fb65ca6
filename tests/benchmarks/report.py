"""Time, memory and page size of `impasto report` on synthetic results.

python -m tests.benchmarks.report              2,000 pairs, 2 % of them failed, with all thumbnails
python -m tests.benchmarks.report --bare       without thumbnails of results, as in outboxes of older versions
python -m tests.benchmarks.report --keep DIR   make the outbox in DIR and keep it
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from tests.outbox.report.samples import (
    BEGIN,
    SETTINGS,
    add_failure,
    add_thumbnail,
    add_thumbnails,
    metadata,
    scale,
    write,
)

PHOTOGRAPHS, PAINTINGS = 400, 12
_SIDES = (512, 384)


def noisy(rng: np.random.Generator) -> np.ndarray:
    """Return a picture that compresses about as well as a pastiche: (H, W, 3) uint8."""
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(_SIDES)
    grain: np.ndarray = np.clip(np.asarray(coarse, dtype=np.int16) + rng.integers(-6, 7, (*_SIDES[::-1], 3)), 0, 255)
    return grain.astype(np.uint8)


def add_pair(root: Path, number: int, rng: random.Random, base: Path, *, bare: bool) -> None:
    """Add a result, or a failure, with as much metadata as a real one."""
    photograph, painting = number % PHOTOGRAPHS, number // PHOTOGRAPHS % PAINTINGS + number % 2
    content, style = f"holiday/2026/IMG_{photograph:05d}.jpg", f"paintings/painting number {painting}.jpg"
    name = f"IMG_{photograph:05d}__painting number {painting}-{number}.png"
    if number % 50 == 49:
        add_failure(root, name.removesuffix(".png"), pair={"content": content, "style": style})
        return
    data = with_unique_bytes(base.read_bytes(), number)
    own = {**SETTINGS, "objective": {**SETTINGS["objective"], "style_weight": rng.choice([10.0, 10.0, 10.0, 30.0])}}
    begin = BEGIN + timedelta(seconds=12 * number)
    best = rng.uniform(5e5, 5e6)
    record = metadata(
        name,
        data,
        content=content,
        style=style,
        sides_px=_SIDES,
        settings=own,
        objective=scale(*_SIDES, best * rng.uniform(3, 9), best, 25),
        coarser=[scale(128, 96, best * 90, best * 9, 60), scale(256, 192, best * 20, best * 3, 30)],
        started=begin.isoformat(),
        finished=(begin + timedelta(seconds=12)).isoformat(),
        warnings=["has no colour profile: its colours were taken as sRGB"] if number % 20 == 0 else [],
    )
    write(root / name, data)
    write(root / f"{name}.json", record.model_dump_json(indent=2).encode())
    add_thumbnails(root, record)
    if not bare:
        add_thumbnail(root, record.output.sha256)


def with_unique_bytes(data: bytes, number: int) -> bytes:
    """Return a PNG with unique bytes that decoders ignore: a text chunk before the end."""
    body = b"tEXtnumber\0" + str(number).encode()
    return data[:-12] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[-12:]


def timed_report(root: Path) -> float:
    """Return the seconds that a process takes to write the report."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipeline", "report", str(root)], check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Make an outbox, report three times, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder) / "out"
        base = Path(folder) / "base.png"
        Image.fromarray(noisy(np.random.default_rng(0))).save(base)
        rng = random.Random(0)  # noqa: S311 - no secret
        for number in range(options.pairs):
            add_pair(root, number, rng, base, bare=options.bare)
        print(f"first report    {timed_report(root):6.2f} s")
        print(f"nothing new     {timed_report(root):6.2f} s")
        add_pair(root, options.pairs, rng, base, bare=options.bare)
        print(f"one new pair    {timed_report(root):6.2f} s")
        print(f"page            {(root / 'index.html').stat().st_size / 1e6:6.2f} MB")
        print(f"cache           {(root / '.impasto' / 'report.json').stat().st_size / 1e6:6.2f} MB")
        print(f"memory at most  {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:6.0f} MB")


if __name__ == "__main__":
    main()
