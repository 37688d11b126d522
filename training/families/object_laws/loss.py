"""The loss of a few steps of many streams, with the state that they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.families.object_laws.laws import EXPLAINED
from training.trainer.loss import Tally, corrupt, moving
from training.trainer.streams import Guess, Source

if TYPE_CHECKING:  # Its keys are in the recipe, which counts by itself.
    from training.families.object_laws.options import Training

LEFT_WEIGHT = 10.0  # of the network's own values
SPREAD = ((1.0, 0.002), (0.002, 0.02), (0.0001, 0.3))
TURN = 0.02  # of half the range: a sensor this far from its forecast has been turned by an event


@dataclass
class Carried:
    """The values carried from one optimiser step to the next: memory, and the last guess."""

    hidden: Tensor
    guess: Guess | None


def loss(
    model: Any, source: Source, carried: Carried | None, plan: Training, progress: float
) -> tuple[Tensor, dict[str, float], Carried]:
    """Play `unroll` steps of all streams; return the loss, figures to log and the carried state.

    `carried` is None at first; `progress` is not used here.

    Frames are drawn for the true next sensors, so that an event that is hard to predict is learned
    once. In a dream they are drawn for the predicted sensors, and a frame only counts if the
    landmarks are in the right pixels. All pixels are packed in cells.
    """
    where = next(model.parameters()).device
    total, tally = torch.zeros((), device=where), Tally()
    hidden, guess = (carried.hidden.detach(), carried.guess) if carried else (None, None)
    for _ in range(plan.unroll):
        tick = source.tick(guess)
        now = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(where)
            for name, value in vars(tick).items()
        }
        if hidden is None:
            hidden = torch.zeros(len(tick.seen), model.config.memory, *model.grid, device=where)
        hidden = hidden * ~now["placed"][:, None, None, None]
        cells = model.one_hot(corrupt(model.pack(now["seen"]), plan.corruption, model.colours))
        given = now["action"], now["chance"]
        looked, choice, ways = model.look(cells, now["sensors"], hidden, *given)
        sensed, settled = sensor_loss(model, now, choice, ways, plan, tally)

        # Frames are drawn for only some of the games, because they are learned sooner.
        d = torch.nonzero(now["drawn"])[:, 0]
        some = {name: value[d] for name, value in now.items()}
        told = torch.where(some["own"][:, None], settled[d], some["state"])
        shown = type(looked)(*(part[d] for part in looked))
        logits, memory, heads = model.draw(
            cells[d], shown, some["sensors"], told, hidden[d], some["action"], some["chance"]
        )
        hidden = hidden.index_copy(0, d, memory)
        drawn, pick = frame_loss(model, some, logits, told, plan, tally)
        head = F.smooth_l1_loss(heads[:, 0], some["reward"] / model.config.reward_scale)
        head = head + F.binary_cross_entropy_with_logits(heads[:, 1], some["done"])
        total = total + drawn + plan.sensor_weight * sensed + plan.head_weight * head
        for name, one in (("frame_loss", drawn), ("sensor_loss", sensed), ("head_loss", head)):
            tally.add(name, one)
        frames = np.zeros_like(tick.target)
        frames[tick.drawn] = model.unpack(pick).cpu().numpy()
        guess = Guess(frames, settled.cpu().numpy())
    assert hidden is not None
    return total / plan.unroll, tally.means(), Carried(hidden, guess)


def sensor_loss(
    model: Any, now: dict[str, Tensor], choice: Tensor, ways: Tensor, plan: Training, tally: Tally
) -> tuple[Tensor, Tensor]:
    """Return the loss of the predicted sensors, and their settled values."""
    true = model.laws.parts(now["state"])
    settled = model.laws.decide(choice.detach(), ways.detach())
    if not true.numel():  # A world without sensors: the mean of nothing is not a number.
        return torch.zeros((), device=true.device), settled
    off = (ways - true[:, :, None]).abs()
    turned = off[:, :, 0] > TURN
    tally.add("turn_error", ((model.laws.parts(settled) - true).abs() * turned).sum(), turned.sum())
    # The network's own value is trained on the steps that neither the forecast nor a law explains.
    left = off[:, :, :-1].amin(2) > EXPLAINED
    own = off[:, :, -1]
    rest = F.smooth_l1_loss(own, torch.zeros_like(own), beta=0.002, reduction="none") * left
    loss = surprise(choice, off) + LEFT_WEIGHT * rest
    return (loss * torch.where(turned, plan.turned_weight, 1.0)).mean(), settled


def frame_loss(
    model: Any, some: dict[str, Tensor], logits: Tensor, told: Tensor, plan: Training, tally: Tally
) -> tuple[Tensor, Tensor]:
    """Return the loss of frames drawn for the sensors `told`, and the chosen colours, packed."""
    before, after = model.pack(some["seen"]), model.pack(some["target"])
    with torch.no_grad():
        own = some["own"]
        near = model.pack(moving(some["seen"], some["target"]))
        agree = ~own | model.same(told, some["state"])
        pick = model.choose(logits)
        missed = pick != after
        moved = (after != before) | (pick != before)
        weight = torch.where(near | missed, 1.0, plan.static_weight)
        weight = torch.where(moved, plan.moved_weight, weight) * agree[:, None, None, None]
        for name, games in (("moved_right", ~own), ("own_moved_right", own)):
            counted = moved & games[:, None, None, None]
            tally.add(name, (counted & ~missed).sum(), counted.sum())
    planes = logits.unflatten(1, (model.colours, -1))  # type: ignore[no-untyped-call]
    loss = F.cross_entropy(planes, after.long(), reduction="none")
    return (loss * weight).sum() / weight.sum().clamp_min(1.0), pick


def surprise(choice: Tensor, off: Tensor) -> Tensor:
    """Return the surprise of the true values [B, S], if each follows one of the candidates.

    `off` [B, S, ways] is the error of each candidate.

    This is a mixture of experts, which learns to choose as soon as one of them is right (Jacobs et
    al., 1991, doi:10.1162/neco.1991.3.1.79). Each candidate is right to a digit or, at times, about
    right.
    """
    near = torch.stack([math.log(part) - off / width for part, width in SPREAD], -1)
    return -torch.logsumexp(torch.log_softmax(choice, 2) + torch.logsumexp(near, -1), 2)
