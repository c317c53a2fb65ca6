"""The outbox's JSON as records of the report; what was read before and has not changed is not read again."""

from __future__ import annotations

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.marks import MarkFiles
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.report.curve import quantise
from pipeline.outbox.report.links import href
from pipeline.outbox.report.records import Cache, Curve, Damaged, Failed, Input, Read, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.listing import Listing, Stamp
    from pipeline.outbox.metadata import ObjectiveRecord
    from pipeline.outbox.report.records import PairRecord

SettingsByName = dict[str, dict[str, dict[str, Any]]]
"""`{name: {section: {key: value}}}`; results share them by name."""

_AT_ONCE: Final = 4
"""Files that are opened at a time: a network's disk answers slowly, but several questions at once."""
_AGAIN: Final = "Run the same command again: it is made anew."


@dataclass(frozen=True)
class Contents:
    """All that the outbox has, by path; settings by what the records name them."""

    results: dict[str, Result]
    failures: dict[str, Failed]
    """By the path of the record."""
    damaged: dict[str, Damaged]
    settings: SettingsByName

    @property
    def pairs(self) -> list[PairRecord]:
        """Done and failed."""
        return [*self.results.values(), *self.failures.values()]


@dataclass(frozen=True)
class _Question:
    """A JSON to be read, and the picture beside it."""

    path: str
    stamp: Stamp
    is_failure: bool
    picture: Stamp | None


def read_outbox(root: Path, listing: Listing, cache: Cache, disk: Disk) -> tuple[Contents, Cache]:
    """What the files say, and the cache for the next time, in which only these are.

    Raises:
        OSError: the disk or the network failed.
    """
    settings: SettingsByName = dict(cache.settings)

    answers, unknown = _known(_questions(listing), cache)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        records = pool.map(lambda question: _read(root, question, settings, disk), unknown)
        for question, record in zip(unknown, records, strict=True):
            if record is not None:
                answers[question.path] = Read(stamp=question.stamp, picture=question.picture, record=record)
    used = {read.record.settings for read in answers.values() if not isinstance(read.record, Damaged)}
    settings = {name: settings[name] for name in sorted(used)}
    files = {href(path): read for path, read in answers.items()}
    return _sorted_out(root, listing, answers, settings, disk), Cache(files=files, settings=settings)


def _questions(listing: Listing) -> Iterator[_Question]:
    for path, stamp in listing.failures.items():
        yield _Question(path, stamp, is_failure=True, picture=None)
    for path, stamp in listing.metadata.items():
        yield _Question(path, stamp, is_failure=False, picture=listing.pictures.get(path[: -len(".json")]))


def _known(questions: Iterable[_Question], cache: Cache) -> tuple[dict[str, Read], list[_Question]]:
    """What was read before, by path, and what was not."""
    answers, unknown = {}, []
    for question in questions:
        known = cache.files.get(href(question.path))
        if known is not None and (known.stamp, known.picture) == (question.stamp, question.picture):
            answers[question.path] = known
        else:
            unknown.append(question)
    return answers, unknown


def _sorted_out(
    root: Path, listing: Listing, answers: dict[str, Read], settings: SettingsByName, disk: Disk
) -> Contents:
    contents = Contents({}, {}, {}, settings)
    for path, read in answers.items():
        match read.record:
            case Result():
                contents.results[path[: -len(".json")]] = read.record
            case Failed():
                contents.failures[path] = read.record
            case Damaged():
                contents.damaged[path] = read.record
    marks = MarkFiles(root, disk)
    for path in listing.pictures.keys() - {path[: -len(".json")] for path in listing.metadata}:
        contents.damaged[path] = _without_metadata(path, marks)
    for path, why in listing.unreadable.items():
        contents.damaged[path] = Damaged(reason=f"The folder cannot be read: {why}.", remedy="Mend its permissions.")
    return contents


