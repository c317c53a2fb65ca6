"""Tests of a real Ray cluster on loopback: what is killed, frozen or cut off loses nothing and doubles nothing."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import MachineError
from pipeline.stage.pool import ray_venue

ROOT = Path(__file__).parents[3]
HAS_RAY = importlib.util.find_spec("ray") is not None
STRIKES = ("process killed", "process frozen", "node killed", "node cut off")
cluster = pytest.mark.cluster


def _namespace() -> list[str] | None:
    """Return the command that runs another one in a network of loopback alone; None if that is forbidden."""
    for options in (["-n"], ["-rn"]):
        command = ["unshare", *options, "bash", "-c", 'ip link set lo up && exec "$@"', "--"]
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return None


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory, _cache: None) -> dict[str, dict[str, Any]]:
    if not HAS_RAY:
        pytest.skip("needs the extra: pip install 'impasto[cluster]'")
    namespace = _namespace()
    if namespace is None:
        pytest.skip("needs a network namespace, and this user may not make one")
    # Ray's sockets lie in a folder whose path may have 107 bytes.
    folder = tmp_path_factory.mktemp("ray")
    command = [*namespace, sys.executable, "-m", "tests.stage.pool.ray_scenarios", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]  # Ray writes nothing there
    return {line.pop("name"): line for line in lines}


@cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["undisturbed", *STRIKES])
def test_every_pair_has_one_outcome_and_the_pixels_of_a_local_process(
    scenarios: dict[str, dict[str, Any]], name: str
) -> None:
    found = scenarios[name]
    assert found["each_once"]
    assert found["failed"] == []
    assert found["permitted"] == 1
    assert found["pixels"] == scenarios["local"]["pixels"]
    assert found["marks"] == 0


@cluster
@pytest.mark.timeout(600)
def test_the_contract_of_every_venue_holds(scenarios: dict[str, dict[str, Any]]) -> None:
    assert len(scenarios["contract"]["checks"]) == 3


@cluster
@pytest.mark.timeout(600)
def test_only_a_process_that_died_is_held_against_pairs(scenarios: dict[str, dict[str, Any]]) -> None:
    assert scenarios["process killed"]["blamed"] == 1
    for name in ("undisturbed", "process frozen", "node killed", "node cut off"):
        assert scenarios[name]["blamed"] == 0, name


@cluster
@pytest.mark.timeout(600)
def test_losses_are_noticed_and_the_pairs_go_on(scenarios: dict[str, dict[str, Any]]) -> None:
    for name in STRIKES:
        assert scenarios[name]["noticed"] is not None, name
        assert scenarios[name]["recovered"] is not None, name


@cluster
@pytest.mark.timeout(600)
def test_a_zombie_that_wakes_up_after_the_end_changes_nothing(scenarios: dict[str, dict[str, Any]]) -> None:
    assert scenarios["node cut off"]["changed_later"] == []


@cluster
@pytest.mark.timeout(600)
def test_after_the_death_of_the_driver_the_same_command_continues(scenarios: dict[str, dict[str, Any]]) -> None:
    found = scenarios["driver killed"]
    assert found["exit_code"] == 0, found["stderr"]
    assert "raylet" not in found["stderr"]
    assert found["actors_gone"] < 30
    assert found["summary"]["skipped"] >= found["done_before"] - 1
    assert found["summary"]["rendered"] + found["summary"]["skipped"] == 8
    assert found["pixels"] == scenarios["local"]["pixels"]


@cluster
@pytest.mark.timeout(600)
def test_each_card_is_a_seat_that_sees_only_itself(scenarios: dict[str, dict[str, Any]]) -> None:
    found = scenarios["cards"]
    assert found["places"] == {"all": ["GPU 0", "GPU 1"], "of another kind": [], "without": ["the CPU"] * 3}
    assert sorted(found["visible"]) == ["0", "1"]
    assert set(found["answers"]) == {"GPU 0", "GPU 1"}
    for answer in found["answers"].values():  # the node only says that it has cards
        assert "this machine offers 0 CUDA devices" in answer


@cluster
@pytest.mark.timeout(600)
def test_the_watcher_renders_on_the_cluster(scenarios: dict[str, dict[str, Any]]) -> None:
    found = scenarios["watched"]
    assert found["exit_code"] == 128 + signal.SIGTERM, found["log"]
    assert found["results"] == 2, found["log"]


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MachineError, match="A cluster needs Ray") as caught:
        ray_venue.connect("auto")
    assert "pip install 'impasto[cluster]'" in caught.value.remedy


@pytest.mark.skipif(not HAS_RAY, reason="needs the extra: pip install 'impasto[cluster]'")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_head_that_does_not_answer_is_named_at_once(address: str) -> None:
    with pytest.raises(MachineError, match=f"run.cluster = {address}: no Ray cluster can be reached: .*refused"):
        ray_venue.connect(address)
