"""The command `impasto`: parse, call one function, map the outcome to an exit code.

Results go to stdout; progress and errors go to stderr. Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from pipeline import __version__
from pipeline.console import Report, say_error, show_measurements, show_plan
from pipeline.errors import ExitCode, ImpastoError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.intake.manifest import Confines
    from pipeline.progress import Display
    from pipeline.settings import Settings, Values

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
InboxArgument = Annotated[Path, typer.Argument(help="The folder where photographs are dropped.")]
OutboxOption = Annotated[Path, typer.Option(help="Folder for results.")]
StylesOption = Annotated[Path | None, typer.Option(help="Folder of paintings (styles.folder).")]
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
    outbox: OutboxOption,
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
    time_budget: Annotated[
        str | None, typer.Option(metavar="8h", help="Fewer evaluations per pair where the time is short.")
    ] = None,
) -> None:
    """Process a manifest and exit; what is done already is skipped.

    Example: impasto run data/manifest.csv --outbox out
    """
    with _errors_to_exit_codes(as_json=json_, verbose=verbose):
        from pipeline.forecast import forecast  # noqa: PLC0415
        from pipeline.intake.manifest import read_manifest  # noqa: PLC0415
        from pipeline.outbox.publish import Outbox  # noqa: PLC0415
        from pipeline.plan import plan  # noqa: PLC0415
        from pipeline.run import run  # noqa: PLC0415
        from pipeline.transfer.weights import find_weights  # noqa: PLC0415

        if time_budget is not None:
            set_ = [*(set_ or []), f"run.time_budget={time_budget}"]
        below, flags, settings = _settings(config, preset, set_, device)
        pairs = read_manifest(manifest, below, flags, _confines(settings))
        box = Outbox(outbox)
        if dry_run:
            weights = find_weights(settings.network.weights, settings.network.preprocessing)
            planned = list(plan(pairs, box, weights, redo=redo, limit=limit))
            show_plan(forecast(planned, settings, weights), as_json=json_)
            return
        report = Report(as_json=json_)
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
    style: Annotated[Path, typer.Argument(help="The painting, or a folder of paintings to blend.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The result: .png, .jpg, .webp or .tif.")],
    *,
    mask: Annotated[Path | None, typer.Option(help="Painted where it is white, the photograph where black.")] = None,
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
        from pipeline.intake.single import single_pair  # noqa: PLC0415
        from pipeline.outbox.publish import Outbox  # noqa: PLC0415
        from pipeline.run import run  # noqa: PLC0415

        below, flags, settings = _settings(config, preset, set_, device, mask=mask)
        pairs = single_pair(content, style, out, below, flags, _confines(settings))
        report = Report(as_json=json_)
        summary = run(pairs, Outbox(out.parent), settings, _display(progress), redo="all", on_outcome=report.outcome)
        report.summary(summary, out.parent)
        raise typer.Exit(summary.exit_code)


@app.command(
    "drain",
    help="""Process what lies in a folder now, and exit; see watch.

    For cron: exits 11 at once if one is at work already.

    Example: impasto drain inbox --outbox out --styles data/styles""",
)
@app.command(
    "watch",
    help="""Process what lands in a folder, until stopped.

    INBOX/<style>/photo.jpg is painted in the style of that name: a painting in --styles, or INBOX/<style>/_style.jpg.

    Example: impasto watch inbox --outbox out --styles data/styles""",
)
def watch_command(  # noqa: PLR0913 - one parameter per option
    context: typer.Context,
    inbox: InboxArgument,
    outbox: OutboxOption,
    *,
    styles: StylesOption = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
    progress: ProgressOption = "auto",
    verbose: VerboseOption = False,
) -> None:
    """Both commands, which differ in when they end."""
    with _errors_to_exit_codes(as_json=json_, verbose=verbose):
        settings = _settings(config, preset, set_, device, styles)
        _serve(inbox, outbox, settings, drain=context.command.name == "drain", as_json=json_, progress=progress)


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
            show_measurements(bench.describe(), settings, measurements)


@app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the metadata beside every result.

    Example: impasto schema > impasto.schema.json
    """
    from pipeline.outbox.metadata import json_schema  # noqa: PLC0415

    typer.echo(json.dumps(json_schema(), indent=2))


