"""`recurrent`: a small convolutional step over palette frames that carries sensors and memory.

A frame is a picture of a few exact colours, so it is read as categories and predicted as
categories: arg-max gives a valid colour at every pixel, and what is fed back can't fade. The
frame is packed to cells of `patch` x `patch` pixels, and all convolutions work on that coarse
grid. The next frame is the last one plus a learned change, so that still things persist from the
first training step on.

Beside the frame the model predicts the sim's sensors and is given its own prediction again: in
them it carries what a frame doesn't show, such as sub-pixel positions and velocities. They are
predicted first. Each follows one of some linear laws, which a network chooses: to fly on, or to
bounce, keeps a velocity exact to many digits. Landmarks say which sensors are places in the
frame: there the network looks, and there the next frame is drawn, after the sensors are known. So
ball and frame can't disagree, and an uncertain ball is a ball somewhere, not a smear. A few
channels of memory a cell stay for what neither frame nor sensors tell.

Ideas: action-conditional recurrent simulators (Chiappa et al., 2017, arXiv:1704.02254), drawing
a frame from the states of objects (Kosiorek et al., 2018, arXiv:1806.01794), switching linear
dynamics (Linderman et al., 2017, arXiv:1610.08466), relations of pairs (Battaglia et al., 2016,
arXiv:1612.00222), the gated recurrent unit (Cho et al., 2014, arXiv:1406.1078), categorical pixels
(van den Oord et al., 2016, arXiv:1601.06759), global pooling as bias (Wu, 2019, arXiv:1902.10565).
"""

from __future__ import annotations

import math
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
    # The range in the data of each sensor value, and whether it is a whole number.
    sensor_low: tuple[float, ...] = ()
    sensor_high: tuple[float, ...] = ()
    sensor_whole: tuple[bool, ...] = ()
    # Each: sensor values that are its x and y and say that it is there (-1: none), px added.
    landmarks: tuple[tuple[int, int, int, float, float], ...] = ()
    height: int = 64
    width: int = 64
    cameras: int = 1
    patch: int = 4  # pixels along one side of a cell
    channels: int = 48  # channels a cell
    blocks: int = 2  # residual 3x3 convolutions that look: `patch` pixels of reach each
    drawing: int = 2  # residual 3x3 convolutions that draw, once the next sensors are known
    memory: int = 8  # channels a cell that are carried
    pooled: int = 16  # channels averaged and maxed over the grid, to see far-off events
    wide: int = 256  # units of the layers that predict the sensors
    modes: int = 24  # linear laws that each sensor may follow
    history: int = 4  # frames that `encode` looks back on
    reward_scale: float = 1.0  # the largest reward in the data; the head predicts fractions of it

    def to_json(self) -> dict[str, Any]:
        """Return the config as plain JSON values."""
        return asdict(self)


