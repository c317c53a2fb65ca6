"""Checks of device, precision, weights, memory, codecs, extras and hooks; each is tried out where that is possible."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.cli.doctor.finding import Finding
from pipeline.errors import DeviceError, ImpastoError, MachineError
from pipeline.images.decode import decode, unavailable
from pipeline.images.encode import Encoding, encode, max_bits
from pipeline.images.files import SourceFile
from pipeline.images.films.av_library import INSTALL as INSTALL_AV
from pipeline.images.films.writing import check_encoder
from pipeline.images.formats import READABLE
from pipeline.images.resize import working_size
from pipeline.monitoring.hooks import Hooks
from pipeline.stage.device.devices import (
    describe_device,
    find_device,
    find_devices,
    find_precision,
    native_precisions,
    open_card,
)
from pipeline.stage.device.estimate import Estimator
from pipeline.stage.device.system_memory import free_cuda_bytes, free_host_bytes
from pipeline.stage.pool.ray_venue import INSTALL as INSTALL_RAY
from pipeline.text import duration, memory
from pipeline.transfer.tiling import WHOLE
from pipeline.transfer.weights import TORCHVISION_SIZE, find_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.images.encode import Format
    from pipeline.images.picture import Bits
    from pipeline.settings import Settings
    from pipeline.transfer.weights import WeightsSource

NVIDIA_DRIVER: Final = Path("/proc/driver/nvidia/version")
"""File that Linux has while an NVIDIA driver is loaded."""
_PHOTOGRAPH: Final = (4000, 3000)
"""Width and height in px of a photograph of 12 megapixels, for which time and memory are estimated."""
_WRITTEN_FORMATS: Final[tuple[Format, ...]] = ("jpeg", "png", "webp", "tiff")
_PROBE_SIDE: Final = 48
"""Side in px of the picture that the codecs are tried with."""
_LARGEST_ERROR: Final = 6.0
"""Mean error, in levels of 255, of a picture that is written and read again, beyond which a codec is broken."""


def versions() -> Iterator[Finding]:
    """Return the versions that a defect report should name."""
    names = ("impasto", "torch", "opencv-python", "numpy", "pillow")
    python = f"Python {platform.python_version()} on {platform.platform()}"
    yield Finding("versions", "OK", ", ".join([*(f"{name} {version(name)}" for name in names), python]))


def device(settings: Settings) -> Iterator[Finding]:
    """Check the devices and the precision.

    Raises:
        DeviceError: the requested CUDA device does not exist or cannot be used.
    """
    wanted = settings.run.device
    for each in find_devices(wanted):
        if each.type == "cuda":
            open_card(each)
            yield Finding("device", "OK", f"{describe_device(each)}, {memory(free_cuda_bytes(each))} of memory free")
        elif wanted == "auto" and NVIDIA_DRIVER.exists():
            yield Finding(
                "device", "WARN", "cpu: there is an NVIDIA card, but torch cannot use it.",
                "Install a torch that was built for its driver, which nvidia-smi shows: see pytorch.org.",
            )  # fmt: skip
        else:
            cores = f"{torch.get_num_threads()} threads of {os.cpu_count()} processors"
            yield Finding("device", "OK", f"cpu, {cores}, {memory(free_host_bytes())} of memory free")
    yield _precision(settings)


def _precision(settings: Settings) -> Finding:
    wanted, first = settings.network.precision, find_device(settings.run.device)
    taken = find_precision(wanted, first)
    name = str(taken).removeprefix("torch.")
    if taken not in native_precisions(first):
        return Finding(
            "precision", "WARN", f"{name} is emulated on this device, which takes longer than float32.",
            "Set network.precision = auto or float32.",
        )  # fmt: skip
    return Finding("precision", "OK", f"{name}, as network.precision = {wanted}")


def weights(settings: Settings) -> Iterator[Finding]:
    """Check the weights, and estimate a pair of the size that is set, without rendering it.

    Raises:
        MachineError: the weights cannot be loaded, or the device cannot be used.
    """
    source = find_weights(settings.network.weights, settings.network.preprocessing)
    if source.name == "torchvision" and not source.path.exists():
        yield Finding(
            "weights", "WARN", f"torchvision: {TORCHVISION_SIZE} are downloaded when they are needed.",
            f"Run a pair while there is a network, or put the file at {source.path}",
        )  # fmt: skip
        return
    estimator = _estimator(settings, source)
    yield Finding("weights", "OK", f"{source.name}, SHA-256 {source.sha256[:16]}…")
    width, height = working_size(*_PHOTOGRAPH, settings.image.size)
    expected = estimator.expect(settings, width, height)
    text = f"{width} × {height} px take about {duration(expected.seconds)} and {memory(expected.bytes)}"
    if expected.fit is None:
        yield Finding("a pair", "FAIL", f"{text}, which is not available.", "Lower image.size, or free memory.")
    elif expected.fit != WHOLE:
        yield Finding(
            "a pair", "WARN", f"{text}, in parts ({expected.fit}), since it does not fit into memory whole.",
            "Lower image.size, free memory or raise run.memory_gb, if it should be quicker.",
        )  # fmt: skip
    else:
        yield Finding("a pair", "OK", f"{text}, {expected.fit}")


def _estimator(settings: Settings, source: WeightsSource) -> Estimator:
    try:
        return Estimator(settings, source)
    except RuntimeError as error:  # for example if torch has no kernels for this card
        first_line = str(error).partition("\n")[0]
        raise DeviceError(
            f"{settings.run.device}: an evaluation ends in an error: {first_line}.",
            "Check the driver with nvidia-smi and torch's version, or take another device: --device cpu.",
        ) from error


def codecs(settings: Settings) -> Iterator[Finding]:
    """Write a small picture in every format and read it again; check the formats that are only read."""
    broken = [
        f"{name} {bits} bits" for name in _WRITTEN_FORMATS for bits in {8, max_bits(name)} if not _survives(name, bits)
    ]
    if broken:
        yield Finding(
            "codecs", "FAIL", f"a picture changes when it is written and read again: {', '.join(broken)}.",
            "Reinstall: pip install --force-reinstall opencv-python pillow",
        )  # fmt: skip
    allowed = settings.image.kinds
    lacking = sorted(allowed & unavailable())
    if lacking:
        yield Finding(
            "codecs", "FAIL", f"image.formats has {', '.join(lacking)}, which this Pillow was built without.",
            "Reinstall Pillow from PyPI, or leave the format out of image.formats.",
        )  # fmt: skip
    if not broken and not lacking:
        others = sorted(READABLE - allowed - unavailable())
        yield Finding("codecs", "OK", f"{', '.join(sorted(allowed))}; image.formats may add {', '.join(others) or '-'}")


def _survives(name: Format, bits: Bits) -> bool:
    ramp = np.linspace(0, 255, _PROBE_SIDE, dtype=np.float32)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 128), axis=-1)
    data = encode(pixels, Encoding(name, bits))
    try:
        again = decode(SourceFile(Path(f"probe.{name}"), data, ""), max_pixels=_PROBE_SIDE**2)
    except ImpastoError:
        return False
    return bool(np.abs(again.pixels - pixels).mean() < _LARGEST_ERROR)


def extras(settings: Settings) -> Iterator[Finding]:
    """Check the extras: PyAV for films, and Ray for clusters. They need not be there."""
    av, ray = _version_of("av"), _version_of("ray")
    try:
        check_encoder(settings.sequence.film if av is not None else "none")
    except MachineError as error:
        yield Finding("extras", "WARN", error.message, error.remedy)
        return
    if settings.run.cluster and ray is None:
        yield Finding("extras", "FAIL", "run.cluster needs Ray, which is not installed.", f"{INSTALL_RAY}.")
        return
    films = f"PyAV {av}" if av is not None else f"not installed ({INSTALL_AV})"
    clusters = f"Ray {ray}" if ray is not None else f"not installed ({INSTALL_RAY})"
    yield Finding("extras", "OK", f"films: {films}; clusters: {clusters}")


def _version_of(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def hooks(settings: Settings) -> Iterator[Finding]:
    """Check the programs of hooks.

    Raises:
        UsageError: a program does not exist.
    """
    Hooks(settings.hooks, settings.run.grace_seconds)
    programs = [command[0] for command in (settings.hooks.on_pair, settings.hooks.on_finish) if command]
    if programs:
        yield Finding("hooks", "OK", ", ".join(programs))
