"""How good the pictures are: style and structure distances on a network that nobody optimises, with gates and controls.

    python -m tests.benchmarks.pictures [--pairs MANIFEST | --pairs PHOTOGRAPHS PAINTINGS] [--size 384]
        [--presets painting,colour-preserving] [--candidate NAME=PRESET:SECTION.KEY=VALUE,…] [--set SECTION.KEY=VALUE]
        [--measured NAME=OUTBOX] [--curve NAME,NAME,…] [--outbox FOLDER]

Candidates are rendered into FOLDER/NAME; what is finished is not rendered again. All candidates are compared on the
pairs that all of them have. FOLDER also gets measures.jsonl, with one object per result and control, and sheets/.

The columns, with the gates in brackets; `measures` defines them:
    S       style distance: 1 is the photograph, 0 the painting
    C       structure distance: 0 is the photograph
    R1, R2  rest of the photograph in luma of 1–2 px (at most .7) and of 2–4 px (at most .8)
    T       the photograph's subject (at least .4)
    G       ghost of the painting's layout (at most .1 above the photograph's own)
    P       pieces of the painting (at most .15 above the photograph's own)
    B0      spread of luma of 1–2 px in octaves to the painting's (at least −1, and at most .4 above that of 2–16 px)
    K       chroma ÷ luma in strokes, in octaves to the painting's
    E       energy of chroma in strokes ÷ the painting's
    U       difference to the photograph's chroma in the large, in levels (at most 2 for modes that promise it)
    s       seconds on the device, as the metadata tells

The exit status is 1 if a control, which is no pastiche, passes all gates in some pair with a better S·(1 + C) than
every candidate: a measure that a control wins is no measure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline  # noqa: F401 - imported before torch, for large pages

# isort: split
import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.errors import ImpastoError, MachineError, UsageError
from pipeline.images.resize import resize
from tests.benchmarks import held_out
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
from tests.benchmarks.comparison import Verdict, check_control, outcome
from tests.benchmarks.controls import controls
from tests.benchmarks.judge import Judge
from tests.benchmarks.sheets import Cell, blind_order, write_key, write_sheets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.images.picture import Pixels

PRESETS = "painting,colour-preserving"
DATA = Path(__file__).parents[2] / "data"
_COLUMNS = ("S", "C", "S·(1+C)", "R1", "R2", "T", "G", "P", "B0", "K", "E", "U")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A pair with the results of all candidates by name."""

    inputs: Inputs
    results: dict[str, Result]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px of all results.

        Raises:
            UsageError: they differ, and so do the sizes of their strokes, so no measure could compare them.
        """
        sizes = {name: result.size for name, result in self.results.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"{self.inputs.name}: the results have several sizes, {sizes}. Render them in one size.")
        return next(iter(sizes.values()))


def gather(manifest: Path, outboxes: dict[str, Path]) -> list[Entry]:
    """Return the pairs of a manifest of which every outbox has a result.

    Raises:
        UsageError: there is none.
    """
    pairs, results = read_pairs(manifest), {name: read_results(outbox) for name, outbox in outboxes.items()}
    entries = [
        Entry(inputs, {name: found[key] for name, found in results.items()})
        for key, inputs in pairs.items()
        if all(key in found for found in results.values())
    ]
    counts = {name: len(pairs.keys() & found.keys()) for name, found in results.items()}
    if not entries:
        raise UsageError(f"No pair of {manifest.name} has a result of every candidate: {counts}. See --pairs.")
    if any(count > len(entries) for count in counts.values()) or len(entries) < len(pairs):
        print(f"{len(entries)} of {len(pairs)} pairs have a result of every candidate: {counts}", file=sys.stderr)
    return entries


@dataclasses.dataclass(frozen=True)
class Judged:
    """The verdicts on a pair's results and on its controls."""

    results: list[Verdict]
    controls: list[Verdict]
    floor: float
    """S between the two halves of the painting."""


def judge_pair(entry: Entry) -> Judged:
    """Measure all results of a pair, and its controls."""
    pair = entry.inputs.name
    judge = Judge(resize(read_picture(entry.inputs.photograph), *entry.size), read_picture(entry.inputs.painting))
    real = []
    for name, result in entry.results.items():
        measured = judge.measure(read_picture(result.picture))
        real.append(Verdict(name, pair, measured, measured.failed(result.mode), result.seconds))
    found = {name: judge.measure(each) for name, each in controls(judge.photograph, judge.laid_painting).items()}
    return Judged(real, [Verdict(name, pair, each, each.failed()) for name, each in found.items()], judge.floor())


