"""Make the folders that `test_upgrade.py` starts from, with the version of impasto that is in the current folder.

    cd CHECKOUT_OF_THAT_VERSION; python make_state.py FOLDER ARCHIVE.tar.gz

The folder is written into the run records, so choose one that says nothing about the machine, such as /srv/impasto.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CONFIG = """\
[image]
size = 32

[network]
precision = "float32"

[pyramid]
evaluations = [2]

[optimiser]
history = 2

[run]
device = "cpu"
checkpoint_seconds = 0.05
grace_seconds = 0.0

[watch]
settle_seconds = 0.2
"""
LONG = 150
"""Evaluations of the pairs that are interrupted: about three seconds."""


def picture(path: Path, width: int, height: int, seed: int) -> None:
    """Write a smooth picture; the seed decides its colours."""
    few = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC).save(path)


def impasto(base: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a command of the version in the current folder."""
    environment = {**os.environ, "IMPASTO_CONFIG": str(base / "config.toml"), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "pipeline", *map(str, arguments), "--progress", "never"]
    return subprocess.Popen(command, env=environment)


def wait_for_checkpoint(process: subprocess.Popen[bytes], folder: Path, before: set[Path]) -> None:
    """Wait until the process has written a checkpoint that was not there before."""
    while not (folder.exists() and set(folder.iterdir()) > before):
        assert process.poll() is None, "it ended before it wrote a checkpoint"
        time.sleep(0.02)
    time.sleep(0.2)  # a few more evaluations, and the checkpoint is whole in any case


def make(base: Path) -> None:
    """Leave behind results, a failure, an interrupted run, finished and failed jobs, and a killed watcher's job."""
    for name in ("photos", "styles", "inbox/waves", "inbox/dots"):
        (base / name).mkdir(parents=True)
    picture(base / "photos/lake.png", 48, 32, 1)
    picture(base / "photos/tower.jpg", 40, 40, 2)
    picture(base / "photos/long.png", 48, 36, 3)
    picture(base / "styles/waves.png", 44, 40, 4)
    picture(base / "styles/dots.png", 36, 44, 5)
    broken = (base / "photos/lake.png").read_bytes()[:200] + bytes(50)
    (base / "photos/broken.png").write_bytes(broken)
    (base / "config.toml").write_text(CONFIG)
    rows = "photos/lake.png,styles/waves.png\nphotos/tower.jpg,styles/waves.png\nphotos/lake.png,styles/dots.png\n"
    (base / "manifest.csv").write_text(f"content,style\n{rows}photos/broken.png,styles/dots.png\n")
    row = f"photos/long.png,styles/dots.png,{LONG}\n"
    (base / "interrupted.csv").write_text(f"content,style,pyramid.evaluations\n{row}")
    inbox, outbox = base / "inbox", base / "outbox"
    checkpoints = outbox / ".impasto/checkpoints"

    assert impasto(base, "run", base / "manifest.csv", "--outbox", outbox).wait() == 3
    process = impasto(base, "run", base / "interrupted.csv", "--outbox", outbox)
    wait_for_checkpoint(process, checkpoints, set())
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130

    watched = ("--outbox", outbox, "--styles", base / "styles")
    shutil.copy(base / "photos/tower.jpg", inbox / "waves/dropped.jpg")
    (inbox / "waves/bad.png").write_bytes(broken)
    shutil.copy(base / "photos/lake.png", inbox / "lake2.png")
    order = {"content": "lake2.png", "style": "waves", "output": "ordered"}
    (inbox / "order.jsonl").write_text(json.dumps(order) + "\n")
    quick = ("--set", "watch.incomplete_seconds=1")
    assert impasto(base, "drain", inbox, *watched, *quick).wait() == 3

    picture(inbox / "dots/in-work.png", 44, 32, 8)
    before = set(checkpoints.iterdir())
    process = impasto(base, "watch", inbox, *watched, "--set", f"pyramid.evaluations=[{LONG}]")
    wait_for_checkpoint(process, checkpoints, before)
    process.kill()
    process.wait()
    picture(inbox / "waves/waiting.png", 40, 32, 9)


if __name__ == "__main__":
    folder, archive = map(Path, sys.argv[1:])
    make(folder)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, ".")
