"""`pixels`: from frames and actions alone; each frame is chosen as a whole.

A frame is a grid of cells, squares of a few pixels. All that the model knows is in one grid of
features: what each cell shows and has shown in the two frames before, the carried memory, the
action and chance. Residual 3x3 convolutions mix it. Action and chance scale the channels of each of
them (as in FiLM; Perez et al., 2018, arXiv:1709.07871), so that what an action does is learned
once for all places. Two poolings over the whole frame, in the middle and at the end, tell each cell
what happens elsewhere. A gate (as in a GRU; Cho et al., 2014, arXiv:1406.1078) writes the memory.
It depends on what was seen alone, so a frame of the sim can take the place of the model's own at
any step.

The next frame is drawn in two parts. First a latent is chosen, one of a few values: where a thing
goes if it may go one way or the other. Then each cell stays as it is, or takes one of the contents
that the recordings show. Without the latent, a thing that may be in either of two places is best
drawn in neither, or torn. The values are few, so training needs no sampling: it is a mixture, and
its likelihood sums over them (Jacobs et al., 1991, "Adaptive Mixtures of Local Experts",
doi:10.1162/neco.1991.3.1.79). `prior` says how likely each value is before the next frame is seen.

Cells are drawn in three turns. Those of a later turn know what the cells beside them have taken (as
pixels do in PixelCNN; van den Oord et al., 2016, arXiv:1601.06759): a thing that lies in several
cells is whole, wherever the first of them puts it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.families.base import State, WorldConfig, WorldModel, nearest
from training.families.pixels.cells import read
from training.families.pixels.inherit import inherited
from training.families.pixels.options import CLASSES, MORE_STAY, PATCH, PATCHES
from training.families.pixels.turns import TURNS, interleaved, paired

SUMMARY = 16  # channels of what the whole frame is told
MIXED = 0.01  # of the latent's distribution is uniform
KEEPS = 0.5  # how sure, at first, that a pixel of a cell that changes stays as it is (log odds)
STAYS = 4.0  # how sure, at first, that a cell stays as it is (log odds)
NOISES = 64  # steps after which the drawn noise repeats
PARTS = 32  # parts of 0..1 in which each number of chance is told
AIMED = 8  # channels in which rows and columns are told of action and chance
BESIDE = 16  # channels in which a cell is told what a cell beside it takes


@dataclass(frozen=True)
class Config(WorldConfig):
    """Sizes of one `pixels` model; in the checkpoint and in the ONNX metadata.

    `contents` are the squares of pixels that a cell can change to, as `cells.written` writes them.
    """

    size: str = "base"
    channels: int = 64
    blocks: int = 6
    patch: int = PATCH
    patches: int = PATCHES
    contents: tuple[str, ...] = ()
    classes: int = CLASSES
    temperature: float = 0.0
    more_stay: float = MORE_STAY
    history: int = 8


class Model(WorldModel):
    """The world as cells of a few contents; see the module's docstring.

    Inside, a frame is palette indices [B, rows, columns], all cameras one below the other. `memory`
    is what is carried, [B, channels, rows / patch, columns / patch]; so are `near` and `far`, which
    tell the next step, and the one after it, what this frame shows.
    """

    config: Config
    palette: Tensor
    contents: Tensor
    listed: Tensor  # planes of each content, [contents, planes]
    noise: Tensor
    earlier: Tensor  # where a cell's turn is before each turn but the first
    later: Tensor  # where it is that turn

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, p = config.channels, config.patch
        self.colours = len(config.palette)
        self.grid = (config.cameras * config.height // p, config.width // p)
        given = config.actions + (PARTS + 1) * config.chance
        rgba = torch.tensor([[*colour, 255] for colour in config.palette], dtype=torch.float32)
        self.register_buffer("palette", rgba)
        told = torch.from_numpy(read(config.contents)).float().reshape(-1, p * p)
        self.register_buffer("contents", told, persistent=False)
        # A graph can't draw random numbers: it has a table of them, and turns its pages.
        generator = torch.Generator().manual_seed(0)
        uniform = torch.rand(NOISES, config.classes, generator=generator).clamp(1e-6, 1 - 1e-6)
        self.register_buffer("noise", -torch.log(-torch.log(uniform)), persistent=False)

        self.read = nn.Conv2d(self.colours * p * p, 3 * c, 1)
        self.recall = nn.Conv2d(c, c, 1, bias=False)
        self.drive = nn.Linear(given, c)
        self.aim_rows = nn.Linear(given, AIMED * self.grid[0])
        self.aim_columns = nn.Linear(given, AIMED * self.grid[1])
        self.span = nn.Parameter(torch.ones(2, config.chance))
        self.start = nn.Parameter(torch.zeros(2, config.chance))
        self.aim = nn.Conv2d(2 * AIMED + 4 * p * config.chance, c, 1, bias=False)
        self.place = nn.Parameter(torch.zeros(1, c, *self.grid))
        self.layers = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.blocks))
        self.scale = nn.Linear(given, config.blocks * c)
        self.summary = nn.Conv2d(c, SUMMARY, 1)
        self.spread = nn.Linear(2 * SUMMARY + given, c)
        self.gate, self.new = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.prior = nn.Linear(2 * c, config.classes)
        self.open = nn.Conv2d(c, 2 * c, 1)
        self.summary_last = nn.Conv2d(c, SUMMARY, 1)
        self.spread_last = nn.Linear(2 * SUMMARY, 2 * c, bias=False)
        self.tell = nn.Linear(config.classes, 2 * c, bias=False)
        self.show = nn.Linear(self.colours * p * p, BESIDE)
        self.beside = nn.Conv2d(BESIDE, 2 * c, 3, padding=1, bias=False)
        turn = torch.zeros(self.grid)
        for k, places in enumerate(TURNS):
            for a, b in places:
                turn[a::2, b::2] = k
        after_first = torch.arange(1, len(TURNS)).view(-1, 1, 1, 1, 1)
        self.register_buffer("earlier", (turn < after_first).float(), persistent=False)
        self.register_buffer("later", (turn == after_first).float(), persistent=False)
        self.write = nn.Conv2d(2 * c, 1 + len(config.contents), 1)
        self.write_pixels = nn.Linear(self.colours * p * p, 2 * c, bias=False)
        self.keep = nn.Parameter(torch.full((self.colours * p * p,), KEEPS))
        planes = self.one_hot(told.long()[:, :, None, None])[:, :, 0, 0]
        self.register_buffer("listed", planes, persistent=False)
        self.heads = nn.Sequential(
            nn.Linear(2 * SUMMARY + given, 2 * c), nn.ReLU(), nn.Linear(2 * c, 2)
        )
        self.summary_drawn = nn.Conv2d(2 * c, SUMMARY, 1)
        with torch.no_grad():
            self.write.weight.mul_(0.3)
            self.write_pixels.weight.mul_(0.3)
            nn.init.normal_(self.tell.weight)
            nn.init.zeros_(self.write.bias)  # type: ignore[arg-type]
            self.write.bias[0] = STAYS  # type: ignore[index]
            nn.init.constant_(self.gate.bias, 1.0)  # type: ignore[arg-type]

    def inherited(self, weights: State, before: Config) -> State:
        """Return weights of a model of the Config `before`, with colours and contents of this."""
        return inherited(self.state_dict(), weights, self.config, before)

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights of hidden layers, which Muon trains."""
        hidden = [*self.layers, self.recall, self.gate, self.new]
        return [layer.weight for layer in hidden]

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: its first frame, RGBA uint8; no sensors are used."""
        frame = shown["frame"]
        blank = self.blank_memory(len(frame)).to(frame.device)
        state = {"frame": frame, "near": blank, "far": blank, "memory": blank}
        if self.config.temperature:
            state["turn"] = torch.zeros(len(frame), 1, device=frame.device)
        return state

    def blank_memory(self, games: int) -> Tensor:
        """Return the memory of games that have just begun."""
        return torch.zeros(games, self.config.channels, *self.grid)

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        c = self.config
        cells = self.cells(state["frame"])
        given = self.given(action, chance)
        planes = self.one_hot(cells)
        now, one, two = self.read(planes).chunk(3, 1)
        u, memory = self.think(now + state["near"], state["memory"], given)
        odds = self.log_odds(u)
        after = {"memory": memory, "near": one + state["far"], "far": two}
        if c.temperature:
            odds = odds + c.temperature * self.noise[state["turn"][:, 0].long()]
            turn = state["turn"] + 1
            after["turn"] = turn - NOISES * torch.floor(turn / NOISES)
        known = self.chosen(self.opened(u), self.coded(odds))
        shown = planes.permute(0, 2, 3, 1)
        stays, kept = (part.permute(0, 3, 1, 2) for part in (self.show(shown), self.kept(shown)))
        pick = self.picked(known, kept, stays, self.show(self.listed), c.more_stay)
        frame = self.paint(self.put(cells, pick))
        heads = self.say(known, given)
        out = {
            "reward": heads[:, 0] * c.reward_scale,
            "terminated": torch.sigmoid(heads[:, 1]),
        }
        return frame, {"frame": frame} | after, out

    def given(self, action: Tensor, chance: Tensor) -> Tensor:
        """Return what every cell is told: the action, and each number of chance.

        What happens may follow from such a number in any way, so it is told in `PARTS` parts as
        well: each part is near some of its values.
        """
        places = torch.arange(PARTS, dtype=chance.dtype, device=chance.device)
        near = torch.relu(1 - (chance[:, :, None] * (PARTS - 1) - places).abs())
        return torch.cat([action, near.flatten(1), chance], 1)

    def think(self, seen: Tensor, memory: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of what follows, and the next memory, [B, channels, rows, columns].

        `seen` are the features of the frame and of those before; see `given` for the last one.
        """
        u = seen + self.recall(memory) + self.place + self.driven(given)
        scales = (1 + self.scale(given))[:, :, None, None].chunk(len(self.layers), 1)
        for k, (layer, scale) in enumerate(zip(self.layers, scales, strict=True)):
            u = u + layer(torch.relu(even(u) * scale))
            if k == len(self.layers) // 2:
                known = torch.cat([self.summed(self.summary(u)), given], 1)
                u = u + self.spread(known)[:, :, None, None]
        u_even = torch.relu(even(u))
        gate = torch.sigmoid(self.gate(u_even))
        return u, (1 - gate) * memory + gate * torch.tanh(self.new(u_even))

    def driven(self, given: Tensor) -> Tensor:
        """Return what `given` adds by row and column, [B, channels, rows, columns]."""
        rows, columns = self.grid
        down = self.aim_rows(given).view(-1, AIMED, rows, 1).expand(-1, -1, -1, columns)
        across = self.aim_columns(given).view(-1, AIMED, 1, columns).expand(-1, -1, rows, -1)
        told = [down, across]
        if chances := self.config.chance:
            told += self.spots(given[:, -chances:])
        placed = self.aim(torch.cat(told, 1))
        return placed + self.drive(given)[:, :, None, None]  # type: ignore[no-any-return]

    def spots(self, chance: Tensor) -> list[Tensor]:
        """Return where each number of chance points to: by row, by column, [B, F, rows, columns].

        Where a thing appears often follows from such a number: at first, 0 points to the first
        pixel and 1 to the last; `start` and `span` are trained. A cell is told of all places in it,
        two a pixel, how near they are. So what is learned of one place is known of all.
        """
        rows, columns = self.grid
        p, numbers, maps = self.config.patch, self.config.chance, []
        for axis, cells in enumerate(self.grid):
            pointed = (chance * self.span[axis] + self.start[axis]) * (p * cells - 1)
            places = torch.arange(2 * p * cells, dtype=chance.dtype, device=chance.device) / 2
            near = torch.relu(1 - 2 * (pointed[:, :, None] - places).abs())
            near = near.view(-1, numbers, cells, 2 * p).transpose(2, 3).flatten(1, 2)
            maps.append(near[:, :, None] if axis else near[:, :, :, None])
        return [one.expand(-1, -1, rows, columns) for one in maps]

    def opened(self, u: Tensor) -> Tensor:
        """Return what each cell knows before a latent is chosen, [B, 2 channels, rows, columns].

        It knows what happens elsewhere: a ball missed here may cost a life that is shown there.
        """
        u = even(u)
        elsewhere = self.spread_last(self.summed(self.summary_last(u)))
        return self.open(torch.relu(u)) + elsewhere[:, :, None, None]  # type: ignore[no-any-return]

    def chosen(self, opened: Tensor, code: Tensor) -> Tensor:
        """Return what each cell knows with a chosen latent, [B, 2 channels, rows, columns].

        `code` [B, classes] is that latent. `write` makes of what is above 0 in it the log odds of
        each content, 0 to stay as it is.
        """
        return opened + self.tell(code)[:, :, None, None]  # type: ignore[no-any-return]

    def picked(
        self, known: Tensor, kept: Tensor, stays: Tensor, listed: Tensor, more_stay: float = 0.0
    ) -> Tensor:
        """Pick the content of each cell, int64 [B, rows, columns]; 0 if it stays as it is.

        `known` [B, 2 channels, rows, columns] is what each cell knows before the first turn, and
        `kept` [B, 1 + contents, rows, columns] are log odds of its picks (see `kept`). What the
        cells beside it are told of it is `stays` [B, BESIDE, rows, columns] if it stays, or
        `listed` [contents, BESIDE]. `more_stay` is added to the log odds of staying.
        """
        rows, columns = self.grid
        weight = self.writing()[:, :, None, None]
        known, kept, stays = paired(known), paired(kept), paired(stays)
        nothing = torch.zeros_like(stays[:, :, ::2, ::2])
        taken: dict[tuple[int, int], Tensor] = {}
        picks: dict[tuple[int, int], Tensor] = {}
        for turn in TURNS:
            told = interleaved(taken, nothing)[:, :, :rows, :columns]
            told = F.pad(told, (1, 1 + columns % 2, 1, 1 + rows % 2))
            for a, b in turn:
                here = known[:, :, a::2, b::2]
                if taken:
                    height, width = (2 * size + 1 for size in here.shape[2:])
                    around = told[:, :, a : a + height, b : b + width]
                    here = here + F.conv2d(around, self.beside.weight, stride=2)
                odds = F.conv2d(torch.relu(here), weight, self.write.bias) + kept[:, :, a::2, b::2]
                pick = torch.cat([odds[:, :1] + more_stay, odds[:, 1:]], 1).argmax(1)
                new = listed[(pick - 1).clamp_min(0)].permute(0, 3, 1, 2)
                picks[a, b] = pick[:, None]
                taken[a, b] = torch.where(pick[:, None] > 0, new, stays[:, :, a::2, b::2])
        return interleaved(picks, nothing)[:, 0, :rows, :columns]

    def writing(self) -> Tensor:
        """Return the weights that make log odds of what a cell knows, [1 + contents, 2 channels].

        A part of them follows from the pixels of a content, so that what is learned of one content
        helps all that share pixels with it: a ball over a paddle, a ball beside it.
        """
        own = self.write.weight.flatten(1)
        return torch.cat([own[:1], own[1:] + self.write_pixels(self.listed)])

    def kept(self, planes: Tensor) -> Tensor:
        """Return log odds of a cell's picks by the pixels that would change, [..., 1 + contents].

        `planes` [..., planes] is what it shows. A content that keeps more of it is likelier.
        """
        same = planes @ (self.keep * self.listed).T
        return F.pad(same - (planes * self.keep).sum(-1, keepdim=True), (1, 0))

    def told(self, after: Tensor) -> Tensor:
        """Return what each cell is told in its turn, if the cells beside it show what is right.

        after: what is told of the right contents, [B, BESIDE, rows, columns]; the returned value,
        [B, 2 channels, rows, columns], is added to what a cell knows.
        """
        told = self.beside((after * self.earlier).flatten(0, 1)).unflatten(0, (-1, len(after)))
        return (told * self.later).sum(0)  # type: ignore[no-any-return]

    def say(self, known: Tensor, given: Tensor) -> Tensor:
        """Return the heads [B, 2], of what cells know: the reward, and log odds of the end."""
        drawn = self.summary_drawn(torch.relu(known))
        return self.heads(torch.cat([self.summed(drawn), given], 1))  # type: ignore[no-any-return]

    def summed(self, u: Tensor) -> Tensor:
        """Return the mean and the largest of each channel: [B, C, H, W] -> [B, 2 C]."""
        u = torch.relu(u)
        return torch.cat([u.mean((2, 3)), u.amax((2, 3))], 1)

    def log_odds(self, u: Tensor, mixed: float = MIXED) -> Tensor:
        """Return the log probabilities of the latent's values, [B, classes].

        A share `mixed` of them is uniform: no value is ever impossible.
        """
        odds = torch.softmax(self.prior(self.summed(even(u))), 1)
        return torch.log((1 - mixed) * odds + mixed / self.config.classes)

    def coded(self, odds: Tensor) -> Tensor:
        """Choose the largest: 1 in its place, [B, classes]."""
        kinds = torch.arange(self.config.classes, device=odds.device)
        return (odds.argmax(1, keepdim=True) == kinds).float()

    def cells(self, frames: Tensor) -> Tensor:
        """Turn RGBA uint8 [B, cams, H, W, 4] into colours of cells, int64 [B, p * p, rows, cols].

        Each pixel gets the nearest colour of the palette.
        """
        index, p = nearest(frames, self.palette), self.config.patch
        split = index.reshape(len(index), self.grid[0], p, self.grid[1], p)
        return split.permute(0, 2, 4, 1, 3).flatten(1, 2)

    def one_hot(self, cells: Tensor) -> Tensor:
        """Turn colours of cells into planes, float [B, p * p * colours, rows, columns]."""
        kinds = torch.arange(self.colours, device=cells.device).view(1, 1, -1, 1, 1)
        return (cells[:, :, None] == kinds).float().flatten(1, 2)

    def put(self, cells: Tensor, pick: Tensor) -> Tensor:
        """Put the picked contents [B, rows, columns] into cells; 0 leaves a cell as it is."""
        contents = self.contents[(pick - 1).clamp_min(0)].permute(0, 3, 1, 2)
        return torch.where(pick[:, None] > 0, contents.long(), cells)

    def paint(self, cells: Tensor) -> Tensor:
        """Paint colours of cells as RGBA uint8 [B, cameras, H, W, 4]."""
        c, p = self.config, self.config.patch
        index = cells.unflatten(1, (p, p)).permute(0, 3, 1, 4, 2)  # type: ignore[no-untyped-call]
        whole = index.reshape(len(cells), c.cameras, c.height, c.width)
        return self.palette[whole].to(torch.uint8)

    def samplers(self) -> dict[str, WorldModel]:
        """Return the model that draws its latent by chance, to compare with."""
        if self.config.temperature:
            return {}
        return {"latent drawn by chance": self.warmer(1.0)}

    def warmer(self, temperature: float) -> Model:
        """Return this model with another temperature of its latent."""
        other = copy.copy(self)
        other.config = replace(self.config, temperature=temperature)
        return other


def even(u: Tensor) -> Tensor:
    """Give each cell the same size: divide by the root mean square of its channels.

    Zhang and Sennrich, 2019, arXiv:1910.07467.
    """
    return u * torch.rsqrt((u * u).mean(1, keepdim=True) + 1e-4)
