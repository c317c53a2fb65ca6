"""Painted films: written when all their frames are done, last."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.disk import Disk
from pipeline.errors import ImageError, OccupiedError
from pipeline.images.films.description import FilmDescription
from pipeline.images.films.reading import DESCRIPTION, extract, frame_name
from pipeline.images.films.writing import check_encoder, write_film
from pipeline.outbox.films import FilmFiles
from pipeline.outbox.ledger import recorded_result
from pipeline.outbox.metadata import PairPaths
from pipeline.stage.task import Task, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Film, Pair

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Films:
    """The films of a run that were written, and those that could not be."""

    written: tuple[str, ...] = ()
    """Names of the films in the outbox that were written now."""
    failed: tuple[str, ...] = ()
    """Names of those that could not be written."""


def frames_of(film: Path, folder: Path, check: Callable[[], None] = lambda: None) -> list[Path]:
    """Extract the frames of a film, unless they are there, and return their files in order.

    Args:
        film: the film.
        folder: the folder for the frames of all films.
        check: called for each frame; an exception ends the work.

    Raises:
        ImageError: the file is no film, is damaged, or is of a kind that is not supported.
        MachineError: PyAV is not installed.
        OSError: the film cannot be read, or the outbox cannot be written.
    """
    description, own_folder = extract(film, folder, check)
    for warning in description.warnings:
        logger.warning("%s", warning)
    return [own_folder.resolve() / frame_name(number) for number in range(len(description.timestamps))]


def check_encoders(pairs: Iterable[Pair]) -> None:
    """Check that the films of a run can be written, before hours are spent on their frames.

    Raises:
        MachineError: PyAV cannot write one of them.
    """
    for codec in sorted({pair.settings.sequence.film for pair in pairs if pair.frame is not None and pair.frame.film}):
        check_encoder(codec)


def publish_films(
    pairs: Iterable[Pair], outbox: Outbox, done: Collection[str], check: Callable[[], None] = lambda: None
) -> Films:
    """Write the films whose frames are all done, unless they are there already.

    Args:
        pairs: all pairs of the run.
        outbox: the outbox.
        done: file names of the results that the outbox has.
        check: called again and again; an exception ends the work.

    Returns:
        The films that were written, and those that could not be, whose failures are recorded.

    Raises:
        StorageError: the outbox cannot be written.
        MachineError: PyAV is not installed.
    """
    films: dict[Film, list[Pair]] = {}
    for pair in pairs:
        if pair.frame is not None and pair.frame.film is not None:
            films.setdefault(pair.frame.film, []).append(pair)
    written, failed = [], []
    for film, frames in films.items():
        missing = sum(frame.file_name not in done for frame in frames)
        if missing:
            logger.warning("%s waits for %d of its %d frames.", film.result, missing, len(frames))
            continue
        try:
            if _publish(film, frames, outbox, check):
                written.append(film.result)
        except (OccupiedError, ImageError) as error:
            logger.error("%s", error)  # noqa: TRY400 - the error is explained; its traceback would not help
            of_film = _pair_of(film, frames[0])
            outbox.publish_failure(of_film.name, failure_of(Task(of_film, 1, None), error))
            failed.append(film.result)
    return Films(tuple(written), tuple(failed))


def _pair_of(film: Film, frame: Pair) -> Pair:
    """Return a film as the pair that it would be if it were one, as its failures are recorded."""
    label = PurePosixPath(frame.content_label).parent.as_posix()
    return replace(frame, name=film.result.rpartition(".")[0], content_label=label, frame=None)


def _publish(film: Film, frames: list[Pair], outbox: Outbox, check: Callable[[], None]) -> bool:
    """Write a film unless it is there, and return whether it was written."""
    first = frames[0]
    codec = first.settings.sequence.film
    if codec == "none":
        _forget_failure(film, first, outbox)
        return False
    files = FilmFiles(outbox, Disk())
    description = FilmDescription.model_validate_json((first.content.parent / DESCRIPTION).read_bytes())
    records = [recorded_result(outbox, frame.file_name) for frame in frames]
    hashes = [record.output.sha256 if record is not None else "" for record in records]
    key = hashlib.sha256(json.dumps([codec, description.sha256, hashes]).encode()).hexdigest()
    if files.is_current(film.result, key):
        return False
    pictures = [outbox.picture_path(frame.file_name) for frame in frames]
    files.publish(film.result, key, lambda path: write_film(path, pictures, description, film.source, codec, check))
    _forget_failure(film, first, outbox)
    logger.info("%s: %d frames", film.result, len(frames))
    return True


def _forget_failure(film: Film, frame: Pair, outbox: Outbox) -> None:
    """Remove the record of an earlier failure of a film, perhaps of its file before that was mended."""
    of_film = _pair_of(film, frame)
    outbox.failures.forget(of_film.name, PairPaths.of(of_film), None)
