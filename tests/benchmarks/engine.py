"""Seconds that our engine takes to a loss that the pastiche package reaches, as shares of the package's seconds.

    python -m tests.benchmarks.engine [CONTENT STYLE ...] [--contents FOLDER --styles FOLDER] [--pairs N] [--size 256]
        [--after 30 100] [--coarser 40 15] [--precision auto] [--threads N] [--tolerance 0.01] [--output TABLE.csv]
        [--yardstick]

Both minimise the objective of `--preset gatys2016` from the photograph, and have the same pixels. The target is the
loss of the image that the package itself finds best after so many evaluations; its seconds are those until it had that
image, ours are those until our first image that is as good. What an image's loss is says `tests.oracle` in float32,
which is none of the engines'. An engine whose own loss differs from it by more than --tolerance, at its start or where
it is counted, ends the command: it minimises something else. A target that ours never reaches is an infinite share.
With fewer than 20 pairs there is no median share and no worst one.

`--yardstick` compares finished pictures of the default preset instead, by the measures of `tests.benchmarks.pictures`,
at 100, 300 and 500 evaluations of the package; it needs the extra `bench`.

Pairs that --output has are not measured again. Without pictures, those in data/ are paired.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.engines import SETTINGS, LossJudge, load_chain, ours, pastiche, precision_of, prepare

# isort: split
import torch
from rich.console import Console
from rich.table import Table

from pipeline.errors import ImpastoError, MachineError, UsageError
from pipeline.images.formats import endings
from pipeline.settings.api import Settings
from pipeline.transfer.styliser import ENGINE_VERSION
from tests.benchmarks import held_out, yardstick
from tests.benchmarks.resumable import ResumableTable
from tests.benchmarks.shares import (
    TOLERANCE,
    UntrueLossError,
    check_loss,
    choose_pairs,
    first_to_reach,
    in_words,
    least,
    share,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.transfer.vgg import Chain
    from tests.benchmarks.engines import Prepared
    from tests.benchmarks.resumable import Row
    from tests.benchmarks.shares import Moment

DATA = Path(__file__).parents[2] / "data"
AFTER: Final = (30, 100)
COLUMNS: Final = (
    "content", "style", "size", "after", "engine", "seconds", "evaluations", "share", "target", "precision", "threads",
    "start_difference", "target_difference",
)  # fmt: skip


class Counted(NamedTuple):
    """The image at which an engine's watch is read."""

    engine: str
    moment: Moment | None
    """None: the engine never reaches the target."""
    evaluations: int
    """Number of the image, from 1; without a moment, of the engine's best image."""
    start_difference: float
    """Relative difference of the engine's own loss of its first image to the judge's."""
    target_difference: float
    """The same at this image."""


def race(
    pair: Prepared,
    chain: Chain,
    after: Sequence[int],
    coarser: Sequence[int] = (),
    tolerance: float = TOLERANCE,
) -> Iterator[Row]:
    """Yield the rows of a pair: for each number of evaluations the package's, and ours.

    Raises:
        UntrueLossError: an engine's own loss is not the judge's.
    """
    judge = LossJudge(pair)

    def checked(engine: str, moments: Sequence[Moment], index: int) -> float:
        """Return the relative difference of the engine's own loss of an image to the judge's."""
        label = f"{engine}, {pair.name}, image {index + 1}"
        return check_loss(label, moments[index].own, judge(moments[index].image), tolerance)

    peer = list(pastiche(pair, max(after)))
    peer_start, best = checked("pastiche", peer, 0), {count: least(peer, count) for count in after}
    peer_differences = {count: checked("pastiche", peer, index) for count, index in best.items()}
    targets = {count: judge(peer[index].image) for count, index in best.items()}
    last = min(targets.values())
    own = ours(
        chain,
        pair,
        max(after),
        coarser=coarser,
        is_enough=lambda moment: first_to_reach([moment], last, judge) is not None,
    )
    own_start = checked("ours", own, 0)
    for count, target in targets.items():
        moment = peer[best[count]]
        counted = Counted("pastiche", moment, best[count] + 1, peer_start, peer_differences[count])
        yield _row(count, target, counted, moment.seconds)
        found = first_to_reach(own, target, judge)
        index = least(own, len(own)) if found is None else found
        difference = checked("ours", own, index)
        counted = Counted("ours", own[index] if found is not None else None, index + 1, own_start, difference)
        yield _row(count, target, counted, moment.seconds)


def _row(after: int, target: float, counted: Counted, peer_seconds: float) -> Row:
    seconds = None if counted.moment is None else counted.moment.seconds
    return {
        "after": str(after),
        "engine": counted.engine,
        "seconds": "" if seconds is None else f"{seconds:.3f}",
        "evaluations": "" if seconds is None else str(counted.evaluations),
        "share": f"{share(seconds, peer_seconds):.4f}",
        "target": f"{target:.8g}",
        "start_difference": f"{counted.start_difference:.6f}",
        "target_difference": f"{counted.target_difference:.6f}",
    }


