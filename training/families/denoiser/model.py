"""`denoiser`: a frame out of noise, from four context frames, the action and the noise's level.

This is the published design, for comparison: a convolutional network gets a noisy next frame, the
last four frames, the actions (and here the chance) of the steps from each of them, and the level of
noise, and returns the clean frame. It is evaluated a few times for each frame, from much noise to
little, on a geometric schedule. From pure noise this takes many evaluations; from the last frame
with some noise (a warm start), few; and after distillation, one.

The preconditioning applies to the change since the last frame: most of a frame stays, and does not
have to pass through the network. For a noisy frame, the network sees the expected change: nearly
nothing if the noise is large, and nothing at all for a warm start, which is the last frame with
noise. It therefore does not have to learn what to ignore. Inside, a frame has a plane for each of
the world's exact colours, 1 at pixels of that colour and 0 elsewhere, and each pixel of the last
evaluation gets the strongest colour. In closed loop, colours therefore cannot fade, and a pixel
that is undecided between two colours never gets a third.

Ideas: diffusion as a world model (Alonso et al., 2024, DIAMOND, arXiv:2405.12399), its
preconditioning (Karras et al., 2022, arXiv:2206.00364), global pooling as bias (Wu, 2019,
arXiv:1902.10565), categories as numbers (analog bits; Chen et al., 2022, arXiv:2208.04202), warm
starts from the last frame (SDEdit; Meng et al., 2022, arXiv:2108.01073), distillation (Luhman and
Luhman, 2021, arXiv:2101.02388).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from training.families.base import State, WorldConfig, WorldModel

CONTEXT = 4  # frames that the network sees beside the noisy one
SPREAD = 0.1  # standard deviation of the values that change in a step
WHOLE = 10.0  # a multiple of it, at pixels where something does change
TURNS = 64  # steps after which the noise repeats
PURE = 5.0  # the noise's standard deviation for a frame drawn from noise alone


@dataclass(frozen=True)
class Config(WorldConfig):
    """Sizes of one `denoiser` model; in the checkpoint and in the ONNX metadata.

    `Options` describes the keys that a recipe may set.
    """

    patch: int = 2
    channels: int = 48
    blocks: int = 4
    evaluations: int = 1
    offered: tuple[int, ...] = (1, 2, 4, 8)
    warm: bool = True
    most: float = 0.8
    least: float = 0.2
    history: int = CONTEXT


def _named(config: Config) -> str:
    """Return the name of a sampler for tables."""
    told = f"{config.evaluations} evaluation{'s' if config.evaluations > 1 else ''}"
    return told if config.warm else f"{told}, from noise alone"


class Model(WorldModel):
    """The world as a denoiser; see the module's docstring.

    Outside, frames are RGBA uint8 [B, cameras, H, W, 4]; inside, they have one plane for each
    colour, [B, cameras * colours, H, W]. `past` holds the CONTEXT - 1 frames before the last,
    oldest first, and `given` the action and chance of the step from each of them, [B, CONTEXT - 1,
    A + C].
    """

    past = CONTEXT - 1

    config: Config
    palette: Tensor
    noise: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, p = config.channels, config.patch
        self.planes = len(config.palette) * config.cameras
        self.grid = (config.height // p, config.width // p)
        rgb = torch.tensor(config.palette, dtype=torch.float32)
        self.register_buffer("palette", rgb)
        # A graph can't draw random numbers: its noise is a fixed picture, shifted at every step.
        drawn = torch.randn(
            1, self.planes, config.height, config.width, generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer("noise", drawn, persistent=False)
        self.read = nn.Conv2d(self.planes * (CONTEXT + 1) * p * p, c, 1)
        # Cells get their position.
        self.place = nn.Parameter(torch.zeros(1, c, *self.grid))
        known = 2 * c + (config.actions + config.chance) * CONTEXT + 2
        self.told = nn.Sequential(
            nn.Linear(known, 2 * c), nn.ReLU(), nn.Linear(2 * c, c * config.blocks)
        )
        self.first, self.second = nn.ModuleList(), nn.ModuleList()
        for k in range(config.blocks):
            self.first.append(nn.Conv2d(c, c, 3, padding=1))
            self.second.append(nn.Conv2d(c, c, 3, padding=1))
            nn.init.zeros_(self.second[k].weight)  # type: ignore[arg-type]
        self.write = nn.Conv2d(c, self.planes * p * p, 1)
        nn.init.zeros_(self.write.weight)  # At first, the prediction is no change.
        self.heads = nn.Sequential(nn.Linear(known, 2 * c), nn.ReLU(), nn.Linear(2 * c, 2))

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: its first frame, RGBA uint8; no sensors are used."""
        frames = shown["frame"]
        past = frames[:, None].expand(-1, CONTEXT - 1, -1, -1, -1, -1)
        size = self.config.actions + self.config.chance
        given = torch.zeros(len(frames), CONTEXT - 1, size, device=frames.device)
        return {
            "frame": frames,
            "past": past,
            "given": given,
            "turn": torch.zeros(len(frames), 1, device=frames.device),
        }

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        last, past = state["frame"], state["past"]
        context = torch.cat([past, last[:, None]], 1)
        given = torch.cat([state["given"], torch.cat([action, chance], 1)[:, None]], 1)
        planes, heads = self.sample(self.colours(context), given, self.drawn(state["turn"]))
        frame = self.paint(planes)
        out = {
            "reward": heads[:, 0] * self.config.reward_scale,
            "terminated": torch.sigmoid(heads[:, 1]),
        }
        turn = state["turn"] + 1
        turn = turn - TURNS * torch.floor(turn / TURNS)
        after = {"frame": frame, "past": context[:, 1:], "given": given[:, 1:], "turn": turn}
        return frame, after, out

    def levels(self) -> list[float]:
        """Return the noise's standard deviation before each evaluation: a geometric schedule."""
        most = self.config.most if self.config.warm else PURE
        steps = max(1, self.config.evaluations - 1)
        ratio = (self.config.least / most) ** (1 / steps)
        return [most * ratio**k for k in range(self.config.evaluations)]

    def sampled(self, evaluations: int, warm: bool = True) -> Model:
        """Return this model with another sampler: the same weights, another number of evaluations.

        `warm=False` starts from noise alone.
        """
        other = copy.copy(self)
        other.config = replace(self.config, evaluations=evaluations, warm=warm)
        return other

    @property
    def evaluations(self) -> int:
        """The number of evaluations of the network for a frame."""
        return self.config.evaluations

    def offered(self) -> list[WorldModel]:
        """Return the model with each number of evaluations that a player may choose."""
        others = [n for n in self.config.offered if n != self.evaluations]
        return [self, *map(self.sampled, others)]

    def samplers(self) -> dict[str, WorldModel]:
        """Return the other offered models, and the one with most evaluations from noise alone."""
        most = self.sampled(max(self.config.offered), warm=False)
        found = [*self.offered()[1:], most]
        return {_named(model.config): model for model in found}

    def sample(self, context: Tensor, given: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the next frame: planes [B, planes, H, W] and heads [B, 2].

        `context` [B, CONTEXT, planes, H, W] are frames, oldest first, `given` [B, CONTEXT, A + C]
        the action and chance of the step from each; `noise` has unit size. Each evaluation predicts
        the clean frame; Euler steps move from one noise level to the next towards it.
        """
        levels = self.levels()
        start = context[:, -1] if self.config.warm else torch.zeros_like(context[:, -1])
        x = start + levels[0] * noise
        clean, heads = x, x.new_zeros(len(x), 2)
        for k, level in enumerate(levels):
            if k:
                x = clean + level / levels[k - 1] * (x - clean)
            sigma = torch.full_like(x[:, 0, 0, :1], level)
            way = sigma / levels[0] if self.config.warm else torch.zeros_like(sigma)
            clean, heads = self.denoise(x, sigma, way, context, given)
        return clean, heads

    def denoise(
        self, x: Tensor, sigma: Tensor, way: Tensor, context: Tensor, given: Tensor,
        window: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Return the clean frame behind a noisy one, and heads: [B, planes, H, W], [B, 2].

        `sigma` [B, 1] is the noise's standard deviation. `way` [B, 1] is the position of the noisy
        frame on the way from the clean frame (0) to the last frame (1). `window`, int64 [B, size,
        size], chooses the cells of each frame to compute, by their index; then only these are
        returned, as a frame of their own.
        """
        keep, scale = shares(sigma, way)
        last = context[:, -1]
        kept = keep[:, :, None, None] * (x - last)
        seen = self.pack(torch.cat([kept, context.flatten(1, 2)], 1))
        h = self.read(seen) + self.place
        # An event anywhere must be known everywhere: a lost ball costs a life.
        level = torch.cat([torch.log(sigma) / 4, way], 1)
        known = torch.cat([self.summary(torch.relu(h)), given.flatten(1), level], 1)
        shifts = self.told(known)[:, :, None, None].chunk(self.config.blocks, 1)
        if window is not None:
            h, kept, last = (cut(part, window, self.grid) for part in (h, kept, last))
        for first, second, shift in zip(self.first, self.second, shifts, strict=True):
            h = h + second(torch.relu(first(torch.relu(h)) + shift))
        change = WHOLE * scale[:, :, None, None] * self.unpack(self.write(torch.relu(h)))
        return last + kept + change, self.heads(known)

    def summary(self, h: Tensor) -> Tensor:
        """Return the mean and the largest of each channel: [B, C, H, W] -> [B, 2 C]."""
        return torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)

    def drawn(self, turn: Tensor) -> Tensor:
        """Return the noise of a step, [B, planes, H, W]: the picture, shifted by `turn` [B, 1]."""
        h, w = self.config.height, self.config.width
        rows = torch.arange(h, device=turn.device) + 23 * turn
        columns = torch.arange(w, device=turn.device) + 37 * turn
        rows, columns = rows - h * torch.floor(rows / h), columns - w * torch.floor(columns / w)
        at = (rows[:, :, None] * w + columns[:, None]).flatten(1).long()
        drawn: Tensor = self.noise.flatten(2)[0][:, at].transpose(0, 1)
        return drawn.reshape(len(turn), self.planes, h, w)

    def colours(self, frames: Tensor) -> Tensor:
        """Turn RGBA 0..255 [..., cameras, H, W, 4] into planes, [..., planes, H, W]."""
        scores = 2 * frames[..., :3].float() @ self.palette.T - (self.palette**2).sum(1)
        return self.planes_of(scores.argmax(-1))

    def planes_of(self, index: Tensor) -> Tensor:
        """Turn palette indices [..., cameras, H, W] into planes of 0 and 1, [..., planes, H, W]."""
        kinds = torch.arange(len(self.palette), device=index.device, dtype=index.dtype)
        return (index[..., None, :, :] == kinds[:, None, None]).float().flatten(-4, -3)

    def named(self, planes: Tensor) -> Tensor:
        """Return the index of each pixel's strongest palette colour, int64 [B, cameras, H, W]."""
        b, _, h, w = planes.shape
        return planes.reshape(b, -1, len(self.palette), h, w).argmax(2)

    def paint(self, planes: Tensor) -> Tensor:
        """Paint planes [B, planes, H, W] as RGBA uint8 [B, cameras, H, W, 4]."""
        rgb = self.palette[self.named(planes)]
        return torch.cat([rgb, torch.full_like(rgb[..., :1], 255)], -1).to(torch.uint8)

    def pack(self, planes: Tensor) -> Tensor:
        """Gather the pixels of each cell: [B, P, H, W] -> [B, P * p * p, H / p, W / p]."""
        return nn.functional.pixel_unshuffle(planes, self.config.patch)

    def unpack(self, cells: Tensor) -> Tensor:
        """Undo `pack`."""
        return nn.functional.pixel_shuffle(cells, self.config.patch)


def shares(sigma: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much to trust the change since the last frame that a noisy frame shows.

    The noisy frame holds the share 1 - `way` of the change, and noise of `sigma`; the change has
    the size SPREAD. The first result is the expected share of the visible change; the second is its
    error. For `way` 0 they are those of Karras et al.; for `way` 1 nothing is visible.
    """
    there = SPREAD * (1 - way)
    total = there**2 + sigma**2
    return there * SPREAD / total, sigma * SPREAD / torch.sqrt(total)


def cut(values: Tensor, window: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cut cells out of [B, C, H, W]: `window` [B, size, size] holds their indices in a grid.

    Each cell has H / grid[0] x W / grid[1] values; returns [B, C, size * of it, size * of it].
    """
    p = values.shape[2] // grid[0]
    cells = nn.functional.pixel_unshuffle(values, p).flatten(2)
    picked = window.flatten(1)[:, None].expand(-1, cells.shape[1], -1)
    cells = cells.gather(2, picked).unflatten(2, window.shape[1:])  # type: ignore[no-untyped-call]
    return nn.functional.pixel_shuffle(cells, p)
