"""The sections of config.toml that hold for a whole run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.settings.base import Section, check_duration

DEVICE_PATTERN = r"^(auto|cpu|cuda(:\d+)?)$"


class MaskSettings(Section):
    """Where the style acts."""

    file: str = Field(
        "", description="painted where it is white, the photograph where black; or a folder with a mask for each name"
    )


class NetworkSettings(Section):
    """VGG19's weights."""

    weights: str = Field(
        "packaged", description='"packaged", "torchvision" (downloaded once), or a .pth or .safetensors file'
    )
    preprocessing: Literal["auto", "caffe", "torchvision"] = Field(
        "auto", description="what a weights file was trained on; auto tells by its names"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the convolutions; auto: the fastest that the device has natively"
    )


class RunSettings(Section):
    """The run as a whole."""

    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] = Field(
        "auto", description="auto, cpu, cuda (all cards at once) or cuda:N"
    )
    roots: tuple[str, ...] = Field((), description="if set, a manifest may only name files below these folders")
    max_attempts: int = Field(
        3, ge=1, description="a pair has failed that ended the process so often without coming further"
    )
    batch: int = Field(0, ge=0, le=64, description="pairs of one size on the device together, at most; 0: what pays")
    max_reorder: int = Field(16, ge=0, description="pairs that may be begun before an earlier one to fill a batch")
    memory_gb: float = Field(
        0.0, ge=0, description="GiB that pictures may take on the device; larger ones go in tiles; 0: what is free"
    )
    time_budget: Annotated[str, AfterValidator(check_duration)] = Field(
        "", description='of a run, such as "8h" or "1h30m": fewer evaluations per pair where time is short; empty: none'
    )
    checkpoint_seconds: float = Field(
        120.0, gt=0, description="a pair in work is written down so often, to go on from there after a crash"
    )
    preview_seconds: float = Field(
        0.0, ge=0, description="what a pair in work looks like is in OUTBOX/.impasto/preview, anew so often; 0: not"
    )
    grace_seconds: float = Field(
        30.0,
        ge=0,
        description="after SIGTERM (in watch and drain after Ctrl-C, too) the pair in work goes on so long",
    )
    report: bool = Field(default=False, description="keep OUTBOX/index.html, the report, up to date while it works")


class StylesSettings(Section):
    """The style library of watch and drain."""

    folder: str = Field("", description="of paintings; INBOX/<name>/ takes the painting <name>.jpg (or .png, …)")
    default: str = Field("", description="the name of the style of photographs at the top of the inbox; empty: none")


class WatchSettings(Section):
    """The inbox of watch and drain."""

    settle_seconds: float = Field(
        2.0,
        ge=0.05,
        le=3600,
        description="a file that did not change for so long is complete; on a network: at least 10",
    )
    rescan_seconds: float = Field(60.0, ge=0.1, description="the whole inbox is looked through so often in any case")
    polling: bool = Field(default=False, description="look through the inbox every poll_seconds; on a network: always")
    poll_seconds: float = Field(5.0, ge=0.1, description="see polling")
    prefetch: int = Field(4, ge=1, description="so many files are claimed ahead; others stay for other watchers")
    retire: Literal["archive", "delete", "return"] = Field(
        "archive", description="a finished photograph goes into the spool's done/, or away, or back to where it was"
    )
    incomplete_seconds: float = Field(
        30.0, ge=0, description="an image that seems truncated is tried again for so long, max_attempts times in all"
    )
    ticket_seconds: float = Field(3600.0, ge=0, description="a ticket whose files do not come for so long has failed")
    spool: str = Field("", description="folder for files in work, on the inbox's file system; empty: INBOX/.impasto")


class MetricsSettings(Section):
    """What Prometheus gets."""

    textfile: str = Field(
        "", description="for the node exporter's textfile collector, one for each process: NAME.prom; empty: none"
    )


class HooksSettings(Section):
    """Programs that are told what happens, by JSON on stdin: each a list of the program and its arguments."""

    on_pair: tuple[str, ...] = Field((), description="after each pair that is published, or has failed; empty: none")
    on_finish: tuple[str, ...] = Field((), description="at the end, with all counts; empty: none")
    timeout_seconds: float = Field(30.0, gt=0, description="one that takes longer is ended, with all that it started")
