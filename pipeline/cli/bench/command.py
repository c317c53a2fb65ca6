"""`impasto bench` and `impasto schema`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.cli.options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    LogFormatOption,
    PresetOption,
    SetOption,
    VerboseOption,
)
from pipeline.cli.setup import errors_to_exit_codes, resolve_settings
from pipeline.monitoring.console import show_measurements
from pipeline.monitoring.stdio import say


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
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Measure how fast this machine is with these settings.

    Example: impasto bench --size 512
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.cli.bench.measure import SIDES, Bench  # noqa: PLC0415

        _, _, settings = resolve_settings(config, preset, set_, device)
        bench = Bench(settings)
        measurements = bench.measure(size or SIDES)
        if json_:
            for each in measurements:
                say(json.dumps({"event": "size", **bench.describe(), **vars(each)}))
        else:
            show_measurements(bench.describe(), settings, measurements, is_quiet=log_format == "json")


def schema_command() -> None:
    """Print the JSON Schema of the metadata beside every result.

    Example: impasto schema > impasto.schema.json
    """
    from pipeline.outbox.metadata import json_schema  # noqa: PLC0415

    say(json.dumps(json_schema(), indent=2))
