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
    """One batch of windows of T steps: index uint8 [B, T + 1, cams, H, W]; the rest [B, T, ...]."""

    index: Tensor
    action: Tensor
    chance: Tensor
    reward: Tensor
    done: Tensor
    sensors: Tensor
    start: Tensor  # bool [B]: the window opens an episode


class Windows:
    """Draw windows from recorded arrays: some anywhere, some where rare events happen."""

    def __init__(self, arrays: Arrays, length: int, event_share: float, seed: int) -> None:
        self.arrays = arrays
        self.length = length
        self.event_share = event_share
        self.rng = np.random.default_rng(seed)
        self.anywhere = arrays.windows(length)
        if not len(self.anywhere):
            raise UserError(
                f"dataset: no episode holds {length} steps; burn_in + unroll ask for that many. "
                "Run: record longer episodes (data.episode_steps) or shorten the unroll"
            )
        self.events = [w for w in arrays.event_windows(length).values() if len(w)]
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
    """
    b, length = batch.action.shape[:2]
    device = batch.action.device
    hidden = torch.zeros(b, model.config.channels, *model.grid, device=device)
    truth = batch.index[:, 0].long()
    seen = truth
    frame_loss = torch.zeros((), device=device)
    head_loss = torch.zeros((), device=device)
    sensor_loss = torch.zeros((), device=device)
    right = wrong = 0.0
    for t in range(length):
        cells = model.pack(seen)
        logits, hidden, heads = model.advance(cells, hidden, batch.action[:, t], batch.chance[:, t])
        target = batch.index[:, t + 1].long()
        # A hidden state that opens cold can't know velocities yet: don't punish guesses.
        known = torch.ones(b, device=device) if t >= 2 else batch.start.float()
        weight = attention(target, truth, seen, plan.static_weight) * known[:, None, None, None]
        loss = cell_loss(model, logits, target, weight)
        frame_loss = frame_loss + loss
        reward = F.smooth_l1_loss(heads[:, 0], batch.reward[:, t] / model.config.reward_scale)
        ended = F.binary_cross_entropy_with_logits(heads[:, 1], batch.done[:, t])
        head_loss = head_loss + reward + ended
        if t >= 2:
            sensor_loss = sensor_loss + F.smooth_l1_loss(
                probe(hidden), batch.sensors[:, t], beta=0.02
            )
        with torch.no_grad():
            guess = model.unpack(logits).argmax(1)
            errors = (guess != target).flatten(1).sum(1)
            moved = (target != truth) | (seen != target)
            right += float(((guess == target) & moved).sum())
            wrong += float(((guess != target) & moved).sum())
            own = (torch.rand(b, device=device) < self_fed) & (errors <= plan.give_up)
            own &= torch.tensor(t + 1 >= plan.burn_in, device=device)
            seen = torch.where(own[:, None, None, None], guess, target)
            seen = corrupt(seen, plan.corruption, model.colours)
            truth = target
    total = frame_loss + plan.head_weight * head_loss + plan.sensor_weight * sensor_loss
    figures = {
        "frame_loss": float(frame_loss) / length,
        "sensor_loss": float(sensor_loss) / length,
        "head_loss": float(head_loss) / length,
        "moved_right": right / max(1.0, right + wrong),
    }
    return total / length, figures


def attention(target: Tensor, before: Tensor, seen: Tensor, static_weight: float) -> Tensor:
    """Weigh pixels: 1 within three of what moves or was shown wrong, `static_weight` elsewhere."""
    moving = ((target != before) | (target != seen)).float()
    near = F.max_pool2d(moving, 7, stride=1, padding=3)
    return static_weight + (1 - static_weight) * near


def cell_loss(model: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted cross-entropy of cell logits against palette indices, in nats."""
    b, _, gh, gw = logits.shape
    p = model.config.patch

    def cells(pixels: Tensor) -> Tensor:
        cams = pixels.shape[1]
        patches = pixels.reshape(b, cams, gh, p, gw, p).permute(0, 1, 3, 5, 2, 4)
        return patches.reshape(b, cams * p * p, gh, gw)

    loss = F.cross_entropy(
        logits.reshape(b, model.colours, -1, gh, gw), cells(target), reduction="none"
    )
    weight = cells(weight)
    return (loss * weight).sum() / weight.sum().clamp_min(1.0)


def corrupt(index: Tensor, share: float, colours: int) -> Tensor:
    """Give a random colour to a `share` of pixels in one sample of four: learn to repair."""
    if share <= 0:
        return index
    b = len(index)
    rate = share * (torch.rand(b, 1, 1, 1, device=index.device) < 0.25)
    hit = torch.rand(index.shape, device=index.device) < rate
    noise = torch.randint(0, colours, index.shape, device=index.device)
    return torch.where(hit, noise, index)
