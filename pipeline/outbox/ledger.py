"""The ledger: compares a pair's key with the result and the failure record that the outbox has under its name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pipeline.disk import Disk, as_storage_error
from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.metadata import Metadata, PairPaths
from pipeline.outbox.ownership import names_same_file, origin_of_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import PairSettings

_NOT_IN_PIXELS: Final[Mapping[str, Any]] = {
    "image": {"max_pixels", "formats"},
    "colour": {"variants"},
    "preset": True,
    "sequence": True,
}
"""Settings that cannot change a pair's result: the limits on input files, the modes of further results, and the name of
the preset, whose values are in the key themselves. Those of a sequence change only frames that follow others, and are
part of `chain_of`."""

_ADDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "objective": {"style": "gram", "content_target": "photograph", "content_layer_weights": []},
    "pyramid": {"ratio": "2", "floor": 0, "detail": 1.0},
}
"""Settings that were added after the first version, with the values that are equivalent to it. With these values they
are left out of the key, so that the results of earlier versions still count as done."""


@dataclass(frozen=True)
class Fingerprint:
    """The inputs and settings of a result. Its hash is the key: a result with an equal key counts as done.

    The pixels of results with equal keys may still differ, by the device, its precision, or fewer evaluations in a
    time budget.
    """

    content_sha256: str
    style_sha256: str
    settings: dict[str, Any]
    weights_sha256: str
    engine_version: str
    mask_sha256: str = ""
    chain: str = ""
    """For a frame that follows another: see `chain_of`; empty for all other pairs."""

    @classmethod
    def of(cls, pair: Pair, sha256_of: Callable[[Path], str], weights_sha256: str, engine_version: str) -> Fingerprint:
        """Return the fingerprint of a pair.

        Args:
            pair: the pair.
            sha256_of: returns the hash of a file; its errors are passed on.
            weights_sha256: hash of the network's weights.
            engine_version: version of the algorithm.
        """
        return cls(
            sha256_of(pair.content),
            style_sha256([sha256_of(path) for path in pair.styles]),
            settings_in_key(pair.settings),
            weights_sha256,
            engine_version,
            sha256_of(pair.mask) if pair.mask is not None else "",
            chain_of(pair),
        )

    @property
    def key(self) -> str:
        """SHA-256 of the fields as canonical JSON; without the chain if there is none, as in the first version."""
        fields = {name: value for name, value in vars(self).items() if value or name != "chain"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def chain_of(pair: Pair) -> str:
    """Return a hash over all that a frame takes from earlier ones: the key before, and the settings of sequences.

    The key before covers the frames before it, back to the first of the shot. It is empty if the pair follows no frame.
    """
    before = pair.predecessor
    if before is None:
        return ""
    settings = pair.settings.sequence.model_dump(mode="json", exclude={"cuts", "refresh", "film"})
    parts = [before.key, before.renews, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def style_sha256(paintings: Sequence[str]) -> str:
    """Return the hash of a style: that of its only painting, or a hash over those of a blend in their order."""
    if len(paintings) == 1:
        return paintings[0]
    return hashlib.sha256("\n".join(paintings).encode()).hexdigest()


def settings_in_key(settings: PairSettings) -> dict[str, Any]:
    """Return the settings that change pixels, as JSON values."""
    return _as_first_version(settings.model_dump(mode="json", exclude=dict(_NOT_IN_PIXELS)))


def _as_first_version(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without those that were added later and have no effect."""
    return {
        section: {key: value for key, value in values.items() if _ADDED[section].get(key) != value}
        if section in _ADDED
        else values
        for section, values in settings.items()
    }


