"""The loss of a denoiser: the difference of its predicted frames from the clean frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.families.denoiser.model import PURE, cut, shares
from training.trainer.loss import Tally, corrupt, moving
from training.trainer.streams import Source

if TYPE_CHECKING:  # Its keys are in the recipe, which counts by itself.
    from training.families.denoiser.options import Training

WARM_SHARE = 0.8  # of the samples lie on the way from the last frame; the rest, from noise
FIRST_SHARE = 0.5  # share of those that lie at its beginning
TEACHER = 4  # evaluations of the sampler that a single evaluation learns to equal
TORN_SHARE = 0.25  # share of the samples with a torn context
WINDOW = 16  # cells along one side of the window of a frame
LOOK = 0.5  # share of windows with a moving middle; without others, all seems to move


def loss(
    model: Any, source: Source, carried: None, plan: Training, progress: float
) -> tuple[Tensor, dict[str, float], None]:
    """Denoise one step of many streams; return the loss, figures to log and None.

    Noise has every level. It is added to a mixture of the last frame and the next, as in a warm
    start, or to the next frame alone. In the last `distil_share` of the budget, the first
    evaluation of a warm start learns the result of several (Luhman and Luhman, 2021,
    arXiv:2101.02388). Only a window of each frame counts, often at moving pixels, because most of a
    frame teaches nothing. Wrong pixels weigh as much as moving pixels, wherever they are.
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
    spoilt = corrupt(shown.flatten(1, 2), plan.corruption, len(model.palette))
    context = model.planes_of(torn(spoilt.reshape(shown.shape), TORN_SHARE))
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
            # Without noise: the target is one whole picture if several are likely, not their mean.
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
    for name, one in (("frame_loss", drawn), ("head_loss", head)):
        tally.add(name, one)
    return drawn + plan.head_weight * head, tally.means(), None


def torn(shown: Tensor, share: float) -> Tensor:
    """Keep some pixels of frames as they were in the previous frame, in a `share` of the samples.

    A model that is uncertain about a place does the same; it learns to repair this from the other
    frames. `shown` [B, frames, cams, H, W] are palette indices, oldest first.
    """
    much = torch.rand(len(shown), 1, 1, 1, 1, device=shown.device)
    much = torch.where(torch.rand_like(much) < share, much / 2, 0.0)
    stays = torch.rand(shown[:, 1:].shape, device=shown.device) < much
    return torch.cat([shown[:, :1], torch.where(stays, shown[:, :-1], shown[:, 1:])], 1)


def windows(moved: Tensor, grid: tuple[int, int]) -> Tensor:
    """Choose a window of cells of each frame, int64 [B, WINDOW, WINDOW], by their indices.

    Most have a pixel in their middle that `moved`, bool [B, cams, H, W]; the others lie anywhere.
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
