"""Troubles of a real Ray cluster: a head and two nodes on loopback, real painters, a real outbox.

    unshare -rn python -m tests.stage.pool.ray_scenarios FOLDER

The program prints a JSON object for each scenario. It needs a network namespace of its own, since Ray otherwise listens
on the machine's outer address.
"""

from __future__ import annotations

import os

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"}

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from PIL import Image
from ray.cluster_utils import Cluster

from pipeline.errors import ProcessDiedError
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.attempts import Attempts
from pipeline.stage.pool.messages import NotReady
from pipeline.stage.pool.pool_call import PoolCall
from pipeline.stage.pool.ray_venue import RayVenue
from pipeline.stage.pool.stage_pool import StagePool, assignment_for, make_stage
from pipeline.stage.stage import Stage
from pipeline.stage.task import Outcome, Task
from pipeline.transfer.weights import find_weights
from tests.conftest import photo
from tests.stage.pool.venue_contract import Contract, pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.transfer.state import Evaluation

PAIRS, EVALUATIONS = 8, 40
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
QUICK = {f"health_check_{name}": value for name, value in {
    "initial_delay_ms": 1000, "period_ms": 1000, "timeout_ms": 1000, "failure_threshold": 3}.items()}  # fmt: skip
WEIGHTS = find_weights("packaged")


def pairs(folder: Path) -> list[Pair]:
    settings = PairSettings.model_validate({"image": {"size": 96}, "pyramid": {"evaluations": EVALUATIONS}})
    found = []
    for number in range(PAIRS):
        files = folder / f"{number}.png", folder / f"{number}-style.png"
        for path, seed in zip(files, (number, 100 + number), strict=True):
            if not path.exists():
                Image.fromarray(photo(96, 72, seed)).save(path)
        found.append(Pair(files[0], (files[1],), files[0].name, files[1].name, f"p{number}", settings))
    return found


def pixels_of(outbox: Path) -> dict[str, str]:
    """Return a hash of the pixels of each result whose metadata names it."""
    found = {}
    for path in sorted(outbox.glob("*.png")):
        recorded = json.loads((outbox / f"{path.name}.json").read_text())["output"]["sha256"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == recorded, path
        with Image.open(path) as image:
            found[path.name] = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    return found


class Scenario:
    """A run on the cluster, which is struck when two pairs are done and a third has had some evaluations."""

    def __init__(self, folder: Path, strike: Callable[[Scenario, Any], None] | None) -> None:
        self.outbox, self.strike, self.folder = Outbox(folder), strike, folder
        self.outcomes: list[Outcome] = []
        self.struck: float | None = None
        self.noticed: float | None = None
        self.recovered: float | None = None
        self.evaluations: Counter[str] = Counter()
        self.permitted: Counter[str] = Counter()
        self.had: list[str] = []
        """Pairs at the victim."""
        self.pool: Any = None
        self.clean_up: Callable[[], None] = lambda: None

    def check(self, *, in_progress: bool) -> None:
        """Go on."""

    def pair_started(self, pair: Pair) -> None:
        if self.noticed is not None and self.recovered is None and pair.name in self.had:
            self.recovered = time.monotonic()

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:  # noqa: ARG002
        self.evaluations[pair.name] += 1
        if self.strike is None or self.struck is not None or len(self.outcomes) < 2 or self.evaluations[pair.name] < 2:
            return
        victim = next(
            each for each in self.pool._crew.workers if pair.name in {task.pair.name for task in each.tasks.values()}
        )
        self.had = [task.pair.name for task in victim.tasks.values()]
        self.struck = time.monotonic()
        self.strike(self, victim)

    def run(self, tasks: list[Task], **settings: Any) -> dict[str, Any]:
        resolved = Settings.model_validate(
            {"run": {"cluster": "auto", "device": "cpu", "silence_seconds": 10, **settings}}
        )
        begin = time.monotonic()
        todo = list(tasks)
        with (
            self.outbox.locked(),
            Attempts(self.outbox, 3) as attempts,
            contextlib.closing(make_stage(resolved, WEIGHTS, self.outbox, self)) as pool,
        ):
            assert isinstance(pool, StagePool)
            self.pool = pool

            def source() -> Iterator[Task | None]:
                while todo or attempts.are_open:
                    yield attempts.begin(todo.pop(0)) if todo else None

            lose = pool._crew.lose

            def losing(*arguments: Any, **named: Any) -> Any:
                if self.struck is not None and self.noticed is None:
                    self.noticed = time.monotonic()
                return lose(*arguments, **named)

            pool._crew.lose = losing  # type: ignore[method-assign]
            for outcome in pool.process(source()):
                if isinstance(outcome.error, ProcessDiedError):
                    again = attempts.count_death(outcome)
                    assert isinstance(again, Task)
                    todo.append(again)
                else:
                    attempts.end(outcome)
                    self.outcomes.append(outcome)
            end = time.monotonic()
            before = {path.name: path.stat().st_mtime_ns for path in self.folder.glob("p*")}
            self.clean_up()
            after = {path.name: path.stat().st_mtime_ns for path in self.folder.glob("p*")}
        names = [outcome.pair.name for outcome in self.outcomes]
        return {
            "each_once": sorted(names) == sorted(task.pair.name for task in tasks),
            "failed": [str(outcome.error) for outcome in self.outcomes if outcome.error is not None],
            "permitted": max(self.permitted.values()),
            "blamed": max(outcome.task.deaths for outcome in self.outcomes),
            "pixels": pixels_of(self.folder),
            "marks": len(list(self.folder.glob(".impasto/pending/*"))),
            "changed_later": sorted(name for name in after if before.get(name) != after[name]),
            "seconds": round(end - begin, 1),
            "noticed": None if self.noticed is None or self.struck is None else round(self.noticed - self.struck, 1),
            "recovered": None
            if self.recovered is None or self.noticed is None
            else round(self.recovered - self.noticed, 1),
        }


class Machines:
    """The cluster, and what can be done to it."""

    def __init__(self) -> None:
        head = {"num_cpus": 0, "object_store_memory": 100 << 20, "include_dashboard": False, "_system_config": QUICK}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(**NODE) for _ in range(2)]
        os.environ["RAY_ADDRESS"] = self.cluster.address

    def _node_of(self, victim: Any) -> Any:
        return next(node for node in self.nodes if node.node_id == victim.place.key[0])

    def _replace(self, node: Any) -> None:
        self.nodes.remove(node)
        self.nodes.append(self.cluster.add_node(**NODE))

    def kill_process(self, scenario: Scenario, victim: Any) -> None:  # noqa: ARG002
        os.kill(process_of(victim.seat), signal.SIGKILL)

    def freeze_process(self, scenario: Scenario, victim: Any) -> None:  # noqa: ARG002
        os.kill(process_of(victim.seat), signal.SIGSTOP)

    def kill_node(self, scenario: Scenario, victim: Any) -> None:  # noqa: ARG002
        node = self._node_of(victim)
        self.cluster.remove_node(node, allow_graceful=False)
        self._replace(node)

    def cut_off(self, scenario: Scenario, victim: Any) -> None:
        """Stop a node and its process, and let both go on when the run is over."""
        node = self._node_of(victim)
        numbers = [process_of(victim.seat), *(each.process.pid for each in node.all_processes["raylet"])]
        for number in numbers:
            os.kill(number, signal.SIGSTOP)
        self._replace(node)

        def wake() -> None:
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGCONT)
            time.sleep(6)

        scenario.clean_up = wake


