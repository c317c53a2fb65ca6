"""The small matrices and the scalars of L-BFGS for one image of a batch, on the host.

See `lbfgs` for the formulas. The fields of `Restart` and `ImageState` are written into checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERRELAXATION = 1.6
"""Factor of γ. The objective falls, and its Gram term is of fourth order in the features, so the curvature that the
last step has measured is larger than that of the steps to come. With the Wasserstein term, too, 1.6 is better than 1.0
and 1.3, and 2.0 is hardly better."""
EXPLOSION = 4.0
"""Smallest ratio of a value to the best one that counts as an explosion, from which L-BFGS may not recover."""
PLATEAU_LENGTH = 10
"""Number of evaluations whose total gain decides whether an image has reached its plateau."""
SMALLEST_CURVATURE = 1e-8
"""Smallest cosine between step and gradient difference; a pair with a smaller one holds noise and no curvature."""


@dataclass(frozen=True)
class Restart:
    """A return to the best iterate."""

    evaluation: int
    """Number of the evaluation that made it necessary, from 1."""
    reason: str
    """Words that continue "the objective"."""
    step: float
    """Share of a full step that the next step from the best iterate takes."""


@dataclass
class ImageState:
    """State of one image of the batch, as far as it is on the host."""

    history: int
    """Number of pairs of step and gradient difference that the ring holds, m."""
    steps: NDArray[np.float64] = field(init=False)
    """Products SᵀY of steps and gradient differences, not the steps themselves, (m, m)."""
    curvatures: NDArray[np.float64] = field(init=False)
    """Products YᵀPY of gradient differences, (m, m)."""
    slots: list[int] = field(default_factory=list)
    """Slots of the ring that hold a pair of this image, oldest first."""
    values: list[tuple[float, ...] | None] = field(default_factory=list)
    """Values of every evaluation; None where one was not finite."""
    bests: list[float] = field(default_factory=lambda: [math.inf])
    """Smallest value before the first evaluation and after each one."""
    restarts: list[Restart] = field(default_factory=list)
    step: float = 1.0
    """Share of a full step that is taken: every restart halves it, and every new best value doubles it, up to 1."""
    state: Literal["resting", "moving", "turning", "returning"] = "resting"
    """Resting: at the start or the best iterate, without a last step. Moving: after a step. Turning: after a step for
    another objective. Returning: about to go back to the best iterate."""
    done: bool = False
    """Whether the minimisation has ended before the evaluations are used up."""

    def __post_init__(self) -> None:
        self.steps, self.curvatures = np.zeros((self.history,) * 2), np.zeros((self.history,) * 2)

    def to_plain(self) -> dict[str, Any]:
        """Return the state as numbers, strings and lists."""
        plain = dict(vars(self))
        plain.update(steps=self.steps.tolist(), curvatures=self.curvatures.tolist())
        plain.update(restarts=[list(vars(restart).values()) for restart in self.restarts])
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> ImageState:
        """Return the state that `to_plain` has written."""
        image = cls(plain["history"])
        for name, value in plain.items():
            setattr(image, name, value)
        image.steps, image.curvatures = np.array(plain["steps"]), np.array(plain["curvatures"])
        image.restarts = [Restart(*restart) for restart in plain["restarts"]]
        return image

    def observe(self, values: tuple[float, ...], plateau: float) -> bool:
        """Record the values of an evaluation.

        Args:
            values: values of the evaluation; the first is minimised.
            plateau: share by which ten evaluations must improve the image; 0: the image never ends early.

        Returns:
            Whether the evaluated image is the best so far.
        """
        finite, best = all(map(math.isfinite, values)), self.bests[-1]
        self.values.append(values if finite else None)
        self.bests.append(min(best, values[0]) if finite else best)
        if not finite:
            self._restart("was not finite")
        elif values[0] > EXPLOSION * best:
            self._restart(f"rose to {values[0] / best:.3g} times the best")
        elif values[0] < best:
            self.step = min(1.0, 2 * self.step)
        flat = len(self.bests) > PLATEAU_LENGTH + 1 and self.bests[-1] > (1 - plateau) * self.bests[-1 - PLATEAU_LENGTH]
        # The objective is 0 if photograph and painting have one and the same colour everywhere; no value is better.
        self.done = flat or math.isinf(self.bests[-1]) or self.bests[-1] == 0
        return self.bests[-1] < best

    def _restart(self, reason: str) -> None:
        self.slots, self.state, self.step = [], "returning", self.step / 2
        self.restarts.append(Restart(len(self.values), reason, self.step))

    def learn(self, slot: int, step_y: NDArray[np.float64], curvatures: NDArray[np.float64], norms: float) -> bool:
        """Add the pair in a slot of the ring if its curvature is positive.

        Args:
            slot: index of the slot.
            step_y: (m,) s_i·y of every slot.
            curvatures: (m, m) YᵀPY with the present P.
            norms: ‖s‖·‖y‖.

        Returns:
            Whether the pair was added.
        """
        if slot in self.slots:
            self.slots.remove(slot)  # it has been overwritten
        self.curvatures = curvatures
        if not step_y[slot] > SMALLEST_CURVATURE * norms or not curvatures[slot, slot] > 0:
            return False
        self.slots.append(slot)
        self.steps[:, slot] = step_y
        return True

    def coefficients(
        self, step_g: NDArray[np.float64], change_g: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return γ, a and b of H·g = P·(γ·g + Y·b) + S·a, from Sᵀg and YᵀPg."""
        a, b = np.zeros(self.history), np.zeros(self.history)
        at = np.ix_(self.slots, self.slots)
        triangle, diagonal = np.triu(self.steps[at]), np.diag(np.diag(self.steps[at]))
        newest = self.slots[-1]
        gamma = OVERRELAXATION * self.steps[newest, newest] / self.curvatures[newest, newest]
        u = np.linalg.solve(triangle, step_g[self.slots])
        a[self.slots] = np.linalg.solve(
            triangle.T, (diagonal + gamma * self.curvatures[at]) @ u - gamma * change_g[self.slots]
        )
        b[self.slots] = -gamma * u
        return float(gamma), a, b
