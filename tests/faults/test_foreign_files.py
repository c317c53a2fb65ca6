"""Whatever other people keep in an outbox, no command of impasto touches it.

Each world has other people's files in random places of an outbox: pictures, JSON files beside pictures, folders and
links with the names of results, and files among impasto's own. Commands in a random order then run over it. After each
of them every foreign file has the same bytes, time, mode and inode.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.outbox.ownership import LARGEST_RECORD_BYTES
from tests.faults.world import FakeStage, World, photo
from tests.outbox.report.samples import failure, metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.stage.listener import Listener

WORLDS, ALL_WORLDS = 15, 400
PHOTOGRAPHS = ("a.jpg", "b.png", "wedding/c.jpg", "poison.jpg")
"""Photographs that are dropped, and that a manifest names; the last one always fails."""
RESULTS = ("a__sea.png", "b__sea.png", "wedding/c__sea.png", "c__sea.png", "poison__sea.png", "deep/d__sea.png")
"""Names of results of these photographs, and another one."""
TAKEOUT = json.dumps({"title": "a__sea.png", "photoTakenTime": {"timestamp": "1"}}).encode()
SIDECARS: dict[str, bytes] = {
    "of Takeout": TAKEOUT,
    "cut": TAKEOUT[:-5],
    "empty": b"",
    "a list": b"[1, 2]",
    "nested": b"[" * 50_000,
    "no text": b"\xff\xfe\x00",
    "of another result": metadata("another.png", b"x").model_dump_json().encode(),
    "almost ours": b'{"schema_version": 1, "status": "done", "output": {"path": "a__sea.png"}}',
    "ours, but cut": metadata("a__sea.png", b"x").model_dump_json().encode()[:-40],
    "almost a failure": failure().model_dump_json().encode()[:-9],
}
"""JSON files that are no metadata of the picture beside them."""
AMONG_OUR_OWN = (
    ".impasto/notes.txt", ".impasto/checkpoints/notes.txt", ".impasto/preview/mine.jpg", ".impasto/thumbnails/mine.jpg",
    ".impasto/pending/notes.txt", ".impasto/runs/mine.json", ".impasto/runs/notes.txt", "failed/notes.txt",
    "failed/deep/mine.json", "index.html", "IMG_1.jpg", "IMG_1.jpg.json", "wedding/album.json",
)  # fmt: skip


class ClosableStage(FakeStage):
    """A stage as a run makes it."""

    def close(self) -> None:
        pass


class ForeignFiles:
    """Other people's files in an outbox."""

    def __init__(self, rng: random.Random, root: Path, elsewhere: Path) -> None:
        self._rng, self._root, self._elsewhere = rng, root, elsewhere
        self.paths: set[Path] = set()
        elsewhere.mkdir()
        self.paths.add(elsewhere / "precious.png")
        (elsewhere / "precious.png").write_bytes(b"precious")

    def scatter(self) -> None:
        """Put files into random places."""
        for name in RESULTS:
            for path in (self._root / name, self._root / f"{name}.json"):
                if self._rng.random() < 0.4:
                    self._make(path)
            if self._rng.random() < 0.3:
                self._make(self._root / "failed" / f"{name.removesuffix('.png')}.json")
        for name in AMONG_OUR_OWN:
            if self._rng.random() < 0.3:
                self._make(self._root / name, kinds=(self._file, self._sidecar))
                os.utime(self._root / name, (1e9, 1e9))  # so old that a checkpoint would be removed

    def _make(self, path: Path, kinds: tuple[Callable[[Path], None], ...] = ()) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:  # a file or a link is in the place of the folder
            return
        if os.path.lexists(path):
            return
        kind = self._rng.choice(kinds or (self._file, self._sidecar, self._sidecar, self._folder, self._link))
        kind(path)
        self.paths.add(path)
        if self._rng.random() < 0.3 and not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)

    def _file(self, path: Path) -> None:
        path.write_bytes(self._rng.randbytes(self._rng.choice((0, 7, 5000))))

    def _sidecar(self, path: Path) -> None:
        if self._rng.random() < 0.05:
            with path.open("wb") as file:
                file.truncate(LARGEST_RECORD_BYTES + 1)
        else:
            path.write_bytes(self._rng.choice(list(SIDECARS.values())))

    def _folder(self, path: Path) -> None:
        path.mkdir()
        (path / "inside.jpg").write_bytes(b"precious, too")
        self.paths.add(path / "inside.jpg")

    def _link(self, path: Path) -> None:
        path.symlink_to(self._rng.choice((self._elsewhere / "precious.png", self._elsewhere, "nowhere", path.name)))

    def facts(self) -> dict[str, Any]:
        """Return what must not change, by path."""
        return {str(path): _facts(path) for path in sorted(self.paths)}


