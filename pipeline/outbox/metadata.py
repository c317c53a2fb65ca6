"""The JSON beside every result and the records of failures; `impasto schema` prints their JSON Schema.

The names of fields are part of the format and never change within a schema version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.text import displayable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.pair import Pair

SCHEMA_VERSION: Final = 1
Message = Annotated[str, AfterValidator(displayable)]
"""Text for people. It may quote a file, so characters that would command a terminal are replaced."""
SHA256_PATTERN = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class InputFile(_Part):
    """A photograph, painting or mask as it was read."""

    path: str = Field(description="path relative to the manifest's folder")
    sha256: str = Field(pattern=SHA256_PATTERN)
    width: int = Field(ge=1, description="in px, after EXIF orientation")
    height: int = Field(ge=1, description="in px, after EXIF orientation")
    format: str


class BlendedFile(InputFile):
    """A painting of a blend."""

    weight: float = Field(gt=0, description="weight in the blend")


class PairInputs(_Part):
    """The input files of a result."""

    content: InputFile
    style: InputFile = Field(
        description="the painting; for a blend its folder, a hash over all paintings, and the size of the first"
    )
    blend: list[BlendedFile] = Field([], description="the paintings of a blend; empty if the style is one painting")
    mask: InputFile | None = Field(None, description="mask of the area where the style acts; null: everywhere")


class PairPaths(_Part):
    """The paths of a failed pair's inputs, which perhaps cannot be read."""

    content: str = Field(description="path relative to the manifest's folder")
    style: str = Field(description="path relative to the manifest's folder")

    @classmethod
    def of(cls, pair: Pair) -> PairPaths:
        """Return the paths of a pair."""
        return cls(content=pair.content_label, style=pair.style_label)


class Weights(_Part):
    """The network's weights."""

    name: str
    sha256: str = Field(
        pattern=r"^[0-9a-f]{8,64}$",
        description="hash of the file; for torchvision the first eight digits, as published",
    )


class FrameRecord(_Part):
    """The place of a result in a sequence of frames."""

    clip: str = Field(description="name of the sequence: the folder of its frames in the outbox")
    number: int = Field(ge=0, description="number in the sequence, from 0")
    frames: int = Field(ge=1, description="frames of the sequence")
    previous_sha256: str = Field("", description="hash of the photograph before")
    settings: dict[str, Any] = Field({}, description="the settings of the section sequence")
    follows: str | None = Field(None, description="result from which this one started; null: the first frame of a shot")
    renewed: bool = Field(default=False, description="whether it took only large shapes from there")
    flicker: float = Field(
        0.0,
        ge=0,
        description="RMS difference in levels to the result before, moved along the flow",
    )
    flicker_of_photographs: float = Field(0.0, ge=0, description="the same of the photographs")
    trusted: float = Field(0.0, ge=0, le=1, description="share of the frame where the flow is trusted")
    still: float = Field(0.0, ge=0, le=1, description="share of the frame where nothing changed or was painted")


class ObjectiveTerms(_Part):
    """The weighted terms of the objective: total = content + style + tv + temporal."""

    total: float
    content: float
    style: float
    tv: float
    temporal: float = Field(0.0, description="of a frame: difference to the result before, moved along the flow")


class ObjectiveRecord(_Part):
    """The course of the optimisation at one scale; objectives of different scales cannot be compared."""

    size: tuple[int, int] = Field(description="width and height in px")
    first: ObjectiveTerms = Field(description="at the start of the scale; at the coarsest scale for the content itself")
    last: ObjectiveTerms = Field(description="at the end of the scale")
    best: ObjectiveTerms = Field(
        description="of the best image; at the finest scale this image is published, after clipping and encoding"
    )
    trace: list[tuple[int, float]] = Field(description="[evaluation, total] for every evaluation with a finite total")


class Seconds(_Part):
    """The time that a pair took, in seconds."""

    load: float = Field(description="reading, hashing, decoding, resizing, colour")
    queue: float = Field(description="waiting for the device after loading")
    stylise: float = Field(description="on the device; in a batch the pair's share")
    save: float = Field(description="colour, encoding, writing and syncing the picture")


