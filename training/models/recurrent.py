"""`recurrent`: a small gated convolutional step with carried state, over palette frames.

A frame is a picture of a few exact colours, so it is read as categories and predicted as
categories: arg-max gives a valid colour at every pixel, and what is fed back can't fade. The
frame is packed to cells of `patch` x `patch` pixels; the hidden state lives on that coarse grid
and carries what one frame doesn't show (sub-pixel positions, velocities). The next frame is the
last one plus a learned change, so that still things persist from the first training step on.

Ideas: action-conditional recurrent simulators (Chiappa et al., 2017, arXiv:1704.02254), the
gated recurrent unit (Cho et al., 2014, arXiv:1406.1078), categorical pixels (van den Oord et
al., 2016, arXiv:1601.06759), global pooling as bias (Wu, 2019, arXiv:1902.10565).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass(frozen=True)
class Config:
    """Sizes of one `recurrent` model; stored in the checkpoint and in the ONNX metadata."""

    palette: tuple[tuple[int, int, int], ...]  # every colour that the data shows, RGB 0..255
    actions: int  # length of the action vector
    chance: int  # length of the chance vector
    height: int = 64
    width: int = 64
    cameras: int = 1
    patch: int = 4  # pixels along one side of a cell; the state's grid is height / patch
    channels: int = 48  # hidden channels a cell
    blocks: int = 2  # residual 3x3 convolutions after the first: 4 pixels of reach each
    pooled: int = 16  # channels averaged and maxed over the grid, to see far-off events
    history: int = 8  # frames that `encode` looks back on
    reward_scale: float = 1.0  # the largest reward in the data; the head predicts fractions of it

    def to_json(self) -> dict[str, Any]:
        """Return the config as plain JSON values."""
        return asdict(self)


class Model(nn.Module):
    """The world as a recurrent step; see the module's docstring.

    Frames at the edge are RGBA uint8 [B, cameras, H, W, 4]; inside they are palette indices,
    packed as one-hot [B, K * patch**2 * cameras, H / patch, W / patch].
    """

    palette: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, p = config.channels, config.patch
        self.colours = len(config.palette)
        self.grid = (config.height // p, config.width // p)
        packed = self.colours * p * p * config.cameras
        rgba = torch.tensor([[*colour, 255] for colour in config.palette], dtype=torch.float32)
        self.register_buffer("palette", rgba)

        self.read = nn.Conv2d(packed, c, 1)
        self.control = nn.Linear(config.actions + config.chance, 2 * c)
        self.pool = nn.Conv2d(c, config.pooled, 1)
        self.spread = nn.Linear(2 * config.pooled, c)
        # Cells are told where they are: walls, serve point and life icons are places.
        self.place = nn.Parameter(torch.zeros(1, c, *self.grid))
        self.mix = nn.Conv2d(2 * c, c, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.blocks))
        self.gates = nn.Conv2d(c, 2 * c, 1)
        self.write = nn.Conv2d(c, packed, 1)
        self.heads = nn.Linear(2 * config.pooled, 2)
        # How strongly a pixel keeps its colour where the network says nothing.
        self.keep = nn.Parameter(torch.tensor(4.0))
        nn.init.zeros_(self.write.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.gates.bias[:c] -= 1.0  # type: ignore[index]

    def initial(self, frames: Tensor) -> State:
        """Return the state that starts a game from its first frame, RGBA uint8."""
        hidden = torch.zeros(len(frames), self.config.channels, *self.grid, device=frames.device)
        return {"hidden": hidden, "frame": frames}

    def encode(self, frames: Tensor, actions: Tensor, chances: Tensor) -> State:
        """Return the state after watching `history` frames.

        frames: uint8 [B, T, cameras, H, W, 4], oldest first; actions [B, T - 1, A] and chances
        [B, T - 1, C] are those taken between them.
        """
        state = self.initial(frames[:, 0])
        for t in range(frames.shape[1] - 1):
            cells = self.one_hot(self.pack(self.index(frames[:, t])))
            _, hidden, _ = self.advance(cells, state["hidden"], actions[:, t], chances[:, t])
            state = {"hidden": hidden, "frame": frames[:, t + 1]}
        return state

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        cells = self.one_hot(self.pack(self.index(state["frame"])))
        logits, hidden, heads = self.advance(cells, state["hidden"], action, chance)
        frame = self.paint(self.unpack(self.choose(logits)))
        out = {
            "reward": heads[:, 0] * self.config.reward_scale,
            "terminated": torch.sigmoid(heads[:, 1]),
        }
        return frame, {"hidden": hidden, "frame": frame}, out

    def advance(
        self, cells: Tensor, hidden: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance in cells: one-hot cells -> (logits of the next cells, hidden, heads [B, 2])."""
        drive, bias = self.control(torch.cat([action, chance], 1))[:, :, None, None].chunk(2, 1)
        seen = torch.relu(self.read(cells) + self.place + drive)
        local = self.mix(torch.cat([seen, hidden], 1))
        pooled = self.pool(seen + hidden)
        pooled = torch.cat([pooled.mean((2, 3)), pooled.amax((2, 3))], 1)
        x = torch.relu(local + bias + self.spread(pooled)[:, :, None, None])
        for block in self.blocks:
            x = x + torch.relu(block(x))
        gate, candidate = self.gates(x).chunk(2, 1)
        gate = torch.sigmoid(gate)
        hidden = hidden + gate * (torch.tanh(candidate) - hidden)
        logits = self.write(x) + self.keep * cells
        after = self.pool(x)
        heads = self.heads(torch.cat([after.mean((2, 3)), after.amax((2, 3))], 1))
        return logits, hidden, heads

    def index(self, frames: Tensor) -> Tensor:
        """Name each pixel by its nearest palette colour: uint8 RGBA -> int64 [B, cams, H, W]."""
        pixels = frames[..., :3].float()
        colours = self.palette[:, :3]
        scores = pixels @ (2 * colours.T) - (colours**2).sum(1)
        return scores.argmax(-1)

    def pack(self, index: Tensor) -> Tensor:
        """Gather the pixels of each cell: indices [B, cams, H, W] -> [B, cams*p*p, H/p, W/p]."""
        b, cams, h, w = index.shape
        p = self.config.patch
        patches = index.reshape(b, cams, h // p, p, w // p, p).permute(0, 1, 3, 5, 2, 4)
        return patches.reshape(b, cams * p * p, h // p, w // p)

    def unpack(self, patches: Tensor) -> Tensor:
        """Undo `pack`: [B, cams*p*p, H/p, W/p] -> [B, cams, H, W]."""
        b, _, gh, gw = patches.shape
        p, cams = self.config.patch, self.config.cameras
        pixels = patches.reshape(b, cams, p, p, gh, gw).permute(0, 1, 4, 2, 5, 3)
        return pixels.reshape(b, cams, gh * p, gw * p)

    def one_hot(self, patches: Tensor) -> Tensor:
        """Turn packed indices into planes: [B, P, H/p, W/p] -> float [B, K * P, H/p, W/p]."""
        colours = torch.arange(self.colours, device=patches.device, dtype=patches.dtype)
        return (patches[:, None] == colours.view(1, -1, 1, 1, 1)).float().flatten(1, 2)

    def choose(self, logits: Tensor) -> Tensor:
        """Pick each pixel's likeliest colour: [B, K * P, H/p, W/p] -> int64 [B, P, H/p, W/p]."""
        return logits.unflatten(1, (self.colours, -1)).argmax(1)  # type: ignore[no-any-return,no-untyped-call]

    def paint(self, index: Tensor) -> Tensor:
        """Paint palette indices [B, cams, H, W] as RGBA uint8 [B, cams, H, W, 4]."""
        return self.palette[index].to(torch.uint8)
