"""L-BFGS for batches of images, with a spectral initial inverse Hessian and one evaluation per iteration.

The inverse Hessian is kept in compact form (Byrd, Nocedal & Schnabel 1994, theorem 2.2): with the last m steps S and
gradient differences Y as columns, R the upper triangle of SᵀY, D its diagonal and H₀ = γP,

    H = γP + S·R⁻ᵀ(D + γYᵀPY)R⁻¹·Sᵀ − S·R⁻ᵀ·γ(PY)ᵀ − γPY·R⁻¹·Sᵀ

An iteration takes a few matrix–vector products with S and PY; all other matrices are m × m. γ = ω·sᵀy / yᵀPy with s and
y of the newest pair and ω = `lbfgs_state.OVERRELAXATION`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.transfer.lbfgs_state import ImageState
from pipeline.transfer.preconditioner import SpectralPreconditioner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from pipeline.transfer.lbfgs_state import Restart

    Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
    """Maps (B, 3, H, W) to values (B, T), of which the first is minimised, and its gradient (B, 3, H, W)."""

FIRST_STEP_LEVELS = 5.0
"""Largest change of a pixel by a step without known curvature, such as the first, in levels of 0–255."""
GROWTH = 6.0
"""Largest ratio of a step's length to that of the step before, since the first secants describe only one direction."""
BLIND_GROWTH = 2.0
"""Ratio of a step's length to that of the step before, while no positive curvature has been measured."""


@dataclass(frozen=True)
class Minimum:
    """Result of minimising one image."""

    image: Tensor
    """Best finite iterate, (1, 3, H, W) float32."""
    values: tuple[tuple[float, ...] | None, ...]
    """Values of every evaluation, in order; None where one was not finite."""
    restarts: tuple[Restart, ...]
    """Returns to the best iterate, in order."""


