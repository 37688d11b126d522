"""`transition`: a vehicle moves, and what it sees follows from that; the rest is learned.

Built on `latent`: the same encoders, the same memory, the same gate. Three things are new.

The numbers of the next step follow from the last ones by three layers of their own, beside what the
grid tells: these are trained on single recorded steps too, and so precise that they may lead.

Two of these numbers tell how the vehicle moves. With the geometry of its sensors, which the spec
tells, every pixel and every ray of a scan is then fetched from where it was before, also out of
another camera's view. The model only learns how near each pixel is (level ground is known), as
depth is learned from the motion of a camera (Zhou et al., 2017, arXiv:1704.07813), and what moves
by itself.

A picture that is resampled at every step dissolves. So the model keeps a picture, the `key`, and of
every pixel the place in it from which it comes, which moves on smoothly (the characteristic mapping
of fluid solvers: Tessendorf and Pelfrey, 2011). Pixels that were drawn since are remembered, and
taken from the last picture instead. After `keep` steps the last picture is the new key. A scan is
kept with `FINE` times as many rays, for the same reason.

The model is deterministic. Where several futures are possible, it draws their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.families.base import State
from training.families.latent import model as latent
from training.families.latent.model import even
from training.families.transition import geometry
from training.families.transition.geometry import NOTHING, Lens, Motion

FINE = 8  # rays that are kept for each ray of a scan
FURTHER = 0.1  # unit of the learned part of how near a pixel is, in parts of a metre
GROUND = 0.03  # part of the range of level ground within which a ray is taken to meet it
SAME = 1e-6  # difference of two marks of the same picture
ENDS = 64  # units of the layer that tells reward and end
CLOSE = 0.5  # metres: what a scan shows nearer than this is taken to be so far
PARTS = ("ground", "level", "fan")  # buffers of each scan
SECTORS = 16  # parts of a scan of which the end of a game knows what is nearest


@dataclass(frozen=True)
class Config(latent.Config):
    """Sizes of one `transition` model, and the geometry of its world.

    `lenses` holds of each camera what `geometry.Lens` says, `scanners` of each scan its place and
    the elevations of its rings. `speed` and `turn` name the numbers that tell how the vehicle
    moves: ahead, in metres a second, and to the left, in radians a second.
    """

    sensors: tuple[str, ...] = ()
    lenses: tuple[Lens, ...] = ()
    scanners: tuple[tuple[float, ...], ...] = ()
    speed: str = "speed"
    turn: str = "yaw_rate"
    seconds: float = 0.05  # that a step takes
    wide: int = 256
    keep: int = 8


class Model(latent.Model):
    """The world of a vehicle; see the module's docstring.

    Carried beside what `latent` carries: `key`, a picture [B, 3, cameras * H, W]; `source`, the
    place in it of every pixel, along its width and height, -1..1, and how much of the pixel was
    drawn since [B, 3, cameras * H, W]; `age`, the steps since the key was seen, [B, 1]; `marks`,
    numbers that tell the last picture and scans from others, [B, 1 + scans]; and each scan by its
    name with `rays_` before it, in level metres, without the ground, [B, rings, FINE * columns].
    """

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, d = config, config.detail
        told = self.outcome.in_features
        known = 2 * self.numbers + c.actions + c.chance + latent.TENTS * self.numbers
        # Of any two of sensors and actions: a turn is a speed times an angle.
        single = len(c.sensor_low) + c.actions
        self.pairs = nn.Buffer(torch.triu_indices(single, single), persistent=False)
        known += self.pairs.shape[1]
        self.change = nn.Sequential(
            nn.Linear(known, c.wide), nn.SiLU(), nn.Linear(c.wide, c.wide), nn.SiLU(),
            nn.Linear(c.wide, self.numbers),
        )  # fmt: skip
        del self.outcome
        # Of each pixel: how much further along the columns and rows it was, and how near it is.
        self.move = nn.Conv2d(d, 3 * self.side**2, 1)
        self.ranged = [scan for scan in self.scans if scan[1] == "scan"]
        self.seen = nn.Sequential(
            nn.Linear(told + SECTORS * len(self.ranged), ENDS), nn.SiLU(), nn.Linear(ENDS, 2)
        )
        for last in (self.change[-1], self.move, self.seen[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.moves = c.sensors.index(c.speed), c.sensors.index(c.turn)
        # The metres that the vehicle's origin is ahead of the point that goes where it heads.
        self.pivot = nn.Parameter(torch.zeros(()))
        self.mark_frame = nn.Buffer(_ramp(c.cameras, 3, c.height, c.width), persistent=False)
        rays = [geometry.rays(lens, c.height, c.width) for lens in c.lenses]
        near = [geometry.nearness(ray, lens) for ray, lens in zip(rays, c.lenses, strict=True)]
        self.rays = nn.Buffer(torch.stack(rays), persistent=False)
        self.near = nn.Buffer(torch.stack(near), persistent=False)
        self.places = nn.Buffer(torch.tensor([x[3:6] for x in c.lenses]), persistent=False)
        first = c.height * torch.arange(c.cameras).float()
        self.first = nn.Buffer(first[:, None, None], persistent=False)
        place = torch.meshgrid(
            torch.arange(c.width), torch.arange(c.cameras * c.height), indexing="xy"
        )
        columns, rows = (part.float() for part in place)
        self.place_of = nn.Buffer(self._placed(columns, rows, 0), persistent=False)
        for (name, _, shape, _, high), scanner in zip(self.ranged, c.scanners, strict=True):
            up = torch.tensor(scanner[3:])
            ground = scanner[2] / torch.sin(-up).clamp_min(1e-6)
            ground = torch.where(ground < high, ground, NOTHING)[:, None]
            self.register_buffer(f"ground_{name}", ground, persistent=False)
            self.register_buffer(f"level_{name}", torch.cos(up)[:, None], persistent=False)
            self.register_buffer(f"mark_{name}", _ramp(*shape) / high, persistent=False)
            self.register_buffer(f"fan_{name}", geometry.fan(FINE * shape[1]), persistent=False)
            rays_of = [geometry.ray_of(ray, up, FINE * shape[1]) for ray in rays]
            self.register_buffer(f"rays_of_{name}", torch.stack(rays_of), persistent=False)

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: nothing of it is known to be its own."""
        c, frame = self.config, shown["frame"]
        b, where, size = len(frame), frame.device, (c.cameras * c.height, c.width)
        carried = {
            "key": torch.zeros(b, 3, *size, device=where),
            "source": torch.zeros(b, 3, *size, device=where),
            "age": torch.zeros(b, 1, device=where),
            "marks": torch.full((b, 1 + len(self.ranged)), -1.0, device=where),
        }
        for name, _, (rings, columns), *_ in self.ranged:
            carried[f"rays_{name}"] = torch.zeros(b, rings, FINE * columns, device=where)
        return super().initial(shown) | carried

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        frame, after, out = super().step(state, action, chance)
        # The picture is known again by what is shown of it.
        mark = _mark(self.opened(frame), self.mark_frame)
        marks = torch.cat([mark[:, None], after["marks"][:, 1:]], 1)
        return frame, after | {"marks": marks}, out

    def advance(self, seen: State, action: Tensor, chance: Tensor) -> tuple[State, State]:
        """Advance one tick on float pictures; see `latent`."""
        values, known, given = self._known(seen, action, chance)
        cells, fine = self._cells_of(seen)
        x = self.mix(torch.cat([cells + self.place, seen["latent"]], 1))
        shifts = self.told(torch.cat([known, self.summary(x)], 1))[:, :, None, None]
        for block, shift in zip(self.blocks, shifts.chunk(self.config.blocks, 1), strict=True):
            x = x + block(torch.relu(even(x) + shift))
        x = torch.relu(even(x))
        fresh = torch.sigmoid(self.keep(x))
        summary = self.summary(x)
        heads = self.heads(torch.cat([known, summary], 1))
        now = values + (self._change(known, given) + self.tick * heads[:, 2:]) * self.unit
        now = torch.minimum(torch.maximum(now, self.low), self.low + self.span)

        after = self._parted(now) | {
            "latent": seen["latent"] + fresh * (torch.tanh(self.new(x)) - seen["latent"]),
            "before": torch.cat([values, torch.ones_like(values[:, :1])], 1),
        }
        motion = self._motion(after)
        # What it did not make itself was seen: it begins anew with that.
        own = (self._marks(seen) - seen["marks"]).abs() < SAME
        scans, told = self._scans(seen, own[:, 1:], x, motion)
        after |= scans
        after |= self._pictures(seen, own[:, :1], fine, x, after, motion)
        after["marks"] = self._marks(after)
        near = [
            F.adaptive_max_pool1d(1 / (1 + after[f"rays_{name}"].amin(1)), SECTORS)
            for name, *_ in self.ranged
        ]
        outcome = torch.cat([torch.cat([self.tents(now), *near], 1).detach(), summary], 1)
        outcome = self.seen(outcome) + heads[:, :2]
        return after, told | {"reward": outcome[:, 0], "ends": outcome[:, 1]}

    def alone(self, values: Tensor, before: Tensor, action: Tensor, chance: Tensor) -> Tensor:
        """Return the next numbers as they follow from the last ones alone, [B, numbers]."""
        given = self.given(values, action, chance)
        known = torch.cat([given, self.tents(values), self.speeds(values, before)], 1)
        return values + self._change(known, given) * self.unit

    def kernels(self) -> list[nn.Parameter]:
        """Return the weights that Muon trains: also those of the layers of numbers."""
        hidden = [layer.weight for layer in [*self.change][:-1] if isinstance(layer, nn.Linear)]
        return super().kernels() + hidden  # type: ignore[operator]

    def _change(self, known: Tensor, given: Tensor) -> Tensor:
        linear = F.linear(given, self.forecast[:, :-1], self.forecast[:, -1])
        count, at = len(self.config.sensor_low), self.numbers
        each = [2 * given[:, :count] - 1, given[:, at : at + self.config.actions]]
        first, second = (torch.cat(each, 1)[:, some] for some in self.pairs)
        more: Tensor = self.change(torch.cat([known, first * second], 1))
        return linear + self.tick * more

    def _marks(self, seen: State) -> Tensor:
        marks = [_mark(seen["frame"], self.mark_frame)]
        marks += [_mark(seen[name], self.get_buffer(f"mark_{name}")) for name, *_ in self.ranged]
        return torch.stack(marks, 1)

    def _known(self, seen: State, action: Tensor, chance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return all numbers, what every cell knows of them, and what the forecast gets."""
        numbers = [seen["sensors"], *(seen[name].flatten(1) for name, *_ in self.paths)]
        values = torch.cat(numbers, 1)
        given = self.given(values, action, chance)
        known = torch.cat([given, self.tents(values)], 1)
        if self.numbers:
            known = torch.cat([known, self.speeds(values, seen["before"])], 1)
        return values, known, given

    def _cells_of(self, seen: State) -> tuple[Tensor, Tensor]:
        """Encode pictures and scans: all cells side by side, and half cells."""
        c, b = self.config, len(seen["frame"])
        fine = F.pixel_unshuffle(seen["frame"].flatten(0, 1) - 0.5, self.side)
        fine = torch.relu(self.look_near(torch.relu(self.look(fine))))
        cells: Tensor = self.gather(F.pixel_unshuffle(fine, 2))
        sides = [cells.reshape(b, c.cameras, *cells.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)]
        for name, kind, shape, low, high in self.scans:
            scaled = torch.stack(self._scaled(seen[name], kind, shape, low, high), 1)
            packed = self._pack(scaled - 0.5, self.scan_cells[name])
            sides.append(self.scan_in[name](packed))
        return torch.cat(sides, 3), fine

    def _wide_of(self, x: Tensor, fine: Tensor) -> Tensor:
        """Return what is known of each half cell of the next pictures."""
        c = self.config
        drawn = x[..., : c.cameras * self.columns]
        drawn = drawn.reshape(*drawn.shape[:3], c.cameras, self.columns)
        drawn = drawn.permute(0, 3, 1, 2, 4).flatten(0, 1)
        wide = torch.relu(F.pixel_shuffle(self.spread(drawn), 2))
        return torch.relu(self.draw_near(torch.cat([wide, fine], 1)))

    def _parted(self, values: Tensor) -> State:
        """Return all numbers as the sensors and each path."""
        count = len(self.config.sensor_low)
        parts = {"sensors": values[:, :count]}
        for name, shape, *_ in self.paths:
            size = math.prod(shape)
            parts[name] = values[:, count : count + size].reshape(-1, *shape)
            count += size
        return parts

    def _motion(self, after: State) -> Motion:
        """Return how the vehicle moves in the step that leads to numbers."""
        ahead, turn = (after["sensors"][:, i] * self.config.seconds for i in self.moves)
        (half, half_sine), (cosine, sine) = (geometry.small_turn(part) for part in (turn / 2, turn))
        return ahead * half + self.pivot * (cosine - 1), ahead * half_sine + self.pivot * sine, turn

    def _pictures(
        self, seen: State, own: Tensor, fine: Tensor, x: Tensor, after: State, motion: Motion
    ) -> State:
        """Return the next picture: fetched from where it was, and drawn where it was nowhere."""
        c, b = self.config, len(x)
        wide = self._wide_of(x, fine)
        canvas = (b, c.cameras, -1, c.height, c.width)
        new = F.pixel_shuffle(self.draw(wide), self.side).reshape(canvas)
        more = F.pixel_shuffle(self.move(wide), self.side).reshape(canvas)
        before = seen["frame"].transpose(1, 2).flatten(2, 3)
        keeps = own & (seen["age"] < c.keep)
        key = torch.where(keeps[:, :, None, None], seen["key"], before)
        fresh = torch.cat([self.place_of, torch.zeros_like(self.place_of[:1])])
        source = torch.where(keeps[:, :, None, None], seen["source"], fresh)

        near = self._near(after) + FURTHER * more[:, :, 2]
        column, row, unseen = (part.flatten(1, 2) for part in self._from(more, near, motion))
        # Whose view each pixel of the last picture came from.
        rows = c.cameras * c.height
        view = torch.floor((source[:, 1:2] + 1) * ((rows - 1) / 2 / c.height) + 1e-3)
        last = self._fetched(torch.cat([before, source, view], 1), self._placed(column, row))
        first = 2 * c.height / (rows - 1) * last[:, 6].round() - 1
        high = torch.maximum(last[:, 4], first)
        high = torch.minimum(high, first + 2 * (c.height - 1) / (rows - 1))
        at = torch.stack([last[:, 3].clamp(-1.0, 1.0), high], 1)
        moved = self._fetched(key, at)
        # Between pixels of two views there is no place.
        torn = (4 * (last[:, 6] - last[:, 6].round()).abs()).clamp(max=1.0)
        drawn = torch.maximum(torch.maximum(last[:, 5], unseen), torn)[:, None]
        picture = moved + drawn * (last[:, :3] - moved)
        new = new.transpose(1, 2).flatten(2, 3)
        fades = torch.sigmoid(new[:, 3:] - latent.STILL)
        picture = (picture + fades * (latent.GREY + new[:, :3] - picture)).clamp(0, 1)
        drawn = drawn + fades * (1 - drawn)
        frame = picture.reshape(b, 3, c.cameras, c.height, c.width).transpose(1, 2)
        return {
            "frame": frame, "key": key, "source": torch.cat([at, drawn], 1),
            "age": torch.where(keeps, seen["age"], 0.0) + 1,
        }  # fmt: skip

    def _near(self, after: State) -> Tensor:
        """Return how near what pixels see is, as far as the ground and scans tell.

        In parts of a metre along the camera's axis, [B, cameras, H, W].
        """
        near = self.near.expand(len(after["sensors"]), *self.near.shape)
        along = torch.sqrt(self.rays[:, 0] ** 2 + self.rays[:, 1] ** 2)
        for (name, *_), scanner in zip(self.ranged, self.config.scanners, strict=True):
            seen, there = [], {}
            for k, lens in enumerate(self.config.lenses):
                place = lens[3] - scanner[0], lens[4] - scanner[1]
                if place not in there:  # What the scan would be from the camera's place.
                    zero = torch.zeros_like(after["sensors"][:, 0])
                    moved = (zero + place[0], zero + place[1], zero)
                    rays = after[f"rays_{name}"].detach()
                    fan = self.get_buffer(f"fan_{name}")
                    there[place] = geometry.moved_scan(rays, fan, moved, (0.0, 0.0)).flatten(1)
                seen.append(there[place][:, self.get_buffer(f"rays_of_{name}")[k]])
            metres = torch.stack(seen, 1)
            found = torch.where(metres < NOTHING, along / metres.clamp_min(CLOSE), 0.0)
            near = torch.maximum(near, found)
        return near

    def _from(self, more: Tensor, near: Tensor, motion: Motion) -> tuple[Tensor, Tensor, Tensor]:
        """Return the column and row on the canvas from which pixels come; and which come from none.

        Each [B, cameras, H, W]. A pixel is sought in its own camera's view, then in the others'.
        `more` [B, cameras, 3, H, W] is what is learned.
        """
        c = self.config
        points = geometry.before(self.rays, self.places, near, motion)
        own = [
            geometry.seen_by(points[:, k : k + 1], near[:, k : k + 1], lens)
            for k, lens in enumerate(c.lenses)
        ]
        column, row, found = (torch.cat([view[i] for view in own], 1) for i in range(3))
        first = self.first.expand_as(row)  # the row at which a camera's view begins on the canvas
        # What another camera saw is fetched from there; it teaches nothing about how near it is.
        points, near = points.detach(), near.detach()
        for k, lens in enumerate(c.lenses):
            u, v, inside = geometry.seen_by(points, near, lens)
            takes = inside & ~found
            column, row = torch.where(takes, u, column), torch.where(takes, v, row)
            first = torch.where(takes, torch.full_like(first, k * c.height), first)
            found = found | takes
        column = (column + more[:, :, 0]).clamp(0.0, c.width - 1.0)
        row = (row + more[:, :, 1]).clamp(0.0, c.height - 1.0) + first
        return column, row, (~found).float()

    def _scans(self, seen: State, own: Tensor, x: Tensor, motion: Motion) -> tuple[State, State]:
        """Return the next range images, with the rays that are kept; and log odds of returns."""
        after: State = {}
        told: State = {}
        at = self.config.cameras * self.columns
        for name, kind, shape, low, high in self.scans:
            part = x[..., at : at + self._wide(shape)]
            at += self._wide(shape)
            more = self._unpack(self.scan_out[name](part), self.scan_cells[name], shape)
            more = more * more.new_tensor([[[[self.pace[name]]], [[1.0]]]])
            if kind == "scan":
                made, told[name] = self._scan(name, high, seen, own, more, motion)
                after |= made
                continue
            value, hit = self._scaled(seen[name], kind, shape, low, high)
            made_field, odds = self._ranged(value, hit, more, kind, low, high)
            after[name], told[name] = (one.reshape(-1, *shape) for one in (made_field, odds))
        return after, told

    def _scan(
        self, name: str, high: float, seen: State, own: Tensor, more: Tensor, motion: Motion
    ) -> tuple[State, Tensor]:
        """Return the next range image and the rays that are kept of it: moved, then corrected."""
        at = [scan[0] for scan in self.ranged].index(name)
        ground, level, fan = (self.get_buffer(f"{part}_{name}") for part in PARTS)
        value = seen[name]
        stands = (value > 0) & ((value - ground).abs() > GROUND * ground)
        shown = _fine(torch.where(stands, value * level, NOTHING))
        rays = torch.where(own[:, at, None, None], seen[f"rays_{name}"], shown)
        x, y = self.config.scanners[at][:2]
        rays = geometry.moved_scan(rays, fan, motion, (x, y))

        thing = rays[..., FINE // 2 :: FINE] / level
        metres = torch.minimum(thing, ground.expand_as(thing))
        hit = (metres <= high).float()
        made, odds = self._ranged(hit * metres / high, hit, more, "scan", 0.0, high)
        back, stands = odds > 0, (thing < ground) & (thing <= high)
        off = made - hit * metres
        rays = torch.where(_fine(stands & back), rays + _fine(off * level), rays)
        new = back & ~stands & ((made - ground).abs() > GROUND * ground)
        rays = torch.where(_fine(new), _fine(made * level), rays)
        rays = torch.where(_fine(stands & ~back), NOTHING, rays)
        return {name: made, f"rays_{name}": rays.clamp(0.0, NOTHING)}, odds

    def _placed(self, column: Tensor, row: Tensor, axis: int = 1) -> Tensor:
        """Return places on the canvas in parts of it, -1..1, along one more axis."""
        wide, high = self.config.width - 1, self.config.cameras * self.config.height - 1
        return torch.stack([column * (2 / wide) - 1, row * (2 / high) - 1], axis)

    def _fetched(self, canvas: Tensor, places: Tensor) -> Tensor:
        """Return what a canvas [B, C, R, W] shows at places between its pixels, [B, 2, R, W]."""
        grid = places.permute(0, 2, 3, 1)
        return F.grid_sample(canvas, grid, padding_mode="border", align_corners=True)


def _ramp(*shape: int) -> Tensor:
    """Return weights 0..1 of a picture or scan, each different, in no order."""
    golden = (5**0.5 - 1) / 2
    return (torch.arange(math.prod(shape)) * golden % 1).reshape(shape)


def _mark(seen: Tensor, weights: Tensor) -> Tensor:
    """Return a number that tells an observation from others, [B].

    One axis after the other: a single sum of all values has too few digits in some runtimes.
    """
    mark = seen * weights
    while mark.dim() > 1:
        mark = mark.mean(-1)
    return mark


def _fine(rays: Tensor) -> Tensor:
    """Return each ray `FINE` times: [..., columns] -> [..., FINE * columns]."""
    return rays[..., None].expand(*rays.shape, FINE).flatten(-2)