def figures(verdict: Verdict) -> tuple[float, ...]:
    """Return the figures of the table's columns."""
    m = verdict.measured
    finest = m.octaves[0]
    return (
        m.style, m.structure, m.product, *m.residue[:2], m.subject, m.ghost, m.patches, finest,
        m.chroma_octaves, m.stroke_chroma, m.tint,
    )  # fmt: skip


def as_json(verdict: Verdict, *, is_control: bool) -> str:
    """Return a line of measures.jsonl."""
    record = {"pair": verdict.pair, "candidate": verdict.name, "control": is_control, "seconds": verdict.seconds}
    measured = dataclasses.asdict(verdict.measured) | {"product": verdict.measured.product}
    return json.dumps(record | measured | {"failed": verdict.failed})


def summary(title: str, verdicts: Sequence[Verdict]) -> Table:
    """Return a table of the means of each candidate or control."""
    table = Table("", *_COLUMNS, "s", "passed", "gates failed", title=title)
    for name in dict.fromkeys(verdict.name for verdict in verdicts):
        own = [verdict for verdict in verdicts if verdict.name == name]
        means = np.mean([figures(verdict) for verdict in own], axis=0)
        seconds = [verdict.seconds for verdict in own if verdict.seconds is not None]
        failed = Counter(gate for verdict in own for gate in verdict.failed)
        table.add_row(
            name,
            *(f"{mean:.3f}" if index < 3 else f"{mean:.2f}" for index, mean in enumerate(means)),
            f"{np.mean(seconds):.0f}" if seconds else "",
            f"{sum(not verdict.failed for verdict in own)}/{len(own)}",
            ", ".join(f"{gate} {count}" for gate, count in failed.most_common()),
        )
    return table


def by_pair(verdicts: Sequence[Verdict]) -> Table:
    """Return a table of every result."""
    table = Table("pair", "", *_COLUMNS, "gates failed", title="pair by pair")
    for each in sorted(verdicts, key=lambda verdict: verdict.pair):
        table.add_row(each.pair, each.name, *(f"{value:.2f}" for value in figures(each)), " ".join(each.failed))
    return table


def wins(verdicts: Sequence[Verdict], curve: Sequence[str]) -> Table:
    """Return a table of the pairs in which each candidate beats a curve of others; see `comparison.outcome`."""
    table = Table("", "win", "loss", "open", "win, all gates passed", title=f"against the curve {', '.join(curve)}")
    others = [verdict for verdict in verdicts if verdict.name not in curve]
    for name in dict.fromkeys(verdict.name for verdict in others):
        found, passed = Counter[str](), 0
        for each in (verdict for verdict in others if verdict.name == name):
            points = [other.point for other in verdicts if other.pair == each.pair and other.name in curve]
            result = outcome(each.point, points)
            found[result] += 1
            passed += result == "win" and not each.failed
        table.add_row(name, *(str(found[word]) for word in ("win", "loss", "open")), str(passed))
    return table


def check_controls(fakes: Sequence[Verdict], real: Sequence[Verdict]) -> tuple[Table, bool]:
    """Return a table of what the controls win, and whether one of them has a better product than all candidates."""
    table = Table("", "passes all gates", "and beats a candidate on both axes", "and has the best S·(1+C)")
    checks = [check_control(name, fakes, real) for name in dict.fromkeys(verdict.name for verdict in fakes)]
    for check in checks:
        table.add_row(check.name, *(f"{len(pairs)}" for pairs in (check.passed, check.beating, check.winning)))
    return table, any(check.winning for check in checks)


def draw_sheets(entries: Sequence[Entry], folder: Path, salt: str, *, open_too: bool) -> None:
    """Write the blind sheets and their key, and the sheets with names if they are wanted."""
    labels = {entry.inputs.name: blind_order(salt, entry.inputs.name, entry.results) for entry in entries}
    blind = [_row(entry, labels[entry.inputs.name]) for entry in entries]
    write_sheets(folder, "blind", blind)
    write_key(folder / "key.json", salt, labels)
    if open_too:
        write_sheets(folder, "open", [_row(entry, {name: name for name in entry.results}) for entry in entries])


def _row(entry: Entry, labels: dict[str, str]) -> list[Cell]:
    inputs = entry.inputs
    return [
        Cell(f"{inputs.name}: photograph", _reader(inputs.photograph, entry.size)),
        Cell("painting", _reader(inputs.painting, entry.size)),
        *(Cell(label, partial(read_picture, entry.results[name].picture)) for name, label in labels.items()),
    ]


