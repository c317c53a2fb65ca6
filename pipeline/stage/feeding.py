"""The loop that hands tasks to whatever renders them, threads or processes, and gives their outcomes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pipeline.errors import ImpastoError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipeline.stage.task import Outcome, Task

POLL_SECONDS: Final = 0.2
"""Seconds, at most, until a source that had no task is asked again."""


class Workers(Protocol):
    """The threads of one device, or the processes of several. The thread that feeds them calls all of this."""

    @property
    def error(self) -> BaseException | None:
        """Error that ends the work; None as long as it goes on."""

    @property
    def in_work(self) -> int:
        """Number of tasks that were begun and whose outcomes were not received yet."""

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""

    def begin(self, task: Task) -> None:
        """Begin a task."""

    def receive(self, seconds: float) -> Iterable[Outcome]:
        """Return the outcomes that are there; if there are none, wait `seconds` at most for some."""

    def fail(self, error: ImpastoError | OSError) -> None:
        """End the work by this error, unless another has ended it."""


def feed(tasks: Iterable[Task | None], workers: Workers) -> Generator[Outcome]:
    """Begin tasks while there is room for them, until all have an outcome or an error ends the work.

    A task over which processes died begins when all others have an outcome, and has the workers to itself.

    Args:
        tasks: None means that there is no next task for the moment. An ImpastoError or OSError of the iterable ends the
            work; any other error is passed on.
        workers: render the tasks.
    """
    source, has_more = iter(tasks), True
    while workers.error is None and (has_more or workers.in_work):
        while has_more and workers.error is None and workers.has_room:
            try:
                task = next(source)
            except StopIteration:
                has_more = False
                break
            except (ImpastoError, OSError) as error:  # not passed on: the outcomes of finished tasks come first
                workers.fail(error)
                return
            if task is None:
                break
            if task.deaths:
                yield from _until_idle(workers)
            if workers.error is None:
                workers.begin(task)
            if task.deaths:
                yield from _until_idle(workers)
            yield from workers.receive(0)
        if workers.error is None and (has_more or workers.in_work):
            yield from workers.receive(POLL_SECONDS)


def _until_idle(workers: Workers) -> Generator[Outcome]:
    while workers.in_work and workers.error is None:
        yield from workers.receive(POLL_SECONDS)
