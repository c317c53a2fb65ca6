"""The JSON files of an outbox as records; files that have not changed since the last report are not read again."""

from __future__ import annotations

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.mark_files import MarkFiles
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.ownership import names_same_file, origin_of_failure, origin_of_metadata
from pipeline.outbox.report.cache import (
    Cache,
    CachedFile,
    Curve,
    DamagedFile,
    FailedPair,
    ForeignFile,
    FramePlace,
    Input,
    Result,
)
from pipeline.outbox.report.curve import quantise
from pipeline.outbox.report.links import href

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.listing import Listing, Stamp
    from pipeline.outbox.metadata import FrameRecord, ObjectiveRecord
    from pipeline.outbox.report.cache import PairRecord

Record = Result | FailedPair | DamagedFile | ForeignFile
SettingsByName = dict[str, dict[str, dict[str, Any]]]
"""Settings as `{name: {section: {key: value}}}`; pairs refer to them by name."""

_THREADS: Final = 4
"""Threads that read files: a network disk answers slowly, but several requests at once."""
_PERMISSIONS: Final = "Correct its permissions."
_RUN_AGAIN: Final = "Run the same command again to replace it."
_LEFT_ALONE: Final = "It is never replaced. If it belongs to a result, remove both and run the same command again."


@dataclass(frozen=True)
class Contents:
    """The contents of an outbox."""

    results: dict[str, Result]
    """Results, by the path of the picture."""
    failures: dict[str, FailedPair]
    """Failed pairs, by the path of the record."""
    damaged: dict[str, DamagedFile]
    """Damaged files, by path."""
    settings: SettingsByName

    @property
    def is_partial(self) -> bool:
        """Whether a folder or a file may not be read, so that there may be more results."""
        return any(damaged.remedy == _PERMISSIONS for damaged in self.damaged.values())

    @property
    def pairs(self) -> list[PairRecord]:
        """Done and failed pairs."""
        return [*self.results.values(), *self.failures.values()]


@dataclass(frozen=True)
class _JsonFile:
    """A JSON file, and the picture beside it."""

    path: str
    stamp: Stamp
    is_failure: bool
    picture: Stamp | None
    """Stamp of the picture; None if there is none."""


def read_outbox(root: Path, listing: Listing, cache: Cache, disk: Disk) -> tuple[Contents, Cache]:
    """Return the contents of an outbox, and the cache for the next report, which has only files that exist now.

    Raises:
        OSError: the disk or the network failed.
    """
    settings: SettingsByName = dict(cache.settings)
    read, unread = _from_cache(_json_files(listing), cache)
    with ThreadPoolExecutor(_THREADS) as pool:
        records = pool.map(lambda file: _read(root, file, settings, disk), unread)
        for file, record in zip(unread, records, strict=True):
            if record is not None:
                read[file.path] = CachedFile(stamp=file.stamp, picture=file.picture, record=record)
    used = {each.record.settings for each in read.values() if isinstance(each.record, Result | FailedPair)}
    settings = {name: settings[name] for name in sorted(used)}
    files = {href(path): each for path, each in read.items()}
    return _contents(root, listing, read, settings, disk), Cache(files=files, settings=settings)


def _json_files(listing: Listing) -> Iterator[_JsonFile]:
    for path, stamp in listing.failures.items():
        yield _JsonFile(path, stamp, is_failure=True, picture=None)
    for path, stamp in listing.metadata.items():
        yield _JsonFile(path, stamp, is_failure=False, picture=listing.pictures.get(path[: -len(".json")]))


def _from_cache(files: Iterable[_JsonFile], cache: Cache) -> tuple[dict[str, CachedFile], list[_JsonFile]]:
    """Return the files that the cache has, by path, and those that must be read."""
    read, unread = {}, []
    for file in files:
        cached = cache.files.get(href(file.path))
        if cached is not None and (cached.stamp, cached.picture) == (file.stamp, file.picture):
            read[file.path] = cached
        else:
            unread.append(file)
    return read, unread


def _contents(
    root: Path, listing: Listing, read: dict[str, CachedFile], settings: SettingsByName, disk: Disk
) -> Contents:
    contents = Contents({}, {}, {}, settings)
    described = {path.removesuffix(".json") for path, file in read.items() if not isinstance(file.record, ForeignFile)}
    for path, file in read.items():
        match file.record:
            case Result():
                contents.results[path[: -len(".json")]] = file.record
            case FailedPair():
                contents.failures[path] = file.record
            case DamagedFile():
                contents.damaged[path] = file.record
    marks = MarkFiles(root, disk)
    for path in listing.pictures.keys() - described:
        contents.damaged[path] = _without_metadata(path, marks)
    for path, why in listing.unreadable.items():
        contents.damaged[path] = DamagedFile(reason=f"The folder cannot be read: {why}.", remedy=_PERMISSIONS)
    return contents


