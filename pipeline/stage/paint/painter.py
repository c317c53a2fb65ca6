"""What the thread does that has the device: a batch of loaded pairs to pixels, whatever the memory is like."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from pipeline.errors import DeviceError, ImpastoError, Interrupted, NotFiniteError, OutOfMemoryError
from pipeline.stage.device.devices import describe_device
from pipeline.stage.device.memory import Memory, MemoryDemand
from pipeline.stage.device.system_memory import PeakMemory, is_out_of_memory, tune_allocator
from pipeline.stage.engine_config import objective_spec, optimisation
from pipeline.stage.paint.checkpoint import Checkpoint
from pipeline.stage.paint.preview import Preview
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.objective import Objective
from pipeline.transfer.state import OptimisationState
from pipeline.transfer.styliser import Step, Styliser, StyliseResult
from pipeline.transfer.targets import GramCache, Painting, Targets
from pipeline.transfer.vgg import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from pipeline.outbox.working_files import CheckpointFiles, Previews
    from pipeline.settings.pair_settings import PairSettings
    from pipeline.stage.listener import Listener
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.task import Task
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.tiling import Fit
    from pipeline.transfer.vgg import Padding, Pooling, Vgg19

_EVALUATIONS_TO_MEASURE: Final = 3


@dataclass(frozen=True)
class Painted:
    """What the device made of a pair."""

    result: StyliseResult
    """With its image in the host's memory."""
    seconds: float
    """On the device: its share, where a batch was."""
    fit: Fit
    batch: int
    """Pairs that were begun together."""
    planned: tuple[int, ...]
    """Evaluations at each scale, coarse to fine."""
    resumed: int
    """Evaluations that an earlier process had made."""
    peak_memory_bytes: int | None


class Painter:
    """Owns the device: network, caches and memory live as long as it does."""

    def __init__(  # noqa: PLR0913 - what it owns
        self,
        *,
        network: Vgg19,
        device: torch.device,
        precision: torch.dtype,
        memory: Memory,
        checkpoints: CheckpointFiles | None = None,
        checkpoint_seconds: float = math.inf,
        previews: Previews | None = None,
        preview_seconds: float = 0.0,
        on_checkpoint: Callable[[Task], None] = lambda _: None,
        listener: Listener,
    ) -> None:
        self._network, self.device, self.precision, self.memory = network, device, precision, memory
        self._checkpoints, self._checkpoint_seconds, self._listener = checkpoints, checkpoint_seconds, listener
        self._previews, self._preview_seconds = previews, preview_seconds
        self.on_checkpoint = on_checkpoint
        """Called when a task has come further, and that is on disk."""
        self._chains: dict[tuple[Pooling, Padding], tuple[Chain, GramCache]] = {}

    def demand_of(self, loading: Loading) -> MemoryDemand:
        """What decides how much memory a pair takes."""
        loaded = loading.loaded
        return MemoryDemand.of(
            loading.task.pair.settings,
            loaded.width,
            loaded.height,
            self.precision,
            self.device,
            masked=loaded.mask is not None,
            paintings=len(loaded.paintings),
        )

    def paint(
        self, batch: Sequence[Loading], evaluations: tuple[int, ...]
    ) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        """Stylise pairs of one size and equal settings, together; each is given back as soon as it is done.

        Args:
            batch: the pairs.
            evaluations: at each scale, coarse to fine; a pair that goes on from a checkpoint has those it began with.

        Raises:
            DeviceError: nothing works on the device any more until the process ends.
            Interrupted: the listener asked to stop; where the pairs are is on disk.
        """
        for loading in batch:
            self._listener.pair_started(loading.task.pair)
        sitting = _Sitting(self, batch, evaluations)
        try:
            yield from sitting.run()
        except (ImpastoError, GeneratorExit):
            raise
        except Exception as error:
            if "CUDA error" in str(error):
                raise DeviceError(
                    f"{describe_device(self.device)} failed at {batch[0].task.pair.name}: {error}.",
                    "Check the device; then run the same command again to continue.",
                ) from error
            raise
        finally:
            sitting.clear_up()

    def chain(self, settings: PairSettings) -> tuple[Chain, GramCache]:
        """The network for these settings, with the Gram matrices that were seen through it."""
        pooling, padding = settings.objective.pooling, settings.objective.padding
        if (pooling, padding) not in self._chains:
            chain = Chain(self._network, self.device, self.precision, pooling=pooling, padding=padding)
            self._chains[pooling, padding] = chain, GramCache()
        return self._chains[pooling, padding]

    @torch.no_grad()
    def seconds_per_image(self, loading: Loading, images: int) -> float:
        """Of an evaluation of so many pairs like this one together, measured; infinite if they do not fit."""
        try:
            return self._seconds_per_image(loading, images)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self.memory.give_back()  # not in the handler, whose traceback would keep what was made
        return math.inf

    def _seconds_per_image(self, loading: Loading, images: int) -> float:
        settings, device = loading.task.pair.settings, self.device
        (chain, _), spec = self.chain(settings), objective_spec(settings.objective)
        content, mask = loading.loaded.content.to(device), loading.loaded.mask
        mask = mask.to(device) if mask is not None else None
        targets = Targets.of(chain, spec, content, [Painting(content)], mask=mask)
        image = content.repeat(images, 1, 1, 1)
        evaluate, _ = capture(Objective(chain, spec, Targets.stack([targets] * images)), image)
        evaluate(image)
        begin = time.perf_counter()
        for _ in range(_EVALUATIONS_TO_MEASURE):
            terms, _ = evaluate(image)
        terms.cpu()  # it waits for the device
        return (time.perf_counter() - begin) / _EVALUATIONS_TO_MEASURE / images

    def checkpoint(self, loading: Loading) -> Checkpoint:
        """That of a pair; one of another precision would not go on to the same pixels."""
        identity = {"precision": str(self.precision), "device": self.device.type}
        return Checkpoint(self._checkpoints, loading.key, identity, self._checkpoint_seconds)

    def preview(self, loading: Loading) -> Preview:
        """That of a pair, not written yet."""
        return Preview(self._previews, self._preview_seconds, loading)

    def evaluated(self, loading: Loading, evaluation: Evaluation) -> None:
        """Tell the listener."""
        self._listener.evaluated(loading.task.pair, evaluation)


