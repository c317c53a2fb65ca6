"""The JSON beside every result, and the record of a failure: one schema, published by `impasto schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION: Final = 1
SHA256_PATTERN = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class InputFile(_Part):
    """A content or a style as it was read."""

    path: str = Field(description="relative to the manifest's folder")
    sha256: str = Field(pattern=SHA256_PATTERN)
    width: int = Field(ge=1, description="px, after EXIF orientation")
    height: int = Field(ge=1, description="px, after EXIF orientation")
    format: str


class BlendedFile(InputFile):
    """A painting of a blend."""

    weight: float = Field(gt=0)


class PairInputs(_Part):
    """The inputs of a result."""

    content: InputFile
    style: InputFile = Field(description="of a blend: its folder, the hash over its paintings', the first's size")
    blend: list[BlendedFile] = Field([], description="the paintings, where the style is more than one")
    mask: InputFile | None = Field(None, description="where the style acts; null: everywhere")


class PairPaths(_Part):
    """The two inputs of a failure, which may not even be readable."""

    content: str = Field(description="relative to the manifest's folder")
    style: str = Field(description="relative to the manifest's folder")


class Weights(_Part):
    """The network's weights."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{8,64}$", description="for torchvision its published first eight digits")


class ObjectiveTerms(_Part):
    """Weighted terms of the objective: total = content + style + tv."""

    total: float
    content: float
    style: float
    tv: float


class ObjectiveRecord(_Part):
    """How the optimisation went at one scale; objectives of different scales cannot be compared."""

    size: tuple[int, int] = Field(description="width and height in px")
    first: ObjectiveTerms = Field(description="at the start of the scale; of the coarsest this is the content itself")
    last: ObjectiveTerms
    best: ObjectiveTerms = Field(description="of the finest: of the published image, before it was clipped and encoded")
    trace: list[tuple[int, float]] = Field(description="[evaluation, total] of every finite evaluation")


class Seconds(_Part):
    """Where the time went."""

    load: float = Field(description="reading, hashing, decoding, resizing, colour")
    queue: float = Field(description="loaded and waiting for the device")
    stylise: float = Field(description="on the device; its share, where it was in a batch")
    save: float = Field(description="colour, encoding, writing and syncing the picture")


class OutputFile(_Part):
    """The result."""

    path: str = Field(description="relative to the outbox")
    sha256: str = Field(pattern=SHA256_PATTERN)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    bits: Literal[8, 16] = Field(8, description="per channel")


class Rendering(_Part):
    """How a result came to be, wherever it is."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["done"] = "done"
    key: str = Field(pattern=SHA256_PATTERN, description="over content, style, settings, weights and engine version")
    pair: PairInputs
    preset: str
    settings: dict[str, dict[str, Any]] = Field(description="all per-pair settings, resolved")
    weights: Weights
    engine_version: str
    device: str
    precision: Literal["float32", "bfloat16", "float16"] = Field(description="of the convolutions")
    working_size: tuple[int, int] = Field(description="width and height in px")
    evaluations: int = Field(ge=1, description="made, not asked for")
    optimisation: str = Field("", description="equal for results of one optimisation, which was made for one of them")
    luma_moved: float = Field(
        0.0, ge=0, le=1, description="share of pixels whose luma gave way so that their chroma has room in sRGB"
    )
    planned: tuple[int, ...] = Field((), description="evaluations planned at each scale, coarse to fine")
    resumed_at: int = Field(0, ge=0, description="evaluations that an earlier process had made of it; 0: none")
    fit: str = Field("whole", description="how it was fitted into memory: whole, recompute, or tiles of so many px")
    batch: int = Field(1, ge=1, description="pairs that were on the device together")
    objective: ObjectiveRecord = Field(description="of the finest scale")
    coarser: list[ObjectiveRecord] = Field(description="of the scales before it, coarse to fine")
    seconds: Seconds
    peak_memory_bytes: int | None = Field(ge=0, description="of the CUDA device; on a CPU of the process")
    attempt: int = Field(ge=1)
    warnings: list[str]
    started: str = Field(description="UTC, ISO 8601")
    finished: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str]

    def written(self, output: OutputFile, lost: Sequence[str]) -> Metadata:
        """The metadata of a result's file, which cannot hold what was lost."""
        warnings = [*self.warnings, *lost]
        return Metadata(**{**dict(self), "warnings": warnings}, output=output)


class Metadata(Rendering):
    """Beside a finished result; its presence says that the picture is complete and durable."""

    output: OutputFile


class Failure(_Part):
    """In `failed/`: why a pair has no result, and what to do about it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["failed"] = "failed"
    key: str | None = Field(pattern=SHA256_PATTERN, description="null where an input could not even be read")
    pair: PairPaths
    preset: str
    settings: dict[str, dict[str, Any]]
    error_class: Literal["input", "environment", "internal"] = Field(
        description="who can mend it: the input's owner, the machine's keeper, or the authors"
    )
    reason: str
    remedy: str
    attempt: int = Field(ge=1)
    failed: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of both records."""
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
    """reason.json: why a job failed, and what to do about it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    files: tuple[str, ...] = Field(description="paths in the inbox; below in/ here")
    error_class: Literal["input", "environment", "internal"]
    reason: str
    remedy: str
    attempts: int
    failed: str = Field(description="UTC, ISO 8601")