class Minimiser:
    """Minimises each image of a batch independently, without clipping, one evaluation at a time.

    Large tensors are on the device, and small matrices are on the host.
    """

    def __init__(  # noqa: PLR0913 - the method has this many parameters
        self,
        start: Tensor,
        *,
        evaluations: int,
        history: int = 20,
        alpha: float = 0.4,
        plateau: float = 0.0,
        history_device: torch.device | None = None,
    ) -> None:
        """Begin at the start, without an evaluation.

        Args:
            start: (B, 3, H, W) float32.
            evaluations: largest number of evaluations of the batch.
            history: largest number of remembered steps, m; the history takes 8·m bytes per value of the batch.
            alpha: exponent of the `SpectralPreconditioner`.
            plateau: an image is done when its last ten evaluations improved it by less than this share; 0: it never
                ends early.
            history_device: device that keeps the history; None: the device of the start.
        """
        self.number = 0
        """Evaluations made so far."""
        self._evaluations, self._plateau = evaluations, plateau
        self._history = min(history, max(1, evaluations - 1))
        self._precondition = SpectralPreconditioner(start.shape[2], start.shape[3], alpha, start.device)
        self._x = start.clone(memory_format=torch.contiguous_format)
        self._best = self._x.clone()
        self._images = [ImageState(self._history) for _ in start]
        size = len(start), self._history, start[0].numel()
        where = history_device or start.device
        self._s, self._z = (torch.zeros(size, device=where) for _ in range(2))
        self._step = start.new_zeros((len(start), start[0].numel()))
        self._before: tuple[Tensor, Tensor] | None = None
        """Gradient and preconditioned gradient of the last evaluation."""

    def __len__(self) -> int:
        """Return the number of images, B."""
        return len(self._images)

    @property
    def x(self) -> Tensor:
        """Images that are evaluated next, (B, 3, H, W)."""
        return self._x

    def is_done(self, index: int) -> bool:
        """Whether the minimisation of an image has ended."""
        return self.number >= self._evaluations or self._images[index].done

    def minimum(self, index: int) -> Minimum:
        """Return the result of an image so far; if no value was finite, it is the image's start."""
        image = self._images[index]
        return Minimum(self._best[index : index + 1], tuple(image.values), tuple(image.restarts))

    def step(self, evaluate: Evaluate) -> list[tuple[float, ...] | None]:
        """Evaluate, learn the curvature, and go to the next iterate.

        If `evaluate` raises, the state is unchanged.

        Returns:
            The values of every image, None where one is not finite.
        """
        values, gradient = evaluate(self._x)
        preconditioned = self._precondition(gradient)
        slot = self.number % self._history
        facts = self._measure(values, gradient, preconditioned, slot)
        self._observe(facts, values.shape[1])
        self.number += 1
        if not all(self.is_done(index) for index in range(len(self))):
            self._move(slot, facts[:, values.shape[1] :], preconditioned)
            self._before = gradient, preconditioned
        return [image.values[-1] for image in self._images]

    def select(self, indices: Sequence[int]) -> None:
        """Continue only with these images of the batch."""
        self._images = [self._images[index] for index in indices]
        chosen = list(indices)
        self._x, self._best, self._step = self._x[chosen], self._best[chosen], self._step[chosen]
        self._s = self._s[chosen]  # not together with the next line, which would hold twice as much memory meanwhile
        self._z = self._z[chosen]
        if self._before is not None:
            self._before = self._before[0][chosen], self._before[1][chosen]

    def state(self, index: int) -> dict[str, Any]:
        """Return the state of an image as tensors, numbers and lists, for `restore`.

        If the batch has one image, the tensors are not copies: they must be copied or written before the next step.
        """
        own = slice(index, index + 1)

        def one(batch: Tensor) -> Tensor:
            return batch if len(self) == 1 else batch[own].to("cpu", copy=True)  # a copy on a card may not fit

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
        """Continue from the state of an image of this size with these settings; the result is equal to the last bit.

        Raises:
            ValueError: the state has another size or other settings.
        """
        if len(self) != 1 or state["s"].shape != self._s.shape or state["x"].shape != self._x.shape:
            msg = f"a state of {tuple(state['x'].shape)} cannot continue as {tuple(self._x.shape)}"
            raise ValueError(msg)
        device = self._x.device
        self.number = state["number"]
        self._images = [ImageState.from_plain(state["image"])]
        self._x, self._best, self._step = (state[name].to(device) for name in ("x", "best", "step"))
        self._s, self._z = (state[name].to(self._s.device) for name in ("s", "z"))
        if state["before"] is not None:
            gradient, preconditioned = (each.to(device) for each in state["before"])
            self._before = gradient, preconditioned

    def _measure(self, values: Tensor, gradient: Tensor, preconditioned: Tensor, slot: int) -> NDArray[np.float64]:
        """Compute all numbers that the host needs, and transfer them at once.

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
        for i, row in enumerate(values):  # one by one, since the sums of a batch may be rounded differently
            both = torch.stack((y[i], g[i]), dim=1)
            norms = torch.stack((g[i].norm() ** 2, self._step[i].norm() * y[i].norm()))
            products = (_products(history[i], both).mT.flatten() for history in (self._s, self._z))
            rows.append(torch.cat((row, norms, *products)))
        return torch.stack(rows).double().cpu().numpy()

    def _observe(self, facts: NDArray[np.float64], terms: int) -> None:
        """Record the values of an evaluation, and keep the images that are the best so far."""
        for index, (image, row) in enumerate(zip(self._images, facts, strict=True)):
            values = tuple(row[:terms].tolist())
            if image.observe(values if math.isfinite(row[terms]) else (math.nan,) * terms, self._plateau):
                self._best[index].copy_(self._x[index])
            if row[terms] == 0:
                image.done = True  # the gradient has vanished

    def _move(self, slot: int, facts: NDArray[np.float64], preconditioned: Tensor) -> None:
        """Go to the next iterate, x − H·g, or back to the best one for a restart; images that are done stay."""
        m, coefficients = self._history, []
        for index, (image, row) in enumerate(zip(self._images, facts, strict=True)):
            sy, sg, zy, zg = row[2:].reshape(4, m)
            if image.state == "moving":
                image.learn(slot, sy, zy, row[1])
            else:
                self._s[index].zero_()  # no longer used, and perhaps not finite
                self._z[index].zero_()
            if image.slots:
                gamma, a, b = image.coefficients(sg, zg)
            else:
                gamma, a, b = math.nan, np.zeros(m), np.zeros(m)  # no curvature is known: a first step
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
    """Return (m, N) · (N, 2), row by row where the history is not on the device."""
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