class _Sitting:
    """One batch: goes down the ladder of fits as memory demands, and from where it was."""

    def __init__(self, painter: Painter, batch: Sequence[Loading], evaluations: tuple[int, ...]) -> None:
        self._painter, self._batch = painter, batch
        self._begin = time.perf_counter()
        self._checkpoints = [painter.checkpoint(loading) for loading in batch]
        self._previews = [painter.preview(loading) for loading in batch]
        self._work = painter.demand_of(batch[0])
        settings = batch[0].task.pair.settings
        self._spec = objective_spec(settings.objective)
        self._states: dict[int, OptimisationState] = {}
        self._planned = dict.fromkeys(range(len(batch)), evaluations)
        self._resumed = dict.fromkeys(range(len(batch)), 0)
        self._stylizer: Styliser | None = None

    def run(self) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        """See `Painter.paint`."""
        painter, work, memory = self._painter, self._work, self._painter.memory
        for place, checkpoint in enumerate(self._checkpoints):
            found = checkpoint.read()
            self._states[place] = OptimisationState()
            if found is not None:
                self._states[place], self._planned[place] = found
                self._resumed[place] = found[0].evaluations
        deaths = memory.rungs_down(work, max(loading.task.deaths for loading in self._batch))
        fit = memory.choose(work, 1, deaths)
        if fit is None:
            yield from self._fail_all(self._too_large())
            return
        if deaths:
            self._note_all(f"a process ended over this pair: it was painted with less memory ({fit})")
        fresh = [place for place, state in self._states.items() if not state.evaluations]
        groups = [fresh] if memory.choose(work, len(fresh), deaths) == fit else [[place] for place in fresh]
        groups += [[place] for place in self._states if place not in fresh]  # they go on from where they were
        while groups:
            group = groups.pop(0)
            if not group:
                continue
            images = len(group)
            tune_allocator(work.pixels, fit)
            self._peak = PeakMemory(painter.device)
            trouble = yield from self._try(group, fit)
            if trouble is None:
                memory.learn(work, fit, images, self._peak.taken_bytes())
                continue
            memory.give_back()
            group = [place for place in group if place in self._states]
            lower = memory.below(work, fit, images)
            if images > 1:
                self._note(group, f"out of memory as a batch of {images}: painted one by one ({trouble})")
                groups = [[place] for place in group] + groups
            elif lower is None:
                yield from self._fail_all(self._too_large(trouble), group)
            else:
                self._note(group, f"out of memory with fit {fit}: went on with {lower} ({trouble})")
                fit, groups = lower, [group, *groups]

    def _try(self, group: list[int], fit: Fit) -> Generator[tuple[Loading, Painted | ImpastoError], None, str | None]:
        """Paint some of the batch; returns how it ran out of memory, or None. What is not done keeps its state."""
        self._stylizer = None
        try:
            self._stylizer = self._stylizer_of(group, fit)
            for index, result in self._stylizer.run([self._states[place] for place in group]):
                ended = self._ended(group[index], result, fit, len(group))
                del self._states[group[index]]
                yield self._batch[group[index]], ended
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            trouble = str(error).partition("\n")[0].partition(". ")[0]
        else:
            return None
        # Not in the handler, whose traceback would keep what the evaluation had made.
        for index, state in self._stylizer.states.items() if self._stylizer is not None else ():
            self._states[group[index]] = self._latest(group[index], state)
        self._stylizer = None
        return trouble

    def _latest(self, place: int, state: OptimisationState) -> OptimisationState:
        """The state of a pair's checkpoint, if it has come further there."""
        found = self._checkpoints[place].read()
        if found is None or found[0].evaluations <= state.evaluations:
            return state
        return replace(found[0], warnings=tuple(dict.fromkeys((*found[0].warnings, *state.warnings))))

    def _stylizer_of(self, group: list[int], fit: Fit) -> Styliser:
        painter, settings = self._painter, self._batch[0].task.pair.settings
        chain, cache = painter.chain(settings)
        stylizer = Styliser(
            chain,
            [self._batch[place].loaded.on(painter.device) for place in group],
            self._spec,
            optimisation(settings, self._work.width, self._work.height, self._planned[group[0]]),
            fit=fit,
            cache=cache,
            on_step=lambda step: self._after_step(group, step),
        )
        for place in group:
            state = self._states[place]
            if not stylizer.goes_on_from(state):
                self._states[place] = replace(state, minimiser=None)
                self._resumed[place] = min(self._resumed[place], state.made)
                self._note([place], "other steps are remembered than before: the scale in work was begun anew")
        return stylizer

    def _after_step(self, group: list[int], step: Step) -> None:
        try:
            for index, evaluation in step.evaluations.items():
                self._painter.evaluated(self._batch[group[index]], evaluation)
        except Interrupted:
            waiting = self._stylizer.states if self._stylizer is not None else {}
            for index in {*waiting, *step.evaluations}:
                state = step.state_of(index) if index in step.evaluations else waiting[index]
                if state.evaluations:
                    self._checkpoints[group[index]].write(state, self._planned[group[index]])
            raise
        for index in step.evaluations:
            place = group[index]
            if self._checkpoints[place].write_if_due(partial(step.state_of, index), self._planned[place]):
                self._painter.on_checkpoint(self._batch[place].task)
            self._previews[place].write_if_due(partial(step.image_of, index))

    def clear_up(self) -> None:
        """Nothing is in work any more."""
        for preview in self._previews:
            preview.remove()

    def _ended(
        self, place: int, result: StyliseResult | NotFiniteError, fit: Fit, batch: int
    ) -> Painted | ImpastoError:
        if isinstance(result, NotFiniteError):
            return result
        image = result.image.cpu()
        seconds = (time.perf_counter() - self._begin) / len(self._batch)
        warnings = (*result.warnings, *self._checkpoints[place].warnings)
        return Painted(
            replace(result, image=image, warnings=warnings),
            seconds,
            fit,
            batch,
            self._planned[place],
            self._resumed[place],
            self._peak.bytes(),
        )

    def _note_all(self, text: str) -> None:
        self._note(list(self._states), text)

    def _note(self, places: list[int], text: str) -> None:
        for place in places:
            state = self._states[place]
            if text not in state.warnings:
                self._states[place] = replace(state, warnings=(*state.warnings, text))

    def _too_large(self, trouble: str = "") -> OutOfMemoryError:
        memory, work = self._painter.memory, self._work
        needed = memory.predict(work, memory.rungs(work)[-1])
        return OutOfMemoryError(
            f"{self._batch[0].task.pair.content.name}: does not fit into memory at {work.width}×{work.height} px: "
            f"{needed / 2**30:.1f} GiB are needed at least, {memory.free_bytes() / 2**30:.1f} GiB can be had"
            f"{f' ({trouble})' if trouble else ''}.",
            "Lower image.size or optimiser.history, or raise run.memory_gb if that is set.",
        )

    def _fail_all(
        self, error: ImpastoError, places: Sequence[int] | None = None
    ) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        for place in list(self._states) if places is None else places:
            del self._states[place]
            yield self._batch[place], error
