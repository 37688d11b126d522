"""The loss of `transition`: that of `latent`, and single recorded steps of the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sims.contract import Sim
from training.data.dataset import Arrays
from training.families.latent import loss as latent
from training.families.latent.loss import Carried, apart
from training.recipe import Recipe
from training.trainer.windows import Windows

if TYPE_CHECKING:  # Its keys are in the recipe, which counts by itself.
    from training.families.transition.options import Training


FAR_OFF = 5.0  # typical changes of a step: what is off by more is off by chance
USUAL = 0.05  # of the mean error: even steps that are foreseen are drawn sometimes


class Source(Windows):
    """The windows that training reads, and the numbers of all recorded steps."""

    def __init__(self, arrays: Arrays, recipe: Recipe, size: int, seed: int, model: Any) -> None:
        length = model.config.history - 1 + max(1, recipe.train.dream)
        super().__init__(arrays, size, length, model.config.history, recipe.train, seed)
        rows = arrays.windows(2)
        where = next(model.parameters()).device
        self.numbers = [
            torch.from_numpy(np.ascontiguousarray(part)).to(where)
            for part in (
                *(model.readings(arrays, rows + k) for k in range(3)),
                arrays.actions[rows + 1],
                arrays.chances[rows + 1],
            )
        ]
        with torch.no_grad():
            off = _off(model, self.numbers).abs().clamp(max=FAR_OFF).mean(1)
        self.hard = off + USUAL * off.mean()


def source(
    arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int, model: Any
) -> Source:
    """Return the windows that training reads: a history, then the longest dream."""
    return Source(arrays, recipe, size, seed, model)


def loss(
    model: Any, source: Source, carried: Carried | None, plan: Training, progress: float
) -> tuple[Tensor, dict[str, float], Carried | None]:
    """Return the loss of `latent` and of single steps of numbers, figures, and the batch."""
    total, figures, carried = latent.loss(model, source, carried, plan, progress)
    step = _steps(model, source, plan.rows)
    total = total + plan.sensor_weight * step
    # From the memory of a chunk's last step nothing follows, but ranks average every gradient.
    total = total + 0 * torch.stack([weight.sum() for weight in model.parameters()]).sum()
    return total, figures | {"step_loss": float(step.detach())}, carried


def _steps(model: Any, source: Source, count: int) -> Tensor:
    """Return the loss of some recorded steps: what the numbers alone tell of the next ones.

    Half of them are those that the model foresaw least when the training began.
    """
    where = source.hard.device
    usual = torch.randint(len(source.hard), (count - count // 2,), device=where)
    some = torch.cat([usual, torch.multinomial(source.hard, max(1, count // 2), True)])
    off = _off(model, [part[some] for part in source.numbers])
    return apart(off, torch.zeros_like(off)).mean()


def _off(model: Any, numbers: list[Tensor]) -> Tensor:
    """Return how far the next numbers are off, in parts of what changes in a step, [R, numbers]."""
    earlier, values, after, action, chance = numbers
    before = torch.cat([earlier, torch.ones_like(earlier[:, :1])], 1)
    unit: Tensor = model.unit / model.config.second
    off: Tensor = (model.alone(values, before, action, chance) - after) / unit
    return off