def _reader(path: Path, size: tuple[int, int]) -> Callable[[], Pixels]:
    """Return a function that reads a picture and fits it, in proportion, into a size of width and height in px."""

    def read() -> Pixels:
        picture = read_picture(path)
        height, width = picture.shape[:2]
        scale = min(size[0] / width, size[1] / height)
        return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))

    return read


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", type=Path, default=[DATA / "content", DATA / "styles"])
    parser.add_argument("--presets", help=f"candidates by preset; if no others are named: {PRESETS}")
    parser.add_argument("--candidate", action="append", default=[], metavar="NAME=PRESET:SECTION.KEY=VALUE,…")
    parser.add_argument("--measured", action="append", default=[], metavar="NAME=OUTBOX", help="results that exist")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--size", type=int, default=384, help="longest side in px of what is rendered")
    parser.add_argument("--outbox", type=Path, default=Path("out/pictures"))
    parser.add_argument("--curve", default="", metavar="NAME,…", help="candidates with which the others are compared")
    parser.add_argument("--verbose", action="store_true", help="also a table of every result")
    parser.add_argument("--salt", default="", help="salt of the blind order; default: a random one")
    parser.add_argument("--open-sheet", action="store_true", help="also sheets with names")
    return parser.parse_args(arguments)


def _outboxes(options: argparse.Namespace, manifest: Path) -> dict[str, Path]:
    """Render what is to be rendered, and return the outboxes of all candidates by name."""
    presets = options.presets or ("" if options.candidate or options.measured else PRESETS)
    wanted = [Candidate(name, name) for name in presets.split(",") if name]
    wanted += map(parse_candidate, options.candidate)
    measured = [text.partition("=") for text in options.measured]
    if not all(name and outbox for name, _, outbox in measured):
        raise UsageError(f"--measured {options.measured}: expected NAME=OUTBOX.")
    names = [candidate.name for candidate in wanted] + [name for name, _, _ in measured]
    curve = options.curve.split(",") if options.curve else []
    if len(set(names)) < len(names) or not set(curve) <= set(names):
        raise UsageError(f"Candidates {names}, curve {curve}: every name is used once, and a curve names candidates.")
    found = {candidate.name: options.outbox / candidate.name for candidate in wanted}
    for candidate in wanted:
        render(candidate, manifest, found[candidate.name], [f"image.size={options.size}", *options.settings])
    return found | {name: Path(outbox) for name, _, outbox in measured}


def compare(options: argparse.Namespace) -> bool:
    """Render, measure, print and draw; return whether no control wins.

    Raises:
        ImpastoError: an option is wrong, a file cannot be read, or a pair failed.
    """
    if not held_out.IS_INSTALLED:
        raise MachineError(held_out.INSTALL)
    if len(options.pairs) not in (1, 2):
        raise UsageError("--pairs: expected a manifest, or a folder of photographs and one of paintings.")
    options.outbox.mkdir(parents=True, exist_ok=True)
    manifest = options.pairs[0]
    if len(options.pairs) > 1:
        manifest = write_manifest(options.outbox / "pairs.csv", *options.pairs)
    entries = gather(manifest, _outboxes(options, manifest))
    with Console(stderr=True).status("measuring"):
        judged = [judge_pair(entry) for entry in entries]
    real = [verdict for pair in judged for verdict in pair.results]
    fakes = [verdict for pair in judged for verdict in pair.controls]
    lines = [as_json(verdict, is_control=False) for verdict in real]
    lines += [as_json(verdict, is_control=True) for verdict in fakes]
    (options.outbox / "measures.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    draw_sheets(entries, options.outbox / "sheets", options.salt or secrets.token_hex(8), open_too=options.open_sheet)
    console = Console(width=None if sys.stdout.isatty() else 200)
    if options.verbose:
        console.print(by_pair(real))
    console.print(summary(f"means, pairs: {len(entries)}", real), summary("controls", fakes))
    floor = np.mean([pair.floor for pair in judged])
    console.print(f"S between two halves of a painting: {floor:.3f}; smaller ones cannot be told apart")
    if options.curve:
        console.print(wins(real, options.curve.split(",")))
    table, is_won = check_controls(fakes, real)
    console.print(table)
    console.print("A control wins: the measures or all candidates are worth nothing." if is_won else "No control wins.")
    return not is_won


def main(arguments: Sequence[str] | None = None) -> None:
    try:
        sys.exit(0 if compare(_options(arguments)) else 1)
    except ImpastoError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
