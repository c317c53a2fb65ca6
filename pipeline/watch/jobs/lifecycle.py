"""The life of a job: its pairs become tasks for the stage, and their outcomes decide how it ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.errors import (
    ChangedError,
    ImageError,
    ImpastoError,
    IncompleteError,
    OccupiedError,
    OutOfMemoryError,
    ProcessDiedError,
    SupersededError,
    UnreadableError,
    internal_error,
)
from pipeline.outbox.metadata import Failure
from pipeline.stage.task import Outcome, Task, failure_of
from pipeline.watch.jobs.changes import ChangeDetector
from pipeline.watch.jobs.decisions import JobAction, PairStatus, decide_job
from pipeline.watch.jobs.endings import JobEndings, Retire
from pipeline.watch.jobs.frames import JobFrames
from pipeline.watch.jobs.in_stage import PairsInStage
from pipeline.watch.jobs.open_job import OpenJob, Retry
from pipeline.watch.jobs.result_names import ResultNames

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from pipeline.outbox.ledger import Fingerprint
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.stage.attempts import Attempts
    from pipeline.watch.inbox.damaged import DamagedInputs
    from pipeline.watch.jobs.job_names import JobNames
    from pipeline.watch.spool.records import FileFacts, Job
    from pipeline.watch.workplace import Workplace

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""Seconds until a job that another job blocks is tried again."""


@dataclass(frozen=True)
class JobRules:
    """Rules that hold for all jobs of a watcher."""

    retire: Retire
    max_attempts: int
    """Number of failed attempts after which a pair fails for good, if its error may pass: an incomplete file, too
    little memory, a taken name. Errors of unreadable or changed files have no limit; all others are final at once."""
    incomplete_seconds: float
    """Seconds during which an incomplete photograph is tried again, whatever the number of attempts."""
    settle_seconds: float
    """Seconds during which a file must not change before it is taken."""
    pairs_of: Callable[[Job, tuple[str, ...]], list[Pair] | None]
    """Function that finds the pairs of a job with these files, before the names of their results are chosen. It returns
    None if a style or a file is gone or damaged, and raises ImpastoError if the job is wrong."""
    fingerprint: Callable[[Pair], Fingerprint]
    """Function that reads and hashes the files of a pair; it raises ImageError, UnreadableError or MemoryError."""
    basis_of: Callable[[str, Mapping[Path, FileFacts | None]], str]
    """Function that returns a digest of all that a photograph's results depend on beside the photograph. It gets the
    photograph's path in the inbox, and the facts of its paintings and mask."""
    damaged: DamagedInputs
    """The paintings and masks that photographs wait for."""
    note_activity: Callable[[], None] = lambda: None
    """Function that is called while a film is written, which may take minutes."""

    @property
    def retry_seconds(self) -> float:
        """Seconds between two attempts at a pair whose error may pass."""
        return max(self.settle_seconds, self.incomplete_seconds / max(1, self.max_attempts - 1))