def driver_dies(folder: Path, base: Path, machines: Machines) -> dict[str, Any]:
    """Kill the driver in the middle of `impasto run`, and run the same command again."""
    manifest = base / "manifest.csv"
    lines = [f"{number}.png,{number}-style.png,p{number}" for number in range(PAIRS)]
    manifest.write_text("\n".join(["content,style,output", *lines]))
    sets = ["--set", "image.size=96", "--set", f"pyramid.evaluations={EVALUATIONS}", "--device", "cpu"]
    outbox = os.path.relpath(folder)  # relative to a folder that no other process is in
    command = [sys.executable, "-m", "pipeline", "run", manifest, "--outbox", outbox, "--cluster", "auto", *sets]
    with (base / "driver.log").open("w") as log:
        process = subprocess.Popen([*command, "--progress", "never"], stdout=log, stderr=log)
        while len(list(folder.glob("*.png.json"))) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.wait()
    killed_at, alive = time.monotonic(), True
    done = len(list(folder.glob("*.png.json")))
    ray.init(address=machines.cluster.address, log_to_driver=False, logging_level="ERROR")
    while alive and time.monotonic() - killed_at < 60:
        alive = ray.available_resources().get("CPU", 0) < 2
        time.sleep(0.2)
    gone = round(time.monotonic() - killed_at, 1)
    ray.shutdown()
    again = subprocess.run([*command, "--json", "--progress", "never"], capture_output=True, text=True, check=False)
    summary = json.loads(again.stdout.splitlines()[-1])
    return {"exit_code": again.returncode, "stderr": again.stderr[-2000:], "done_before": done, "actors_gone": gone,
            "summary": summary, "pixels": pixels_of(folder)}  # fmt: skip


def contract(base: Path) -> list[str]:
    """Run the checks of every venue."""
    outbox = Outbox(base / "contract")
    settings = Settings.model_validate({"run": {"device": "cpu"}})
    venue = RayVenue("auto", assignment_for(settings, WEIGHTS, outbox, 2), "cpu")
    with outbox.opened():
        found = Contract(venue, lambda seat: os.kill(process_of(seat), signal.SIGKILL), pictures(base)).run_all()
    venue.close()
    return found


