"""`impasto bench`: measure how fast this machine is."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Annotated

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
from pipeline.monitoring.stdio import print_result, results
from pipeline.text import rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.bench.measure import Measurement
    from pipeline.settings import Settings


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
        from pipeline.cli.bench.measure import SIDES, Bench

        _, _, settings = resolve_settings(config, preset, set_, device)
        bench = Bench(settings)
        measurements = bench.measure(size or SIDES)
        if json_:
            for each in measurements:
                print_result(json.dumps({"event": "size", **bench.describe(), **vars(each)}))
        else:
            show_measurements(bench.describe(), settings, measurements, is_quiet=log_format == "json")


def show_measurements(
    where: dict[str, str | int], settings: Settings, found: Iterator[Measurement], *, is_quiet: bool = False
) -> None:
    """Print measurements as a table.

    Args:
        where: device, precision and threads.
        settings: the settings that were measured with.
        found: the measurements; the table is printed when all are made.
        is_quiet: show no progress on stderr.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(file=results(), width=None if results().isatty() else 200)
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), highlight=False)
    columns = (
        "px", "evaluation", "its convolutions", "ratio", "with optimiser", "TFLOP/s", "of peak", "bytes/px", "pairs/h",
    )  # fmt: skip
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    with contextlib.nullcontext() if is_quiet else Console(stderr=True).status("measuring"):
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
                rate(each.pairs_per_hour).removesuffix(" pairs/h"),
            )
    console.print(table)
    planned = ", ".join(map(str, settings.pyramid.planned))
    console.print(f"pairs/h with {planned} evaluations, coarse to fine, the last at this size")
