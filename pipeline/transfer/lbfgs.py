"""L-BFGS for batches of images, with a spectral initial inverse Hessian and one evaluation per iteration.

The inverse Hessian is kept in compact form (Byrd, Nocedal & Schnabel 1994, theorem 2.2): with the last m steps S and
gradient differences Y as columns, R the upper triangle of SᵀY, D its diagonal and H₀ = γP,

    H = γP + S·R⁻ᵀ(D + γYᵀPY)R⁻¹·Sᵀ − S·R⁻ᵀ·γ(PY)ᵀ − γPY·R⁻¹·Sᵀ

γ = ω·sᵀy / yᵀPy with s and y of the newest pair and ω = `lbfgs_state.OVERRELAXATION`. Steps and gradients are kept as
spectra (see `preconditioner`), where P is diagonal: it may change at every iteration, since PY is not kept. An
iteration reads S and Y twice; all other matrices are m × m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.transfer.lbfgs_state import ImageState
from pipeline.transfer.preconditioner import SpectralPreconditioner, to_image, to_spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from pipeline.transfer.lbfgs_state import Restart

    Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
    """Maps (B, 3, H, W) to values (B, T), of which the first is minimised, and its gradient (B, 3, H, W)."""

FIRST_STEP_LEVELS = 20.0
"""Largest change of a pixel by the first step, in levels of 0–255."""
RESTART_STEP_LEVELS = 5.0
"""Largest change of a pixel by the first step from an image that may be near the minimum: the best iterate after a
return to it, or the result of the frame before."""
GROWTH = 6.0
"""Largest ratio of a step's length to that of the step before, since the first secants describe only one direction."""
BLIND_GROWTH = 2.0
"""Ratio of a step's length to that of the step before, while no positive curvature has been measured."""
TURN = 0.5
"""Ratio of the length of the first step for another objective to that of the step before."""
_VALUES_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 20}
"""Values of each remembered step that are multiplied at once, by device. With ten steps they fit into a CPU's cache;
on a card they take 130 MB. The whole history would take more than twice its own memory."""


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
        first_step: float = FIRST_STEP_LEVELS,
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
            first_step: largest change of a pixel by the first step, in levels of 0–255.
        """
        self.number = 0
        """Evaluations made so far."""
        self._evaluations, self._plateau, self._first_step = evaluations, plateau, first_step
        self._history = min(history, max(1, evaluations - 1))
        height, width = start.shape[2:]
        self._preconditioners = [SpectralPreconditioner(height, width, alpha, start.device) for _ in start]
        self._x = start.clone(memory_format=torch.contiguous_format)
        self._best = self._x.clone()
        self._images = [ImageState(self._history) for _ in start]
        size = len(start), self._history, start[0].numel()
        where = history_device or start.device
        self._s, self._y = (torch.zeros(size, device=where) for _ in range(2))
        self._step = torch.zeros_like(self._x)
        """Spectra of the last steps."""
        self._before: Tensor | None = None
        """Spectra of the gradients of the last evaluation; None: there is none of this objective."""

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
        values, of_image = evaluate(self._x)
        gradient = to_spectrum(of_image)
        del of_image
        slot = self.number % self._history
        facts = self._measure(values, gradient, slot)
        self._observe(facts, values.shape[1])
        self.number += 1
        if not all(self.is_done(index) for index in range(len(self))):
            self._move(slot, facts[:, values.shape[1] :], gradient)
            self._before = gradient
        return [image.values[-1] for image in self._images]

    def change_objective(self) -> None:
        """Forget the curvature and the gradients of all images, since another function gives the next gradients."""
        self._before = None
        for image in self._images:
            image.slots = []
            if image.state == "moving":
                image.state = "turning"

    def select(self, indices: Sequence[int]) -> None:
        """Continue only with these images of the batch."""
        self._images = [self._images[index] for index in indices]
        self._preconditioners = [self._preconditioners[index] for index in indices]
        chosen = list(indices)
        self._x, self._best, self._step = self._x[chosen], self._best[chosen], self._step[chosen]
        self._s = self._s[chosen]  # not together with the next line, which would hold twice as much memory meanwhile
        self._y = self._y[chosen]
        if self._before is not None:
            self._before = self._before[chosen]

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
            "y": one(self._y),
            "before": None if self._before is None else one(self._before),
            "learned": self._preconditioners[index].learned,
            "steps": self._preconditioners[index].steps,
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
        self._s, self._y = (state[name].to(self._s.device) for name in ("s", "y"))
        self._before = state["before"].to(device) if state["before"] is not None else None
        self._preconditioners[0].restore(state["learned"], state["steps"])

    def _measure(self, values: Tensor, gradient: Tensor, slot: int) -> NDArray[np.float64]:
        """Learn the last steps, compute all numbers that the host needs, and transfer them at once.

        Returns:
            (B, T + 2 + m·(3 + m)): the values, ‖g‖², ‖s‖·‖y‖, and Sᵀy, Sᵀg, YᵀPg, and YᵀPY row by row.
        """
        changes = torch.zeros_like(gradient) if self._before is None else gradient - self._before
        self._y[:, slot], self._s[:, slot] = changes.flatten(1), self._step.flatten(1)
        rows = []
        for i, row in enumerate(values):  # one by one, since the sums of a batch may be rounded differently
            self._preconditioners[i].learn(self._step[i], changes[i])
            norms = torch.stack((gradient[i].norm() ** 2, self._step[i].norm() * changes[i].norm()))
            rows.append(torch.cat((row, norms, self._products(i, changes[i].flatten(), gradient[i].flatten()))))
        return torch.stack(rows).double().cpu().numpy()

    def _products(self, index: int, change: Tensor, gradient: Tensor) -> Tensor:
        """Return Sᵀy, Sᵀg, YᵀPg and YᵀPY of an image, (m·(3 + m),), from sums over parts of the spectra."""
        multipliers = self._preconditioners[index].multipliers.flatten()
        length = _VALUES_AT_ONCE[change.device.type]
        total = change.new_zeros(3 + self._history, self._history)
        for start in range(0, len(change), length):
            part = slice(start, start + length)
            s, y = (history[index, :, part].to(change.device) for history in (self._s, self._y))
            total[:2] += torch.stack((change[part], gradient[part])) @ s.mT
            total[2:] += torch.cat((gradient[None, part], y)) * multipliers[part] @ y.mT
        return total.flatten()

    def _observe(self, facts: NDArray[np.float64], terms: int) -> None:
        """Record the values of an evaluation, and keep the images that are the best so far."""
        for index, (image, row) in enumerate(zip(self._images, facts, strict=True)):
            values = tuple(row[:terms].tolist())
            if image.observe(values if math.isfinite(row[terms]) else (math.nan,) * terms, self._plateau):
                self._best[index].copy_(self._x[index])
            if row[terms] == 0:
                image.done = True  # the gradient has vanished

    def _move(self, slot: int, facts: NDArray[np.float64], gradient: Tensor) -> None:
        """Go to the next iterate, x − H·g, or back to the best one for a restart; images that are done stay."""
        numbers = [self._learn(index, slot, row) for index, row in enumerate(facts)]
        coefficients = torch.tensor(np.array(numbers), dtype=torch.float32, device=self._x.device)
        direction = self._direction(gradient, coefficients)
        of_image = to_image(direction)
        lengths = torch.stack([self._length(*each) for each in zip(range(len(self)), direction, of_image, strict=True)])
        lengths = -lengths[:, None, None, None]
        self._step = direction.mul_(lengths)
        self._x = torch.addcmul(self._x, of_image, lengths)
        for index, image in enumerate(self._images):
            if image.done or image.state == "returning":
                self._x[index], self._step[index] = self._best[index], 0
            image.state = "resting" if image.state == "returning" else "moving"

    def _learn(self, index: int, slot: int, facts: NDArray[np.float64]) -> list[float]:
        """Learn the last step of an image; return γ, a and b of its next direction, see `ImageState.coefficients`."""
        image, m = self._images[index], self._history
        products = facts[2:].reshape(3 + m, m)
        if image.state == "moving":
            image.learn(slot, products[0], products[3:], facts[1])
        else:
            self._s[index].zero_()  # no longer used, and perhaps not finite
            self._y[index].zero_()
        if not image.slots:  # no curvature is known
            return [1.0, *(0.0 for _ in range(2 * m))]
        gamma, a, b = image.coefficients(products[1], products[2])
        return [gamma, *a, *b]

    def _direction(self, gradient: Tensor, coefficients: Tensor) -> Tensor:
        """Return P·(γ·g + Y·b) + S·a of every image, a spectrum."""
        m, direction = self._history, torch.empty_like(gradient)
        for i, row in enumerate(coefficients):
            flat = direction[i].view(-1)
            torch.mul(gradient[i].view(-1), row[0], out=flat)
            _add_products(flat, row[1 + m :], self._y[i])
            flat.mul_(self._preconditioners[i].multipliers.flatten())
            _add_products(flat, row[1 : 1 + m], self._s[i])
        return direction

    def _length(self, index: int, direction: Tensor, of_image: Tensor) -> Tensor:
        """Return the factor of an image's direction, of which the spectrum and the image are given: at most 1."""
        image = self._images[index]
        repeated: Tensor = self._step[index].norm() / direction.norm()
        if image.slots:
            return torch.clamp(GROWTH * repeated, max=image.step)
        if image.state == "moving":
            return repeated * BLIND_GROWTH
        if image.state == "turning":
            return repeated * TURN
        levels = RESTART_STEP_LEVELS if image.restarts else self._first_step
        return image.step * levels / of_image.abs().amax()


def _add_products(total: Tensor, coefficients: Tensor, history: Tensor) -> None:
    """Add (m,) · (m, N) to (N,), row by row where the history is not on the device."""
    if history.device == total.device:
        total += coefficients @ history
        return
    for coefficient, row in zip(coefficients, history, strict=True):
        total += coefficient * row.to(total.device)