def measure(options: argparse.Namespace, pairs: Sequence[tuple[Path, Path]]) -> ResumableTable:
    """Measure all pairs that the output does not have, and return the table of all rows.

    Raises:
        ImpastoError: an option is wrong, or a picture cannot be read.
        UntrueLossError: an engine's own loss is not the judge's.
    """
    after = options.after or (yardstick.PEER_EVALUATIONS if options.yardstick else AFTER)
    precision = precision_of(options.precision)
    columns = yardstick.COLUMNS if options.yardstick else COLUMNS
    per_pair = len(after) + len(yardstick.BUDGETS) if options.yardstick else 2 * len(after)
    table = ResumableTable(options.output, columns, _settings_of(options, after, precision), per_pair)
    missing = [(content, style) for content, style in pairs if not table.has(content.name, style.name)]
    chain = load_chain(precision) if missing and not options.yardstick else None
    for number, (content, style) in enumerate(missing, 1 + len(pairs) - len(missing)):
        print(f"{number} of {len(pairs)}: {content.name} × {style.name}", file=sys.stderr)
        common = {"content": content.name, "style": style.name, "size": str(options.size)}
        common["threads"] = str(torch.get_num_threads())
        with tempfile.TemporaryDirectory() as folder:
            pair = prepare(content, style, options.size, Path(folder))
            if chain is None:
                rows = map(yardstick.as_row, yardstick.pictures_of(pair, options.precision, after))
            else:
                rows = race(pair, chain, after, options.coarser, options.tolerance)
            for row in rows:
                of_engine = precision if row["engine"] == "ours" else torch.float32
                table.add(common | row | {"precision": _name_of(of_engine)})
    return table


def _name_of(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def _settings_of(options: argparse.Namespace, after: Sequence[int], precision: torch.dtype) -> str:
    """Return a text that is equal for runs whose rows may stand in one table."""
    used = Settings(preset="painting") if options.yardstick else SETTINGS
    parts = {
        "preset": used.preset,
        "size": options.size,
        "after": tuple(after),
        "ours": used.pyramid.planned if options.yardstick else (*options.coarser, max(after)),
        "precision": _name_of(precision),
        "threads": torch.get_num_threads(),
        "tolerance": options.tolerance,
        "engine": ENGINE_VERSION,
        "torch": version("torch"),
        "pastiche": version("pastiche"),
        **dict(used.optimiser),
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def pairs_of(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return the photographs and paintings that the options name.

    Raises:
        UsageError: they name none, or two pairs of equal names.
    """
    if options.images and (options.contents or options.styles or options.pairs):
        raise UsageError("Name pictures, or --contents, --styles and --pairs.")
    if len(options.images) % 2:
        raise UsageError("Pictures come in pairs: CONTENT STYLE CONTENT STYLE ….")
    pairs = list(zip(options.images[::2], options.images[1::2], strict=True))
    if not pairs:
        contents = _pictures_in(options.contents or DATA / "content")
        pairs = choose_pairs(contents, _pictures_in(options.styles or DATA / "styles"), options.pairs)
    (names, times), *_ = Counter((content.name, style.name) for content, style in pairs).most_common(1)
    if times > 1:
        raise UsageError(f"{' × '.join(names)}: {times} pairs have these names. Give every pair its own names.")
    return pairs


def _pictures_in(folder: Path) -> list[Path]:
    known = endings(SETTINGS.image.kinds)
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder.")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in known)


def print_races(rows: Sequence[Row]) -> None:
    """Print a table of every pair, and the summary of its shares for each number of evaluations."""
    table = Table("pair", "after", "pastiche s", "evaluations", "ours s", "evaluations", "share", "difference of loss")
    for peer, own in zip(rows[::2], rows[1::2], strict=True):
        differences = [float(row[f"{where}_difference"]) for row in (peer, own) for where in ("start", "target")]
        table.add_row(
            f"{own['content']} × {own['style']}", own["after"], peer["seconds"], peer["evaluations"], own["seconds"],
            own["evaluations"], in_words(float(own["share"])), f"{max(differences):.2%}",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for after in dict.fromkeys(row["after"] for row in rows):
        shares = [float(row["share"]) for row in rows if (row["engine"], row["after"]) == ("ours", after)]
        print(summary(int(after), shares))


def print_pictures(rows: Sequence[Row]) -> None:
    """Print a table of every picture, and the seconds in which ours are as good as the package's."""
    table = Table(*yardstick.COLUMNS[:-2])
    for row in rows:
        table.add_row(*(row[name] for name in yardstick.COLUMNS[:-2]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    print("\n".join(yardstick.conclusions(rows)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path, metavar="CONTENT STYLE", help="default: those of data/")
    parser.add_argument("--contents", type=Path, help="folder of photographs")
    parser.add_argument("--styles", type=Path, help="folder of paintings")
    parser.add_argument("--pairs", type=int, help="pairs of all combinations; default: every photograph, at least 20")
    parser.add_argument("--size", type=int, default=256, help="short side in px")
    parser.add_argument("--after", type=int, nargs="+", help="evaluations of the pastiche package; default: 30 100")
    parser.add_argument("--coarser", type=int, nargs="*", default=(), help="evaluations of ours at smaller sizes")
    parser.add_argument("--precision", default="auto", choices=("auto", "bfloat16", "float32"), help="of ours")
    parser.add_argument("--threads", type=int, help="threads of both; default: torch's own number")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="of own losses to the judge's, as a share")
    parser.add_argument("--output", type=Path, help="CSV file with a row per pair, number of evaluations and engine")
    parser.add_argument("--yardstick", action="store_true", help="compare finished pictures instead")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.yardstick and not held_out.IS_INSTALLED:
            raise MachineError(held_out.INSTALL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = measure(options, pairs_of(options))
        (print_pictures if options.yardstick else print_races)(table.rows)
    except ImpastoError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except UntrueLossError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
