"""What training minimises for a denoiser: how far the frames it names are from the clean ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.models.denoiser import PURE, cut, shares
from training.objective import Tally, corrupt, moving
from training.recipe import Train
from training.streams import Source

WARM_SHARE = 0.8  # of the samples that are on the way from the last frame; the rest, from noise
FIRST_SHARE = 0.5  # of those that are at its beginning
TEACHER = 4  # evaluations of the sampler that one evaluation is taught to equal
WINDOW = 16  # cells along one side of what is drawn of a frame
LOOK = 0.5  # of the windows that have something in their middle that moves; else all seems to


@dataclass
class Dreams:
    """The streams, int64 [R], that go on from their own frames, [R, CONTEXT, cams, H, W]."""

    rows: Tensor
    context: Tensor


def denoising_loss(
    model: Any, source: Source, carried: Dreams | None, plan: Train, progress: float
) -> tuple[Tensor, dict[str, float], Dreams]:
    """Denoise one step of many streams; return the loss, figures to log and what is carried.

    After `teacher_share` of the budget some streams go on from frames that one evaluation drew,
    towards the next recorded frame, for as long as the stream lasts. Noise is of every level, on
    what lies between the last frame and the next as a warm start meets it, or on the next frame
    alone. In the last `distil_share` of the budget, a warm start's first evaluation is taught what
    several would have made of it (Luhman and Luhman, 2021, arXiv:2101.02388). Of each frame only a
    window is drawn, many of them where something moves: most of a frame teaches nothing. What is
    wrong counts as what moves does, wherever it is.
    """
    where, tally = next(model.parameters()).device, Tally()
    tick = source.tick(None)
    now = {
        name: torch.from_numpy(np.ascontiguousarray(value)).to(where)
        for name, value in vars(tick).items()
    }
    step = torch.cat([now["action"], now["chance"]], 1)
    given = torch.cat([now["given"], step[:, None]], 1)
    seen, after = now["seen"], now["target"]
    shown = torch.cat([now["past"], seen[:, None]], 1)
    if carried:
        dreaming = carried.rows[~now["placed"][carried.rows]]
        own = carried.context[~now["placed"][carried.rows]]
        shown = shown.index_copy(0, dreaming, own)
        seen = shown[:, -1]
    spoilt = corrupt(shown.flatten(1, 2), plan.corruption, len(model.palette))
    context = model.planes_of(spoilt.reshape(shown.shape))
    target, last = model.planes_of(after), context[:, -1]
    noise = torch.randn_like(target)
    n, config = len(target), model.config

    draw = torch.rand(4, n, device=where)
    warm, first = draw[0] < WARM_SHARE, draw[1] < FIRST_SHARE
    most = torch.where(warm, config.most, PURE)
    sigma = torch.exp(torch.lerp(torch.full_like(most, config.least).log(), most.log(), draw[2]))
    sigma = torch.where(warm & first, most, sigma)
    way = torch.where(warm, sigma / config.most, 0.0)
    wanted = target
    pupils = torch.nonzero(warm & first & (draw[3] < 0.5))[:, 0]
    if progress > 1 - plan.distil_share and len(pupils):
        teacher = model.sampled(TEACHER)
        with torch.no_grad():
            # Without noise: it tends to one whole picture where several are likely, not to a mean.
            frames, _ = teacher.sample(context[pupils], given[pupils], 0 * noise[pupils])
            taught = model.planes_of(model.named(frames))
        wanted = target.index_copy(0, pupils, taught)
    x = target + way[:, None, None, None] * (last - target) + sigma[:, None, None, None] * noise
    window = windows(seen != after, model.grid)
    clean, heads = model.denoise(x, sigma[:, None], way[:, None], context, given, window)

    near, before, after = (part.float() for part in (moving(seen, after), seen, after))
    parts = (near, before, after, wanted)
    near, before, after, wanted = (cut(part, window, model.grid) for part in parts)
    with torch.no_grad():
        pick = model.named(clean)
        missed, moved = pick != after, after != before
        begun = moved & (warm & first)[:, None, None, None]
        tally.add("moved_right", (begun & ~missed).sum(), begun.sum())
        weight = torch.where((near > 0) | missed, 1.0, plan.static_weight)
        weight = torch.where(moved | (pick != before), plan.moved_weight, weight)
        weight = weight.repeat_interleave(len(model.palette), 1)
    # In the network's own units, so that every level of noise counts alike.
    scale = shares(sigma, way)[1][:, None, None, None]
    drawn = (((clean - wanted) / scale) ** 2 * weight).sum() / weight.sum()
    head = F.smooth_l1_loss(heads[:, 0], now["reward"] / config.reward_scale)
    head = head + F.binary_cross_entropy_with_logits(heads[:, 1], now["done"])
    with torch.no_grad():
        share = plan.dream_share if progress >= plan.teacher_share else 0.0
        rows = torch.arange(round(share * n), device=where)
        drawn_on = shown[rows]
        if len(rows):
            again = torch.randn_like(noise[rows])
            frames, _ = model.sampled(1).sample(model.planes_of(drawn_on), given[rows], again)
            drawn_on = torch.cat([drawn_on[:, 1:], model.named(frames)[:, None].to(shown)], 1)
    for name, loss in (("frame_loss", drawn), ("head_loss", head)):
        tally.add(name, loss)
    return drawn + plan.head_weight * head, tally.means(), Dreams(rows, drawn_on)


def windows(moved: Tensor, grid: tuple[int, int]) -> Tensor:
    """Pick a window of cells of each frame, int64 [B, WINDOW, WINDOW], by their numbers.

    Most have a pixel in their middle that `moved`, bool [B, cams, H, W], the rest are anywhere.
    """
    b, height, width = len(moved), *moved.shape[2:]
    chance = torch.rand(b, height * width, device=moved.device)
    looked = torch.rand(b, 1, device=moved.device) < LOOK
    at = (chance + (moved.any(1).flatten(1) & looked)).argmax(1)
    sides = []
    for place, pixels, cells in ((at // width, height, grid[0]), (at % width, width, grid[1])):
        size = min(WINDOW, cells)
        first = (place * cells // pixels - size // 2).clamp(0, cells - size)
        sides.append(first[:, None] + torch.arange(size, device=moved.device))
    return sides[0][:, :, None] * grid[1] + sides[1][:, None]
