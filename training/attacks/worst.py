"""A small change of the memory, in the direction that changes the next step most.

The direction is that of the largest singular value of the step's Jacobian, found by power iteration
with gradients, as for virtual adversarial examples (Miyato et al., 2018, arXiv:1704.03976). The
change is as large as that of `memory`, whose direction is random: the two show what a direction is
worth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.attacks.contract import Attack
from training.families.base import State, WorldModel

ROUNDS = 2  # of the power iteration
TRIED = 0.01  # of the change, with which the first round begins
LEAST = 1e-6


def aim(
    model: WorldModel, state: State, action: Tensor, chance: Tensor, strength: float,
    random: torch.Generator,
) -> State:  # fmt: skip
    """Change each state of floats by `strength` percent of how it differs between the games."""
    with torch.inference_mode(False), torch.enable_grad():
        state, action, chance = _fresh(state), action.clone(), chance.clone()
        spread = {
            name: value.std(0, correction=0)
            for name, value in state.items()
            if value.is_floating_point() and value.numel()
        }
        with torch.no_grad():
            clean = _told(model, state, action, chance)
        way = {name: torch.randn(state[name].shape, generator=random) for name in spread}
        for _ in range(ROUNDS):
            size = TRIED * strength / 100
            tried = {name: (size * one).requires_grad_() for name, one in _even(way).items()}
            moved = {name: state[name] + spread[name] * one for name, one in tried.items()}
            after = _told(model, state | moved, action, chance)
            # In parts of how each value differs between the games, as the change itself.
            units = {name: value.std(0, correction=0) + LEAST for name, value in clean.items()}
            gap = sum(((after[name] - clean[name]) / units[name]).square().sum() for name in clean)
            if not isinstance(gap, Tensor) or not gap.requires_grad:
                break
            found = torch.autograd.grad(gap, list(tried.values()), allow_unused=True)
            made = {
                name: torch.zeros_like(one) if grad is None else grad
                for (name, one), grad in zip(tried.items(), found, strict=True)
            }
            way = made if all(torch.isfinite(one).all() for one in made.values()) else way
        final = _even(way)
        return state | {
            name: (state[name] + strength / 100 * spread[name] * one).detach()
            for name, one in final.items()
        }


def _fresh(state: State) -> State:
    return {name: value.clone() for name, value in state.items()}


def _told(model: WorldModel, state: State, action: Tensor, chance: Tensor) -> State:
    """Return all floats that a step gives: what is carried, reward and end."""
    _, after, heads = model.step(state, action, chance)
    told = {**after, **heads}
    return {name: value for name, value in told.items() if value.is_floating_point()}


def _even(way: State) -> State:
    """Return directions of which the mean square over all values of a game is 1."""
    total = sum(one.reshape(len(one), -1).square().sum(1) for one in way.values())
    count = sum(one[0].numel() for one in way.values())
    size = (torch.as_tensor(total) / max(1, count)).sqrt().clamp_min(LEAST**2)
    return {name: one / size.reshape(-1, *[1] * (one.dim() - 1)) for name, one in way.items()}


ATTACK = Attack(
    "The worst direction",
    "Before every step, all that the model carries beside its picture is changed by as much as in "
    "the attack on its memory, in the direction that changes the next step most.",
    "%", (0.1, 1, 10), 1000, aim=aim,
)  # fmt: skip