def _with_added(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those that were added later, which a key and the settings of an earlier version lack."""
    return {section: {**_ADDED.get(section, {}), **values} for section, values in settings.items()}


def settings_in_metadata(settings: PairSettings) -> dict[str, Any]:
    """Return all settings of a pair, as JSON values."""
    return settings.model_dump(mode="json", exclude={"preset": True, "sequence": True})


class Status(StrEnum):
    """State of a pair in the outbox."""

    NEW = "new"
    DONE = "done"
    CHANGED = "changed"
    DAMAGED = "damaged"
    FAILED = "failed"


@dataclass(frozen=True)
class LedgerEntry:
    """State of a pair in the outbox."""

    status: Status
    reason: str
    """Reason for the status, in words."""
    failed_attempts: int = 0
    """Number of failed attempts in the failure record."""


def look_up(outbox: Outbox, pair: Pair, fingerprint: Fingerprint | None) -> LedgerEntry:
    """Compare a pair with the outbox's files of its name. It counts as done only if key and picture's hash are equal.

    Failures by the machine or by a defect are tried again in every run, and so are failures by an input once the input
    or a setting has changed.

    Args:
        outbox: the outbox, which need not exist.
        pair: the pair.
        fingerprint: the pair's present fingerprint; None if its inputs cannot be read.

    Raises:
        StorageError: the disk or the network failed.
    """
    result = _look_up_result(outbox, pair, fingerprint)
    key = fingerprint.key if fingerprint else None
    failure = outbox.failures.find(pair.name, PairPaths.of(pair), key)
    if failure is None or result.status is Status.DONE:
        return result
    if (
        failure.error_class == "input"
        and failure.key == key
        and _with_added(failure.settings) == settings_in_metadata(pair.settings)
    ):
        return LedgerEntry(Status.FAILED, f"failed before: {failure.reason}", failure.attempt)
    return LedgerEntry(Status.CHANGED, "failed before, now tried again", failure.attempt)


def recorded_result(outbox: Outbox, file_name: str) -> Metadata | None:
    """Return the metadata of the result that the outbox has under a name; None if there are none that can be read.

    Raises:
        StorageError: the disk or the network failed.
    """
    metadata = _read_metadata(outbox.metadata_path(file_name), file_name)
    return None if isinstance(metadata, LedgerEntry) else metadata


def _look_up_result(outbox: Outbox, pair: Pair, fingerprint: Fingerprint | None) -> LedgerEntry:
    metadata = _read_metadata(outbox.metadata_path(pair.file_name), pair.file_name)
    if isinstance(metadata, LedgerEntry):
        return metadata
    if fingerprint is None or metadata.key != fingerprint.key:
        return LedgerEntry(Status.CHANGED, _changes(metadata, fingerprint))
    try:
        picture_sha256 = hashlib.sha256(outbox.picture_path(pair.file_name).read_bytes()).hexdigest()
    except OSError as error:
        _raise_if_machine(error, outbox.picture_path(pair.file_name))
        return LedgerEntry(Status.DAMAGED, "the picture is missing")
    if picture_sha256 != metadata.output.sha256:
        return LedgerEntry(Status.DAMAGED, "the picture was altered or truncated")
    return LedgerEntry(Status.DONE, "done already, nothing changed")


def _read_metadata(path: Path, file_name: str) -> Metadata | LedgerEntry:
    """Return the metadata of a result, or the entry of a pair that has none."""
    data = _read(path)
    if data is None:
        return LedgerEntry(Status.NEW, "not rendered yet")
    foreign = LedgerEntry(Status.NEW, f"not rendered yet; {path.name} is no metadata of this result")
    try:
        metadata = Metadata.model_validate_json(data)
    except ValidationError:
        is_own = origin_of_metadata(data, file_name) == "ours"  # of a version with other fields
        return LedgerEntry(Status.DAMAGED, "its metadata cannot be read") if is_own else foreign
    return metadata if names_same_file(metadata.output.path, file_name) else foreign


def _changes(metadata: Metadata, now: Fingerprint | None) -> str:
    if now is None:
        return "an input cannot be read any more"
    before = _with_added(metadata.settings)
    settings = [
        f"{section}.{key}"
        for section, values in _with_added(now.settings).items()
        for key, value in values.items()
        if before.get(section, {}).get(key) != value
    ]
    mask = metadata.pair.mask.sha256 if metadata.pair.mask is not None else ""
    parts = {
        "content": metadata.pair.content.sha256 != now.content_sha256,
        "style": metadata.pair.style.sha256 != now.style_sha256,
        "mask": mask != now.mask_sha256,
        **dict.fromkeys(settings, True),
        "weights": metadata.weights.sha256 != now.weights_sha256,
        "engine": metadata.engine_version != now.engine_version,
    }
    followed = metadata.frame is not None and metadata.frame.follows is not None
    if (now.chain or followed) and not any(parts.values()):
        return "changed: an earlier frame, or the settings of the sequence"
    return "changed: " + (
        ", ".join(name for name, changed in parts.items() if changed) or "settings of another version"
    )


def _read(path: Path) -> bytes | None:
    try:
        return Disk().read(path)
    except OSError as error:
        _raise_if_machine(error, path)
        return None


def _raise_if_machine(error: OSError, path: Path) -> None:
    """Raise StorageError if the machine caused the error: the pair may be done nevertheless."""
    if error.errno in MACHINE_ERRNOS:
        raise as_storage_error(error, path) from error