class OutputFile(_Part):
    """The picture of a result."""

    path: str = Field(description="path relative to the outbox")
    sha256: str = Field(pattern=SHA256_PATTERN)
    width: int = Field(ge=1, description="in px")
    height: int = Field(ge=1, description="in px")
    bits: Literal[8, 16] = Field(8, description="bits per channel")


class Rendering(_Part):
    """The record of how a picture was made, wherever it is saved."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["done"] = "done"
    key: str = Field(
        pattern=SHA256_PATTERN, description="hash over content, style, mask, settings, weights and engine version"
    )
    pair: PairInputs
    preset: str
    settings: dict[str, dict[str, Any]] = Field(description="all settings of the pair, after defaults and presets")
    weights: Weights
    engine_version: str
    device: str
    precision: Literal["float32", "bfloat16", "float16"] = Field(description="precision of the convolutions")
    working_size: tuple[int, int] = Field(description="width and height in px at which the pair was optimised")
    evaluations: int = Field(ge=1, description="evaluations that were made, not those that were planned")
    optimisation: str = Field(
        "", description="identifier of the optimisation, which results that differ in colours alone may share"
    )
    frame: FrameRecord | None = Field(None, description="place in a sequence of frames; null: a photograph")
    luma_moved: float = Field(
        0.0, ge=0, le=1, description="share of pixels whose luma was changed so that their chroma fits into sRGB"
    )
    planned: tuple[int, ...] = Field((), description="evaluations planned at each scale, coarse to fine")
    resumed_at: int = Field(
        0, ge=0, description="evaluations that an earlier process had made and left in a checkpoint"
    )
    fit: str = Field(
        "whole",
        description="way to fit the pair into memory: whole, recompute, or tiles and their size in px, which round "
        "differently",
    )
    batch: int = Field(1, ge=1, description="number of pairs that were on the device together")
    objective: ObjectiveRecord = Field(description="course at the finest scale")
    coarser: list[ObjectiveRecord] = Field(description="course at the scales before it, coarse to fine")
    seconds: Seconds
    peak_memory_bytes: int | None = Field(
        ge=0, description="peak of the CUDA device, or of the process on a CPU; null: unknown"
    )
    attempt: int = Field(ge=1, description="number of this attempt, from 1")
    warnings: list[Message]
    started: str = Field(description="UTC, ISO 8601")
    finished: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str] = Field(description="versions of impasto and of its libraries")

    def written(self, output: OutputFile, lost: Sequence[str]) -> Metadata:
        """Return the metadata of a written file.

        Args:
            output: the file.
            lost: warnings about information that the file's format cannot hold.
        """
        warnings = [*self.warnings, *lost]
        return Metadata(**{**dict(self), "warnings": warnings}, output=output)


class Metadata(Rendering):
    """The file beside a result; its presence means that the picture is complete and durable."""

    output: OutputFile


class Failure(_Part):
    """The file in `failed/` that says why a pair has no result, and what to do about it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["failed"] = "failed"
    key: str | None = Field(pattern=SHA256_PATTERN, description="null: an input could not be read")
    pair: PairPaths
    preset: str
    settings: dict[str, dict[str, Any]]
    error_class: Literal["input", "environment", "internal"] = Field(
        description="who can fix it: the user (input), the operator (environment), or the developers (internal)"
    )
    reason: Message
    remedy: Message
    attempt: int = Field(ge=1, description="number of the failed attempt, from 1")
    failed: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str] = Field(description="versions of impasto and of its libraries")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of metadata and failure records."""
    parts = [
        model.model_json_schema(mode="serialization", ref_template="#/$defs/{model}") for model in (Metadata, Failure)
    ]
    definitions = {name: definition for part in parts for name, definition in part.pop("$defs", {}).items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "impasto metadata",
        "oneOf": [{"$ref": "#/$defs/Metadata"}, {"$ref": "#/$defs/Failure"}],
        "$defs": definitions | {"Metadata": parts[0], "Failure": parts[1]},
    }


class JobFailure(BaseModel):
    """The file reason.json of a failed job: why it failed, and what to do about it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    files: tuple[str, ...] = Field(description="paths relative to the inbox, and relative to in/ beside this file")
    error_class: Literal["input", "environment", "internal"]
    reason: Message
    remedy: Message
    attempts: int
    failed: str = Field(description="UTC, ISO 8601")
