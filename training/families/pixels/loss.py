"""The loss of `pixels`: how unlikely the next frame was, whatever value the latent has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sims.contract import Sim
from training.data.dataset import Arrays
from training.families.pixels.cuda_graph import Graph
from training.families.pixels.games import Games, Steps
from training.families.pixels.model import MIXED
from training.recipe import Recipe, Train

NEAR = 1  # cells around a change that count in full
STILL = 0.02  # weight of a cell far from all that changes
ASKED = 0.1  # share of those cells that are asked for, each with more weight
WRONG = 4  # cells of its own frame that may be wrong before a game is left
# Early on, a share of the latent's distribution is uniform, or one value would take all. It falls
# to MIXED in a share of the budget.
ALIKE, APART = 0.5, 0.5
UNIT = 10.0  # cells that count in full in a frame, about
MOST_ASKED = 96  # cells of a frame, on average, that a CUDA graph has room for
FIGURES = ("moved_right", "own_moved_right", "frame_loss", "latent_nats", "head_loss")


@dataclass
class Carried:
    """What goes on from update to update: `played` plays games, and `state` is where they are."""

    played: Played | Graph
    state: State


def source(
    arrays: Arrays, sim_class: type[Sim] | None, recipe: Recipe, size: int, seed: int, model: Any
) -> Games:
    """Return the games that training reads."""
    return Games(arrays, size, recipe.train, seed, model)


def loss(
    model: Any, source: Games, carried: Carried | None, plan: Train, progress: float
) -> tuple[Tensor, dict[str, float], Carried]:
    """Play `unroll` steps of all games; return loss, figures, and what is carried."""
    where = next(model.parameters()).device
    lost = carried.state.lost.cpu().numpy() if carried else None
    steps = {
        name: torch.from_numpy(value).to(where)
        for name, value in vars(source.next(plan.unroll, lost)).items()
    }
    mixed = MIXED + (ALIKE - MIXED) * max(0.0, 1 - progress / APART)
    given = (torch.tensor(mixed, device=where), *steps.values())
    state = carried.state if carried else State.begin(model, len(source.rows))
    played: Played | Graph
    if carried:
        played = carried.played
    else:
        played = Played(model, source, plan)
        if where.type == "cuda":
            torch.set_float32_matmul_precision("high")
            played = Graph(played, (*given, *vars(state).values()))
    total, told, *after = played(*given, *vars(state).values())
    sums = zip(FIGURES, told.tolist(), strict=True)
    figures = {name: value / count for name, (value, count) in sums if count}
    return total, figures, Carried(played, State(*(one.clone() for one in after)))


@dataclass
class State:
    """Where B games are: the memory, the contents that the model drew, and where it is lost.

    `one` and `two` are the contents that it has seen one step and two steps before. `lost`, bool
    [B]: it goes on alone, and has left the recording.
    """

    memory: Tensor
    own: Tensor
    one: Tensor
    two: Tensor
    lost: Tensor

    @classmethod
    def begin(cls, model: Any, games: int) -> State:
        """Return the state of games that have just begun."""
        where = next(model.parameters()).device
        memory = model.blank_memory(games).to(where)
        own = torch.zeros(games, model.grid[0] * model.grid[1], dtype=torch.long, device=where)
        return cls(memory, own, own.clone(), own.clone(), torch.zeros_like(own[:, 0]).bool())


class Played(nn.Module):
    """Some steps of all games, with shapes and operations that never change: see `Graph`."""

    def __init__(self, model: Any, source: Games, plan: Train) -> None:
        super().__init__()
        self.model, self.steps, self.head_weight = model, plan.unroll, plan.head_weight
        self.planes, self.kinds, self.content_of = source.planes, source.kinds, source.content_of

    def forward(self, mixed: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        """Play; return loss, sum and count of each of FIGURES, and the tensors of the next `State`.

        `told` are the tensors of `Steps`, then those of `State`. A game that is alone sees the
        frames that the model drew with the latent that suits the recorded frame best, which keeps
        it near the recording. Once it is lost, it does not count until another begins.
        """
        names = [one.name for one in fields(Steps)]
        steps = dict(zip(names, told, strict=False))
        state = State(*told[len(names) :])
        model, grid = self.model, self.model.grid
        total, figures = mixed.new_zeros(()), mixed.new_zeros(len(FIGURES), 2)
        # The features of each content, once for all steps; the last row is no frame at all.
        read = F.linear(self.planes, model.read.weight.flatten(1), model.read.bias)
        now_read, one_read, two_read = F.pad(read, (0, 0, 0, 1)).chunk(3, 1)
        nothing = len(read)
        show = F.linear(self.planes, model.show.weight, model.show.bias)
        kept_by, weight = model.kept(self.planes), model.writing()
        memory, own, one, two, lost = vars(state).values()
        for k in range(self.steps):
            now = {name: value[k] for name, value in steps.items()}
            true, after, alone = now["seen"].long(), now["after"].long(), now["alone"][:, None]
            lost = lost & ~now["fresh"]
            counts = now["known"] * ~lost
            seen = torch.where(alone, own, true)
            fresh = now["fresh"][:, None]
            memory = memory * ~fresh[:, :, None, None]
            one, two = (torch.where(fresh, nothing, earlier) for earlier in (one, two))
            shown = F.embedding(seen, now_read) + F.embedding(one, one_read)
            shown = _grid(shown + F.embedding(two, two_read), grid)
            given = model.given(now["action"], now["chance"])
            u, memory = model.think(shown, memory, given)
            one, two = seen, one
            prior = model.log_odds(u, mixed)
            opened = model.opened(u)
            # In training, each cell knows what those of earlier turns should show.
            known = opened + model.told(_grid(F.embedding(after, show), grid))

            wanted = torch.where(after == seen, 0, self.kinds[after])
            with torch.no_grad():
                likely = torch.relu(model.chosen(known, model.coded(prior)))
                kept = _grid(F.embedding(seen, kept_by), grid)
                odds = F.conv2d(likely, weight[:, :, None, None], model.write.bias) + kept
                pick = odds.argmax(1).flatten(1)
                drawn = torch.where(pick > 0, self.content_of[pick], seen)
                changed = (after != true) | (after != seen) | (drawn != after)
                changed = changed.float().view(-1, *grid)
                near = F.max_pool2d(changed, 2 * NEAR + 1, 1, NEAR).flatten(1)
                asked = torch.maximum(near, (torch.rand_like(near) < ASKED) * STILL / ASKED)
                asked = asked * ((after == seen) | (wanted > 0)) * counts[:, None]
            # How likely the next frame is with each value, and each value with the next frame.
            fits = _fits(model, weight, known, kept_by, seen, asked, wanted)
            both = prior + fits
            surprise = -torch.logsumexp(both, 1)
            with torch.no_grad():
                chosen = model.coded(both)
                stays = _grid(F.embedding(seen, show), grid)
                told_of = show[self.content_of[1:]]
                pick = model.picked(model.chosen(opened, chosen), kept, stays, told_of).flatten(1)
                own = torch.where(pick > 0, self.content_of[pick], seen)
                wrong = own != after
                some = counts[:, None] * (after != true)
                moved = [
                    ((some * ~wrong * who).sum(), (some * who).sum()) for who in (~alone, alone)
                ]
                sure = both.softmax(1)
                nats = (sure * (sure.clamp_min(1e-9).log() - prior)).sum(1)
                lost = lost | (now["alone"] & (wrong.sum(1) > WRONG))
            games = counts.sum().clamp_min(1)
            heads = model.say(model.chosen(opened, chosen), given)
            head = F.smooth_l1_loss(heads[:, 0], now["rewards"] / model.config.reward_scale)
            head = head + F.binary_cross_entropy_with_logits(heads[:, 1], now["ends"])
            # A game that does not count fits everything.
            total = total + surprise.sum() / (games * UNIT) + self.head_weight * head
            rest = [
                (surprise.sum(), games),
                ((nats * counts).sum(), games),
                (head, mixed.new_ones(())),
            ]
            figures += torch.stack([torch.stack(pair).detach() for pair in (*moved, *rest)])
        return total / self.steps, figures, memory.detach(), own, one, two, lost


def _fits(
    model: Any,
    weight: Tensor,
    known: Tensor,
    kept_by: Tensor,
    seen: Tensor,
    asked: Tensor,
    wanted: Tensor,
) -> Tensor:
    """Return the log likelihood of the next frame with each value of the latent, [B, classes].

    `known` [B, 2 channels, rows, columns] and `kept_by` [contents that are seen, 1 + contents] give
    the log odds of what a cell takes, with `weight` of `writing`. Only cells with a weight in
    `asked` [B, cells] are counted; `seen` [B, cells] is what each one shows, and `wanted` what it
    takes.
    """
    cells = asked.shape[1]
    here = _asked(asked)
    values = model.tell.weight.T
    knows = known.flatten(2).transpose(1, 2).flatten(0, 1).index_select(0, here)
    drawn = torch.relu(knows[:, None] + values)
    kept = kept_by.index_select(0, seen.flatten()[here])
    odds = F.linear(drawn, weight, model.write.bias) + kept[:, None]
    told = wanted.flatten()[here, None].expand(-1, len(values))
    likely = -F.cross_entropy(odds.flatten(0, 1), told.flatten(), reduction="none")
    likely = likely.view(told.shape) * asked.flatten()[here, None]
    return likely.new_zeros(len(asked), len(values)).index_add(0, here // cells, likely)


def _asked(asked: Tensor) -> Tensor:
    """Return the places of `asked` [B, cells], flattened, that are above 0.

    A CUDA graph takes as many each time. If there are more, it leaves out some of the least weight.
    """
    games, cells = asked.shape
    if not asked.is_cuda:
        return asked.flatten().nonzero()[:, 0]
    first = (asked + 1e-3 * torch.rand_like(asked)).flatten()
    return first.topk(games * min(MOST_ASKED, cells), sorted=False).indices


def _grid(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Turn features of cells [B, cells, C] into [B, C, rows, columns]."""
    return features.permute(0, 2, 1).unflatten(2, grid)  # type: ignore[no-untyped-call,no-any-return]
