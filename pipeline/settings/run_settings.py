"""The sections of config.toml that hold for a whole run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.settings.base import Count, Seconds, Section, UserPath, check_duration

DEVICE_PATTERN = r"^(auto|cpu|cuda(:\d+)?)$"


class MaskSettings(Section):
    """The mask: where the style acts."""

    file: UserPath = Field(
        "",
        description="white where the style acts, black where the photograph stays; or a folder with one for each name",
    )


class NetworkSettings(Section):
    """The network, VGG19."""

    weights: UserPath = Field(
        "packaged", description='"packaged", "torchvision" (downloaded once), or a .pth or .safetensors file'
    )
    preprocessing: Literal["auto", "caffe", "torchvision"] = Field(
        "auto", description="how the weights expect their input: caffe or torchvision; auto: by the names in the file"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="precision of the convolutions; auto: the fastest that the device has natively"
    )


class RunSettings(Section):
    """The run as a whole."""

    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] = Field(
        "auto", description="auto, cpu, cuda (all cards at once) or cuda:N"
    )
    cluster: str = Field(
        "",
        description="address of a Ray cluster whose devices do the work: auto, HOST:PORT or ray://…; empty: this one",
    )
    cluster_accelerator: str = Field(
        "", description="type of the cluster's cards to use, as Ray names it, such as H100; empty: all"
    )
    roots: tuple[UserPath, ...] = Field((), description="if set, a manifest may only name files within these folders")
    max_attempts: Count = Field(
        3, ge=1, description="give up a pair after this many crashes, without progress, during it alone"
    )
    batch: int = Field(
        0, ge=0, le=64, description="most pairs of one size that are on the device at once; 0: as many as pay off"
    )
    max_reorder: Count = Field(16, ge=0, description="most pairs that may start before an earlier one, to fill a batch")
    memory_gb: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="GiB that pictures may take on the device; larger ones are worked on in tiles; 0: what is free",
    )
    time_budget: Annotated[str, AfterValidator(check_duration)] = Field(
        "",
        description='time for a run, such as "8h" or "1h30m": fewer evaluations where it is short; empty: no limit',
    )
    checkpoint_seconds: Seconds = Field(
        120.0, gt=0, description="seconds between two checkpoints of a pair, from which it continues after a crash"
    )
    preview_seconds: Seconds = Field(
        0.0,
        ge=0,
        description="seconds between two previews of the pair in progress, in OUTBOX/.impasto/preview; 0: off",
    )
    grace_seconds: Seconds = Field(
        30.0,
        ge=0,
        description="seconds that the pair in progress may take after SIGTERM (in watch and drain also after Ctrl-C)",
    )
    silence_seconds: Seconds = Field(
        120.0,
        ge=10,
        description="seconds without a sign of life after which the process of one of several devices is replaced",
    )
    seat_seconds: Seconds = Field(
        600.0, ge=0, description="seconds without any device that works after which a run on several devices ends"
    )
    report: bool = Field(default=False, description="keep OUTBOX/index.html, the report, up to date during the work")

    @property
    def local_device(self) -> str:
        """The device of this machine on which forecasts are measured."""
        return "auto" if self.cluster else self.device


class StylesSettings(Section):
    """The style library of watch and drain."""

    folder: UserPath = Field(
        "", description="folder of paintings; INBOX/<name>/ takes the painting <name>.jpg (or .png, …)"
    )
    default: str = Field("", description="name of the style for photographs at the top of the inbox; empty: none")


class WatchSettings(Section):
    """The inbox of watch and drain."""

    settle_seconds: Seconds = Field(
        2.0,
        ge=0.05,
        le=3600,
        description="seconds without a change after which a file is complete; on a network: at least 10",
    )
    rescan_seconds: Seconds = Field(
        60.0, ge=0.1, description="seconds between two scans of the whole inbox, even if no event arrives"
    )
    polling: bool = Field(
        default=False,
        description="scan the inbox every poll_seconds instead of waiting for events; on a network: always",
    )
    poll_seconds: Seconds = Field(5.0, ge=0.1, description="seconds between two scans while polling")
    prefetch: Count = Field(4, ge=1, description="files that are claimed ahead; the others stay for other watchers")
    retire: Literal["archive", "delete", "return"] = Field(
        "archive",
        description="a finished photograph: archive it in the spool's done/, delete it, or return it to where it was",
    )
    incomplete_seconds: Seconds = Field(
        30.0,
        ge=0,
        description="seconds for which an image that seems truncated is tried again, max_attempts times in all",
    )
    ticket_seconds: Seconds = Field(
        3600.0, ge=0, description="seconds after which a ticket fails if its files have not come"
    )
    spool: UserPath = Field(
        "", description="folder for files in progress, on the inbox's file system; empty: INBOX/.impasto"
    )


class MetricsSettings(Section):
    """Metrics for Prometheus."""

    textfile: UserPath = Field(
        "", description="file for the node exporter's textfile collector, one for each process: NAME.prom; empty: none"
    )


class HooksSettings(Section):
    """Programs that get JSON on stdin when something happens: each a list of the program and its arguments."""

    on_pair: tuple[UserPath, ...] = Field(
        (), description="program to run after each pair that is published or has failed; empty: none"
    )
    on_finish: tuple[UserPath, ...] = Field((), description="program to run at the end, with all counts; empty: none")
    timeout_seconds: Seconds = Field(
        30.0, gt=0, description="seconds after which a hook is ended, with all that it started"
    )