def _without_metadata(path: str, marks: MarkFiles) -> DamagedFile:
    mark = marks.read(path)
    if mark is not None and mark.publishing:
        reason = "A picture without metadata: it is in progress, or its run was ended."
        return DamagedFile(reason=reason, remedy=_RUN_AGAIN)
    return DamagedFile(
        reason="A picture without metadata: no result of impasto, or its metadata was removed.",
        remedy=_LEFT_ALONE,
    )


def _read(root: Path, file: _JsonFile, settings: SettingsByName, disk: Disk) -> Record | None:
    """Return the record of a file; None if the file has gone."""
    path = root / file.path
    try:
        data = disk.read(path)
    except FileNotFoundError:
        # A link that leads nowhere is still there.
        return DamagedFile(reason="A link that leads nowhere.", remedy="Remove it.") if path.is_symlink() else None
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise
        return DamagedFile(reason=f"It cannot be read: {error.strerror}.", remedy=_PERMISSIONS)
    return _record(root, file, data, settings, disk)


def _record(root: Path, file: _JsonFile, data: bytes, settings: SettingsByName, disk: Disk) -> Record:
    picture = file.path.removesuffix(".json")
    try:
        if file.is_failure:
            return _failed(Failure.model_validate_json(data), settings)
        metadata = Metadata.model_validate_json(data)
    except ValidationError as error:
        origin = origin_of_failure(data) if file.is_failure else origin_of_metadata(data, picture)
        return ForeignFile() if origin == "foreign" else _unreadable_record(error, is_own=origin == "ours")
    if not names_same_file(metadata.output.path, picture):
        return DamagedFile(reason="Metadata of another picture.", remedy="Move it away, or back to its picture.")
    return _with_picture(root, file, metadata, settings, disk)


def _unreadable_record(error: ValidationError, *, is_own: bool) -> DamagedFile:
    finding = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in finding["loc"])
    return DamagedFile(
        reason=f"No metadata that this version can read: {where + ': ' if where else ''}{finding['msg']}.",
        remedy=_RUN_AGAIN if is_own else _LEFT_ALONE,
    )


def _with_picture(
    root: Path, file: _JsonFile, metadata: Metadata, settings: SettingsByName, disk: Disk
) -> Result | DamagedFile:
    if file.picture is None:
        return DamagedFile(reason="Metadata whose picture is missing.", remedy=_RUN_AGAIN)
    # The metadata is written last: a newer picture was altered, replaced or copied, so its hash is compared.
    if file.picture[0] > file.stamp[0]:
        try:
            data = disk.read(root / file.path[: -len(".json")])
        except OSError as error:
            if error.errno in MACHINE_ERRNOS:
                raise
            return DamagedFile(reason=f"The picture cannot be read: {error.strerror}.", remedy=_PERMISSIONS)
        if hashlib.sha256(data).hexdigest() != metadata.output.sha256:
            return altered_picture()
    return _result(metadata, settings)


def altered_picture() -> DamagedFile:
    """Return the record of a picture whose bytes are not those that were published."""
    return DamagedFile(reason="The picture was altered or truncated after it was made.", remedy=_RUN_AGAIN)


def _result(metadata: Metadata, settings: SettingsByName) -> Result:
    inputs = metadata.pair
    return Result(
        content=Input(path=inputs.content.path, sha256=inputs.content.sha256),
        style=inputs.style.path,
        paintings=tuple(Input(path=each.path, sha256=each.sha256) for each in inputs.blend or (inputs.style,)),
        output_sha256=metadata.output.sha256,
        size=(metadata.output.width, metadata.output.height),
        preset=metadata.preset,
        settings=_keep_settings(metadata.settings, settings),
        curves=tuple(_curve(scale) for scale in [*metadata.coarser, metadata.objective]),
        evaluations=metadata.evaluations,
        device_seconds=round(metadata.seconds.stylise, 2),
        attempt=metadata.attempt,
        warnings=tuple(metadata.warnings),
        started=metadata.started,
        finished=metadata.finished,
        frame=_frame(metadata.frame) if metadata.frame is not None else None,
    )


def _frame(frame: FrameRecord) -> FramePlace:
    fields = frame.model_dump(include=FramePlace.model_fields.keys() - {"follows"})
    return FramePlace(**fields, follows=frame.follows is not None)


def _failed(failure: Failure, settings: SettingsByName) -> FailedPair:
    fields = failure.model_dump(include=FailedPair.model_fields.keys() - {"kind", "settings"})
    return FailedPair(
        content=failure.pair.content,
        style=failure.pair.style,
        settings=_keep_settings(failure.settings, settings),
        **fields,
    )


def _curve(scale: ObjectiveRecord) -> Curve:
    return Curve(
        size=scale.size,
        evaluations=scale.trace[-1][0] if scale.trace else 0,
        first=_rounded(scale.first.total),
        best=_rounded(scale.best.total),
        heights=quantise(scale.trace),
    )


def _rounded(value: float) -> float | None:
    """Return a number rounded to five digits, which is more than a reader needs; None if it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _keep_settings(values: dict[str, dict[str, Any]], settings: SettingsByName) -> str:
    """Add settings under a name made of their hash, and return the name."""
    name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    settings.setdefault(name, values)
    return name
