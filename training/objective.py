"""What training minimises: the loss of a few steps of many streams, with what they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.models.laws import EXPLAINED
from training.recipe import Train
from training.streams import Guess, Source

LEFT_WEIGHT = 10.0  # of the network's own values
SPREAD = ((1.0, 0.002), (0.002, 0.02), (0.0001, 0.3))
TURN = 0.02  # of half the range: a sensor this far from its forecast has been turned by something


@dataclass
class Carried:
    """What goes from one optimiser step to the next: memory, and the last guess."""

    hidden: Tensor
    guess: Guess | None


class Tally:
    """Sums of figures and of how much they are sums of, for the log."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor | float] = {}

    def add(self, name: str, value: Tensor, count: Tensor | float = 1.0) -> None:
        """Add to a figure."""
        self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        self.counts[name] = self.counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """Return the mean of each figure that anything was counted of."""
        pairs = {name: (float(v), float(self.counts[name])) for name, v in self.sums.items()}
        return {name: value / count for name, (value, count) in pairs.items() if count}


def chunk_loss(
    model: Any, source: Source, carried: Carried | None, plan: Train, progress: float
) -> tuple[Tensor, dict[str, float], Carried]:
    """Play `unroll` steps of all streams; return the loss, figures to log and what is carried.

    `carried` is None at first; `progress` is of no matter here.

    Frames are drawn for the true next sensors, so that what is hard to foresee is learned once;
    in a dream for those that the model foresees, and there a frame only counts where the landmarks
    are in the pixels that they should be in. All pixels are handled packed in cells.
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

        # Frames are drawn for some of the games only: that is learned sooner.
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
        for name, loss in (("frame_loss", drawn), ("sensor_loss", sensed), ("head_loss", head)):
            tally.add(name, loss)
        frames = np.zeros_like(tick.target)
        frames[tick.drawn] = model.unpack(pick).cpu().numpy()
        guess = Guess(frames, settled.cpu().numpy())
    assert hidden is not None
    return total / plan.unroll, tally.means(), Carried(hidden, guess)


def sensor_loss(
    model: Any, now: dict[str, Tensor], choice: Tensor, ways: Tensor, plan: Train, tally: Tally
) -> tuple[Tensor, Tensor]:
    """Return the loss of the sensors that were foreseen, and what they are taken to be."""
    true = model.laws.parts(now["state"])
    settled = model.laws.decide(choice.detach(), ways.detach())
    off = (ways - true[:, :, None]).abs()
    turned = off[:, :, 0] > TURN
    tally.add("turn_error", ((model.laws.parts(settled) - true).abs() * turned).sum(), turned.sum())
    # The network's own value is taught by what neither the forecast nor a law explains.
    left = off[:, :, :-1].amin(2) > EXPLAINED
    own = off[:, :, -1]
    rest = F.smooth_l1_loss(own, torch.zeros_like(own), beta=0.002, reduction="none") * left
    loss = surprise(choice, off) + LEFT_WEIGHT * rest
    return (loss * torch.where(turned, plan.turned_weight, 1.0)).mean(), settled


def frame_loss(
    model: Any, some: dict[str, Tensor], logits: Tensor, told: Tensor, plan: Train, tally: Tally
) -> tuple[Tensor, Tensor]:
    """Return the loss of frames drawn for the sensors `told`, and the colours picked, packed."""
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
    """Return how unlikely the true values [B, S] are if each follows one of the ways chosen from.

    `off` [B, S, ways] is how far each way is off.

    A mixture of experts, which learns to choose as soon as one of them is right (Jacobs et al.,
    1991, doi:10.1162/neco.1991.3.1.79). Each way is right to a digit or, at times, about right.
    """
    near = torch.stack([math.log(part) - off / width for part, width in SPREAD], -1)
    return -torch.logsumexp(torch.log_softmax(choice, 2) + torch.logsumexp(near, -1), 2)


def moving(before: Tensor, after: Tensor) -> Tensor:
    """Mark pixels within three of a change: two frames [B, cams, H, W] -> bool, the same shape."""
    changed = (before != after).float()
    wide = F.max_pool2d(changed, (1, 7), stride=1, padding=(0, 3))
    return F.max_pool2d(wide, (7, 1), stride=1, padding=(3, 0)) > 0


def corrupt(patches: Tensor, share: float, colours: int) -> Tensor:
    """Give a random colour to a `share` of pixels in one sample of four: learn to repair."""
    if share <= 0:
        return patches
    hit = torch.rand(len(patches), 1, 1, 1, device=patches.device) < 0.25
    hit = hit & (torch.rand(patches.shape, device=patches.device) < share)
    noise = torch.randint_like(patches, 0, colours)
    return torch.where(hit, noise, patches)