def _facts(path: Path) -> tuple[Any, ...] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    if path.is_symlink():
        return "link", path.readlink(), status.st_mtime_ns, status.st_ino
    if path.is_dir():
        return "folder", status.st_mode, status.st_ino  # results may come into it
    content = hashlib.sha256(path.read_bytes()).hexdigest() if status.st_size < LARGEST_RECORD_BYTES else status.st_size
    return "file", content, status.st_mode, status.st_mtime_ns, status.st_ino


class Commands:
    """The commands of impasto, over one outbox."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self._rng, self._world = rng, world
        self._photos = world.root / "photos"
        for name in PHOTOGRAPHS:
            (self._photos / name).parent.mkdir(parents=True, exist_ok=True)
            (self._photos / name).write_bytes(photo(name))
        rows = [f"photos/{name},styles/sea.png,{name.rpartition('.')[0]}__sea" for name in PHOTOGRAPHS]
        self._manifest = world.root / "m.csv"
        self._manifest.write_text("\n".join(["content,style,output", *rows, ""]))

    def run(self) -> None:
        options = self._rng.choice(([], ["--redo", "all"], ["--redo", "failed"], ["-n"]))
        self._call("run", self._manifest, "--outbox", self._world.outbox, *options, codes={0, 3, 4})

    def run_the_folder_itself(self) -> None:
        manifest = self._world.root / "own.csv"
        manifest.write_text(f"content,style\n{self._world.outbox.name},styles/sea.png\n")
        self._call("run", manifest, "--outbox", self._world.outbox, codes={0, 2, 3, 4})

    def pair(self) -> None:
        target = self._world.outbox / self._rng.choice(RESULTS)
        self._call("pair", self._photos / "a.jpg", self._world.styles / "sea.png", "-o", target, codes={0, 3, 4})

    def watch(self) -> None:
        for name in self._rng.sample(PHOTOGRAPHS, 2):
            self._world.drop(f"sea/{name}", photo(f"{name} {self._rng.random()}"))
        worker = self._world.worker().start()
        worker.work(15)
        worker.end()

    def report(self) -> None:
        self._call("report", self._world.outbox, codes={0, 2, 4})

    def status(self) -> None:
        self._call("status", self._world.outbox, codes={0, 2})

    def retry(self) -> None:
        self._call("retry", self._world.outbox, codes={0, 2, 3})

    def _call(self, *arguments: str | Path, codes: set[int]) -> None:
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code in codes, f"{arguments}\n{result.output}\n{result.exception!r}"


@pytest.fixture(autouse=True)
def _without_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_stage(_settings: object, _weights: object, outbox: Outbox, listener: Listener) -> ClosableStage:
        return ClosableStage(listener, outbox)

    monkeypatch.setattr("pipeline.run.runner.make_stage", make_stage)


@pytest.mark.timeout(1800)
def test_no_command_touches_a_foreign_file(tmp_path: Path, *, exhaustive: bool) -> None:
    published = 0
    for seed in range(ALL_WORLDS if exhaustive else WORLDS):
        rng = random.Random(seed)  # noqa: S311 - no secret
        world = World(tmp_path / str(seed), {"watch": {"incomplete_seconds": 1.0}, "run": {"max_attempts": 1}})
        world.outbox.mkdir()
        foreign = ForeignFiles(rng, world.outbox, world.root / "elsewhere")
        foreign.scatter()
        commands = Commands(rng, world)
        every = (
            commands.run, commands.run_the_folder_itself, commands.pair, commands.watch, commands.report,
            commands.status, commands.retry,
        )  # fmt: skip
        before = foreign.facts()
        for command in rng.choices(every, k=6):
            command()
            assert foreign.facts() == before, (seed, command)
        made = {path for path in world.outbox.rglob("*.png") if path.is_file() and not path.is_symlink()}
        published += len(made - foreign.paths)
        if not exhaustive:
            world.remove()
    assert published > WORLDS, "results are made beside the foreign files"
