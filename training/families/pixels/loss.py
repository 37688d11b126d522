"""The loss of `pixels`: how unlikely the next frame was, whatever value the latent has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sims.contract import Array, Sim
from training.data.dataset import Arrays
from training.families.pixels.games import Games
from training.families.pixels.model import MIXED
from training.recipe import Recipe, Train
from training.trainer.loss import Tally

NEAR = 1  # cells around a change that count in full
STILL = 0.02  # weight of a cell far from all that changes
ASKED = 0.1  # share of those cells that are asked for, each with more weight
WRONG = 4  # cells of its own frame that may be wrong before a game is left
# Early on, a share of the latent's distribution is uniform, or one value would take all. It falls
# to MIXED in a share of the budget.
ALIKE, APART = 0.5, 0.5
UNIT = 10.0  # cells that count in full in a frame, about


@dataclass
class Carried:
    """Games on their way: the memory, the contents that the model drew, and where it is lost.

    `before` are the contents that it has seen in the two steps before, the last one first.
    """

    memory: Tensor
    own: Tensor
    before: tuple[Tensor, Tensor]
    lost: Array | None


def source(
    arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int, model: Any
) -> Games:
    """Return the games that training reads."""
    return Games(arrays, size, recipe.train, seed, model)


def loss(
    model: Any, source: Games, carried: Carried | None, plan: Train, progress: float
) -> tuple[Tensor, dict[str, float], Carried]:
    """Play `unroll` steps of all games; return loss, figures, and what is carried.

    A game that is alone sees the frames that the model drew with the latent that suits the recorded
    frame best, which keeps it near the recording.
    """
    mixed = MIXED + (ALIKE - MIXED) * max(0.0, 1 - progress / APART)
    where, tally = next(model.parameters()).device, Tally()
    grid, total = model.grid, torch.zeros((), device=where)
    # The features of each content, once for all steps; the last row is no frame at all.
    read = F.linear(source.planes, model.read.weight.flatten(1), model.read.bias)
    now_read, one_read, two_read = F.pad(read, (0, 0, 0, 1)).chunk(3, 1)
    nothing = len(read)
    show = F.linear(source.planes, model.show.weight, model.show.bias)
    kept_by, weight = model.kept(source.planes), model.writing()
    if carried:
        memory, own, lost = carried.memory.detach(), carried.own, carried.lost
        before = carried.before
    else:
        games = len(source.rows)
        memory = model.blank_memory(games).to(where)
        own, lost = torch.zeros(games, grid[0] * grid[1], dtype=torch.long, device=where), None
        before = own, own
    for _ in range(plan.unroll):
        now = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(where)
            for name, value in vars(source.next(lost)).items()
        }
        true, after, alone = now["seen"].long(), now["after"].long(), now["alone"][:, None]
        seen = torch.where(alone, own, true)
        fresh = now["fresh"][:, None]
        memory = memory * ~fresh[:, :, None, None]
        one, two = (torch.where(fresh, nothing, earlier) for earlier in before)
        shown = F.embedding(seen, now_read) + F.embedding(one, one_read)
        shown = _grid(shown + F.embedding(two, two_read), grid)
        given = model.given(now["action"], now["chance"])
        u, memory = model.think(shown, memory, given)
        before = seen, one
        prior = model.log_odds(u, mixed)
        opened = model.opened(u)
        # In training, each cell knows what those of earlier turns should show.
        known = opened + model.told(_grid(F.embedding(after, show), grid))

        wanted = torch.where(after == seen, 0, source.kinds[after])
        with torch.no_grad():
            likely = torch.relu(model.chosen(known, model.coded(prior)))
            kept = _grid(F.embedding(seen, kept_by), grid)
            odds = F.conv2d(likely, weight[:, :, None, None], model.write.bias) + kept
            pick = odds.argmax(1).flatten(1)
            drawn = torch.where(pick > 0, source.content_of[pick], seen)
            changed = (after != true) | (after != seen) | (drawn != after)
            near = F.max_pool2d(changed.float().view(-1, *grid), 2 * NEAR + 1, 1, NEAR).flatten(1)
            asked = torch.maximum(near, (torch.rand_like(near) < ASKED) * STILL / ASKED)
            asked = asked * ((after == seen) | (wanted > 0)) * now["known"][:, None]
        # How likely the next frame is with each value, and each value with the next frame.
        fits = _fits(model, weight, known, F.embedding(seen, kept_by), asked, wanted)
        both = prior + fits
        surprise = -torch.logsumexp(both, 1)
        with torch.no_grad():
            chosen = model.coded(both)
            stays = _grid(F.embedding(seen, show), grid)
            told = show[source.content_of[1:]]
            pick = model.picked(model.chosen(opened, chosen), kept, stays, told).flatten(1)
            own = torch.where(pick > 0, source.content_of[pick], seen)
            wrong = own != after
            lost = (wrong.sum(1) > WRONG).cpu().numpy()
            some = now["known"][:, None] * (after != true)
            tally.add("moved_right", (some * ~wrong * ~alone).sum(), (some * ~alone).sum())
            tally.add("own_moved_right", (some * ~wrong * alone).sum(), (some * alone).sum())
            sure = both.softmax(1)
            nats = (sure * (sure.clamp_min(1e-9).log() - prior)).sum(1)
        games_known = now["known"].sum().clamp_min(1)
        heads = model.say(model.chosen(opened, chosen), given)
        head = F.smooth_l1_loss(heads[:, 0], now["rewards"] / model.config.reward_scale)
        head = head + F.binary_cross_entropy_with_logits(heads[:, 1], now["ends"])
        total = total + surprise.sum() / (games_known * UNIT) + plan.head_weight * head
        tally.add("frame_loss", surprise.sum().detach(), games_known)
        tally.add("latent_nats", (nats * now["known"]).sum(), games_known)
        tally.add("head_loss", head)
    return total / plan.unroll, tally.means(), Carried(memory, own, before, lost)


def _fits(
    model: Any, weight: Tensor, known: Tensor, kept: Tensor, asked: Tensor, wanted: Tensor
) -> Tensor:
    """Return the log likelihood of the next frame with each value of the latent, [B, classes].

    `known` [B, 2 channels, rows, columns] and `kept` [B, cells, 1 + contents] give the log odds of
    what a cell takes, with `weight` of `writing`. Only cells with a weight in `asked` [B, cells]
    are counted; `wanted` [B, cells] is what each one takes.
    """
    game, cell = asked.nonzero(as_tuple=True)
    here = known.flatten(2).transpose(1, 2)[game, cell]
    values = model.tell.weight.T
    drawn = torch.relu(here[:, None] + values)
    odds = F.linear(drawn, weight, model.write.bias) + kept[game, cell][:, None]
    told = wanted[game, cell, None].expand(-1, len(values))
    likely = -F.cross_entropy(odds.flatten(0, 1), told.flatten(), reduction="none")
    likely = likely.view(told.shape) * asked[game, cell, None]
    return likely.new_zeros(len(asked), len(values)).index_add(0, game, likely)


def _grid(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Turn features of cells [B, cells, C] into [B, C, rows, columns]."""
    return features.permute(0, 2, 1).unflatten(2, grid)  # type: ignore[no-untyped-call,no-any-return]
