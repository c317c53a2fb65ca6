"""The command `impasto`: parse, call one function, map the outcome to an exit code.

Results go to stdout; progress and errors go to stderr. Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline import __version__
from pipeline.errors import ExitCode, ImpastoError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.bench import Measurement
    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.pair import Pair
    from pipeline.progress import Display
    from pipeline.run import PlannedPair, Summary
    from pipeline.settings import Settings, Values
    from pipeline.stage.task import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


ProgressMode = Literal["auto", "always", "never"]
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="IMPASTO_CONFIG", help="A config.toml.")]
PresetOption = Annotated[
    str | None, typer.Option(help="colour-preserving (default), gatys2016, luminance or pytorch-tutorial.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.")
]
DeviceOption = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda[:N]", help="Where to compute.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per pair on stdout, then a summary.")]
ProgressOption = Annotated[ProgressMode, typer.Option(help="Progress on stderr.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Log details to stderr.")]


def main() -> None:
    """Entry point of the command."""
    try:
        app()
    except KeyboardInterrupt:  # before a run has its own handler
        sys.exit(ExitCode.INTERRUPTED)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"impasto {__version__}")
        raise typer.Exit


@app.callback()
def impasto(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda value: _show_version(wanted=value))
    ] = False,
) -> None:
    """Paint photographs in the manner of paintings, and give each its own colours back."""


@app.command("run")
def run_command(  # noqa: PLR0913 - one parameter per option
    manifest: Annotated[Path, typer.Argument(help="CSV (content,style,…) or JSON Lines.")],
    outbox: Annotated[Path, typer.Option(help="Folder for results.")],
    *,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    verbose: VerboseOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done; write nothing.")] = False,
    redo: Annotated[Literal["failed", "all"] | None, typer.Option(help="Render failed pairs, or all, again.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first pair that fails.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Render at most N pairs.")] = None,
) -> None:
    """Process a manifest and exit; what is done already is skipped.

    Example: impasto run data/manifest.csv --outbox out
    """
    with _errors_to_exit_codes(as_json=json_, verbose=verbose):
        from pipeline.images.read import FORMATS  # noqa: PLC0415
        from pipeline.intake.manifest import Confines, read_manifest  # noqa: PLC0415
        from pipeline.outbox.publish import Outbox, check_name  # noqa: PLC0415
        from pipeline.run import plan, run  # noqa: PLC0415
        from pipeline.transfer.weights import find_weights  # noqa: PLC0415

        below, flags, settings = _settings(config, preset, set_, device)
        confines = Confines(tuple(FORMATS), check_name, tuple(Path(root) for root in settings.run.roots))
        pairs = read_manifest(manifest, below, flags, confines)
        box = Outbox(outbox)
        if dry_run:
            weights = find_weights(settings.network.weights, settings.network.preprocessing)
            _show_plan(list(plan(pairs, box, weights, redo=redo, limit=limit)), as_json=json_)
            return
        report = _Report(as_json=json_)
        summary = run(
            pairs,
            box,
            settings,
            _display(progress),
            redo=redo,
            limit=limit,
            fail_fast=fail_fast,
            on_planned=report.planned,
            on_outcome=report.outcome,
        )
        report.summary(summary, outbox)
        raise typer.Exit(summary.exit_code)


@app.command("pair")
def pair_command(  # noqa: PLR0913 - one parameter per option
    content: Annotated[Path, typer.Argument(help="The photograph.")],
    style: Annotated[Path, typer.Argument(help="The painting.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The result: .png, .jpg or .webp.")],
    *,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    verbose: VerboseOption = False,
) -> None:
    """Render one pair, now, even if it is there already.

    Example: impasto pair data/content/chelsea.jpg data/styles/nocturne.jpg -o cat.png
    """
    with _errors_to_exit_codes(as_json=json_, verbose=verbose):
        from pipeline.outbox.publish import Outbox  # noqa: PLC0415
        from pipeline.run import run  # noqa: PLC0415

        below, flags, settings = _settings(config, preset, set_, device)
        pair = _single_pair(content, style, out, below, flags)
        report = _Report(as_json=json_)
        summary = run([pair], Outbox(out.parent), settings, _display(progress), redo="all", on_outcome=report.outcome)
        report.summary(summary, out.parent)
        raise typer.Exit(summary.exit_code)


@app.command("bench")
def bench_command(  # noqa: PLR0913 - one parameter per option
    *,
    size: Annotated[
        list[int] | None,
        typer.Option(min=16, max=16384, metavar="PX", help="Side of the square; repeatable.  [default: 256 512 1024]"),
    ] = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure how fast this machine is with these settings.

    Example: impasto bench --size 512
    """
    with _errors_to_exit_codes(as_json=json_, verbose=verbose):
        from pipeline.bench import SIDES, Bench  # noqa: PLC0415

        _, _, settings = _settings(config, preset, set_, device)
        bench = Bench(settings)
        measurements = bench.measure(size or SIDES)
        if json_:
            for each in measurements:
                typer.echo(json.dumps({"event": "size", **bench.describe(), **vars(each)}))
        else:
            _show_measurements(bench.describe(), settings, measurements)


@app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the metadata beside every result.

    Example: impasto schema > impasto.schema.json
    """
    from pipeline.outbox.metadata import json_schema  # noqa: PLC0415

    typer.echo(json.dumps(json_schema(), indent=2))


def _settings(
    config: Path | None, preset: str | None, set_: list[str] | None, device: str | None
) -> tuple[Values, Values, Settings]:
    """The values below a manifest's rows, those of the command line, and the settings that both give."""
    from pipeline.sources import from_set_options, load  # noqa: PLC0415

    flags = from_set_options(set_ or [])
    if preset is not None:
        flags["preset"] = preset
    if device is not None:
        flags.setdefault("run", {})["device"] = device
    below, settings = load(config, flags)
    return below, flags, settings


