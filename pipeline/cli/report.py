"""`impasto report`: one page with all results and failures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import LogFormatOption, VerboseOption
from pipeline.cli.setup import errors_to_exit_codes
from pipeline.monitoring.stdio import print_result


def report_command(
    outbox: Annotated[Path, typer.Argument(help="The folder of results.")],
    *,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Also write a table: one row for each result or failure."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Write OUTBOX/index.html: failures with their remedies, and a gallery of all results.

    Example: impasto report out --table results.csv
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from pipeline.errors import UsageError
        from pipeline.outbox.report.update import write_report
        from pipeline.text import single_line

        if table is not None and table.suffix.lower() != ".csv":
            raise UsageError(f"--table {table}: the name must end with .csv.", "Name another file.")
        written = write_report(outbox, table_path=table)
        totals, page = written.totals, single_line(os.fspath(written.path))
        if json_:
            fields = {"event": "report", "path": page, **vars(totals), "thumbnails_made": written.thumbnails_made}
            if table is not None:
                fields["table"] = single_line(os.fspath(table))
            print_result(json.dumps(fields))
            return
        print_result(
            f"{page}: {totals.done} done, {totals.failed} failed, {totals.damaged} damaged, "
            f"{totals.with_warnings} with warnings"
        )
        if table is not None:
            print_result(f"{single_line(os.fspath(table))}: the table")