def _without_metadata(path: str, marks: MarkFiles) -> Damaged:
    if marks.read(path) is not None:
        return Damaged(reason="A picture without metadata: it is in work, or its run was ended.", remedy=_AGAIN)
    return Damaged(
        reason="A picture without metadata: no result of impasto, or its metadata was removed.",
        remedy="Move it out of the outbox, or run the same command again.",
    )


def _read(root: Path, question: _Question, settings: SettingsByName, disk: Disk) -> Result | Failed | Damaged | None:
    """None: it is gone."""
    path = root / question.path
    try:
        data = disk.read(path)
        if question.is_failure:
            return _failed(Failure.model_validate_json(data), settings)
        metadata = Metadata.model_validate_json(data)
    except FileNotFoundError:
        # A link that leads nowhere is still there.
        return Damaged(reason="A link that leads nowhere.", remedy="Remove it.") if path.is_symlink() else None
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise
        return Damaged(reason=f"It cannot be read: {error.strerror}.", remedy="Mend its permissions.")
    except ValidationError as error:
        return _no_record(error)
    return _with_picture(root, question, metadata, settings, disk)


def _no_record(error: ValidationError) -> Damaged:
    finding = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in finding["loc"])
    return Damaged(
        reason=f"No metadata that this version can read: {where + ': ' if where else ''}{finding['msg']}.",
        remedy=f"If it is not yours, remove it. {_AGAIN}",
    )


def _with_picture(
    root: Path, question: _Question, metadata: Metadata, settings: SettingsByName, disk: Disk
) -> Result | Damaged:
    if question.picture is None:
        return Damaged(reason="Metadata whose picture is missing.", remedy=_AGAIN)
    # The metadata is written last: a picture that is newer is not the one that it speaks of, or was copied.
    if question.picture[0] > question.stamp[0]:
        try:
            data = disk.read(root / question.path[: -len(".json")])
        except OSError as error:
            if error.errno in MACHINE_ERRNOS:
                raise
            return Damaged(reason=f"The picture cannot be read: {error.strerror}.", remedy="Mend its permissions.")
        if hashlib.sha256(data).hexdigest() != metadata.output.sha256:
            return altered()
    return _result(metadata, settings)


def altered() -> Damaged:
    """Of a picture whose bytes are not those that were published."""
    return Damaged(reason="The picture was altered or truncated after it was made.", remedy=_AGAIN)


def _result(metadata: Metadata, settings: SettingsByName) -> Result:
    inputs = metadata.pair
    return Result(
        content=Input(path=inputs.content.path, sha256=inputs.content.sha256),
        style=inputs.style.path,
        paintings=tuple(Input(path=each.path, sha256=each.sha256) for each in inputs.blend or (inputs.style,)),
        output_sha256=metadata.output.sha256,
        size=(metadata.output.width, metadata.output.height),
        preset=metadata.preset,
        settings=_shared(metadata.settings, settings),
        curves=tuple(_curve(scale) for scale in [*metadata.coarser, metadata.objective]),
        evaluations=metadata.evaluations,
        device_seconds=round(metadata.seconds.stylise, 2),
        attempt=metadata.attempt,
        warnings=tuple(metadata.warnings),
        started=metadata.started,
        finished=metadata.finished,
    )


def _failed(failure: Failure, settings: SettingsByName) -> Failed:
    said = failure.model_dump(include=Failed.model_fields.keys() - {"kind", "settings"})
    return Failed(
        content=failure.pair.content, style=failure.pair.style, settings=_shared(failure.settings, settings), **said
    )


def _curve(scale: ObjectiveRecord) -> Curve:
    return Curve(
        size=scale.size,
        evaluations=scale.trace[-1][0] if scale.trace else 0,
        first=scale.first.total if math.isfinite(scale.first.total) else None,
        best=scale.best.total if math.isfinite(scale.best.total) else None,
        heights=quantise(scale.trace),
    )


def _shared(values: dict[str, dict[str, Any]], settings: SettingsByName) -> str:
    """The name of these settings, under which they are kept."""
    name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    settings.setdefault(name, values)
    return name
