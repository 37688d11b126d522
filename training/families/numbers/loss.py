"""The loss of `numbers`: of single steps, of steps after the model went on alone, of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sims.contract import Sim
from training.data.dataset import Arrays
from training.evaluation.players import tensors
from training.recipe import Recipe
from training.trainer.loss import Tally, moving
from training.trainer.windows import Windows

if TYPE_CHECKING:  # Its keys are in the recipe, which counts by itself.
    from training.families.numbers.options import Training

NEAR = 0.02  # errors of numbers below it are squared, in typical changes
PICTURE = 10  # weight of pictures
# How much a pixel counts that is drawn without an error, and at most, in parts of a usual one.
EASY, HARDEST = 0.2, 20.0


@dataclass
class Carried:
    """A batch on its way: its window on the device, the step that comes next, and the numbers."""

    window: dict[str, Any]
    at: int
    values: Tensor


def source(
    arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int, model: Any
) -> Windows:
    """Return the windows that training reads: as long as the longest dream."""
    return Windows(arrays, size, max(1, recipe.train.dream), 1, recipe.train, seed)


def loss(
    model: Any, source: Windows, carried: Carried | None, plan: Training, progress: float
) -> tuple[Tensor, dict[str, float], Carried | None]:
    """Play up to `unroll` steps of a batch of windows; return loss, figures, and the batch.

    The model sees the first recorded numbers, then its own. Beside that, it learns all steps of the
    windows one by one, rewards and ends too. `progress` is not used.
    """
    if carried is None:
        window = tensors(vars(source.next()), next(model.parameters()).device)
        carried = Carried(window, 0, window["shown"]["sensors"][:, 0])
    window, values = carried.window, carried.values
    last = min(window["actions"].shape[1], max(1, source.horizon))
    stop = min(last, carried.at + plan.unroll)
    alone, alive = values.new_zeros(()), window["alive"].float()
    for t in range(carried.at, stop):
        values, _ = model.advance(values, window["actions"][:, t], window["chances"][:, t])
        # What is far ahead is hard to know: errors count in parts of how far it may have changed.
        off = _off(model, values, window["shown"]["sensors"][:, t + 1], t + 1)
        alone = alone + (off * alive[:, t]).mean() / (stop - carried.at)
    step, head = _steps(model, window)
    picture = _pictures(model, window, carried.at, stop, plan)
    tally = Tally()
    for name, part in (("sensor_loss", alone + step), ("head_loss", head), ("frame_loss", picture)):
        tally.add(name, part)
    over = stop >= last or not window["alive"][:, stop].any()
    ahead = None if over else Carried(window, stop, values.detach())
    return alone + step + plan.head_weight * head + picture, tally.means(), ahead


def _off(model: Any, mine: Tensor, real: Tensor, steps: int = 1) -> Tensor:
    """Return the error of numbers, in parts of what they change in so many steps."""
    off = model.difference(mine, real) / (model.unit * steps)
    return F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=NEAR).mean(-1)


def _steps(model: Any, window: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the losses of single steps from recorded numbers: of numbers, of reward and end."""
    alive = window["alive"].flatten()
    recorded = window["shown"]["sensors"]
    before, after = recorded[:, :-1].flatten(0, 1)[alive], recorded[:, 1:].flatten(0, 1)[alive]
    given = (window[name].flatten(0, 1)[alive] for name in ("actions", "chances"))
    values, told = model.advance(before, *given)
    reward, ends = (window[name].flatten()[alive] for name in ("rewards", "ends"))
    head = F.smooth_l1_loss(told["reward"], reward / model.config.reward_unit)
    head = head + F.binary_cross_entropy_with_logits(told["ends"], ends)
    return _off(model, values, after).mean(), head


def _pictures(model: Any, window: dict[str, Any], first: int, stop: int, plan: Training) -> Tensor:
    """Return the loss of pictures drawn from recorded numbers, over an earlier recorded picture.

    How much earlier differs: what may have changed since must be drawn.
    """
    frames, values = window["shown"]["frame"], window["shown"]["sensors"]
    rows, count = torch.arange(len(frames)), len(frames) * plan.pictures
    rows = rows.repeat(plan.pictures)
    at = torch.randint(first + 1, stop + 1, (count,))
    earlier = (torch.rand(count) * at).long()
    true, before = frames[rows, at], frames[rows, earlier]
    near = moving(_codes(before), _codes(true))[:, :, None].float()
    weight = plan.static_weight + (1 - plan.static_weight) * near
    picture, sure = model.drawn(values[rows, at], window["actions"][rows, at - 1])
    # Each pixel is drawn as well as can be; how sure it is follows from that.
    seen = model.over(picture.detach(), sure, before.movedim(-1, -3).float() / 255)
    wanted = true.movedim(-1, -3).float() / 255
    if plan.hard_weight:
        worst = (picture - wanted).detach().abs().amax(2, keepdim=True)
        harder = (EASY + worst / worst.mean()).clamp(max=HARDEST)
        weight = weight * harder**plan.hard_weight
    off: Tensor = (picture - wanted).square() + (seen - wanted).square()
    return PICTURE * (off * weight).mean() / weight.mean()


def _codes(frames: Tensor) -> Tensor:
    """Return colours as numbers: uint8 [..., 3] -> int32 [...]."""
    red, green, blue = frames.int().unbind(-1)
    return red + 256 * green + 65536 * blue
