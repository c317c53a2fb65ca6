"""Seats on the machines of a Ray cluster: an actor for each card, or for each machine without cards.

Ray places the actors, carries the messages and notices deaths. What happens to pairs is the pool's business: an actor
is never restarted by Ray, and only messages are repeated. Actors end together with this process.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import signal
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.disk import storage_errors
from pipeline.errors import DeviceError, MachineError
from pipeline.stage.pool.handshake import write_nonce
from pipeline.stage.pool.messages import SIGNALS, report_seconds
from pipeline.stage.pool.numbered import Heard, Sent
from pipeline.stage.pool.pool_call import CONTINUE
from pipeline.stage.pool.ray_actor import SeatActor
from pipeline.stage.pool.seats import Gone, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline.stage.pool.messages import Assignment
    from pipeline.stage.pool.numbered import Numbered

logger = logging.getLogger(__name__)

INSTALL: Final = "pip install 'impasto[cluster]'"
POLL_SECONDS: Final = 5.0
"""Longest time in seconds for which a call of `SeatActor.say` waits; only then is a lost reply noticed."""
NODES_SECONDS: Final = 1.0
"""Seconds between two looks at the machines of the cluster."""
REACH_SECONDS: Final = 10.0
"""Seconds within which the head must accept a connection; Ray itself would wait for minutes."""
SHUTDOWN_SECONDS: Final = 2.0
"""Seconds for which a machine whose process has died may still be shutting down: its processes end before it does."""
RESEND_SECONDS: Final = 10.0
"""Seconds after which a message that the process does not know is sent again."""
_UNAVAILABLE_SECONDS: Final = 0.1
"""Seconds between two attempts to hear an actor that cannot be reached at the moment."""
_TYPE: Final = "accelerator_type:"
_ADDRESS_FILE: Final = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
"""File in which `ray start` leaves the address of the cluster of this machine."""
_HOST_AND_PORT: Final = re.compile(r"(?:ray://)?([^/]+):(\d+)")


class RaySeat:
    """An actor."""

    def __init__(self, ray: Any, place: Place, actor: Any) -> None:
        self._ray, self.place, self.actor = ray, place, actor
        self.saying: Any = None
        """Reference to the messages that the actor will return next."""
        self.heard = Heard()
        self._sent = Sent()
        self._told = time.monotonic()
        """Time at which a message was sent."""
        self.listen()

    def listen(self) -> None:
        """Ask for the next messages."""
        self.saying = self.actor.say.options(concurrency_group="say").remote(self.heard.known, POLL_SECONDS)

    def send(self, message: object) -> None:
        """See `Seat`."""
        self._tell([self._sent.add(message)])

    def _tell(self, messages: list[Numbered]) -> None:
        self.actor.hear.options(concurrency_group="hear").remote(messages)
        self._told = time.monotonic()

    def acknowledge(self, known: int) -> None:
        """Forget the messages that the process knows, up to the number `known`; send others again after a while."""
        missing = self._sent.after(known)
        if missing and time.monotonic() - self._told > RESEND_SECONDS:
            self._tell(missing)

    def kill(self) -> None:
        """See `Seat`."""
        with contextlib.suppress(self._ray.exceptions.RayError, RuntimeError):  # the cluster is gone, or about to be
            self._ray.kill(self.actor, no_restart=True)

    def dismiss(self) -> None:
        """See `Seat`; an actor cannot outlive this process, so it ends at once."""
        self.kill()


class RayVenue:
    """The machines of a Ray cluster."""

    def __init__(self, address: str, assignment: Assignment, device: str = "auto", accelerator: str = "") -> None:
        """Connect to a cluster.

        Args:
            address: `auto`, `HOST:PORT` or `ray://HOST:PORT`.
            assignment: the values for each process; the device in its settings is replaced.
            device: `cpu`: a seat for each machine, without its cards; else a seat for each card and, if no machine has
                one, for each machine.
            accelerator: type of the cards to use, as Ray names it, such as `H100`; empty: all.

        Raises:
            MachineError: Ray is not installed, or the cluster cannot be reached.
            StorageError: the outbox cannot be written.
        """
        self._ray = connect(address)
        self._assignment = replace(assignment, nonce=write_nonce(assignment.outbox))
        self._address, self._device, self._accelerator = address, device, accelerator
        self._has_seen_cards = device not in ("auto", "cpu")
        """Whether there are cards, or will be, so that no seat without one is started."""
        self._has_warned = False
        """Whether a warning has told that no card is of the wanted type."""
        self._nodes: list[dict[str, Any]] = []
        self._nodes_until = float("-inf")
        self._resources: dict[Place, dict[str, Any]] = {}
        """Options of the actor at each place."""
        self._actor_class = self._ray.remote(
            concurrency_groups={"hear": 1, "say": 1}, max_restarts=0, max_task_retries=-1
        )(SeatActor)

    def nodes(self) -> list[dict[str, Any]]:
        """Return the machines of the cluster, as Ray describes them, also those that are gone."""
        if time.monotonic() >= self._nodes_until:
            with self._cluster_errors():
                self._nodes, self._nodes_until = self._ray.nodes(), time.monotonic() + NODES_SECONDS
        return self._nodes

    def places(self) -> list[Place]:
        """See `Venue`."""
        alive = [node for node in self.nodes() if node["Alive"]]
        with_cards = [node for node in alive if _cards(node) and self._is_wanted(node)]
        self._resources = {}
        self._has_seen_cards |= self._device == "auto" and bool(with_cards or self._accelerator)
        if self._accelerator and not with_cards:
            self._warn_about_types(alive)
        if self._has_seen_cards:
            for node in with_cards:
                cpus = int(node["Resources"].get("CPU", 0)) // _cards(node) // 2  # the other half is left to others
                for number in range(_cards(node)):
                    place = Place((node["NodeID"], number), f"GPU {number} of {node['NodeManagerHostname']}")
                    self._resources[place] = {"num_gpus": 1, "num_cpus": cpus}
            return list(self._resources)
        for node in alive:
            cpus = node["Resources"].get("CPU", 0.0)
            if cpus >= 1:
                place = Place((node["NodeID"], "cpu"), f"the CPU of {node['NodeManagerHostname']}")
                self._resources[place] = {"num_cpus": cpus}
        return list(self._resources)

    def _warn_about_types(self, nodes: list[dict[str, Any]]) -> None:
        if not self._has_warned:
            self._has_warned = True
            found = {name for node in nodes for name in node["Resources"] if name.startswith(_TYPE)}
            types = ", ".join(sorted(name.removeprefix(_TYPE) for name in found))
            logger.warning(
                "run.cluster_accelerator = %s: the cluster has no such card now%s.",
                self._accelerator,
                f"; it has: {types}" if types else "",
            )

    def _is_wanted(self, node: dict[str, Any]) -> bool:
        return not self._accelerator or f"{_TYPE}{self._accelerator}" in node["Resources"]

    def start(self, place: Place) -> RaySeat:
        """See `Venue`."""
        node_id = place.key[0]  # type: ignore[index]  # made by `places`
        node = next((each for each in self.nodes() if each["NodeID"] == node_id), None)
        if node is None:
            raise DeviceError(f"{place.label}: its machine has left the cluster.")
        resources = self._resources[place]
        settings = self._assignment.settings
        run = settings.run.model_copy(update={"device": "cuda:0" if "num_gpus" in resources else "cpu"})
        assignment = replace(
            self._assignment,
            settings=settings.model_copy(update={"run": run}),
            devices=max(1, _cards(node)) if "num_gpus" in resources else 1,
            report_seconds=report_seconds(len(self._resources)),
        )
        # Ray would set it to `num_cpus`; the process divides it among the devices of its machine.
        threads = str(int(node["Resources"].get("CPU", 0.0)) or 1)
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
        if self._assignment.nonce is not None:
            with storage_errors(self._assignment.outbox):
                self._assignment.nonce.touch()  # another run removes old ones
        with self._cluster_errors():
            actor = self._actor_class.options(
                **resources,
                scheduling_strategy=strategy,
                runtime_env={"env_vars": {"OMP_NUM_THREADS": threads}},
            ).remote(assignment)
            return RaySeat(self._ray, place, actor)

    def hear(self, seats: Collection[RaySeat], seconds: float) -> Iterator[tuple[RaySeat, object]]:
        """See `Venue`."""
        if not seats:
            time.sleep(seconds)
            return
        by_reference = {seat.saying: seat for seat in seats}
        references = list(by_reference)
        with self._cluster_errors():
            ready, _ = self._ray.wait(references, num_returns=1, timeout=seconds)
            if ready:
                ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in ready:
            seat = by_reference[reference]
            try:
                known, messages = self._ray.get(reference)
            except self._ray.exceptions.ActorUnavailableError:  # perhaps for a moment only
                time.sleep(_UNAVAILABLE_SECONDS)
                seat.listen()
                continue
            except self._ray.exceptions.RayError as error:
                yield seat, self._gone(seat, error)
                continue
            new = list(seat.heard.accept(messages))
            seat.acknowledge(known)
            seat.listen()
            for message in new:
                yield seat, message

    def _gone(self, seat: RaySeat, error: Exception) -> Gone:
        """Say why a seat is gone. A machine that goes away takes its processes along, which is no pair's fault."""
        self._nodes_until = float("-inf")
        is_alive, end = self._is_alive(seat), time.monotonic() + SHUTDOWN_SECONDS
        while is_alive and time.monotonic() < end:
            time.sleep(_UNAVAILABLE_SECONDS)
            self._nodes_until = float("-inf")
            is_alive = self._is_alive(seat)
        if not is_alive or getattr(error, "preempted", False):
            return Gone("its machine went away", blames_pair=False)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Gone(lines[-1][:300] if lines else type(error).__name__, blames_pair=True)

    def _is_alive(self, seat: RaySeat) -> bool:
        node_id = seat.place.key[0]  # type: ignore[index]  # made by `places`
        return any(node["NodeID"] == node_id and node["Alive"] for node in self.nodes())

    @contextlib.contextmanager
    def _cluster_errors(self) -> Iterator[None]:
        """Turn errors of the connection to the cluster into errors for the user."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
            raise MachineError(
                f"run.cluster = {self._address}: the connection to the cluster is lost: {_first_line(error)}", CONTINUE
            ) from error

    def close(self) -> None:
        """See `Venue`."""
        self._ray.shutdown()
        if self._assignment.nonce is not None:
            self._assignment.nonce.unlink(missing_ok=True)


def _cards(node: dict[str, Any]) -> int:
    return int(node["Resources"].get("GPU", 0))


def connect(address: str) -> Any:
    """Connect to a Ray cluster, quietly, and return the module `ray`.

    Raises:
        MachineError: Ray is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise MachineError("A cluster needs Ray, which is not installed.", f"{INSTALL}, on all machines.") from error
    try:
        _check_reachable(address)
        with _handlers_kept():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise MachineError(
            f"run.cluster = {address}: no Ray cluster can be reached: {_first_line(error)}",
            "Start one (ray start --head), or correct the address; if it asks for a token, set RAY_AUTH_MODE=token.",
        ) from error
    _log_notices()
    return ray


def _check_reachable(address: str) -> None:
    """Try to connect to the head, if the address names it, or a file that `ray start` has written.

    Raises:
        OSError: nothing answers there.
    """
    if address == "auto":
        with contextlib.suppress(OSError):  # then Ray itself tells that there is no cluster
            address = os.environ.get("RAY_ADDRESS") or _ADDRESS_FILE.read_text().strip()
    found = _HOST_AND_PORT.fullmatch(address)
    if found is not None:
        socket.create_connection((found[1].strip("[]"), int(found[2])), REACH_SECONDS).close()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _log_notices() -> None:
    """Send Ray's notices of dead actors and machines, which it prints in colours, to our log with the other details.

    The pool says itself what it means for the pairs. Ray has no public way to turn them off.
    """
    worker: Any = importlib.import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):

        def log(data: dict[str, Any], **_: Any) -> None:
            for line in data.get("lines", ()):
                logger.debug("ray: %s", line)

        worker.print_to_stdstream = log


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep this process's own handlers of signals, since Ray installs others."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