class Model(nn.Module):
    """The world as a recurrent step; see the module's docstring.

    Frames at the edge are RGBA uint8 [B, cameras, H, W, 4]; inside they are palette indices,
    packed as one-hot [B, K * patch**2 * cameras, H / patch, W / patch]. Sensors are float32
    [B, S] in their own units at the edge, and -1..1 over their range in the data inside.
    """

    palette: Tensor
    low: Tensor
    span: Tensor
    whole: Tensor
    sources: Tensor
    shift: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, p = config.channels, config.patch
        self.colours = len(config.palette)
        self.grid = (config.height // p, config.width // p)
        packed = self.colours * p * p * config.cameras
        rgba = torch.tensor([[*colour, 255] for colour in config.palette], dtype=torch.float32)
        low, high = torch.tensor([config.sensor_low, config.sensor_high], dtype=torch.float32)
        self.register_buffer("palette", rgba)
        self.register_buffer("low", low)
        self.register_buffer("span", (high - low).clamp_min(1e-6) / 2)
        self.register_buffer("whole", torch.tensor(config.sensor_whole, dtype=torch.float32))

        sensors, marks = len(config.sensor_low), len(config.landmarks)
        given = config.actions + config.chance
        # Where a landmark's x, y and presence stand among the sensors, then 0 and 1.
        marked = config.landmarks
        absent = (sensors, sensors, sensors + 1)
        indices = [[m[k] if m[k] >= 0 else absent[k] for m in marked] for k in range(3)]
        shift = [[m[3 + k] for m in marked] for k in range(2)]
        self.register_buffer("sources", torch.tensor(indices, dtype=torch.int64), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        # What is told of a landmark: that it is here, where in its cell and pixel, all sensors.
        self.told = marks * (7 + sensors)
        self.read = nn.Conv2d(packed, c, 1)
        self.recall = nn.Conv2d(config.memory + 2 * self.told, c, 1, bias=False)
        self.control = nn.Linear(given + sensors, c)
        # Cells are told where they are: walls, serve point and life icons are places.
        self.place = nn.Parameter(torch.zeros(1, c, *self.grid))
        self.blocks = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.blocks))
        self.pool = nn.Conv2d(c, config.pooled, 1)
        self.spread = nn.Linear(2 * config.pooled + given, c)
        self.forecast = nn.Linear(sensors + config.actions, sensors)
        pairs = marks * (marks - 1) // 2
        known = marks * (c + 8) + 4 * pairs + 2 * config.pooled + 2 * sensors + given
        self.judge = nn.Sequential(
            nn.Linear(known, config.wide), nn.ReLU(),
            nn.Linear(config.wide, config.wide), nn.ReLU(),
            nn.Linear(config.wide, (2 + config.modes) * sensors),
        )  # fmt: skip
        self.laws = nn.Linear(sensors + config.actions, config.modes * sensors)
        self.copy = nn.Conv2d(packed, c, 1)
        self.plan = nn.Conv2d(c + marks * p * p + self.told, c, 1)
        self.change = nn.Linear(2 * sensors + given, c)
        self.drawing = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.drawing))
        self.gates = nn.Conv2d(c, 2 * config.memory, 1)
        self.write = nn.Conv2d(c, packed, 1)
        self.heads = nn.Linear(2 * config.pooled + 2 * sensors, 2)
        # How strongly a pixel keeps its colour where the network says nothing.
        self.keep = nn.Parameter(torch.tensor(4.0))
        nn.init.zeros_(self.write.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.gates.bias[: config.memory] -= 1.0  # type: ignore[index]
            self.forecast.weight.zero_()
            self.forecast.bias.zero_()
            self.laws.weight.normal_(0, 0.3)
            self.laws.bias.uniform_(-1, 1)

    def initial(self, frames: Tensor, sensors: Tensor) -> State:
        """Return the state that starts a game: its first frame, RGBA uint8, and its sensors."""
        hidden = torch.zeros(len(frames), self.config.memory, *self.grid, device=frames.device)
        return {"frame": frames, "sensors": sensors, "hidden": hidden}

    def encode(self, frames: Tensor, sensors: Tensor, actions: Tensor, chances: Tensor) -> State:
        """Return the state after watching `history` frames.

        frames: uint8 [B, T, cameras, H, W, 4] and sensors [B, T, S], oldest first; actions
        [B, T - 1, A] and chances [B, T - 1, C] are those taken between them.
        """
        state = self.initial(frames[:, 0], sensors[:, 0])
        for t in range(frames.shape[1] - 1):
            cells = self.one_hot(self.pack(self.index(frames[:, t])))
            _, _, hidden, _ = self.advance(
                cells, sensors[:, t], state["hidden"], actions[:, t], chances[:, t]
            )
            state = {"frame": frames[:, t + 1], "sensors": sensors[:, t + 1], "hidden": hidden}
        return state

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        cells = self.one_hot(self.pack(self.index(state["frame"])))
        logits, sensors, hidden, heads = self.advance(
            cells, state["sensors"], state["hidden"], action, chance
        )
        frame = self.paint(self.unpack(self.choose(logits)))
        out = {
            "reward": heads[:, 0] * self.config.reward_scale,
            "terminated": torch.sigmoid(heads[:, 1]),
        }
        return frame, {"frame": frame, "sensors": self.settle(sensors), "hidden": hidden}, out

    def advance(
        self, cells: Tensor, sensors: Tensor, hidden: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Advance in cells: one-hot -> (next cells' logits, sensors, hidden, heads [B, 2])."""
        x, after = self.look(cells, sensors, hidden, action, chance)
        after = self.settle(after)
        logits, hidden, heads = self.draw(cells, x, sensors, after, hidden, action, chance)
        return logits, after, hidden, heads

    def look(
        self, cells: Tensor, sensors: Tensor, hidden: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look at what is there: (features [B, channels, gh, gw], next sensors, unsettled)."""
        given = torch.cat([action, chance], 1)
        s = self.parts(sensors)
        # Taught by itself (see `training.objective`), so that it stays what its name says.
        free = self.ahead(sensors, action).detach()
        ahead = self.parts(free)
        free = self.settle(free)
        here, there = self.locate(sensors), self.locate(free)
        looked = torch.cat([hidden, self.tell(*here, s), self.tell(*there, ahead)], 1)
        drive = self.control(torch.cat([given, s], 1))[:, :, None, None]
        x = torch.relu(self.read(cells) + self.recall(looked) + self.place + drive)
        for i, block in enumerate(self.blocks):
            x = x + torch.relu(block(x))
            if i == 0:  # What happens anywhere is known everywhere: a lost ball costs a life.
                everywhere = self.spread(torch.cat([self.summary(x), given], 1))
                x = x + everywhere[:, :, None, None]
        seen = here[0].flatten(2) @ x.flatten(2).transpose(1, 2)
        phases = [place[:, :, 2:].flatten(1) for _, place in (here, there)]
        apart = self.apart(free)
        known = torch.cat([seen.flatten(1), *phases, apart, self.summary(x), s, ahead, given], 1)
        sizes = [s.shape[1], s.shape[1], s.shape[1] * self.config.modes]
        correction, gate, choice = self.judge(known).split(sizes, 1)
        # The first law is the forecast, which holds unless another is clearly meant.
        choice = choice.unflatten(1, (-1, self.config.modes))
        choice = torch.softmax(torch.cat([torch.full_like(choice[:, :, :1], 4.0), choice], 2), 2)
        law = self.laws(torch.cat([s, action], 1)).unflatten(1, (-1, self.config.modes))
        after = ahead + (choice[:, :, 1:] * law).sum(2)
        return x, self.units(after + torch.sigmoid(gate - 2) * correction)

    def draw(
        self, cells: Tensor, x: Tensor, sensors: Tensor, after: Tensor,
        hidden: Tensor, action: Tensor, chance: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Draw the next frame for the sensors `after`: (logits, hidden, heads [B, 2])."""
        s, told = self.parts(sensors), self.parts(after)
        change = torch.cat([told, told - s], 1)
        mask, place = self.locate(after)
        plan = self.plan(torch.cat([x, self.pixel(mask, after), self.tell(mask, place, told)], 1))
        drive = self.change(torch.cat([change, action, chance], 1))[:, :, None, None]
        x = torch.relu(self.copy(cells) + plan + drive)
        for block in self.drawing:
            x = x + torch.relu(block(x))
        gate, candidate = self.gates(x).chunk(2, 1)
        hidden = hidden + torch.sigmoid(gate) * (torch.tanh(candidate) - hidden)
        logits = self.write(x) + self.keep * cells
        return logits, hidden, self.heads(torch.cat([self.summary(x), change], 1))

    def ahead(self, sensors: Tensor, action: Tensor) -> Tensor:
        """Forecast the sensors, in their own units, as if nothing got in the way."""
        s = self.parts(sensors)
        return self.units(s + self.forecast(torch.cat([s, action], 1)))

    def summary(self, x: Tensor) -> Tensor:
        """Average and maximum of `pooled` mixes of the channels over the grid, [B, 2 * pooled]."""
        x = self.pool(x)
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def parts(self, sensors: Tensor) -> Tensor:
        """Turn sensors in their own units into -1..1 over their range."""
        return (sensors - self.low) / self.span - 1

    def units(self, s: Tensor) -> Tensor:
        """Turn sensors as -1..1 over their range into their own units."""
        return (s + 1) * self.span + self.low

    def settle(self, sensors: Tensor) -> Tensor:
        """Keep sensors within their range, and whole numbers whole."""
        sensors = torch.clamp(sensors, self.low, self.low + 2 * self.span)
        return sensors + self.whole * (torch.floor(sensors + 0.5) - sensors)

    def where(self, sensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return each landmark's x and y in px, and 1.0 if it is there, [B, landmarks] each."""
        padded = torch.cat([sensors, sensors.new_tensor([[0.0, 1.0]]).expand(len(sensors), 2)], 1)
        x, y, present = (padded[:, index] for index in self.sources)
        return x + self.shift[0], y + self.shift[1], (present > 0.5).float()

    def same_places(self, sensors: Tensor, other: Tensor) -> Tensor:
        """Return bool [B]: are all landmarks drawn in the same pixels, and whole values equal."""
        same = ((sensors - other).abs() * self.whole < 0.5).all(1)
        for mine, true in zip(self.where(sensors), self.where(other), strict=True):
            same &= (torch.floor(mine) == torch.floor(true)).all(1)
        return same

    def locate(self, sensors: Tensor) -> tuple[Tensor, Tensor]:
        """Return each landmark's cell as a mask [B, L, gh, gw], and its place in it [B, L, 6].

        The place is x and y in the cell, -1..1, and the sine and cosine of those in the pixel.
        """
        at = torch.stack(self.where(sensors), -1)
        there, at = at[:, :, 2:], at[:, :, :2]
        cell = torch.floor(at / self.config.patch)
        rows, columns = (torch.arange(size, device=at.device) for size in self.grid)
        across = (columns == cell[:, :, :1]).float()
        down = (rows == cell[:, :, 1:]).float() * there
        turn = 2 * math.pi * at
        place = torch.cat(
            [2 * (at / self.config.patch - cell) - 1, torch.sin(turn), torch.cos(turn)], -1
        )
        return down[:, :, :, None] * across[:, :, None], place

    def apart(self, sensors: Tensor) -> Tensor:
        """Return how far each pair of landmarks is apart, [B, 4 * pairs]: in px and whole pixels.

        In parts of 16 px: what depends on a distance needn't be worked out from two places.
        """
        x, y, _ = self.where(sensors)
        at = torch.stack([x, y, torch.floor(x), torch.floor(y)], -1)
        first = [i for i in range(at.shape[1]) for _ in range(i + 1, at.shape[1])]
        other = [j for i in range(at.shape[1]) for j in range(i + 1, at.shape[1])]
        return ((at[:, first] - at[:, other]) / 16).flatten(1)

    def tell(self, mask: Tensor, place: Tensor, s: Tensor) -> Tensor:
        """Write what is known of each landmark into its cell, [B, told, gh, gw]."""
        everywhere = s[:, None].expand(-1, mask.shape[1], -1)
        known = torch.cat([torch.ones_like(place[:, :, :1]), place, everywhere], -1)
        return (mask[:, :, None] * known[:, :, :, None, None]).flatten(1, 2)

    def pixel(self, mask: Tensor, sensors: Tensor) -> Tensor:
        """Mark the pixel that each landmark is in, packed: [B, L * patch**2, gh, gw]."""
        p = self.config.patch
        x, y, _ = (torch.floor(value) for value in self.where(sensors))
        number = (y - p * torch.floor(y / p)) * p + x - p * torch.floor(x / p)
        chosen = (torch.arange(p * p, device=x.device) == number[:, :, None]).float()
        return (mask[:, :, None] * chosen[:, :, :, None, None]).flatten(1, 2)

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
