"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.monitoring.logs import LogFormat

ProgressMode = Literal["auto", "always", "never"]

ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="IMPASTO_CONFIG", help="A config.toml.")]
PresetOption = Annotated[
    str | None,
    typer.Option(help="painting (default), portrait, colour-preserving, gatys2016, luminance or pytorch-tutorial."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.")
]
DeviceOption = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda[:N]", help="Where to compute.")]
ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="auto|ADDRESS", help="Use the devices of a Ray cluster."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per pair on stdout, then a summary.")]
ProgressOption = Annotated[ProgressMode, typer.Option(help="Progress on stderr.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="An outbox, or the inbox of a watcher.")]
InboxArgument = Annotated[Path, typer.Argument(help="The folder where photographs are dropped.")]
OutboxOption = Annotated[Path, typer.Option(help="Folder for results.")]
StylesOption = Annotated[Path | None, typer.Option(help="Folder of paintings (styles.folder).")]
LogFormatOption = Annotated[
    LogFormat, typer.Option(help="Format of the log on stderr; with json no progress is shown.")
]
PreviewOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Time between two previews of a pair, in OUTBOX/.impasto/preview; 0: off.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Log details to stderr.")]
