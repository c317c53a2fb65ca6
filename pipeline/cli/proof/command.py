"""`impasto proof`: all photographs with all paintings, small, on one sheet."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from pipeline.cli.options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    LogFormatOption,
    PresetOption,
    ProgressOption,
    SetOption,
    VerboseOption,
)
from pipeline.cli.setup import display_of, errors_to_exit_codes, manifest_rules_of, resolve_settings
from pipeline.errors import ExitCode, Interrupted, UsageError
from pipeline.monitoring.logs import LogObserver
from pipeline.monitoring.observers import Observers
from pipeline.monitoring.stdio import print_result
from pipeline.run.observer import Observer
from pipeline.text import single_line

if TYPE_CHECKING:
    from pipeline.cli.proof.grid import Grid
    from pipeline.cli.proof.proofs import Proof
    from pipeline.cli.proof.sheet import Sheet
    from pipeline.settings import Settings
    from pipeline.stage.task import Outcome

CONFIRM_ABOVE: Final = 200
"""Number of proofs above which the user is asked."""


def proof_command(  # noqa: PLR0913 - one parameter per option
    contents: Annotated[list[str], typer.Argument(metavar="CONTENT...", help="Photographs, folders or patterns.")],
    styles: Annotated[Path | None, typer.Option(help="Folder of paintings (styles.folder).")] = None,
    *,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The sheet, a PNG; an HTML page is written beside it.")
    ] = Path("proof.png"),
    size: Annotated[int, typer.Option(min=16, max=4096, metavar="PX", help="Longest side of a proof.")] = 256,
    quality: Annotated[Literal["draft", "standard", "print"], typer.Option(help="Quality of the proofs.")] = "draft",
    sequence: Annotated[bool, typer.Option("--sequence", help="Folders are sequences: three frames of each.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help=f"Make more than {CONFIRM_ABOVE} proofs without asking.")
    ] = False,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Try every photograph with every painting, small, on one sheet.

    It also prints how long the full run would take. Proofs have its settings,
    except for --size and --quality. A sheet shows which photographs and
    paintings go together. In a full picture the strokes are finer, and often
    stronger: to see them, take a few pictures and a --size near image.size.

    Example: impasto proof data/content --styles data/styles -o proof.png
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.cli.proof.grid import read_grid, reductions
        from pipeline.cli.proof.proofs import write
        from pipeline.run.films import frames_of
        from pipeline.settings.all_settings import validate
        from pipeline.settings.resolve import merge

        base_values, overrides, settings = resolve_settings(config, preset, set_, device, styles)
        library, page = _library_of(settings), _page_beside(out)
        reduced = reductions(size, quality, settings.image.size)
        with tempfile.TemporaryDirectory(prefix="impasto-frames-") as frames:
            rules = replace(manifest_rules_of(settings), films=partial(frames_of, folder=Path(frames)))
            grid = read_grid(contents, library, base_values, overrides, reduced, rules, sequences=sequence)
            if not yes and len(grid.cells) > CONFIRM_ABOVE:
                _confirm(len(grid.cells), can_ask=not json_)
            proof_settings = validate(merge(base_values, overrides, reduced))
            with _observers(progress, log_format) as observers:  # raises a defect of theirs after the sheet is written
                proof, sheet = _prove(grid, settings, proof_settings, observers)
                write(sheet, out, page)
        _report(proof, out, page, as_json=json_)
        raise typer.Exit(ExitCode.PARTIAL if proof.failed else ExitCode.OK)


def _library_of(settings: Settings) -> Path:
    if not settings.styles.folder:
        raise UsageError("There are no paintings: styles.folder is empty.", "Name their folder with --styles.")
    return Path(settings.styles.folder)


def _page_beside(sheet: Path) -> Path:
    """Return the page's path, after a check that both files may be written."""
    from pipeline.cli.proof.proofs import check_replaceable

    if sheet.suffix.lower() != ".png":
        raise UsageError(f"-o {sheet}: should end in .png.")
    page = sheet.with_suffix(".html")
    for path in (sheet, page):
        check_replaceable(path)
    return page


def _confirm(proofs: int, *, can_ask: bool) -> None:
    """Ask the user whether this number of proofs is wanted; if nobody can be asked, that is an error."""
    if not (can_ask and _is_interactive()):
        raise UsageError(f"These are {proofs} proofs, more than {CONFIRM_ABOVE}.", "Name fewer pictures, or add --yes.")
    if not typer.confirm(f"These are {proofs} proofs. Make them all?", err=True):
        raise typer.Exit(ExitCode.OK)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _observers(progress: ProgressOption, log_format: LogFormatOption) -> Observers:
    return Observers([display_of(progress, log_format), *([LogObserver()] if log_format == "json" else [])])


class _Outcomes(Observer):
    """Keeps the outcomes of a run."""

    def __init__(self) -> None:
        self.kept: list[Outcome] = []

    def outcome(self, outcome: Outcome) -> None:
        """Keep the outcome of a pair."""
        self.kept.append(outcome)


def _prove(grid: Grid, settings: Settings, proof_settings: Settings, observers: Observers) -> tuple[Proof, Sheet]:
    """Make the proofs in a temporary outbox."""
    from pipeline.cli.proof.proofs import Proof, expect, sheet_of
    from pipeline.outbox.publish import Outbox
    from pipeline.run.runner import run
    from pipeline.transfer.weights import find_weights

    weights = find_weights(settings.network.weights, settings.network.preprocessing)
    with tempfile.TemporaryDirectory(prefix="impasto-proof-") as folder:
        outbox = Outbox(Path(folder))
        forecasts = expect(grid, settings, weights, outbox)
        outcomes = _Outcomes()
        try:
            run([cell.small for cell in grid.cells], outbox, proof_settings, Observers([observers, outcomes]))
        except Interrupted as error:
            error.remedy = "No sheet was written."
            raise
        records = {outcome.pair.name: outcome.record for outcome in outcomes.kept}
        proof = Proof(grid, settings, proof_settings, forecasts, records)
        return proof, sheet_of(proof, outbox)


def _report(proof: Proof, sheet: Path, page: Path, *, as_json: bool) -> None:
    from pipeline.cli.proof.proofs import describe, expected_seconds, in_full

    cells, failed = len(proof.grid.cells), proof.failed
    if not as_json:
        but = f", {failed} of them failed" if failed else ""
        print_result(single_line(f"{cells} proof{'s' * (cells != 1)}{but}: {sheet} and {page}"))
        print_result(f"In full: {in_full(proof)}.")
        return
    for cell, forecast in zip(proof.grid.cells, proof.forecasts.pairs, strict=True):
        record = proof.records[cell.small.name]
        print_result(json.dumps({"event": "pair", **describe(cell, forecast, record)}))
    summary: dict[str, Any] = {"done": cells - failed, "failed": failed, "sheet": str(sheet), "page": str(page)}
    code = ExitCode.PARTIAL if failed else ExitCode.OK
    expected = round(expected_seconds(proof), 2)
    print_result(json.dumps({"event": "summary", **summary, "expected_seconds": expected, "exit_code": int(code)}))
