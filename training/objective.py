"""What training minimises: windows of recorded play, and the loss of a rollout over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sims.errors import UserError
from training.dataset import Arrays
from training.recipe import Train


@dataclass
class Batch:
    """One batch of windows of T steps: index uint8 [B, T + 1, cams, H, W]; others [B, T, ...]."""

    index: Tensor
    action: Tensor
    chance: Tensor
    reward: Tensor
    done: Tensor
    sensors: Tensor
    start: Tensor  # bool [B]: the window opens an episode


class Windows:
    """Draw windows from recorded arrays: some anywhere, some where rare events happen."""

    def __init__(self, arrays: Arrays, length: int, plan: Train, seed: int) -> None:
        self.arrays = arrays
        self.length = length
        self.event_share = plan.event_share
        self.rng = np.random.default_rng(seed)
        self.anywhere = arrays.windows(length)
        if not len(self.anywhere):
            raise UserError(
                f"dataset: no episode holds {length} steps; burn_in + unroll ask for that many. "
                "Run: record longer episodes (data.episode_steps) or shorten the unroll"
            )
        self.events = [w for w in arrays.event_windows(length, plan.burn_in).values() if len(w)]
        self.sensors = arrays.sensor_matrix()

    def draw(self, size: int, device: torch.device) -> Batch:
        """Return `size` windows."""
        starts = self.rng.choice(self.anywhere, size)
        if self.events:
            for slot in np.flatnonzero(self.rng.random(size) < self.event_share):
                kind = self.events[self.rng.integers(len(self.events))]
                starts[slot] = self.rng.choice(kind)
        rows = starts[:, None] + np.arange(self.length + 1)
        steps = rows[:, :-1]
        a = self.arrays

        def tensor(values: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        return Batch(
            index=tensor(a.frames[rows]),
            action=tensor(a.actions[steps]),
            chance=tensor(a.chances[steps]),
            reward=tensor(a.rewards[steps]),
            done=tensor(a.dones[steps].astype(np.float32)),
            sensors=tensor(self.sensors[rows[:, 1:]]),
            start=tensor(a.frame_index[starts] == 0),
        )


class Probe(nn.Module):
    """Read the sim's sensors from the hidden state: an auxiliary target, in training only."""

    def __init__(self, channels: int, grid: tuple[int, int], sensors: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 12, 1)
        self.read = nn.Linear(12 * grid[0] * grid[1], sensors)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return sensor estimates [B, S] in units of their range."""
        out: Tensor = self.read(self.squeeze(hidden).flatten(1))
        return out


def rollout_loss(
    model: Any, probe: Probe, batch: Batch, plan: Train, self_fed: float
) -> tuple[Tensor, dict[str, float]]:
    """Play a batch of windows and return the loss, with figures to log.

    `self_fed` is the share of steps after the burn-in that start from the model's own frame.
    All pixels are handled packed in cells, as the model sees them.
    """
    b, length = batch.action.shape[:2]
    device = batch.action.device
    truth = model.pack(batch.index.flatten(0, 1)).unflatten(0, (b, length + 1))
    near = model.pack(moving(batch.index)).unflatten(0, (b, length))
    hidden = torch.zeros(b, model.config.channels, *model.grid, device=device)
    seen = truth[:, 0]
    zero = torch.zeros((), device=device)
    frame_loss, head_loss, sensor_loss = zero, zero, zero
    right = wrong = zero
    for t in range(length):
        target = truth[:, t + 1]
        logits, hidden, heads = model.advance(
            model.one_hot(seen), hidden, batch.action[:, t], batch.chance[:, t]
        )
        with torch.no_grad():
            guess = choose(logits.detach(), model.colours)
            missed = guess != target
            moved = (target != truth[:, t]) | (guess != truth[:, t])
            right = right + (moved & ~missed).sum()
            wrong = wrong + missed.sum()
            weight = torch.where(near[:, t] | missed, 1.0, plan.static_weight)
            weight = torch.where((target != seen) | moved, plan.moved_weight, weight)
            if t < 2:  # A hidden state that opens cold can't know velocities yet.
                weight = weight * batch.start[:, None, None, None]
        planes = logits.unflatten(1, (model.colours, -1))
        loss = F.cross_entropy(planes, target.long(), reduction="none")
        frame_loss = frame_loss + (loss * weight).sum() / weight.sum().clamp_min(1.0)
        reward = F.smooth_l1_loss(heads[:, 0], batch.reward[:, t] / model.config.reward_scale)
        ended = F.binary_cross_entropy_with_logits(heads[:, 1], batch.done[:, t])
        head_loss = head_loss + reward + ended
        if t >= 2:
            sensor_loss = sensor_loss + F.smooth_l1_loss(
                probe(hidden), batch.sensors[:, t], beta=0.02
            )
        own = missed.flatten(1).sum(1) <= plan.give_up
        own &= torch.rand(b, device=device) < (self_fed if t + 1 >= plan.burn_in else 0.0)
        seen = torch.where(own[:, None, None, None], guess, target)
        seen = corrupt(seen, plan.corruption, model.colours)
    total = frame_loss + plan.head_weight * head_loss + plan.sensor_weight * sensor_loss
    figures = {
        "frame_loss": frame_loss.item() / length,
        "sensor_loss": sensor_loss.item() / length,
        "head_loss": head_loss.item() / length,
        "moved_right": float(right / (right + wrong).clamp_min(1)),
    }
    return total / length, figures


def moving(index: Tensor) -> Tensor:
    """Mark pixels within three of a change: [B, T + 1, cams, H, W] -> bool [B * T, cams, H, W]."""
    changed = (index[:, 1:] != index[:, :-1]).flatten(0, 1).float()
    wide = F.max_pool2d(changed, (1, 7), stride=1, padding=(0, 3))
    return F.max_pool2d(wide, (7, 1), stride=1, padding=(3, 0)) > 0


def choose(logits: Tensor, colours: int) -> Tensor:
    """Pick the likeliest colour, uint8 [B, P, gh, gw]; on a CPU five times faster than argmax."""
    planes = logits.unflatten(1, (colours, -1))  # type: ignore[no-untyped-call]
    best = planes[:, 0]
    pick = torch.zeros_like(best, dtype=torch.uint8)
    for k in range(1, colours):
        better = planes[:, k] > best
        best = torch.where(better, planes[:, k], best)
        pick = torch.where(better, k, pick)
    return pick.to(torch.uint8)


def corrupt(patches: Tensor, share: float, colours: int) -> Tensor:
    """Give a random colour to a `share` of pixels in one sample of four: learn to repair."""
    if share <= 0:
        return patches
    hit = torch.rand(len(patches), 1, 1, 1, device=patches.device) < 0.25
    hit = hit & (torch.rand(patches.shape, device=patches.device) < share)
    noise = torch.randint_like(patches, 0, colours)
    return torch.where(hit, noise, patches)
