"""The loop that hands tasks to the threads or processes that render them, and returns their outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pipeline.errors import ImpastoError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipeline.stage.task import Outcome, Task

POLL_SECONDS: Final = 0.2
"""Longest time in seconds until a source that had no task is asked again."""


class Workers(Protocol):
    """The threads of one device, or the processes of several. Only the thread that feeds them calls the methods."""

    @property
    def isolates(self) -> bool:
        """Whether a task that must be alone can begin at any time, since it gets a process of its own."""

    @property
    def error(self) -> BaseException | None:
        """Error that ends the work; None while there is none."""

    @property
    def in_work(self) -> int:
        """Number of tasks that have begun and whose outcomes are not received yet."""

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""

    def begin(self, task: Task) -> None:
        """Begin a task."""

    def receive(self, seconds: float) -> Iterable[Outcome]:
        """Return the outcomes so far; if there are none, wait at most `seconds` for some."""

    def fail(self, error: ImpastoError | OSError) -> None:
        """End the work with this error, unless an earlier error has ended it."""


def feed(tasks: Iterable[Task | None], workers: Workers) -> Generator[Outcome]:
    """Begin tasks while there is room for them, until all have an outcome or an error ends the work.

    A task that must be alone begins when all other tasks have an outcome, unless the workers isolate it themselves.

    Args:
        tasks: the tasks; None means that there is no next task at the moment. An ImpastoError or OSError of the
            iterable ends the work; any other error is passed on.
        workers: the threads or processes that render the tasks.
    """
    source, has_more = iter(tasks), True
    while workers.error is None and (has_more or workers.in_work):
        while has_more and workers.error is None and workers.has_room:
            try:
                task = next(source)
            except StopIteration:
                has_more = False
                break
            except (ImpastoError, OSError) as error:  # not raised here: the outcomes of finished tasks come first
                workers.fail(error)
                return
            if task is None:
                break
            must_wait = task.is_alone and not workers.isolates
            if must_wait:
                yield from _until_idle(workers)
            if workers.error is None:
                workers.begin(task)
            if must_wait:
                yield from _until_idle(workers)
            yield from workers.receive(0)
        if workers.error is None and (has_more or workers.in_work):
            yield from workers.receive(POLL_SECONDS)


def _until_idle(workers: Workers) -> Generator[Outcome]:
    while workers.in_work and workers.error is None:
        yield from workers.receive(POLL_SECONDS)
