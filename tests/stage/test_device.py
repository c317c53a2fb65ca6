from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.errors import DeviceError
from pipeline.stage.device import describe, find_device, find_precision, peak_memory_bytes, reset_peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Pretend that the machine has so many CUDA devices."""

    def set_count(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return set_count


@pytest.mark.parametrize(
    ("name", "count", "device"),
    [
        ("auto", 0, "cpu"),
        ("auto", 1, "cuda:0"),
        ("auto", 4, "cuda:0"),
        ("cpu", 0, "cpu"),
        ("cpu", 4, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:3", 4, "cuda:3"),
    ],
)
def test_the_device_asked_for_is_taken(offer: Callable[[int], None], name: str, count: int, device: str) -> None:
    offer(count)
    assert find_device(name) == torch.device(device)


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
    assert describe(torch.device("cpu")) == "cpu"
    assert describe(torch.device("cuda:3")) == "cuda:3 (Card 3)"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells it there")
def test_the_peak_memory_of_a_cpu_is_in_bytes() -> None:
    reset_peak_memory(torch.device("cpu"))
    peak = peak_memory_bytes(torch.device("cpu"))
    assert peak is not None
    assert 20 * 2**20 < peak < 2**40, "torch alone takes more than 20 MiB"


def test_the_peak_memory_of_a_card_is_the_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    card, was_reset = torch.device("cuda:1"), []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", was_reset.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device.index)
    reset_peak_memory(card)
    assert was_reset == [card]
    assert peak_memory_bytes(card) == 1001


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
