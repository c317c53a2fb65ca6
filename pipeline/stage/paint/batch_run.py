"""The optimisation of one batch: each time memory runs out, it continues from the same state with less memory."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import ImpastoError, Interrupted, NotFiniteError, OutOfMemoryError
from pipeline.stage.device.devices import is_device_failure
from pipeline.stage.device.system_memory import PeakMemory, is_out_of_memory, tune_allocator
from pipeline.stage.engine_config import objective_spec, optimisation
from pipeline.stage.paint.painted import Painted
from pipeline.transfer.styliser import Step, Styliser, StyliseResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import torch

    from pipeline.settings.pair_settings import PairSettings
    from pipeline.stage.device.memory import Memory, MemoryDemand
    from pipeline.stage.listener import Listener
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.pair_progress import PairProgress
    from pipeline.stage.task import Task
    from pipeline.transfer.targets import MomentsCache
    from pipeline.transfer.tiling import Fit
    from pipeline.transfer.vgg import Chain


class BatchRun:
    """One batch on the device. When memory runs out, it goes down the ladder of fits.

    The pairs of a batch that have no checkpoint advance together, as one group. A pair that continues from a checkpoint
    is a group of its own, and so is every pair if the group does not fit into memory.
    """

    def __init__(  # noqa: PLR0913 - the parts of the painter that a batch needs
        self,
        pairs: Sequence[PairProgress],
        device: torch.device,
        *,
        chain_for: Callable[[PairSettings], tuple[Chain, MomentsCache]],
        memory: Memory,
        demand: MemoryDemand,
        listener: Listener,
        on_checkpoint: Callable[[Task], None],
    ) -> None:
        """Prepare a batch.

        Args:
            pairs: the pairs, of one size and equal settings.
            device: the device that paints them.
            chain_for: returns the network on the device, and the moments computed with it.
            memory: the memory of the device.
            demand: the memory demand of one of the pairs.
            listener: receives each evaluation; if it raises Interrupted, the batch ends with checkpoints.
            on_checkpoint: called after a checkpoint was written.
        """
        self._pairs, self._device, self._chain_for = pairs, device, chain_for
        self._memory, self._demand, self._listener, self._on_checkpoint = memory, demand, listener, on_checkpoint
        self._begin = time.perf_counter()
        """Start of the present group: the end of the group before it, by `time.perf_counter`."""
        self._spec = objective_spec(pairs[0].loading.task.pair.settings.objective)
        self._has_stepped = False
        """Whether the present group has made an evaluation."""
        self._is_listeners_error = False
        """Whether the error that ends the batch is the listener's."""

    def run(self) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        """See `Painter.paint`."""
        memory, demand = self._memory, self._demand
        for pair in self._pairs:
            pair.resume()
        rungs = memory.rungs_down(demand, max(pair.loading.task.deaths_alone for pair in self._pairs))
        fit = memory.choose(demand, 1, rungs)
        if fit is None:
            yield from self._fail_all(self._pairs, self._too_large())
            return
        if rungs:
            _warn_all(self._pairs, f"a process died during this pair: it was painted with less memory ({fit})")
        groups = self._groups(fit, rungs)
        while groups:
            group = groups.pop(0)
            if not group:
                continue
            images = len(group)
            tune_allocator(demand.pixels, fit)
            self._peak = PeakMemory(self._device)
            trouble = yield from self._try(group, fit)
            if trouble is None:
                memory.learn(demand, fit, images, self._peak.taken_bytes())
                self._begin = time.perf_counter()
                continue
            memory.release()
            group = [pair for pair in group if not pair.is_done]
            lower = memory.below(demand, fit, images)
            if images > 1:
                _warn_all(group, f"out of memory as a batch of {images}: painted one by one ({trouble})")
                self._share_seconds(group)
                groups = [[pair] for pair in group] + groups
            elif lower is None:
                yield from self._fail_all(group, self._too_large(trouble))
            else:
                _warn_all(group, f"out of memory with fit {fit}: continued with {lower} ({trouble})")
                fit, groups = lower, [group, *groups]

    def _groups(self, fit: Fit, rungs: int) -> list[list[PairProgress]]:
        """Return the groups that advance together: all pairs without a checkpoint if they fit, else single pairs."""
        fresh = [pair for pair in self._pairs if not pair.state.evaluations]
        resumed = [pair for pair in self._pairs if pair.state.evaluations]
        fits = self._memory.choose(self._demand, len(fresh), rungs) == fit
        groups = [fresh] if fits else [[pair] for pair in fresh]
        return groups + [[pair] for pair in resumed]

    def _try(
        self, group: list[PairProgress], fit: Fit
    ) -> Generator[tuple[Loading, Painted | ImpastoError], None, str | None]:
        """Paint a group; return how it ran out of memory, or None. Pairs that are not done keep their state."""
        styliser, self._has_stepped = None, False
        try:
            styliser = self._styliser_for(group, fit)
            for index, result in styliser.run([pair.hand_over() for pair in group]):
                pair = group[index]
                painted = self._painted(pair, result, fit, len(group))
                pair.finish()
                yield pair.loading, painted
        except Exception as error:
            if self._is_listeners_error:
                raise
            if is_out_of_memory(error):
                trouble = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
            elif self._can_begin_again(group, error):
                trouble = None
                group[0].begin_again(error)
            else:
                raise
        else:
            return None
        # This is outside of the handler, whose traceback would keep the memory of the evaluation.
        if trouble is None:
            return (yield from self._try(group, fit))
        for index, state in styliser.states.items() if styliser is not None else ():
            group[index].keep(state)
        return trouble

    def _can_begin_again(self, group: list[PairProgress], error: Exception) -> bool:
        """Whether an error shows that the engine cannot continue from a checkpoint: no evaluation was made after it."""
        is_ours = not isinstance(error, ImpastoError) and not is_device_failure(error)
        return is_ours and not self._has_stepped and group[0].resumed > 0

    def _styliser_for(self, group: list[PairProgress], fit: Fit) -> Styliser:
        settings = group[0].loading.task.pair.settings
        chain, cache = self._chain_for(settings)
        styliser = Styliser(
            chain,
            [pair.loading.loaded.on(self._device) for pair in group],
            self._spec,
            optimisation(
                settings,
                self._demand.width,
                self._demand.height,
                group[0].planned,
                fills=group[0].loading.loaded.fills,
            ),
            fit=fit,
            cache=cache,
            on_step=lambda step: self._after_step(group, step),
        )
        for pair in group:
            if not styliser.can_continue(pair.state):
                pair.restart_scale()
                pair.warn("the number of remembered steps has changed: the current scale began again")
        return styliser

    def _after_step(self, group: list[PairProgress], step: Step) -> None:
        self._has_stepped = True
        try:
            for index, evaluation in step.evaluations.items():
                self._listener.evaluated(group[index].loading.task.pair, evaluation)
        except Interrupted:
            self._write_checkpoints(group, step)
            raise
        except Exception:
            self._is_listeners_error = True  # its own lack of memory, for instance, is not the device's
            raise
        for index in step.evaluations:
            pair = group[index]
            if pair.checkpoint.write_if_due(partial(step.state_of, index), pair.planned):
                self._on_checkpoint(pair.loading.task)
            pair.preview.write_if_due(partial(step.image_of, index))

    def _write_checkpoints(self, group: list[PairProgress], step: Step) -> None:
        """Write a checkpoint of each pair that is not done."""
        for index in step.evaluations:
            group[index].checkpoint.write(step.state_of(index), group[index].planned)
        for index, state in step.waiting.items():
            group[index].checkpoint.write(state, group[index].planned)

    def _painted(
        self, pair: PairProgress, result: StyliseResult | NotFiniteError, fit: Fit, batch: int
    ) -> Painted | ImpastoError:
        if isinstance(result, NotFiniteError):
            return result
        warnings = (*result.warnings, *pair.checkpoint.warnings)
        return Painted(
            replace(result, image=result.image.cpu(), warnings=warnings),
            seconds=pair.seconds + (time.perf_counter() - self._begin) / batch,
            fit=fit,
            batch=batch,
            planned=pair.planned,
            resumed=pair.resumed,
            peak_memory_bytes=self._peak.bytes(),
        )

    def _share_seconds(self, group: Sequence[PairProgress]) -> None:
        """Add the time of a group that ran out of memory to its pairs, before they are painted one by one."""
        now = time.perf_counter()
        for pair in group:
            pair.seconds += (now - self._begin) / len(group)
        self._begin = now

    def _too_large(self, trouble: str = "") -> OutOfMemoryError:
        demand = self._demand
        return OutOfMemoryError(
            f"{self._pairs[0].loading.task.pair.content.name}: does not fit into memory at "
            f"{demand.width}×{demand.height} px: {self._memory.shortage(demand)}{f' ({trouble})' if trouble else ''}.",
            "Lower image.size or optimiser.history, or raise run.memory_gb if that is set.",
        )

    def _fail_all(
        self, pairs: Sequence[PairProgress], error: ImpastoError
    ) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        for pair in pairs:
            pair.finish()
            yield pair.loading, error


def _warn_all(pairs: Sequence[PairProgress], text: str) -> None:
    for pair in pairs:
        pair.warn(text)