def cards(base: Path, machines: Machines) -> dict[str, Any]:
    """Start seats on the cards of a node that only says that it has two of them, and hear why they are not ready."""
    node = machines.cluster.add_node(**NODE | {"num_cpus": 8}, num_gpus=2, resources={"accelerator_type:H100": 1})
    settings = Settings.model_validate({"run": {"device": "auto"}})
    assignment = assignment_for(settings, WEIGHTS, Outbox(base / "cards"), 2)

    def labels(device: str, accelerator: str) -> list[str]:
        venue = RayVenue("auto", assignment, device, accelerator)
        found = [place.label.partition(" of ")[0] for place in venue.places()]
        venue.close()
        return found

    found = {"all": labels("auto", ""), "of another kind": labels("auto", "A100"), "without": labels("cpu", "")}
    venue = RayVenue("auto", assignment, "auto", "H100")
    seats = [venue.start(place) for place in venue.places()]
    visible = [
        ray.get(seat.actor.__ray_call__.remote(lambda _: os.environ.get("CUDA_VISIBLE_DEVICES"))) for seat in seats
    ]
    answers: dict[str, str] = {}
    deadline = time.monotonic() + 60
    while len(answers) < len(seats) and time.monotonic() < deadline:
        for seat, message in venue.hear(seats, 1.0):
            if isinstance(message, NotReady):
                answers[seat.place.label.partition(" of ")[0]] = str(message.error)
    venue.close()
    machines.cluster.remove_node(node)
    return {"places": found, "visible": visible, "answers": answers}


def watched(base: Path) -> dict[str, Any]:
    """Let `impasto watch --cluster` render two photographs that are put into its inbox, and end it by SIGTERM."""
    inbox, outbox, styles = base / "inbox", base / "watched", base / "styles"
    for folder in (inbox / "brush", styles):
        folder.mkdir(parents=True)
    Image.fromarray(photo(96, 72, 100)).save(styles / "brush.png")
    sets = ["--set", "image.size=96", "--set", "pyramid.evaluations=5", "--set", f"styles.folder={styles}"]
    command = [sys.executable, "-m", "pipeline", "watch", inbox, "--outbox", outbox, "--cluster", "auto", *sets]
    with (base / "watch.log").open("w") as log:
        process = subprocess.Popen([*command, "--device", "cpu", "--progress", "never"], stdout=log, stderr=log)
        for number in range(2):
            Image.fromarray(photo(96, 72, number)).save(inbox / "brush" / f"{number}.png")
        deadline = time.monotonic() + 90
        while len(list(outbox.rglob("*.png.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        exit_code = process.wait(60)
    return {"exit_code": exit_code, "results": len(list(outbox.rglob("*.png.json"))),
            "log": (base / "watch.log").read_text()[-3000:]}  # fmt: skip


def process_of(seat: Any) -> int:
    number: int = ray.get(seat.actor.__ray_call__.remote(lambda _: os.getpid()))
    return number


def say(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def main() -> None:
    base = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    base.mkdir(parents=True, exist_ok=True)
    tasks = [Task(pair, 1, None) for pair in pairs(base)]
    reference = Outbox(base / "local")
    listener: Any = type("Quiet", (), {"pair_started": lambda *_: None, "evaluated": lambda *_: None})()
    with reference.locked():
        list(
            Stage.from_settings(
                Settings.model_validate({"run": {"device": "cpu"}}), WEIGHTS, reference, listener
            ).process(tasks)
        )
    say({"name": "local", "pixels": pixels_of(base / "local")})
    begin = time.monotonic()
    machines = Machines()
    say({"name": "cluster", "seconds": round(time.monotonic() - begin, 1)})
    if not wanted or "contract" in wanted:
        say({"name": "contract", "checks": contract(base)})
    strikes: dict[str, Any] = {
        "undisturbed": None,
        "process killed": machines.kill_process,
        "process frozen": machines.freeze_process,
        "node killed": machines.kill_node,
        "node cut off": machines.cut_off,
    }
    check = PoolCall._fence_error
    for name, strike in strikes.items():
        if wanted and name not in wanted:
            continue
        scenario = Scenario(base / name.replace(" ", "-"), strike)

        def counting(call: Any, worker: Any, number: int, scenario: Scenario = scenario) -> Any:
            if number in worker.tasks:
                scenario.permitted[worker.tasks[number].pair.name] += 1
            return check(call, worker, number)

        PoolCall._fence_error = counting  # type: ignore[method-assign]
        say({"name": name, **scenario.run(tasks)})
    PoolCall._fence_error = check  # type: ignore[method-assign]
    if not wanted or "driver killed" in wanted:
        say({"name": "driver killed", **driver_dies(base / "driver", base, machines)})
    if not wanted or "watched" in wanted:
        say({"name": "watched", **watched(base)})
    if not wanted or "cards" in wanted:
        say({"name": "cards", **cards(base, machines)})
    machines.cluster.shutdown()


if __name__ == "__main__":
    main()