class Jobs:
    """Decides about the next step of each job, and takes it.

    Only the thread that renders calls it; threads that save call the fences of its tasks. Methods raise StorageError or
    OSError if the disk fails; the job is then unchanged, and may be tried again.
    """

    def __init__(self, workplace: Workplace, attempts: Attempts, rules: JobRules, observer: Observer) -> None:
        self._spool, self._outbox, self._clock = workplace.spool, workplace.outbox, workplace.clock
        self.attempts, self._rules, self._observer = attempts, rules, observer
        self._names = ResultNames(workplace.spool, workplace.outbox)
        self._changes = ChangeDetector(workplace.disk)
        self.endings = JobEndings(workplace, self._names, rules.retire, rules.basis_of, observer)
        self.in_stage = PairsInStage()
        self.isolates = False
        """Whether the stage has a process for each pair that must be alone."""
        self._suspects: dict[tuple[OpenJob, int], int] = {}
        """Number of times that each pair during which processes died was considered, by job and index in the job."""

    def prepare(self, open_job: OpenJob) -> Iterator[Task | Retry | UnreadableError]:
        """Yield the open tasks of a job; if there are none, end the job or say when to try it again."""
        job = open_job.job
        if not self._spool.holds(job):
            self.endings.lose(open_job)
            return
        files = self._spool.files(job)
        action = decide_job((), has_files=bool(files), has_reason=self._spool.has_reason(job))
        if action in (JobAction.REMOVE, JobAction.FINISH_FAILING):
            self.endings.end(open_job, action)
            return
        if open_job.claimed.problem is not None:
            self.endings.fail(open_job, open_job.claimed.problem)
            return
        if open_job.is_outdated and not self.in_stage.has_job(open_job):
            open_job.pairs, open_job.is_outdated = [], False
        if self._changes.was_written_to(open_job, files):
            open_job.is_outdated = True
            yield Retry(self._rules.settle_seconds)
        elif open_job.pairs or (yield from self._find_pairs(open_job, files)):
            yield from self._tasks(open_job)

    def finish(self, open_job: OpenJob, index: int, outcome: Outcome) -> Retry | UnreadableError | None:
        """Handle the outcome of a pair of a job.

        Returns:
            When to try the job again, or the error of an unreadable file; None if the job has ended or waits for its
            other pairs.
        """
        verdict = self._verdict(open_job, index, outcome.error) if outcome.error else None
        if verdict is None:
            self._settle(open_job, index, outcome)
        else:
            if isinstance(outcome.error, ProcessDiedError):
                self.attempts.count_death(outcome)  # the next attempt finds out whether there were too many
            else:
                self.attempts.take_back_one(outcome)
            # Before the next attempt the ticket or the style may have changed.
            open_job.is_outdated |= isinstance(outcome.error, ChangedError) or open_job.is_of_one_photograph
        self.in_stage.remove(outcome.pair.file_name)
        if verdict is not None or open_job.is_being_prepared or self.in_stage.has_job(open_job):
            return verdict
        return self._conclude(open_job)

    def fail(self, open_job: OpenJob, error: Exception) -> None:
        """Fail a job because of a defect of this program, so that the process continues with other jobs."""
        logger.error("job %s failed", open_job.job.id, exc_info=error)
        self.in_stage.remove_job(open_job)
        self.endings.fail(open_job, internal_error(error))

    def _conclude(self, open_job: OpenJob) -> Retry | None:
        """End a job that has no pair in the stage, or return when to try it again."""
        action = decide_job(open_job.states)
        if action in (JobAction.WAIT, JobAction.RENDER):
            next_frame_is_free = action is JobAction.RENDER and open_job.frames is not None
            return Retry(0.0 if next_frame_is_free else RETRY_SECONDS)
        if action is JobAction.RETIRE and open_job.frames is not None:
            error = open_job.frames.publish_film(open_job.results, self._rules.note_activity)
            if error is not None:
                self.endings.fail(open_job, error)
                return None
        self.endings.end(open_job, action)
        return None

    def _find_pairs(self, open_job: OpenJob, files: tuple[str, ...]) -> Generator[Retry | UnreadableError, None, bool]:
        try:
            pairs = self._rules.pairs_of(open_job.job, files)
        except UnreadableError as error:
            yield error
            return False
        except ImpastoError as error:
            self.endings.fail(open_job, error)
            return False
        if pairs is None:
            yield from self._put_back(open_job)
            return False
        open_job.pairs, open_job.states, open_job.results = pairs, [PairStatus.TO_DO] * len(pairs), {}
        is_film = any(pair.frame is not None for pair in pairs)
        open_job.frames = JobFrames(pairs, self._outbox, self._rules.fingerprint) if is_film else None
        open_job.stuck_since = None
        return True

    def _put_back(self, open_job: OpenJob) -> Iterator[Retry]:
        """Put back a job that still lacks a style or a file after a style in the inbox has had the time to settle.

        A job that cannot be put back fails after the time for which an incomplete photograph is tried again.
        """
        now = self._clock()
        if now - open_job.since < 2 * self._rules.settle_seconds:
            yield Retry(self._rules.settle_seconds)
        elif why_not := self.endings.put_back(open_job):
            if open_job.stuck_since is None:
                open_job.stuck_since = now
            if now - open_job.stuck_since < self._rules.incomplete_seconds:
                yield Retry(self._rules.retry_seconds)
                return
            lacking = open_job.error.message if open_job.error else "A painting or another file that it needs is gone."
            error = IncompleteError(f"{lacking} It is not put back: {why_not}.", "Mend that; then use impasto retry.")
            self.endings.fail(open_job, error)

    # Pairs

    def _tasks(self, open_job: OpenJob) -> Iterator[Task | Retry | UnreadableError]:
        names = self._names.of(open_job.job)
        open_job.is_being_prepared = True
        try:
            for index, pair in enumerate(open_job.pairs):
                is_open = open_job.states[index] in (PairStatus.TO_DO, PairStatus.BLOCKED)
                # A suspect must wait while another pair is in progress, so its files need not be read again.
                must_wait = self.attempts.are_open and (open_job, index) in self._suspects
                in_turn = open_job.frames is None or open_job.frames.may_begin(index, open_job.states)
                if is_open and in_turn and not must_wait and not self.in_stage.has_pair(open_job, index):
                    task = self._task(open_job, names, index, pair)
                    if task is not None:
                        self.in_stage.add(task.pair.file_name, open_job, index)
                        yield task
        except UnreadableError as error:
            yield self._handle_unreadable(open_job, error)
            return
        finally:
            open_job.is_being_prepared = False
        if not self.in_stage.has_job(open_job):
            retry = self._conclude(open_job)
            if retry is not None:
                yield retry

    def _task(self, open_job: OpenJob, names: JobNames, index: int, pair: Pair) -> Task | None:
        """Return the task of a pair, counted as an attempt; None if there is nothing to render now.

        Raises:
            UnreadableError: a file cannot be read, so the pair's state is unknown.
        """
        open_job.shared |= self._rules.damaged.facts(pair.files[1:])
        if open_job.frames is not None:
            pair = open_job.frames.place(index, open_job.states, open_job.results)
        try:
            fingerprint = self._rules.fingerprint(pair)
        except (ImageError, MemoryError):
            fingerprint = None  # the stage will raise the same error, and decide
        owner = self._names.owner(open_job.job)
        try:
            open_job.states[index], name = self._names.choose(names, index, pair, fingerprint)
        except OccupiedError as error:
            task = Task(pair, open_job.tries[index] + 1, None, owner=owner)
            self._settle(open_job, index, Outcome(task, failure_of(task, error), error))
            return None
        pair = replace(pair, name=name)
        open_job.results[index] = pair.file_name
        if open_job.states[index] is PairStatus.DUPLICATE:
            self._observer.duplicate(pair)
        if open_job.states[index] is not PairStatus.TO_DO:
            return None
        task = Task(
            pair,
            open_job.tries[index] + 1,
            fingerprint.key if fingerprint else None,
            owner=owner,
            fence=lambda: self._changes.check_unchanged(open_job, pair),
            ahead=open_job.frames.ahead_of(index, open_job.states) if open_job.frames is not None else (),
        )
        considered = self.attempts.consider(task)
        if isinstance(considered, Outcome):
            self._settle(open_job, index, considered)
            return None
        return None if self._must_wait(open_job, index, considered) else self.attempts.begin(considered)

    def _must_wait(self, open_job: OpenJob, index: int, task: Task) -> bool:
        """Whether processes died during a pair, so that it waits until no other pair is in progress.

        At first, other jobs may not have begun yet, so it waits in any case: the longer, the more processes died.
        """
        if not task.deaths or self.isolates:
            return False
        looks = self._suspects.get((open_job, index), 0)
        self._suspects[open_job, index] = looks + 1
        if looks < task.deaths or self.attempts.are_open:
            return True
        del self._suspects[open_job, index]
        return False

    def _verdict(self, open_job: OpenJob, index: int, error: ImpastoError) -> Retry | UnreadableError | None:
        """Return when to try a failed pair again; None if the failure is final."""
        if isinstance(error, UnreadableError):
            return self._handle_unreadable(open_job, error)
        if isinstance(error, ProcessDiedError):
            return Retry(RETRY_SECONDS)
        if isinstance(error, ChangedError | SupersededError):
            logger.warning("%s", error)
            return Retry(self._rules.settle_seconds)  # the next attempt finds out the state of the job
        if isinstance(error, IncompleteError) and self._is_shared_and_damaged(open_job, error):
            open_job.error = error
            return Retry(RETRY_SECONDS)  # then the photograph is put back
        open_job.tries[index] += 1
        may_pass = isinstance(error, IncompleteError | OutOfMemoryError | OccupiedError)
        is_young = self._clock() - open_job.since < self._rules.incomplete_seconds
        may_be_incomplete = isinstance(error, IncompleteError) and is_young
        if may_pass and (may_be_incomplete or open_job.tries[index] < self._rules.max_attempts):
            return Retry(self._rules.retry_seconds)
        return None

    def _handle_unreadable(self, open_job: OpenJob, error: UnreadableError) -> Retry | UnreadableError:
        """Let a photograph whose painting or mask cannot be read be put back, so that others are not held up."""
        if error.path not in open_job.shared or open_job.is_ticket:
            return error
        self._rules.damaged.report_unreadable(error.path, error)
        open_job.error, open_job.is_outdated = error, True
        return Retry(RETRY_SECONDS)

    def _is_shared_and_damaged(self, open_job: OpenJob, error: IncompleteError) -> bool:
        """Whether a photograph's painting or mask is damaged, and has not changed since before it was read."""
        path = error.path
        if path not in open_job.shared or open_job.is_ticket:
            return False
        return self._rules.damaged.report(path, open_job.shared[path], error)

    def _settle(self, open_job: OpenJob, index: int, outcome: Outcome) -> None:
        """Record that a pair is done or has failed for good."""
        if isinstance(outcome.record, Failure):
            try:
                self._outbox.publish_failure(outcome.pair.name, outcome.record)
            except OccupiedError as error:  # the job's folder in failed/ still records the failure
                logger.warning("%s", error)
            open_job.error = outcome.error
            open_job.failures.append(outcome.record.reason)
        self.attempts.end(outcome)
        open_job.states[index] = PairStatus.FAILED if outcome.error else PairStatus.DONE
        self._observer.outcome(outcome)
