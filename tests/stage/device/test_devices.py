"""Tests of the choice of devices, and of measuring the peak of memory."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pipeline.errors import DeviceError
from pipeline.stage.device.devices import describe_device, find_device, find_devices, find_precision
from pipeline.stage.device.system_memory import PeakMemory, trim

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that pretends that the machine has a number of CUDA devices."""

    def set_count(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return set_count


@pytest.mark.parametrize(
    ("name", "count", "devices"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 1, ["cuda:0"]),
        ("auto", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cpu", 0, ["cpu"]),
        ("cpu", 3, ["cpu"]),
        ("cuda", 1, ["cuda:0"]),
        ("cuda", 2, ["cuda:0", "cuda:1"]),
        ("cuda:0", 2, ["cuda:0"]),
        ("cuda:1", 2, ["cuda:1"]),
    ],
)
def test_all_devices_are_taken_unless_one_is_named(
    offer: Callable[[int], None], name: str, count: int, devices: list[str]
) -> None:
    offer(count)
    assert [str(device) for device in find_devices(name)] == devices
    assert str(find_device(name)) == devices[0], "a command that uses only one device takes the first"


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:3", 0), ("cuda:3", 3), ("cuda:1", 1)])
def test_a_device_that_does_not_exist_is_refused_with_a_remedy(
    offer: Callable[[int], None], name: str, count: int
) -> None:
    offer(count)
    with pytest.raises(DeviceError) as caught:
        find_device(name)
    assert f"run.device = {name}:" in caught.value.message
    assert f" {count} CUDA" in caught.value.message
    assert "--device cpu" in caught.value.remedy


def test_a_driver_that_is_not_available_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cpu")


def test_a_card_is_described_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert describe_device(torch.device("cpu")) == "cpu"
    assert describe_device(torch.device("cuda:3")) == "cuda:3 (Card 3)"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells it there")
def test_the_peak_memory_of_a_cpu_is_in_bytes() -> None:
    peak = PeakMemory(torch.device("cpu")).bytes()
    assert peak is not None
    assert 20 * 2**20 < peak < 2**40, "the peak is in bytes: torch alone takes more than 20 MiB"


@pytest.mark.skipif(sys.platform != "linux", reason="it is measured since the process began there")
def test_the_peak_memory_of_a_cpu_is_what_was_touched_since() -> None:
    size = 64 << 20
    block = np.ones(size, np.uint8)
    del block
    taken = PeakMemory(torch.device("cpu")).taken_bytes()
    assert taken is not None
    assert taken < size / 2, "the peak before the measurement does not count"


@pytest.mark.skipif(sys.platform != "linux", reason="it is measured since the process began there")
def test_memory_that_was_freed_again_counts_for_the_peak() -> None:
    size = 64 << 20
    gc.collect()
    trim()  # otherwise the array may reuse memory that an earlier test has freed
    memory = PeakMemory(torch.device("cpu"))
    block = np.ones(size, np.uint8)
    del block
    taken, peak = memory.taken_bytes(), memory.bytes()
    assert taken is not None
    assert peak is not None
    assert 0.95 * size < taken < 2 * size
    assert peak > taken + 20 * 2**20, "the total peak includes the memory that was in use before"


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_system_that_does_not_forget_the_peak_is_measured_since_the_process_began(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(Path, "write_text", refuse)
    memory = PeakMemory(torch.device("cpu"))
    assert memory.bytes()
    assert memory.taken_bytes() is None, "the memory of the pair alone is unknown"


def test_a_system_that_tells_nothing_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    memory = PeakMemory(torch.device("cpu"))
    assert memory.bytes() is None
    assert memory.taken_bytes() is None


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells it there")
@pytest.mark.parametrize(("platform", "unit"), [("darwin", 1), ("freebsd", 1024)])
def test_a_system_that_cannot_begin_anew_tells_the_peak_in_its_own_unit(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    import resource  # noqa: PLC0415

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(sys, "platform", platform)
    memory = PeakMemory(torch.device("cpu"))
    peak = memory.bytes()
    assert peak is not None
    assert unit * usage <= peak < 2 * unit * usage
    assert memory.taken_bytes() is None


def test_the_peak_memory_of_a_card_is_the_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    card, was_reset, allocated = torch.device("cuda:1"), [], [300]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", was_reset.append)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated[-1] + device.index)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device.index)
    memory = PeakMemory(card)
    assert was_reset == [card]
    allocated.append(900)
    assert memory.bytes() == 1001
    assert memory.taken_bytes() == 700, "memory that was allocated at the start does not count"


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16), ((6, 1), torch.float32)],
)
def test_auto_precision_is_what_a_cuda_device_has_natively(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert find_precision("auto", torch.device("cuda:0")) is precision


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_precision_is_what_a_processor_has_natively(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], precision: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert find_precision("auto", torch.device("cpu")) is precision


def test_precision_asked_for_is_taken() -> None:
    assert find_precision("float16", torch.device("cpu")) is torch.float16
