"""L-BFGS for batches of images, with a spectral initial inverse Hessian and one evaluation per iteration.

The inverse Hessian is kept in compact form (Byrd, Nocedal & Schnabel 1994, theorem 2.2): with the last m steps S and
gradient differences Y as columns, R the upper triangle of SᵀY, D its diagonal and H₀ = γP,

    H = γP + S·R⁻ᵀ(D + γYᵀPY)R⁻¹·Sᵀ − S·R⁻ᵀ·γ(PY)ᵀ − γPY·R⁻¹·Sᵀ

so that an iteration takes a few matrix–vector products with S and PY, and all else is m × m. γ = ω·sᵀy / yᵀPy of the
newest pair, with ω = `OVERRELAXATION`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from pipeline.transfer.preconditioner import SpectralPreconditioner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
    """(B, 3, H, W) → (B, T) values, the first the one to be minimised, and its gradient (B, 3, H, W)."""

FIRST_STEP_LEVELS = 5.0
"""The largest change of a pixel by the first step, when nothing is known of the curvature yet."""
GROWTH = 6.0
"""A step is at most so many times as long as the one before: the first secants know one direction only."""
BLIND_GROWTH = 2.0
"""While no positive curvature was seen a step is so many times as long as the one before."""
OVERRELAXATION = 1.6
"""The objective is of fourth order in the features, so curvature seen on the way down is more than what lies ahead."""
EXPLOSION = 4.0
"""A value so many times the best one is an explosion: a step that L-BFGS may not recover from."""
PLATEAU_LENGTH = 10
"""Evaluations over which too little must have been gained for a stop."""
SMALLEST_CURVATURE = 1e-8
"""Cosine between step and gradient difference; below it the pair says nothing about curvature but noise."""


@dataclass(frozen=True)
class Restart:
    """A return to the best iterate."""

    evaluation: int
    """From 1: the one that made it necessary."""
    reason: str
    step: float
    """The share of a full step that is taken from there."""


@dataclass(frozen=True)
class Minimum:
    """What the minimisation of one image came to."""

    image: Tensor
    """(1, 3, H, W) float32: the best finite iterate."""
    values: tuple[tuple[float, ...] | None, ...]
    """Of every evaluation, in order; None where something was not finite."""
    restarts: tuple[Restart, ...]


@dataclass
class _Image:
    """What is known of one image of the batch, on the host."""

    history: int
    steps: NDArray[np.float64] = field(init=False)
    """SᵀY."""
    curvatures: NDArray[np.float64] = field(init=False)
    """YᵀPY."""
    slots: list[int] = field(default_factory=list)
    """Of the ring that hold a pair of this image, oldest first."""
    values: list[tuple[float, ...] | None] = field(default_factory=list)
    bests: list[float] = field(default_factory=lambda: [math.inf])
    """The least value before the first evaluation and after each."""
    restarts: list[Restart] = field(default_factory=list)
    step: float = 1.0
    """Halved by every restart, doubled by every new best until it is whole again."""
    state: Literal["resting", "moving", "returning"] = "resting"
    """At the start or the best iterate, without a step to learn from; on its way; or about to go back to the best."""
    done: bool = False

    def __post_init__(self) -> None:
        self.steps, self.curvatures = np.zeros((self.history,) * 2), np.zeros((self.history,) * 2)

    def to_plain(self) -> dict[str, Any]:
        """As numbers, strings and lists."""
        plain = dict(vars(self))
        plain.update(steps=self.steps.tolist(), curvatures=self.curvatures.tolist())
        plain.update(restarts=[list(vars(restart).values()) for restart in self.restarts])
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> _Image:
        """Undoes `to_plain`."""
        image = cls(plain["history"])
        for name, value in plain.items():
            setattr(image, name, value)
        image.steps, image.curvatures = np.array(plain["steps"]), np.array(plain["curvatures"])
        image.restarts = [Restart(*restart) for restart in plain["restarts"]]
        return image

    def observe(self, values: tuple[float, ...], plateau: float) -> bool:
        """Take the values of an evaluation; whether its image is the best yet."""
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
        # Of one colour both may be the same: the objective is 0, and nothing is better.
        self.done = flat or math.isinf(self.bests[-1]) or self.bests[-1] == 0
        return self.bests[-1] < best

    def _restart(self, reason: str) -> None:
        self.slots, self.state, self.step = [], "returning", self.step / 2
        self.restarts.append(Restart(len(self.values), reason, self.step))

    def learn(self, slot: int, step_y: NDArray[np.float64], zy: NDArray[np.float64], norms: float) -> bool:
        """Add the pair in a slot of the ring, if its curvature is positive; whether it was added.

        Args:
            slot: of the ring.
            step_y: (m,) s_i·y of every slot.
            zy: (m,) (P·y_i)·y of every slot.
            norms: ‖s‖·‖y‖.
        """
        if slot in self.slots:
            self.slots.remove(slot)  # it has been overwritten
        if not step_y[slot] > SMALLEST_CURVATURE * norms or not zy[slot] > 0:
            return False
        self.slots.append(slot)
        self.steps[:, slot] = step_y
        self.curvatures[:, slot] = self.curvatures[slot] = zy
        return True

    def coefficients(
        self, step_g: NDArray[np.float64], zg: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """γ, a and b of H·g = γ·Pg + S·a + PY·b, from Sᵀg and (PY)ᵀg."""
        a, b = np.zeros(self.history), np.zeros(self.history)
        at = np.ix_(self.slots, self.slots)
        triangle, diagonal = np.triu(self.steps[at]), np.diag(np.diag(self.steps[at]))
        newest = self.slots[-1]
        gamma = OVERRELAXATION * self.steps[newest, newest] / self.curvatures[newest, newest]
        u = np.linalg.solve(triangle, step_g[self.slots])
        a[self.slots] = np.linalg.solve(
            triangle.T, (diagonal + gamma * self.curvatures[at]) @ u - gamma * zg[self.slots]
        )
        b[self.slots] = -gamma * u
        return float(gamma), a, b


class Minimiser:
    """Minimises each image of a batch for itself, without clipping, one evaluation at a time.

    Large tensors are on the device, small matrices on the host.
    """

    def __init__(  # noqa: PLR0913 - the mathematics has this many givens
        self,
        start: Tensor,
        *,
        evaluations: int,
        history: int = 20,
        alpha: float = 0.4,
        plateau: float = 0.0,
        history_device: torch.device | None = None,
    ) -> None:
        """Begin at the start; nothing is evaluated yet.

        Args:
            start: (B, 3, H, W) float32.
            evaluations: of the batch, at most.
            history: steps that are remembered, at most, m; takes 8·m bytes per value of the batch.
            alpha: of the `SpectralPreconditioner`.
            plateau: an image is done when its last ten evaluations improved it by less than this share; 0: never.
            history_device: where the history is kept; None: with the start.
        """
        self.number = 0
        """Evaluations that were made."""
        self._evaluations, self._plateau = evaluations, plateau
        self._history = min(history, max(1, evaluations - 1))
        self._precondition = SpectralPreconditioner(start.shape[2], start.shape[3], alpha, start.device)
        self._x = start.clone(memory_format=torch.contiguous_format)
        self._best = self._x.clone()
        self._images = [_Image(self._history) for _ in start]
        size = len(start), self._history, start[0].numel()
        where = history_device or start.device
        self._s, self._z = (torch.zeros(size, device=where) for _ in range(2))
        self._step = start.new_zeros((len(start), start[0].numel()))
        self._before: tuple[Tensor, Tensor] | None = None
        """Gradient and preconditioned gradient of the last evaluation."""

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._images)

    @property
    def x(self) -> Tensor:
        """(B, 3, H, W): where the next evaluation is due."""
        return self._x

    def is_done(self, index: int) -> bool:
        """Whether nothing is to be done for an image any more."""
        return self.number >= self._evaluations or self._images[index].done

    def minimum(self, index: int) -> Minimum:
        """What it came to so far; an image without any finite value keeps its start."""
        image = self._images[index]
        return Minimum(self._best[index : index + 1], tuple(image.values), tuple(image.restarts))

    def step(self, evaluate: Evaluate) -> list[tuple[float, ...] | None]:
        """Evaluate, learn, move: the values of every image, None where they are not finite.

        Nothing has changed if `evaluate` raises.
        """
        values, gradient = evaluate(self._x)
        preconditioned = self._precondition(gradient)
        slot = self.number % self._history
        facts = self._measure(values, gradient, preconditioned, slot)
        self._look(facts, values.shape[1])
        self.number += 1
        if not all(self.is_done(index) for index in range(len(self))):
            self._move(slot, facts[:, values.shape[1] :], preconditioned)
            self._before = gradient, preconditioned
        return [image.values[-1] for image in self._images]

    def select(self, indices: Sequence[int]) -> None:
        """Go on with these images of the batch only."""
        self._images = [self._images[index] for index in indices]
        chosen = list(indices)
        self._x, self._best, self._step = self._x[chosen], self._best[chosen], self._step[chosen]
        self._s, self._z = self._s[chosen], self._z[chosen]
        if self._before is not None:
            self._before = self._before[0][chosen], self._before[1][chosen]

    def state(self, index: int) -> dict[str, Any]:
        """All that is known of an image, as tensors, numbers and lists, to go on from here; see `restore`.

        Where there is one image the tensors are those that are in work: to be copied or written before the next step.
        """
        own = slice(index, index + 1)

        def one(batch: Tensor) -> Tensor:
            return batch if len(self) == 1 else batch[own].clone()

        return {
            "number": self.number,
            "image": self._images[index].to_plain(),
            "x": one(self._x),
            "best": one(self._best),
            "step": one(self._step),
            "s": one(self._s),
            "z": one(self._z),
            "before": None if self._before is None else [one(each) for each in self._before],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of an image of this size, with the same settings, to the same end to the last bit.

        Raises:
            ValueError: it is of another size or other settings.
        """
        if len(self) != 1 or state["s"].shape != self._s.shape or state["x"].shape != self._x.shape:
            msg = f"a state of {tuple(state['x'].shape)} does not go on as {tuple(self._x.shape)}"
            raise ValueError(msg)
        device = self._x.device
        self.number = state["number"]
        self._images = [_Image.from_plain(state["image"])]
        self._x, self._best, self._step = (state[name].to(device) for name in ("x", "best", "step"))
        self._s, self._z = (state[name].to(self._s.device) for name in ("s", "z"))
        if state["before"] is not None:
            gradient, preconditioned = (each.to(device) for each in state["before"])
            self._before = gradient, preconditioned

    def _measure(self, values: Tensor, gradient: Tensor, preconditioned: Tensor, slot: int) -> NDArray[np.float64]:
        """All that the host needs, in one transfer.

        Returns:
            (B, T + 2 + 4m): the values, ‖g‖², ‖s‖·‖y‖, and Sᵀy, Sᵀg, (PY)ᵀy, (PY)ᵀg.
        """
        g = gradient.flatten(1)
        y = torch.zeros_like(g)
        if self._before is not None:
            y = g - self._before[0].flatten(1)
            self._z[:, slot] = (preconditioned - self._before[1]).flatten(1)
            self._s[:, slot] = self._step
        rows = []
        for i, row in enumerate(values):  # not as one batch, whose sums may be rounded otherwise than an image's alone
            both = torch.stack((y[i], g[i]), dim=1)
            norms = torch.stack((g[i].norm() ** 2, self._step[i].norm() * y[i].norm()))
            products = (_products(history[i], both).mT.flatten() for history in (self._s, self._z))
            rows.append(torch.cat((row, norms, *products)))
        return torch.stack(rows).double().cpu().numpy()

    def _look(self, facts: NDArray[np.float64], terms: int) -> None:
        for index, (image, row) in enumerate(zip(self._images, facts, strict=True)):
            values = tuple(row[:terms].tolist())
            if image.observe(values if math.isfinite(row[terms]) else (math.nan,) * terms, self._plateau):
                self._best[index].copy_(self._x[index])
            if row[terms] == 0:
                image.done = True  # the gradient has vanished

    def _move(self, slot: int, facts: NDArray[np.float64], preconditioned: Tensor) -> None:
        """Go to the next iterate: x − H·g, the best one where a restart is due, nowhere where all is done."""
        m, coefficients = self._history, []
        for index, (image, row) in enumerate(zip(self._images, facts, strict=True)):
            sy, sg, zy, zg = row[2:].reshape(4, m)
            if image.state == "moving":
                image.learn(slot, sy, zy, row[1])
            else:
                self._s[index].zero_()  # of no use any more, and perhaps not finite
                self._z[index].zero_()
            if image.slots:
                gamma, a, b = image.coefficients(sg, zg)
            else:
                gamma, a, b = math.nan, np.zeros(m), np.zeros(m)  # nothing is known: a first step
            coefficients.append([gamma, image.step, *a, *b])
        on_device = torch.tensor(np.array(coefficients), dtype=torch.float32, device=self._x.device)
        flat = preconditioned.flatten(1)
        first_step = FIRST_STEP_LEVELS / flat.abs().amax(1, keepdim=True)
        gammas = on_device[:, 0, None]
        direction = torch.where(gammas.isnan(), first_step, gammas) * flat
        for i, (image, row) in enumerate(zip(self._images, on_device, strict=True)):
            _add_products(direction[i], row[2 : 2 + m], self._s[i])
            _add_products(direction[i], row[2 + m :], self._z[i])
            if image.state == "moving":
                repeated = self._step[i].norm() / direction[i].norm()
                row[1] = torch.minimum(row[1], GROWTH * repeated) if image.slots else BLIND_GROWTH * repeated
        self._step = direction.mul_(-on_device[:, 1, None])
        self._x = self._x + self._step.view_as(self._x)
        for index, image in enumerate(self._images):
            if image.done or image.state == "returning":
                self._x[index], self._step[index] = self._best[index], 0
            image.state = "resting" if image.state == "returning" else "moving"


def _products(history: Tensor, both: Tensor) -> Tensor:
    """(m, N) · (N, 2), row by row where the history is not on the device."""
    if history.device == both.device:
        return history @ both
    return torch.stack([row.to(both.device) @ both for row in history])


def _add_products(total: Tensor, coefficients: Tensor, history: Tensor) -> None:
    """Add (m,) · (m, N) to (N,), row by row where the history is not on the device."""
    if history.device == total.device:
        total += coefficients @ history
        return
    for coefficient, row in zip(coefficients, history, strict=True):
        total += coefficient * row.to(total.device)
