"""`impasto doctor`: check whether this machine can do the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.options import (
    ConfigOption,
    DeviceOption,
    LogFormatOption,
    PresetOption,
    SetOption,
    StylesOption,
    VerboseOption,
)
from pipeline.cli.setup import errors_to_exit_codes, resolve_settings
from pipeline.errors import ExitCode
from pipeline.monitoring.stdio import print_result, results
from pipeline.text import single_line

if TYPE_CHECKING:
    from pipeline.cli.doctor.finding import Finding, Level

_COLOURS: Final[dict[Level, str]] = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


def doctor_command(  # noqa: PLR0913 - one parameter per option
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]…", help="Inboxes and outboxes of the work to come.")
    ] = None,
    *,
    config: ConfigOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    styles: StylesOption = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Check device, weights, codecs and folders before a long run.

    Exits 4 if something would not work. Nothing is rendered; trial files are removed.

    Example: impasto doctor inbox out --styles data/styles
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        _, _, settings = resolve_settings(config, preset, set_, device, styles)
        from pipeline.cli.doctor.checks import examine

        found = []
        for finding in examine(settings, folders or ()):
            found.append(finding)
            if not json_:
                _show(finding)
        code = ExitCode.ENVIRONMENT if any(each.level == "FAIL" for each in found) else ExitCode.OK
        if json_:
            print_result(
                json.dumps({"event": "doctor", "findings": [vars(each) for each in found], "exit_code": int(code)})
            )
        raise typer.Exit(code)


def _show(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=results(), soft_wrap=True)
    head = Text(f"{finding.level:4}", style=_COLOURS[finding.level])
    console.print(head.append(single_line(f"  {finding.about}: {finding.text}"), style="default"), highlight=False)
    if finding.remedy:
        print_result(f"      {single_line(finding.remedy)}")
