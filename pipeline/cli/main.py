"""The command `impasto`: its commands by name. Results go to stdout; progress and errors go to stderr."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.cli.bench.command import bench_command
from pipeline.cli.doctor.command import doctor_command
from pipeline.cli.proof.command import proof_command
from pipeline.cli.report import report_command
from pipeline.cli.retry.command import retry_command
from pipeline.cli.run import pair_command, run_command
from pipeline.cli.schema import schema_command
from pipeline.cli.status.command import status_command
from pipeline.cli.watch import DRAIN_HELP, WATCH_HELP, watch_command
from pipeline.errors import ExitCode
from pipeline.monitoring.stdio import print_result, take_any_text

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command)
app.command("pair")(pair_command)
app.command("watch", help=WATCH_HELP)(watch_command)
app.command("drain", help=DRAIN_HELP)(watch_command)
app.command("proof")(proof_command)
app.command("report")(report_command)
app.command("status")(status_command)
app.command("retry")(retry_command)
app.command("doctor")(doctor_command)
app.command("bench")(bench_command)
app.command("schema")(schema_command)


def main() -> None:
    """Run the command `impasto`."""
    take_any_text()
    if sys.platform == "win32":
        typer.echo("impasto runs on Linux and macOS. On Windows, run it in WSL 2, on files that are in WSL.", err=True)
        sys.exit(ExitCode.ENVIRONMENT)
    try:
        app()
    except KeyboardInterrupt:  # Ctrl-C before a run has installed its own handler
        sys.exit(ExitCode.INTERRUPTED)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        print_result(f"impasto {version('impasto')}")
        raise typer.Exit


@app.callback()
def impasto(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda value: _show_version(wanted=value))
    ] = False,
) -> None:
    """Paint photographs in the manner of paintings, and give each its own colours back."""
