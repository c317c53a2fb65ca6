"""The frames of a job that is a film: each waits for the one before, and the film is written when all are done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import ImageError, OccupiedError
from pipeline.images.decode import dimensions
from pipeline.images.files import read_file
from pipeline.pair import Step
from pipeline.run.films import publish_films
from pipeline.run.shots import Shots
from pipeline.stage.task import FRAMES_AHEAD
from pipeline.watch.jobs.decisions import PairStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.outbox.ledger import Fingerprint
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair

_ENDED = (PairStatus.DONE, PairStatus.DUPLICATE, PairStatus.FAILED)


class JobFrames:
    """The frames of one film."""

    def __init__(self, pairs: Sequence[Pair], outbox: Outbox, fingerprint: Callable[[Pair], Fingerprint]) -> None:
        """Begin before the first frame.

        Args:
            pairs: the pairs of the job, frame by frame.
            outbox: the outbox.
            fingerprint: reads and hashes the files of a pair.
        """
        self._pairs, self._outbox, self._fingerprint = pairs, outbox, fingerprint
        self._index_of = {pair.file_name: index for index, pair in enumerate(pairs)}
        """Index of each pair, by the file name that its result would have in an empty outbox."""
        self._after = {pair.frame.previous: index for index, pair in enumerate(pairs) if pair.frame is not None}
        """Index of the frame after each pair, by the same file name."""
        self._shots = Shots(outbox, self._known_fingerprint)
        self._placed: dict[int, Pair] = {}

    def _known_fingerprint(self, pair: Pair) -> Fingerprint | None:
        try:
            return self._fingerprint(pair)
        except (ImageError, MemoryError):
            return None

    def _before(self, pair: Pair) -> int | None:
        return self._index_of.get(pair.frame.previous) if pair.frame is not None else None

    def may_begin(self, index: int, states: Sequence[PairStatus]) -> bool:
        """Whether the frame before has ended; if it has failed, the frame begins a shot."""
        before = self._before(self._pairs[index])
        return before is None or states[before] in _ENDED

    def place(self, index: int, states: Sequence[PairStatus], results: Mapping[int, str]) -> Pair:
        """Return a frame with the frame that it follows, if it does.

        Args:
            index: index of the pair, all of whose frames before have been placed.
            states: states of the pairs.
            results: file names of the results that are chosen already, by index.

        Raises:
            UnreadableError: the frame cannot be read.
        """
        if index not in self._placed:
            pair, before = self._pairs[index], self._before(self._pairs[index])
            if before is not None and states[before] is PairStatus.FAILED:
                self._shots.forget(self._pairs[before].file_name)
            try:
                source = read_file(pair.content)
            except ImageError:
                placed = self._shots.place(pair, None, None)
            else:
                placed = self._shots.place(pair, source.sha256, dimensions(source))
            if placed.frame is not None and placed.predecessor is not None and before is not None:
                predecessor = replace(placed.predecessor, result=results[before])
                placed = replace(placed, frame=replace(placed.frame, predecessor=predecessor))
            self._placed[index] = placed
        return self._placed[index]

    def ahead_of(self, index: int, states: Sequence[PairStatus]) -> tuple[Step, ...]:
        """Return the frames that come after a frame which has been placed, as if no shot began with one of them.

        Args:
            index: index of the frame.
            states: states of the pairs.
        """
        pair = self._placed[index]
        first = pair.predecessor.first if pair.predecessor is not None else pair.content
        steps: list[Step] = []
        while len(steps) < FRAMES_AHEAD and pair.settings.sequence.flow != "none":
            after = self._after.get(self._pairs[index].file_name)
            if after is None or states[after] in _ENDED:
                break
            steps.append(Step(self._pairs[after].content, self._pairs[index].content, first))
            index = after
        return tuple(steps)

    def publish_film(self, results: Mapping[int, str], note_activity: Callable[[], None]) -> OccupiedError | None:
        """Write the film, after all frames are done; return an error if it cannot be written.

        Raises:
            StorageError: the outbox cannot be written.
        """
        named = [
            replace(pair, name=results[index].removesuffix(f".{pair.extension}"))
            for index, pair in enumerate(self._pairs)
        ]
        films = publish_films(named, self._outbox, set(results.values()), note_activity)
        if not films.failed:
            return None
        name = films.failed[0]
        return OccupiedError(f"{name}: the film cannot be written.", "Its failure in the outbox says why; mend that.")
