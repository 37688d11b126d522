"""The loss of `latent`: every observation, some steps after the model went on alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sims.contract import Sim
from training.data.dataset import Arrays
from training.evaluation.players import tensors
from training.families.base import State
from training.likeness import likeness
from training.recipe import Recipe
from training.trainer.loss import Tally
from training.trainer.windows import Windows

if TYPE_CHECKING:  # Its keys are in the recipe, which counts by itself.
    from training.families.latent.options import Training

ALIKE = 0.2  # weight of structural similarity
APART = 3  # pixels between its windows
# Differences, in parts of a typical one, below which they are squared. A number often stays exactly
# as it is; a ray of a scan seldom does.
NEAR, NEAR_SCAN = 0.02, 0.1
FAR_OFF = 5.0  # typical changes of a step: what is off by more is off by chance
USUAL = 0.05  # of the mean error: even steps that are foreseen are drawn sometimes
CHANGED = 8  # levels by which a pixel differs in a window, if anything happens there
AROUND = 5  # pixels along one side of what counts as near it


class Source(Windows):
    """The windows that training reads, and the numbers of all recorded steps."""

    def __init__(self, arrays: Arrays, recipe: Recipe, size: int, seed: int, model: Any) -> None:
        length = model.config.history - 1 + max(1, recipe.train.dream)
        super().__init__(arrays, size, length, model.config.history, recipe.train, seed)
        self.numbers: list[Tensor] = []
        if not model.numbers:
            return
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


@dataclass
class Carried:
    """A batch on its way: its window on the device, the step that comes next, and the state."""

    window: dict[str, Any]
    at: int
    state: State


def source(
    arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int, model: Any
) -> Source:
    """Return the windows that training reads: a history, then the longest dream."""
    return Source(arrays, recipe, size, seed, model)


def loss(
    model: Any, source: Source, carried: Carried | None, plan: Training, progress: float
) -> tuple[Tensor, dict[str, float], Carried | None]:
    """Play up to `unroll` steps of a batch of windows; return loss, figures, and the batch.

    The model sees the recorded observations of the history, then its own. A game that is over
    leaves the batch. `progress` is not used.
    """
    history = model.config.history
    if carried is None:
        window = tensors(vars(source.next()), next(model.parameters()).device)
        window["weight"] = _weight(window["shown"]["frame"], plan.static_weight)
        carried = Carried(window, 0, model.initial(_shown(model, window, 0)))
    window, state, tally = carried.window, carried.state, Tally()
    most = window["actions"].shape[1]
    last = min(most, history - 1 + max(1, source.horizon))
    # The steps through the history belong to the first steps alone.
    stop = min(last, carried.at + plan.unroll + (history - 1 if carried.at == 0 else 0))
    total, counted = torch.zeros((), device=window["actions"].device), stop - carried.at
    for t in range(carried.at, stop):
        alive = window["alive"][:, t]
        if not alive.any():
            break
        if not alive.all():
            window, state = _rows(window, alive), _rows(state, alive)
        state, told = model.advance(state, window["actions"][:, t], window["chances"][:, t])
        true = _shown(model, window, t + 1)
        errors = _errors(model, state, told, true, window, t, plan, tally)
        total = total + errors * len(window["alive"]) / source.size
        if t + 1 < history:
            state = state | true
    ahead = Carried(window, stop, {name: value.detach() for name, value in state.items()})
    over = stop >= last or not window["alive"][:, stop].any()
    total, figures = total / max(1, counted), tally.means()
    if source.numbers:
        step = _steps(model, source, plan.rows)
        total, figures = (
            total + plan.sensor_weight * step,
            figures | {"step_loss": float(step.detach())},
        )
    # From the memory of a chunk's last step nothing follows, but ranks average every gradient.
    total = total + 0 * torch.stack([weight.sum() for weight in model.parameters()]).sum()
    return total, figures, None if over else ahead


def _rows(parts: dict[str, Any], some: Tensor) -> dict[str, Any]:
    """Return some rows of tensors, and of dicts of them."""
    return {k: _rows(v, some) if isinstance(v, dict) else v[some] for k, v in parts.items()}


def _weight(frames: Tensor, static: float) -> Tensor:
    """Return the weight of each pixel of windows, of mean 1: [B, cameras, 1, H, W].

    `frames` are uint8 [B, T, cameras, H, W, 3]. Where nothing changes in a window, it is `static`
    times as much as elsewhere.
    """
    changed = (frames.amax((1, 5)).int() - frames.amin((1, 5)).int()) > CHANGED
    near = F.max_pool2d(changed.float(), AROUND, 1, AROUND // 2)
    weight = static + (1 - static) * near[:, :, None]
    return weight / weight.mean()


def _shown(model: Any, window: dict[str, Any], t: int) -> State:
    """Return the recorded observations at step `t`, as `advance` takes them."""
    shown = {name: value[:, t] for name, value in window["shown"].items()}
    return shown | {"frame": model.opened(shown["frame"])}


def _errors(
    model: Any, made: State, told: State, true: State, window: dict[str, Any], t: int,
    plan: Training, tally: Tally,
) -> Tensor:  # fmt: skip
    """Return the sum of the errors of one step's observations, reward and end."""
    c = model.config
    # What is far ahead is hard to know: its errors count in parts of how far it may have changed.
    ahead = min(c.second, 1 + max(0, t + 1 - c.history)) / c.second
    gap = made["frame"] - true["frame"]
    off = plan.sharp * gap.abs() + 10 * (1 - plan.sharp) * gap.square()
    frame: Tensor = (window["weight"] * off).mean()
    x, y = (part["frame"].mean(2).flatten(0, 1)[:, None] for part in (made, true))
    frame = frame + ALIKE * (1 - likeness(x, y, 1.0, APART).mean())
    sensors = made["frame"].new_zeros(())
    steps = dict(zip((name for name, *_ in c.large), c.large_step, strict=True))
    if made["sensors"].shape[1]:
        unit = model.unit[: made["sensors"].shape[1]] * ahead
        sensors = sensors + apart(made["sensors"] / unit, true["sensors"] / unit).mean()
    for name, kind, *_ in c.large:
        mine, real = (part[name] / (steps[name] * ahead) for part in (made, true))
        if kind == "scan":
            hit = (true[name] > 0).float()
            both = hit * (made[name] > 0)
            off = apart(mine, real, NEAR_SCAN) * both
            sensors = sensors + off.sum() / both.sum().clamp_min(1.0)
            back = F.binary_cross_entropy_with_logits(told[name], hit)
            sensors = sensors + plan.hit_weight * back
        else:
            sensors = sensors + apart(mine, real).mean()
    head = F.smooth_l1_loss(told["reward"], window["rewards"][:, t] / c.reward_unit)
    head = head + F.binary_cross_entropy_with_logits(told["ends"], window["ends"][:, t])
    for name, one in (("frame_loss", frame), ("sensor_loss", sensors), ("head_loss", head)):
        tally.add(name, one)
    return frame + 0.3 * plan.sensor_weight * sensors + plan.head_weight * head


def apart(mine: Tensor, real: Tensor, near: float = NEAR) -> Tensor:
    """Return the absolute difference, rounded near 0: what may jump is drawn where it likely is."""
    return F.smooth_l1_loss(mine, real, reduction="none", beta=near)


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
