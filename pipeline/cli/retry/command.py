"""`impasto retry`: have failed pairs and photographs tried again."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.cli.options import FolderArgument, LogFormatOption, VerboseOption
from pipeline.cli.setup import errors_to_exit_codes
from pipeline.errors import ExitCode
from pipeline.monitoring.stdio import print_result


def retry_command(  # noqa: PLR0913 - one parameter per option
    folder: FolderArgument,
    *,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A pair or a file, or a pattern; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done; change nothing.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    log_format: LogFormatOption = "human",
    verbose: VerboseOption = False,
) -> None:
    """Have failed pairs and photographs tried again, by the next run or by the watcher.

    Failed files go back into the inbox; failures of an outbox's pairs are forgotten.

    Example: impasto retry out --only "sea/*"
    """
    with errors_to_exit_codes(as_json=json_, verbose=verbose, log_format=log_format):
        from dataclasses import asdict

        from pipeline.cli.retry.requeue import retry

        found = retry(folder, only or (), dry_run=dry_run)
        if json_:
            print_result(json.dumps({"event": "retry", "dry_run": dry_run, **asdict(found)}))
        else:
            for each in found.retries:
                why = f": {each.reason}" if each.reason else ""
                print_result(f"{each.name}: {each.action}{why}")
            verb = "would be tried" if dry_run else "will be tried"
            left = f", {found.left} left as they are" if found.left else ""
            print_result(f"{found.count} {verb} again{left}." if found.retries else "Nothing has failed.")
            for command in found.commands:
                print_result(f"Next: {command}, with the same options")
        if found.left:
            raise typer.Exit(ExitCode.PARTIAL)
