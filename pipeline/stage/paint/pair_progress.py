"""The progress of a pair on the device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.transfer.state import OptimisationState

if TYPE_CHECKING:
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.checkpoint import Checkpoint
    from pipeline.stage.paint.preview import Preview


class PairProgress:
    """One pair of a batch: its state in memory, its checkpoint and its preview."""

    def __init__(
        self, loading: Loading, checkpoint: Checkpoint, preview: Preview, evaluations: tuple[int, ...]
    ) -> None:
        """Start without a state; see `resume`.

        Args:
            loading: the pair.
            checkpoint: the checkpoint of the pair.
            preview: the preview of the pair.
            evaluations: evaluations planned at each scale, coarse to fine.
        """
        self.loading, self.checkpoint, self.preview = loading, checkpoint, preview
        self.planned = evaluations
        """Evaluations planned at each scale, coarse to fine."""
        self.state = OptimisationState()
        """State from which the optimisation continues."""
        self.resumed = 0
        """Number of evaluations that an earlier process made."""
        self.seconds = 0.0
        """Seconds on the device so far, in groups that ran out of memory."""
        self.is_done = False

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one that can be used."""
        found = self.checkpoint.read()
        if found is not None:
            self.state, self.planned = found
            self.resumed = self.state.evaluations

    def hand_over(self) -> OptimisationState:
        """Return the state and forget it, since it holds images that the engine soon replaces; see `keep`."""
        state, self.state = self.state, OptimisationState()
        return state

    def keep(self, state: OptimisationState) -> None:
        """Continue from this state, or from the checkpoint if that has more evaluations."""
        found = self.checkpoint.read()
        if found is not None and found[0].evaluations > state.evaluations:
            state = replace(found[0], warnings=tuple(dict.fromkeys((*found[0].warnings, *state.warnings))))
        self.state = state

    def begin_again(self, error: Exception) -> None:
        """Begin from the photograph, since the engine cannot continue from the checkpoint."""
        self.checkpoint.drop(error)
        self.state, self.resumed = OptimisationState(), 0

    def restart_scale(self) -> None:
        """Begin the current scale again, without the optimiser's steps so far."""
        self.state = replace(self.state, minimiser=None)
        self.resumed = min(self.resumed, self.state.made)

    def warn(self, text: str) -> None:
        """Add a warning to those that the result will have, unless it has it already."""
        if text not in self.state.warnings:
            self.state = replace(self.state, warnings=(*self.state.warnings, text))

    def finish(self) -> None:
        """Mark the pair as done, and drop its state, which holds images."""
        self.is_done, self.state = True, OptimisationState()