def _single_pair(content: Path, style: Path, out: Path, below: Values, flags: Values) -> Pair:
    from pipeline.intake.manifest import OUTPUT_FORMATS  # noqa: PLC0415
    from pipeline.outbox.publish import check_name  # noqa: PLC0415
    from pipeline.pair import Pair  # noqa: PLC0415
    from pipeline.sources import for_pair  # noqa: PLC0415

    for path in (content, style):
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file.")
    ending = out.suffix.lower()
    if ending not in OUTPUT_FORMATS:
        raise UsageError(f"-o {out}: should end in {', '.join(OUTPUT_FORMATS)}.")
    settings = for_pair(below, {}, {**flags, "output": {**flags.get("output", {}), "format": OUTPUT_FORMATS[ending]}})
    if ending.removeprefix(".") != settings.output.extension:
        raise UsageError(f"-o {out}: use the ending .{settings.output.extension}.")
    wrong = check_name(out.name)
    if wrong:
        raise UsageError(f"-o {out}: the name {wrong}.")
    return Pair(content.absolute(), style.absolute(), content.name, style.name, out.stem, settings)


def _display(mode: ProgressMode) -> Display:
    from pipeline.progress import make_display  # noqa: PLC0415

    return make_display(mode)


class _Report:
    """Results on stdout: JSON lines as they come, or one closing line for people."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def _emit(self, event: str, **fields: Any) -> None:
        if self._as_json:
            typer.echo(json.dumps({"event": event, **fields}))

    def planned(self, item: PlannedPair) -> None:
        """A pair that is not rendered in this run."""
        self._emit("pair", status=item.action.value, output=item.pair.file_name, reason=item.reason)
        if not self._as_json and item.action.value == "still failed":
            typer.echo(f"{item.action.value}: {item.pair.name}: {item.reason}", err=True)

    def outcome(self, outcome: Outcome) -> None:
        """A pair that was rendered, or failed."""
        record: Metadata | Failure = outcome.record
        self._emit("pair", **record.model_dump(mode="json"))

    def summary(self, summary: Summary, where: Path) -> None:
        """The end."""
        fields = {
            "rendered": summary.rendered,
            "skipped": summary.skipped,
            "failed": summary.failed,
            "waiting": summary.waiting,
        }
        self._emit("summary", **fields, seconds=round(summary.seconds, 3), exit_code=int(summary.exit_code))
        if not self._as_json:
            words = {"skipped": "skipped (done already)", "waiting": "left for later"}
            counts = ", ".join(f"{n} {words.get(name, name)}" for name, n in fields.items() if n) or "nothing to do"
            typer.echo(f"{counts}; {summary.seconds:.0f} s; results in {where}")
            if summary.failed:
                typer.echo(f"Reasons and remedies are in {where / 'failed'}.", err=True)


def _show_plan(planned: Sequence[PlannedPair], *, as_json: bool) -> None:
    if as_json:
        report = _Report(as_json=True)
        for item in planned:
            report.planned(item)
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("content", "style", "result", "action", "why")
    for item in planned:
        cells = (item.pair.content_label, item.pair.style_label, item.pair.file_name, item.action.value, item.reason)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)  # a file has no edge to fold at
    console.print(table)
    counts = {action: sum(item.action is action for item in planned) for action in {item.action for item in planned}}
    console.print(", ".join(f"{action.value}: {n}" for action, n in sorted(counts.items())) + "; nothing was written")


def _show_measurements(where: dict[str, str | int], settings: Settings, found: Iterator[Measurement]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), highlight=False)
    columns = (
        "px", "evaluation", "its convolutions", "ratio", "with optimiser", "TFLOP/s", "of peak", "bytes/px", "pairs/h",
    )  # fmt: skip
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    with Console(stderr=True).status("measuring"):
        for each in found:
            table.add_row(
                f"{each.side}²",
                f"{each.evaluation_seconds:.3g} s",
                f"{each.convolution_seconds:.3g} s",
                f"{each.evaluation_seconds / each.convolution_seconds:.2f}",
                f"{each.iteration_seconds:.3g} s",
                f"{each.teraflops:.3g}",
                f"{each.share_of_peak:.0%}",
                "unknown" if each.bytes_per_pixel is None else f"{each.bytes_per_pixel:.0f}",
                f"{each.pairs_per_hour:.3g}",
            )
    console.print(table)
    planned = ", ".join(map(str, settings.pyramid.planned))
    console.print(f"pairs/h with {planned} evaluations, coarse to fine, the last at this size")


@contextlib.contextmanager
def _errors_to_exit_codes(*, as_json: bool, verbose: bool) -> Iterator[None]:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s"
    )
    try:
        yield
    except Interrupted as error:
        _say_error(error, error.code, as_json=as_json)
        raise typer.Exit(error.code) from error
    except ImpastoError as error:
        _say_error(error, error.exit_code, as_json=as_json)
        raise typer.Exit(error.exit_code) from error


def _say_error(error: ImpastoError, code: ExitCode, *, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps({"event": "error", "message": error.message, "remedy": error.remedy, "exit_code": int(code)})
        )
    typer.echo(f"impasto: {error.message}", err=True)
    if error.remedy:
        typer.echo(error.remedy, err=True)
