"""`object_laws`: a small convolutional step over palette frames that carries sensors and memory.

A frame is a picture of a few exact colours, so the model reads it as categories and predicts
categories: arg-max gives a valid colour at every pixel, and frames cannot fade in closed loop. The
frame is packed into cells of `patch` x `patch` pixels, and all convolutions work on that coarse
grid. The next frame is the last one plus a learned change, so that still things persist from the
first training step on.

The model also predicts the sim's sensors and reads its own prediction at the next step: in the
sensors it carries what a frame doesn't show, such as sub-pixel positions and velocities. It
predicts them first. For each value there are several candidates, and a network selects one as a
whole, so that exact values stay exact: a linear forecast (continue), laws that many worlds share
(reverse, stop, meet an edge or a pixel's border), laws found in the data, or a value that the
network computes.

Landmarks say which sensors are places in the frame. The network sees the surroundings of each in a
window with the landmark's pixel in its middle. There it also draws the next frame, after it has
predicted the sensors: landmarks have shapes, which are removed from their old places and stamped at
their new places. The layers that decide how landmarks move also decide the changes in the pixels
around them. Convolutions finish that draft. Ball and frame therefore cannot disagree, and an
uncertain ball is at one place, not a smear. Pixels that change together in the data are decided as
one. A few channels of memory in each cell remain for facts that neither frame nor sensors show.

Ideas: action-conditional recurrent simulators (Chiappa et al., 2017, arXiv:1704.02254), switching
linear dynamics (Linderman et al., 2017, arXiv:1610.08466), glimpses (Mnih et al., 2014,
arXiv:1406.6247), drawing a frame from the states of objects (Kosiorek et al., 2018,
arXiv:1806.01794), relations of pairs (Battaglia et al., 2016, arXiv:1612.00222), the gated
recurrent unit (Cho et al., 2014, arXiv:1406.1078), categorical pixels (van den Oord et al., 2016,
arXiv:1601.06759), global pooling as bias (Wu, 2019, arXiv:1902.10565).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from training.families.base import State, WorldConfig
from training.families.object_laws.inherit import inherited, size, widened
from training.families.object_laws.landmarks import Landmark, Landmarks, find_shapes, find_size
from training.families.object_laws.laws import Laws
from training.families.object_laws.layout import layout
from training.families.object_laws.packed import PackedModel
from training.families.object_laws.twins import Twin, Twins
from training.families.object_laws.units import Unit, Units

TOUCH = 5  # pixels along one side of the area that is read at a point
# The weights with values of colours, and along which axis.
COLOURED = {
    "read.weight": 1, "copy.weight": 1, "shade.weight": 1, "stamp": 1,
    "colour.weight": 0, "write.weight": 0, "write.bias": 0,
}  # fmt: skip


class Looked(NamedTuple):
    """The result of a look at the world, for drawing the next frame; B games, L landmarks."""

    x: Tensor  # features [B, channels, gh, gw]
    judged: Tensor  # in each view of the world [B, views, wide]
    glance: Tensor  # the surroundings of each landmark [B, L, glance]
    rows: Tensor  # their rows and columns of pixels, [B, L, glimpse, height]
    columns: Tensor  # and [B, L, glimpse, width]


@dataclass(frozen=True)
class Config(WorldConfig):
    """Sizes of one `object_laws` model; in the checkpoint and in the ONNX metadata.

    `Options` describes the keys that a recipe may set.
    """

    sensor_high: tuple[float, ...] = ()  # the largest value of each sensor value in the data
    sensor_whole: tuple[bool, ...] = ()  # whether it is a whole number
    sensors: tuple[str, ...] = ()  # the sensor values' names
    landmarks: tuple[Landmark, ...] = ()
    twins: tuple[Twin, ...] = ()  # sensor values of a landmark that is like another, and its
    units: tuple[Unit, ...] = ()  # pixels that show a colour together or not at all in the data
    patch: int = 4
    channels: int = 48
    blocks: int = 1
    drawing: int = 2
    memory: int = 8
    pooled: int = 16
    glimpse: int = 13
    shades: int = 4
    glance: int = 128
    touch: int = 32
    wide: int = 256
    laws: int = 2
    history: int = 4

    def grown_from(self, before: Any) -> Config:
        """Keep a window that was widened: a narrower one would lose what it learned."""
        return replace(self, glimpse=max(self.glimpse, getattr(before, "glimpse", 0)))


class Model(PackedModel):
    """The world as a recurrent step; see the module's docstring.

    Outside, frames are RGBA uint8 [B, cameras, H, W, 4]; inside, they are palette indices, packed
    as one-hot [B, K * patch**2 * cameras, H / patch, W / patch]. Sensors are float32 [B, S] in
    their own units outside, and -1..1 over their range in the data inside.
    """

    config: Config
    shapes: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, p = config.channels, config.patch
        self.grid = (config.height // p, config.width // p)
        packed = self.colours * p * p * config.cameras

        sensors, marks = len(config.sensor_low), len(config.landmarks)
        given = config.actions + config.chance
        self.marks = Landmarks(config.landmarks, sensors, config.height, config.width, p)
        self.twins = Twins(config.twins, sensors, [mark[0] for mark in config.landmarks])
        shape = (config.cameras, config.height, config.width)
        self.units = Units(config.units, self.colours, shape, p)
        axes = layout(config)

        def told(name: str) -> int:
            return size(axes[f"{name}.weight"][0].runs, sensors, marks)

        self.read = nn.Conv2d(packed, c, 1)
        self.recall = nn.Conv2d(told("recall"), c, 1, bias=False)
        self.control = nn.Linear(told("control"), c)
        # Cells get their position: walls, serve point and life icons are places.
        self.place = nn.Parameter(torch.zeros(1, c, *self.grid))
        self.blocks = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.blocks))
        self.pool = nn.Conv2d(c, config.pooled, 1)
        self.spread = nn.Linear(2 * config.pooled + given, c)
        planes, around = self.colours * config.cameras, config.glimpse**2
        self.shade = nn.Conv2d(planes, config.shades, 1)
        self.glance = nn.Linear(around * config.shades, config.glance)
        self.touch = nn.Linear(TOUCH**2 * config.shades + 2, config.touch)
        self.judge = nn.Sequential(
            nn.Linear(told("judge.0"), config.wide), nn.ReLU(),
            nn.Linear(config.wide, config.wide), nn.ReLU(),
        )  # fmt: skip
        self.laws = Laws(
            config.sensor_low, config.sensor_high, config.sensor_whole,
            self.marks, self.twins, config.actions, config.chance, config.wide, config.laws,
        )  # fmt: skip
        self.trace = nn.Sequential(
            nn.Linear(told("trace.0"), config.glance), nn.ReLU(),
            nn.Linear(config.glance, config.shades * around),
        )  # fmt: skip
        # The drawing over the frame: landmarks at new and old places, and the changes there.
        self.stamp = nn.Parameter(torch.zeros(2 * marks, planes, config.glimpse, config.glimpse))
        shapes = torch.zeros(marks, planes, config.glimpse, config.glimpse)
        self.register_buffer("shapes", shapes)  # their shapes in the data, as log-odds
        self.colour = nn.Conv2d(config.shades, planes, 1, bias=False)
        self.copy = nn.Conv2d(packed, c, 1)
        self.plan = nn.Conv2d(told("plan"), c, 1)
        self.change = nn.Linear(told("change"), c)
        self.drawing = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(config.drawing))
        self.gates = nn.Conv2d(c, 2 * config.memory, 1)
        self.write = nn.Conv2d(c, packed, 1)
        self.heads = nn.Linear(told("heads"), 2)
        # How strongly a pixel keeps its colour if the network predicts no change.
        self.keep = nn.Parameter(torch.tensor(4.0))
        nn.init.zeros_(self.write.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.gates.bias[: config.memory] -= 1.0  # type: ignore[index]

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights of hidden layers, which Muon trains."""
        parts = (self.glance, self.touch, self.judge, self.trace[:1])
        layers = [m for part in parts for m in part.modules() if isinstance(m, nn.Linear)]
        return [*super().kernels(), *(layer.weight for layer in layers)]  # type: ignore[list-item]

    def inherited(self, weights: State, before: Any) -> State:
        """Return weights of a model of the Config `before`, fitted to this one."""
        weights = widened(weights, self.config, before)
        found = inherited(self.state_dict(), weights, self.config, before, layout(self.config))
        known = set(before.sensors)
        new = [
            a for twin in self.config.twins for a, _ in twin if self.config.sensors[a] not in known
        ]
        return self.laws.doubted(found, new)

    def go_on_from(self, weights: State) -> None:
        """Continue from the units and laws of the `weights` at the start, if they fit."""
        names = ("low", "span", "weight")
        low, span, weight = (weights[f"laws.{name}"] for name in names)
        if weight.shape == self.laws.weight.shape:
            self.laws.go_on_from(low, span, weight)

    def fit(self, sensors: Tensor, action: Tensor, chance: Tensor, after: Tensor) -> Tensor:
        """Find laws in R steps of the sim, [R, ...] each; return bool [R]: not as forecast."""
        self.laws.fit(sensors, action, chance, after)
        return self.laws.turned(sensors, action, after)

    def that_holds(self, index: Tensor, sensors: Tensor) -> Model:
        """Return a model whose glimpses hold the whole landmarks of R (some) frames.

        It is this model if its glimpses do; `index` are palette indices [R, cams, H, W].
        """
        least = find_size(index, self.marks, sensors) if self.config.landmarks else 0
        if self.config.glimpse >= least:
            return self
        return Model(replace(self.config, glimpse=least))

    def fit_shapes(self, index: Tensor, sensors: Tensor) -> None:
        """Find the shapes of landmarks in R (some) frames of palette indices [R, cams, H, W]."""
        planes = self.one_hot(index)
        self.shapes[:] = find_shapes(planes, self.marks, sensors, self.config.glimpse)

    def recoloured(self, weights: State, order: list[int]) -> State:
        """Return weights for which colour `order[k]` is this model's colour k."""

        def turned(value: Tensor, axis: int) -> Tensor:
            size = value.shape
            each = size[axis] // self.colours
            parts = value.reshape(*size[:axis], self.colours, each, *size[axis + 1 :])
            return parts.index_select(axis, torch.tensor(order)).reshape(size)

        return weights | {name: turned(weights[name], axis) for name, axis in COLOURED.items()}

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: its first frame, RGBA uint8, and its sensors."""
        frames, sensors = shown["frame"], shown["sensors"]
        hidden = torch.zeros(len(frames), self.config.memory, *self.grid, device=frames.device)
        return {"frame": frames, "sensors": sensors, "hidden": hidden}

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
        return frame, {"frame": frame, "sensors": self.laws.settle(sensors), "hidden": hidden}, out

    def advance(
        self, cells: Tensor, sensors: Tensor, hidden: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Advance in cells: one-hot -> (next cells' logits, sensors, hidden, heads [B, 2])."""
        looked, choice, ways = self.look(cells, sensors, hidden, action, chance)
        after = self.laws.decide(choice, ways)
        logits, hidden, heads = self.draw(cells, looked, sensors, after, hidden, action, chance)
        return logits, after, hidden, heads

    def look(
        self, cells: Tensor, sensors: Tensor, hidden: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Looked, Tensor, Tensor]:
        """Look at the current state: (the look, and the candidates for each sensor's next value).

        The candidates are logits of the forecast, the laws given and found, and a value that the
        network computes, [B, S, ways]; and these values, -1..1 over the range, the same shape.
        """
        onward = self.laws.onward(sensors, action)
        see, repeat = self.twins.see, self.twins.repeat
        ahead = self.laws.held(onward)
        free = self.laws.settle(self.laws.units(ahead))
        beyond = torch.cat([see(part) for part in self.laws.beyond(onward)], 1)
        given = repeat(torch.cat([action, chance], 1))
        x, judged, around = self.judged(
            repeat(cells), see(sensors), see(ahead), see(free), beyond, repeat(hidden), given
        )
        places = self.laws.places(free)
        choice, ways = self.laws.foresee(judged, sensors, free, action, chance, places)
        first = self.twins.first
        seen = Looked(first(x), self.twins.apart(judged), *(first(part) for part in around))
        return seen, choice, ways

    def judged(
        self, cells: Tensor, sensors: Tensor, ahead: Tensor, free: Tensor, beyond: Tensor,
        hidden: Tensor, given: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:  # fmt: skip
        """Judge the current state: (features x, [B, wide], (glance, rows, columns) as in `Looked`).

        `ahead` is the forecast as parts, `free` the settled one.
        """
        s = self.laws.parts(sensors)
        here, there = self.marks.locate(sensors), self.marks.locate(free)
        told = torch.cat([hidden, self.marks.tell(*here, s), self.marks.tell(*there, ahead)], 1)
        drive = self.control(torch.cat([given, s], 1))[:, :, None, None]
        x = torch.relu(self.read(cells) + self.recall(told) + self.place + drive)
        for i, block in enumerate(self.blocks):
            x = x + torch.relu(block(x))
            if i == 0:  # An event anywhere must be known everywhere: a lost ball costs a life.
                everywhere = self.spread(torch.cat([self.summary(x), given], 1))
                x = x + everywhere[:, :, None, None]
        seen = here[0].flatten(2) @ x.flatten(2).transpose(1, 2)
        rows, columns = self.marks.window(free, self.config.glimpse)
        shades = self.shaded(cells)
        glance = self.glimpse(shades, rows, columns)
        phases = [place[:, :, 2:].flatten(1) for _, place in (here, there)]
        apart = self.marks.apart(free)
        known = [seen.flatten(1), glance.flatten(1), *phases, apart, self.summary(x), s, ahead]
        way = self.marks.way(sensors, free)
        known += [self.feel(shades, way), self.marks.halves(way)]
        known += [beyond, given]
        return x, self.judge(torch.cat(known, 1)), (glance, rows, columns)

    def draw(
        self, cells: Tensor, looked: Looked, sensors: Tensor, after: Tensor,
        hidden: Tensor, action: Tensor, chance: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Draw the next frame for the sensors `after`: (logits, hidden, heads [B, 2])."""
        told, change = self.laws.parts(after), self.changed(sensors, after)
        mask, place = self.marks.locate(after)
        marks = torch.cat([self.marks.pixel(mask, after), self.marks.tell(mask, place, told)], 1)
        plan = self.plan(torch.cat([looked.x, marks], 1))
        drive = self.change(torch.cat([change, action, chance], 1))[:, :, None, None]
        draft = self.keep * cells
        if self.config.landmarks:
            draft = draft + self.overlay(looked, sensors, after)
        x = torch.relu(self.copy(draft / 4) + plan + drive)
        for block in self.drawing:
            x = x + torch.relu(block(x))
        gate, candidate = self.gates(x).chunk(2, 1)
        hidden = hidden + torch.sigmoid(gate) * (torch.tanh(candidate) - hidden)
        logits = self.units(draft + self.write(x))
        return logits, hidden, self.heads(torch.cat([self.summary(x), change], 1))

    def changed(self, sensors: Tensor, after: Tensor) -> Tensor:
        """Return the next sensors and their changes, as parts: [B, 2 * S]."""
        told = self.laws.parts(after)
        return torch.cat([told, told - self.laws.parts(sensors)], 1)

    def shaded(self, cells: Tensor) -> Tensor:
        """Return the pixels in the shades of a glimpse, [B, H, shades * W]."""
        p, (gh, gw) = self.config.patch, self.grid
        shades: Tensor = self.shade(cells.reshape(len(cells), -1, p * p, gh * gw))
        shades = shades.reshape(len(cells), -1, p, p, gh, gw).permute(0, 4, 2, 1, 5, 3)
        return shades.reshape(len(cells), gh * p, -1)

    def glimpse(self, shades: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Summarise the surroundings of each landmark, its pixel in the middle: [B, L, glance]."""
        if not self.config.landmarks:
            return shades.new_zeros(len(shades), 0, self.config.glance)
        part = (rows.flatten(1, 2) @ shades).reshape(*rows.shape[:2], -1, columns.shape[3])
        part = part @ columns.transpose(2, 3)
        return torch.relu(self.glance(part.flatten(2)))

    def feel(self, shades: Tensor, way: Tensor) -> Tensor:
        """Summarise the pixels along the landmarks' way [B, L, 3, 2] ahead: [B, L * 9 * touch].

        Things may move along one axis first: every x of the ends and the middle meets every y.
        """
        if not self.config.landmarks:
            return shades.new_zeros(len(shades), 0)
        b, marks = way.shape[:2]
        rows, columns = self.marks.around(way.flatten(1, 2), TOUCH)
        part = (rows.flatten(1, 2) @ shades).reshape(b, marks, -1, columns.shape[3])
        columns = columns.reshape(b, marks, 3 * TOUCH, -1).transpose(2, 3)
        part = (part @ columns).reshape(b, marks, 3, TOUCH, self.config.shades, 3, TOUCH)
        part = part.permute(0, 1, 2, 5, 4, 3, 6).flatten(4)
        # The half of its pixel that holds each point: an edge may lie in a pixel's middle.
        half = (way - torch.floor(way) >= 0.5).float()
        down = half[:, :, :, None, 1:].expand(-1, -1, -1, 3, -1)
        across = half[:, :, None, :, :1].expand(-1, -1, 3, -1, -1)
        return torch.relu(self.touch(torch.cat([part, down, across], 4))).flatten(1)

    def overlay(self, looked: Looked, sensors: Tensor, after: Tensor) -> Tensor:
        """Draw landmarks, removed from their old places, and the changes around them."""
        b, marks, size, height = looked.rows.shape
        change = self.twins.apart(self.changed(*map(self.twins.see, (sensors, after))))
        known = self.twins.of_marks(torch.cat([looked.judged, change], 2))
        traces = self.trace(torch.cat([looked.glance, known], 2))
        traces = self.colour(traces.reshape(b * marks, -1, size, size))
        stamps = torch.cat([self.stamp[:marks] + self.shapes, self.stamp[marks:]])
        stamps = stamps.flatten(1, 2).expand(b, -1, -1, -1)
        patches = torch.cat([stamps, traces.reshape(b, marks, -1, size)], 1)  # [B, 3 * L, C * g, g]
        windows = [self.marks.window(at, size) for at in (after, sensors)]
        windows.append((looked.rows, looked.columns))
        rows, columns = (torch.cat(parts, 1) for parts in zip(*windows, strict=True))
        part = (patches @ columns).reshape(b, 3 * marks, -1, size, columns.shape[3])
        rows = rows.reshape(b, -1, height).transpose(1, 2)
        planes = rows @ part.transpose(2, 3).reshape(b, 3 * marks * size, -1)  # [B, H, C * W]
        p, (gh, gw) = self.config.patch, self.grid
        planes = planes.reshape(b, gh, p, -1, gw, p).permute(0, 3, 2, 5, 1, 4)
        return planes.reshape(b, -1, gh, gw)

    def summary(self, x: Tensor) -> Tensor:
        """Average and maximum of `pooled` mixes of the channels over the grid, [B, 2 * pooled]."""
        x = self.pool(x)
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def same(self, sensors: Tensor, other: Tensor) -> Tensor:
        """Return bool [B]: all landmarks are drawn in the same pixels, whole values are equal."""
        whole = ((sensors - other).abs() * self.laws.whole < 0.5).all(1)
        return whole & self.marks.same(sensors, other)
