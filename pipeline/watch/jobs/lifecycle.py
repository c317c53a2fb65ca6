"""Jobs of the spool to tasks for the stage, and their outcomes back to the spool."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import (
    ChangedError,
    ImageError,
    ImpastoError,
    IncompleteError,
    OccupiedError,
    OutOfMemoryError,
    SupersededError,
    UnreadableError,
)
from pipeline.outbox.metadata import Failure, JobFailure
from pipeline.stage.task import Outcome, Task, failure_of
from pipeline.text import now, printable
from pipeline.watch.jobs.decisions import JobAction, PairStatus, decide_job
from pipeline.watch.jobs.open_job import Again, OpenJob
from pipeline.watch.jobs.result_names import ResultNames
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.ledger import Fingerprint
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.stage.attempts import Attempts
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.records import Job
    from pipeline.watch.spool.spool import Spool

logger = logging.getLogger(__name__)

Retire = Literal["archive", "delete", "return"]
RETRY_SECONDS: Final = 1.0
"""Until a job is looked at again that another one blocks."""
LONG_RETRY_SECONDS: Final = 30.0
"""Until one is that somebody has to do something about."""


@dataclass(frozen=True)
class JobRules:
    """What holds for all jobs."""

    retire: Retire
    max_attempts: int
    incomplete_seconds: float
    settle_seconds: float
    pairs_of: Callable[[Job, tuple[str, ...]], list[Pair] | None]
    """The pairs of a job with these files, their results' names still to be chosen; None if the style is not there any
    more. Raises ImpastoError."""
    fingerprint: Callable[[Pair], Fingerprint]
    """Reads and hashes the files of a pair. Raises ImageError, UnreadableError or MemoryError."""


class Jobs:
    """Decides what is next for each job, does it, and keeps the books.

    Methods raise StorageError or OSError if the disk fails; the job is then as it was, to be tried again.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        *,
        spool: Spool,
        outbox: Outbox,
        attempts: Attempts,
        books: FileAccounting,
        rules: JobRules,
        disk: Disk,
        clock: Callable[[], float],
        observer: Observer,
    ) -> None:
        self._spool, self._outbox, self._attempts, self._books = spool, outbox, attempts, books
        self._rules, self._disk, self._clock = rules, disk, clock
        self._names = ResultNames(spool, outbox)
        self._observer = observer
        self._looking = threading.Lock()
        """Held by the thread that compares a job's files with what was seen of them before."""
        self.flying: dict[str, tuple[OpenJob, int]] = {}
        """Pairs in the stage, by file name in the outbox."""

    def prepare(self, opened: OpenJob) -> Iterator[Task | Again | UnreadableError]:
        """The tasks of a job that are still to be done; if there are none, what is left to do has been done."""
        job = opened.job
        if not self._spool.holds(job):
            self._lose(opened)
            return
        files = self._spool.files(job)
        action = decide_job((), has_files=bool(files), has_reason=self._spool.has_reason(job))
        if action in (JobAction.REMOVE, JobAction.FINISH_FAILING):
            self._conclude(opened, action)
            return
        if opened.claimed.problem is not None:
            self._fail(opened, opened.claimed.problem)
            return
        if opened.is_outdated and not self._is_flying(opened):
            opened.pairs, opened.is_outdated = [], False
        with self._looking:
            was_written_to = self._was_written_to(opened, files)
        if was_written_to:
            opened.is_outdated = True
            yield Again(self._rules.settle_seconds)
        elif opened.pairs or (yield from self._find_pairs(opened, files)):
            yield from self._tasks(opened)

    def _find_pairs(self, opened: OpenJob, files: tuple[str, ...]) -> Generator[Again | UnreadableError, None, bool]:
        try:
            pairs = self._rules.pairs_of(opened.job, files)
        except UnreadableError as error:
            yield error
            return False
        except ImpastoError as error:
            self._fail(opened, error)
            return False
        if pairs is None:
            yield from self._put_back(opened)
            return False
        opened.pairs, opened.states = pairs, [PairStatus.TO_DO] * len(pairs)
        return True

    def _put_back(self, opened: OpenJob) -> Iterator[Again]:
        """A job lacks a style or a file again; but a style in the inbox first has the time to settle."""
        if self._clock() - opened.opened < 2 * self._rules.settle_seconds:
            yield Again(self._rules.settle_seconds)
        elif not self.give_up(opened):
            yield Again(LONG_RETRY_SECONDS, is_hopeless=True)

    def finish(self, outcome: Outcome) -> Again | UnreadableError | None:
        """Take a pair back from the stage; None if its job has ended or waits for other pairs of it."""
        opened, place = self.flying[outcome.pair.file_name]
        verdict = self._may_pass(opened, place, outcome.error) if outcome.error else None
        if verdict is None:
            self._settle(opened, place, outcome)
        else:
            self._attempts.take_back_one(outcome)
            # A ticket may have other rows by then, and a photograph another style.
            opened.is_outdated |= (
                isinstance(outcome.error, ChangedError) or len({pair.content for pair in opened.pairs}) == 1
            )
        self.flying.pop(outcome.pair.file_name)
        if verdict is not None or opened.is_being_prepared or self._is_flying(opened):
            return verdict
        return self.conclude(opened)

    def conclude(self, opened: OpenJob) -> Again | None:
        """Do what remains once no pair of a job is in the stage."""
        action = decide_job(opened.states)
        if action in (JobAction.WAIT, JobAction.RENDER):
            return Again(RETRY_SECONDS)
        self._conclude(opened, action)
        return None

    def give_up(self, opened: OpenJob) -> bool:
        """Put a job back into the inbox; one that a process died over, or half published, stays claimed (False)."""
        if not self._spool.holds(opened.job):
            self._lose(opened)
            return True
        if self._names.is_begun(opened.job):
            return False
        self._names.unmark(opened.job)
        return self._release(opened)

    def fail(self, opened: OpenJob, error: Exception) -> None:
        """A defect of ours: the job fails, and the process goes on."""
        logger.error("job %s failed", opened.job.id, exc_info=error)
        self.flying = {name: (each, place) for name, (each, place) in self.flying.items() if each is not opened}
        self._fail(
            opened,
            ImpastoError(f"{type(error).__name__}: {error}", "This is a defect of impasto; please report it."),
        )

    # Pairs

    def _tasks(self, opened: OpenJob) -> Iterator[Task | Again | UnreadableError]:
        opened.is_being_prepared = True
        try:
            for place, pair in enumerate(opened.pairs):
                is_flying = (opened, place) in self.flying.values()
                if opened.states[place] in (PairStatus.TO_DO, PairStatus.BLOCKED) and not is_flying:
                    task = self._task(opened, place, pair)
                    if task is not None:
                        self.flying[task.pair.file_name] = opened, place
                        yield task
        except UnreadableError as error:
            yield error
            return
        finally:
            opened.is_being_prepared = False
        if not self._is_flying(opened):
            again = self.conclude(opened)
            if again is not None:
                yield again

    def _is_flying(self, opened: OpenJob) -> bool:
        return any(each is opened for each, _ in self.flying.values())

    def _task(self, opened: OpenJob, place: int, pair: Pair) -> Task | None:
        """A task, unless the pair's state says that there is nothing to do now.

        Raises:
            UnreadableError: so nothing can be said of it; least of all that it is not done.
        """
        try:
            fingerprint = self._rules.fingerprint(pair)
        except (ImageError, MemoryError):
            fingerprint = None  # the stage will say the same, and what it says counts
        try:
            opened.states[place], name = self._names.choose(opened.job, place, pair, fingerprint)
        except OccupiedError as error:
            task = Task(pair, opened.tries[place] + 1, None, owner=self._names.owner(opened.job))
            self._settle(opened, place, Outcome(task, failure_of(task, error), error))
            return None
        pair = replace(pair, name=name)
        if opened.states[place] is PairStatus.DUPLICATE:
            self._observer.duplicate(pair)
        if opened.states[place] is not PairStatus.TO_DO:
            return None
        key = fingerprint.key if fingerprint else None
        task = Task(
            pair,
            opened.tries[place] + 1,
            key,
            owner=self._names.owner(opened.job),
            fence=lambda: self._check_unchanged(opened, pair),
        )
        considered = self._attempts.consider(task)
        if isinstance(considered, Outcome):
            self._settle(opened, place, considered)
            return None
        return self._attempts.begin(considered)

    def _may_pass(self, opened: OpenJob, place: int, error: ImpastoError) -> Again | UnreadableError | None:
        """What to do about a failure that is none yet; None if it is one."""
        if isinstance(error, UnreadableError):
            return error
        if isinstance(error, ChangedError | SupersededError):
            logger.warning("%s", error)
            return Again(self._rules.settle_seconds)  # then it will be seen what became of the job
        pair = opened.pairs[place]
        if isinstance(error, IncompleteError) and error.path in pair.files[1:]:
            logger.warning("%s %s waits for it.", error, pair.content_label)
            return Again(LONG_RETRY_SECONDS, is_hopeless=True)
        opened.tries[place] += 1
        may_pass = isinstance(error, IncompleteError | OutOfMemoryError | OccupiedError)
        young = isinstance(error, IncompleteError) and (self._clock() - opened.opened < self._rules.incomplete_seconds)
        if may_pass and (young or opened.tries[place] < self._rules.max_attempts):
            return Again(self._retry_seconds())
        return None

    def _check_unchanged(self, opened: OpenJob, pair: Pair) -> None:
        """See that the result is still that of the photograph as it is; called by the threads that save."""
        try:
            with self._looking:
                if self._was_written_to(opened, self._spool.files(opened.job)):
                    opened.is_outdated = True
                if not opened.is_outdated:
                    return
        except OSError as error:
            raise UnreadableError(f"{pair.content_label}: cannot be read: {error.strerror}.") from error
        raise ChangedError(f"{pair.content_label}: was written to while it was painted.", "It is painted again.")

    def _retry_seconds(self) -> float:
        return max(self._rules.settle_seconds, self._rules.incomplete_seconds / max(1, self._rules.max_attempts - 1))

    def _settle(self, opened: OpenJob, place: int, outcome: Outcome) -> None:
        """A pair has come to an end."""
        if isinstance(outcome.record, Failure):
            try:
                self._outbox.publish_failure(outcome.pair.name, outcome.record)
            except OccupiedError as error:  # the job's own folder in failed/ will tell
                logger.warning("%s", error)
            opened.error = outcome.error
            opened.failures.append(outcome.record.reason)
        self._attempts.end(outcome)
        opened.states[place] = PairStatus.FAILED if outcome.error else PairStatus.DONE
        self._observer.outcome(outcome)

    # The ends of a job

    def _was_written_to(self, opened: OpenJob, files: tuple[str, ...]) -> bool:
        """Whether a writer still had one of a job's files; what is seen now counts from now on."""
        seen = {name: FileFacts.of(self._disk.lstat(opened.job.path(name))) for name in files}
        before, opened.claimed.facts = opened.claimed.facts, {**opened.claimed.facts, **seen}
        return any(name in before and not facts.same_content(before[name]) for name, facts in seen.items())

    def _fail(self, opened: OpenJob, error: ImpastoError) -> None:
        """A job of which not even the pairs are known."""
        opened.error = error
        opened.failures.append(error.message)
        logger.error("%s", error)
        self._observer.failed_job(self._reason(opened))
        self._conclude(opened, JobAction.QUARANTINE)

    def _lose(self, opened: OpenJob) -> None:
        """A job is not here any more: it had ended, though an error came in between, or another worker has it."""
        place = self._spool.find(opened.job.id)
        fate = self._spool.fate(place) if place is not None else "elsewhere"
        if fate == "elsewhere":
            logger.warning("job %s: another worker has taken it over", opened.job.id)
        self._books.finish(opened.job, fate, place, self._disk)

    def _release(self, opened: OpenJob) -> bool:
        with self._books.returning(opened.job, lambda: self._spool.files(opened.job)):
            released = self._spool.release(opened.job)
        if released:
            return True
        logger.warning("job %s stays claimed: its file's name in the inbox is taken by now", opened.job.id)
        return False

    def _conclude(self, opened: OpenJob, action: JobAction) -> None:
        job, date = opened.job, f"{datetime.now(UTC):%Y-%m-%d}"
        if action is JobAction.REMOVE:
            self._spool.release(job)
            self._books.vanish(job)
        elif action is JobAction.FINISH_FAILING:
            self._names.unmark(job)
            self._books.finish(job, "failed", self._spool.quarantine(job, None), self._disk)
        elif action is JobAction.QUARANTINE:
            reason = self._reason(opened)
            self._names.unmark(job)
            self._books.finish(job, "failed", self._spool.quarantine(job, reason), self._disk)
        else:
            fate: Literal["done", "duplicate"] = (
                "duplicate" if all(state is PairStatus.DUPLICATE for state in opened.states) else "done"
            )
            self._books.finish(job, fate, self._retire(job, date), self._disk)

    def _retire(self, job: Job, date: str) -> Path | None:
        if self._rules.retire == "delete":
            self._spool.delete(job, date)
            return None
        if self._rules.retire == "return" and self._spool.give_back(job):
            return None
        return self._spool.archive(job, date)

    def _reason(self, opened: OpenJob) -> JobFailure:
        error = opened.error
        return JobFailure(
            job=opened.job.id,
            files=tuple(printable(name) for name in self._spool.files(opened.job)),
            error_class=error.error_class if error else "internal",
            reason=" ".join(opened.failures),
            remedy=(error.remedy if error else "") or "Correct it, and put it into the inbox again.",
            attempts=max(1, *opened.tries.values(), 0),
            failed=now(),
        )