def _settings(  # noqa: PLR0913, PLR0917 - the options that are settings
    config: Path | None,
    preset: str | None,
    set_: list[str] | None,
    device: str | None,
    styles: Path | None = None,
    mask: Path | None = None,
) -> tuple[Values, Values, Settings]:
    """The values below a manifest's rows, those of the command line, and the settings that both give."""
    from pipeline.sources import from_set_options, load  # noqa: PLC0415

    flags = from_set_options(set_ or [])
    if preset is not None:
        flags["preset"] = preset
    if device is not None:
        flags.setdefault("run", {})["device"] = device
    if styles is not None:
        flags.setdefault("styles", {})["folder"] = str(styles)
    if mask is not None:
        flags.setdefault("mask", {})["file"] = str(mask)
    below, settings = load(config, flags)
    return below, flags, settings


def _serve(  # noqa: PLR0913 - what the two commands share
    inbox: Path,
    outbox: Path,
    settings: tuple[Values, Values, Settings],
    *,
    drain: bool,
    as_json: bool,
    progress: ProgressMode,
) -> None:
    from pipeline.disk import Disk  # noqa: PLC0415
    from pipeline.service import Folders, Service  # noqa: PLC0415
    from pipeline.stage.pool import make_stage  # noqa: PLC0415
    from pipeline.transfer.stylizer import ENGINE_VERSION  # noqa: PLC0415
    from pipeline.transfer.weights import find_weights  # noqa: PLC0415

    below, flags, resolved = settings
    folders = Folders.of(inbox, outbox, resolved)
    weights = find_weights(resolved.network.weights, resolved.network.preprocessing)
    report = Report(as_json=as_json)
    service = Service(
        folders=folders,
        settings=resolved,
        below=below,
        flags=flags,
        weights_sha256=weights.sha256,
        engine_version=ENGINE_VERSION,
        display=_display(progress),
        on_outcome=report.outcome,
        on_duplicate=report.duplicate,
        on_failed_job=report.failed_job,
        disk=Disk(),
    )
    if not drain and not as_json:
        library = folders.styles or "INBOX/<style>/_style.jpg"
        typer.echo(f"Watching {folders.inbox}; styles: {library}; results: {folders.outbox}; Ctrl-C stops.", err=True)
    with contextlib.ExitStack() as stack:
        summary = service.run(
            lambda watcher, box: stack.enter_context(contextlib.closing(make_stage(resolved, weights, box, watcher))),
            drain=drain,
        )
    report.watch_summary(summary, folders.outbox, folders.spool / "failed")
    raise typer.Exit(summary.exit_code)


def _confines(settings: Settings) -> Confines:
    """What a manifest, or a command line, may name."""
    from pipeline.images.kinds import endings  # noqa: PLC0415
    from pipeline.intake.manifest import Confines  # noqa: PLC0415
    from pipeline.intake.masks import default_mask  # noqa: PLC0415
    from pipeline.outbox.publish import check_name  # noqa: PLC0415

    roots = tuple(Path(root) for root in settings.run.roots)
    return Confines(endings(settings.image.kinds), check_name, roots, mask=default_mask(settings.mask.file))


def _display(mode: ProgressMode) -> Display:
    from pipeline.progress import make_display  # noqa: PLC0415

    return make_display(mode)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the moment: while bars are shown, lines go above them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # read anew each time
        return sys.stderr


@contextlib.contextmanager
def _errors_to_exit_codes(*, as_json: bool, verbose: bool) -> Iterator[None]:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[_StderrHandler()], format="%(levelname)s %(message)s")
    try:
        yield
    except Interrupted as error:
        say_error(error, error.code, as_json=as_json)
        raise typer.Exit(error.code) from error
    except ImpastoError as error:
        say_error(error, error.exit_code, as_json=as_json)
        raise typer.Exit(error.exit_code) from error
