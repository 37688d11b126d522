"""`transition`: a vehicle moves, and what it sees follows from that; the rest is learned.

Built on `latent`: the same encoders, memory, gate and layers of numbers, which lead here. Two of
these numbers tell how the vehicle moves. With the geometry of its sensors, which the spec
tells, every pixel and every ray of a scan is then fetched from where it was before, also out of
another camera's view. The model only learns how near each pixel is (level ground is known), as
depth is learned from the motion of a camera (Zhou et al., 2017, arXiv:1704.07813), and what moves
by itself.

So that nothing blurs, a picture and a scan are kept, and fetched from for some steps: `picture.py`
and `scan.py`. Pixels that were drawn since are remembered, and taken from the last picture instead.
So that the vehicle and its route do not part, the road is kept too: `road.py`.

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
from training.families.latent import ranges
from training.families.latent.model import Inside
from training.families.transition import geometry
from training.families.transition.geometry import NOTHING, Lens, Motion
from training.families.transition.picture import KeptPicture
from training.families.transition.road import KeptRoad
from training.families.transition.scan import KeptScan, mark, ramp

FURTHER = 0.1  # unit of the learned part of how near a pixel is, in parts of a metre
SAME = 1e-6  # difference of two marks of the same picture
ENDS = 64  # units of the layer that tells reward and end
CLOSE = 0.5  # metres: what a scan shows nearer than this is taken to be so far
SECTORS = 16  # parts of a scan of which the end of a game knows what is nearest


@dataclass(frozen=True)
class Config(latent.Config):
    """Sizes of one `transition` model, and the geometry of its world.

    `lenses` holds of each camera what `geometry.Lens` says, `scanners` of each scan its place and
    the elevations of its rings. `speed` and `turn` name the numbers that tell how the vehicle
    moves: ahead, in metres a second, and to the left, in radians a second. `route` names the path
    of the next points of its route, `offset` and `heading` the numbers that tell how far it is to
    the left of the route, in metres, and where it heads, in radians. These points are `spacing`
    metres apart; 0 where the world has no such route. Of each pair of `rates`, the first number
    tells how fast the second one changed in the last step.
    """

    sensors: tuple[str, ...] = ()
    lenses: tuple[Lens, ...] = ()
    scanners: tuple[tuple[float, ...], ...] = ()
    speed: str = "speed"
    turn: str = "yaw_rate"
    route: str = "waypoints"
    offset: str = "lateral_offset"
    heading: str = "heading_error"
    spacing: float = 0.0
    rates: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.05  # that a step takes
    keep: int = 8


class Model(latent.Model):
    """The world of a vehicle; see the module's docstring.

    Carried beside what `latent` carries: what `KeptPicture` and `KeptRoad` keep; `marks`, numbers
    that tell the last picture and scans from others, [B, 1 + scans]; and each scan's kept rays by
    its name with `rays_` before it.
    """

    config: Config
    routed: Tensor  # the numbers that the road tells: offset, heading, points
    order: Tensor  # where each number is among all that were led on, then those that the road tells

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, d = config, config.detail
        told = self.outcome.in_features
        del self.outcome
        # Of each pixel: how much further along the columns and rows it was, and how near it is.
        self.move = nn.Conv2d(d, 3 * self.side**2, 1)
        for name, (rows, columns) in self.scan_cells.items():
            self.scan_out[name] = nn.Conv2d(c.channels, 2 * rows * columns, 1)
        ranged = [scan for scan in self.scans if scan[1] == "scan"]
        self.seen = nn.Sequential(
            nn.Linear(told + SECTORS * len(ranged), ENDS), nn.SiLU(), nn.Linear(ENDS, 2)
        )
        for last in (self.move, self.seen[-1], *self.scan_out.values()):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.moves = c.sensors.index(c.speed), c.sensors.index(c.turn)
        # The metres that the vehicle's origin is ahead of the point that goes where it heads.
        self.pivot = nn.Parameter(torch.zeros(()))
        self.mark_frame = nn.Buffer(ramp(c.cameras, 3, c.height, c.width), persistent=False)
        self.picture = KeptPicture(c.lenses, c.height, c.width, c.keep)
        self.kept: dict[str, KeptScan] = {}
        for (name, _, shape, _, high), scanner in zip(ranged, c.scanners, strict=True):
            self.kept[name] = KeptScan(shape, high, scanner, [*self.picture.rays])
            self.add_module(f"kept_{name}", self.kept[name])
        self.road = self._road() if c.spacing else None

    def _road(self) -> KeptRoad:
        """Make what keeps the road, and note where what it tells is among all numbers."""
        c, at = self.config, len(self.config.sensor_low)
        for name, shape, *_ in self.paths:
            size = math.prod(shape)
            if name == c.route:
                break
            at += size
        routed = [c.sensors.index(c.offset), c.sensors.index(c.heading), *range(at, at + size)]
        order = torch.arange(self.numbers)
        order[routed] = self.numbers + torch.arange(len(routed))
        self.routed = nn.Buffer(torch.tensor(routed), persistent=False)
        self.order = nn.Buffer(order, persistent=False)
        return KeptRoad(size // 2, c.spacing, 2 * c.channels)

    def initial(self, shown: State) -> State:
        """Return the state that starts a game: nothing of it is known to be its own."""
        b, where = len(shown["frame"]), shown["frame"].device
        carried = self.picture.blank(b, where)
        carried["marks"] = torch.full((b, 1 + len(self.kept)), -1.0, device=where)
        if self.road is not None:
            carried |= self.road.blank(b, where)
        return super().initial(shown) | carried

    def scans_kept(self, shown: State) -> State:
        """Return the rays that are kept of each scan: none yet."""
        frame = shown["frame"]
        return {
            f"rays_{name}": torch.zeros(
                len(frame), len(scan.level), scan.fan.shape[1], device=frame.device
            )
            for name, scan in self.kept.items()
        }

    def step(
        self, state: State, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Advance one tick: (frame uint8, next state, {"reward", "terminated"} float32 [B])."""
        frame, after, out = super().step(state, action, chance)
        # The picture is known again by what is shown of it.
        marks = mark(self.opened(frame), self.mark_frame)
        marks = torch.cat([marks[:, None], after["marks"][:, 1:]], 1)
        return frame, after | {"marks": marks}, out

    def advance(self, seen: State, action: Tensor, chance: Tensor) -> tuple[State, State]:
        """Advance one tick on float pictures; see `latent`."""
        after, numbers, inside = self.lead(seen, action, chance)
        motion = self._motion(numbers)
        # What it did not make itself was seen: it begins anew with that.
        own = (self._marks(seen) - seen["marks"]).abs() < SAME
        scans, told = self._scans(seen, own, self.corrections(inside.cells), motion)
        after |= scans
        after |= self._pictures(seen, own, self.wide(inside), after, motion)
        after["marks"] = self._marks(after)
        near = [
            F.adaptive_max_pool1d(1 / (1 + after[f"rays_{name}"].amin(1)), SECTORS)
            for name in self.kept
        ]
        outcome = torch.cat([self.tents(numbers), *near], 1).detach()
        outcome = self.seen(torch.cat([outcome, inside.summary], 1)) + inside.heads[:, :2]
        return after, told | {"reward": outcome[:, 0], "ends": outcome[:, 1]}

    def lead(self, seen: State, action: Tensor, chance: Tensor) -> tuple[State, Tensor, Inside]:
        """Lead on the memory and all numbers, those of the route by the road; see `latent`."""
        c = self.config
        after, numbers, inside = super().lead(seen, action, chance)
        for rate, of in c.rates:
            change = (after["sensors"][:, of] - seen["sensors"][:, of]).detach() / c.seconds
            change = change.clamp(c.sensor_low[rate], c.sensor_high[rate])[:, None]
            numbers = torch.cat([numbers[:, :rate], change, numbers[:, rate + 1 :]], 1)
        after["sensors"] = numbers[:, : len(c.sensor_low)]
        if self.road is None:
            return after, numbers, inside
        told = torch.cat([seen["sensors"][:, self.routed[:2]], seen[c.route].flatten(1)], 1)
        road, along = self.road.told_by(told)
        own = self.road.own(seen[c.route], seen["road"], seen["along"])
        road = torch.where(own[:, None, None], seen["road"], road)
        along = torch.where(own, seen["along"], along)
        # How it moves is not learned from the road: the far end of that is a guess.
        motion = self._motion(numbers.detach())
        after["road"], after["along"], told = self.road.after(road, along, motion, inside.summary)
        low = self.low[self.routed]
        told = torch.minimum(torch.maximum(told, low), low + self.span[self.routed])
        numbers = torch.cat([numbers, told], 1)[:, self.order]
        after["sensors"] = numbers[:, : len(c.sensor_low)]
        after[c.route] = told[:, 2:].reshape(seen[c.route].shape)
        return after, numbers, inside

    def _marks(self, seen: State) -> Tensor:
        marks = [mark(seen["frame"], self.mark_frame)]
        marks += [mark(seen[name], scan.mark) for name, scan in self.kept.items()]
        return torch.stack(marks, 1)

    def _motion(self, numbers: Tensor) -> Motion:
        """Return how the vehicle moves in the step that leads to numbers."""
        ahead, turn = (numbers[:, i] * self.config.seconds for i in self.moves)
        (half, half_sine), (cosine, sine) = (geometry.small_turn(part) for part in (turn / 2, turn))
        return ahead * half + self.pivot * (cosine - 1), ahead * half_sine + self.pivot * sine, turn

    def _pictures(
        self, seen: State, own: Tensor, wide: Tensor, after: State, motion: Motion
    ) -> State:
        """Return the next picture: fetched from where it was, and drawn where it was nowhere."""
        c, b = self.config, len(own)
        canvas = (b, c.cameras, -1, c.height, c.width)
        new = F.pixel_shuffle(self.draw(wide), self.side).reshape(canvas)
        more = F.pixel_shuffle(self.move(wide), self.side).reshape(canvas)
        near = self._near(after) + FURTHER * more[:, :, 2]
        places = self.picture.before(near, more[:, :, :2], motion)
        picture, drawn, kept = self.picture.fetched(seen, own[:, :1], places)
        new = new.transpose(1, 2).flatten(2, 3)
        fades = torch.sigmoid(new[:, 3:] - latent.STILL)
        picture = (picture + fades * (latent.GREY + new[:, :3] - picture)).clamp(0, 1)
        drawn = drawn + fades * (1 - drawn)
        frame = picture.reshape(b, 3, c.cameras, c.height, c.width).transpose(1, 2)
        return kept | {"frame": frame, "source": torch.cat([kept["source"], drawn], 1)}

    def _near(self, after: State) -> Tensor:
        """Return how near what pixels see is, as far as the ground and scans tell.

        In parts of a metre along the camera's axis, [B, cameras, H, W].
        """
        rays = self.picture.rays
        near = self.picture.near.expand(len(after["sensors"]), *self.picture.near.shape)
        along = torch.sqrt(rays[:, 0] ** 2 + rays[:, 1] ** 2)
        for name, scan in self.kept.items():
            metres = scan.seen_from(after[f"rays_{name}"].detach(), self.config.lenses)
            found = torch.where(metres < NOTHING, along / metres.clamp_min(CLOSE), 0.0)
            near = torch.maximum(near, found)
        return near

    def _scans(self, seen: State, own: Tensor, more: State, motion: Motion) -> tuple[State, State]:
        """Return the next range images, with the rays that are kept; and log odds of returns."""
        after: State = {}
        told: State = {}
        order = [*self.kept]
        for name, kind, shape, low, high in self.scans:
            if name in self.kept:
                mine, rays = own[:, 1 + order.index(name)], seen[f"rays_{name}"]
                after[name], after[f"rays_{name}"], told[name] = self.kept[name].after(
                    seen[name], rays, mine, more[name], motion
                )
                continue
            value, hit = ranges.scaled(seen[name], kind, shape, low, high)
            made = ranges.corrected(value, hit, more[name], kind, low, high)
            after[name], told[name] = (one.reshape(-1, *shape) for one in made)
        return after, told
