"""What is kept of an environment's step: one frame, and numbers of what it observes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces

from sims.contract import Array, Sensor
from sims.errors import UserError
from training.data.environment.labels import unlike
from training.data.foreign.frames import fitted
from training.environment_recipe import SIDE, Gym

NUMBERS = 1024  # most numbers of one part of an observation
TAKEN = {"state", "images"}  # `observation.state` is made of all sensors
SINGLE = 12  # up to so many numbers are a sensor each, with a gauge


class Broken(Exception):
    """What an environment gave can't be recorded; the game is dropped."""


@dataclass(frozen=True)
class Part:
    """One part of an observation, as numbers: its path in it, and the names of its sensors."""

    path: tuple[Any, ...]
    names: tuple[str, ...]
    space: spaces.Space[Any]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.space.shape or ())


def is_picture(space: spaces.Space[Any]) -> bool:
    """Return whether a space is that of images, gray or RGB."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and (len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in (1, 3)))
    )


def parts(space: spaces.Space[Any], asked: Sequence[str] = ()) -> tuple[list[Part], list[str]]:
    """Return the parts of an observation that are numbers, and the names of the other parts.

    `asked` names the numbers that are a sensor each; UserError if there are more or fewer.
    """
    found, left_out = _parts(space)
    single = [name for part in found for name in part.names if part.size == len(part.names)]
    if not asked:
        return found, left_out
    if len(asked) != len(single) or len(set(asked) - TAKEN) != len(asked):
        raise UserError(
            f"gym.names lists {len(asked)} names, and {len(single)} numbers are observed one by "
            f"one: {', '.join(single) or 'none'}. Run: give each a name of its own, or none"
        )
    taken = set(TAKEN)
    names = dict(zip(single, (unlike(name, taken) for name in asked), strict=True))
    return [
        replace(part, names=tuple(names.get(name, name) for name in part.names)) for part in found
    ], left_out


def _parts(space: spaces.Space[Any]) -> tuple[list[Part], list[str]]:
    found: list[Part] = []
    left_out: list[str] = []
    taken = set(TAKEN)
    for path, one in _leaves(space, ()):
        name = "_".join(map(str, path)) or "observation"
        numeric = isinstance(
            one, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
        )
        shape = one.shape or ()
        if not numeric or is_picture(one) or len(shape) > 2 or not 1 <= math.prod(shape) <= NUMBERS:
            left_out.append(name)
            continue
        count = math.prod(shape)
        label = name if path else "obs"
        whole = count == 1 or count > SINGLE
        names = [
            unlike(label if whole else f"{label}_{i}", taken) for i in range(1 if whole else count)
        ]
        found.append(Part(path, tuple(names), one))
    return found, left_out


def _leaves(
    space: spaces.Space[Any], path: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], spaces.Space[Any]]]:
    if isinstance(space, spaces.Dict):
        for key, one in space.spaces.items():
            yield from _leaves(one, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for i, one in enumerate(space.spaces):
            yield from _leaves(one, (*path, i))
    else:
        yield path, space


class Vectors:
    """The numbers of an observation and of `info` that a recipe asks for, by sensor."""

    def __init__(self, gym: Gym, space: spaces.Space[Any]) -> None:
        self.parts, self.left_out = parts(space, gym.names) if gym.vectors else ([], [])
        taken = TAKEN.union(name for part in self.parts for name in part.names)
        self.info = {unlike(key, taken): key for key in gym.info}

    @property
    def measured(self) -> bool:
        """Whether all are places, speeds and the like: of kinds, near numbers are not alike."""
        return all(np.issubdtype(part.space.dtype, np.floating) for part in self.parts)

    def read(self, observation: Any, info: Mapping[str, Any], first: bool) -> dict[str, Array]:
        """Return float32 by sensor; Broken for NaN, and for what `info` lacks after a step."""
        found: dict[str, Array] = {}
        for part in self.parts:
            value = observation
            try:
                for key in part.path:
                    value = value[key]
                values = np.asarray(value, np.float32).ravel()
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise Broken(f"its observation is not of its space ({error!r})") from error
            if values.size != part.size:
                raise Broken(
                    f"its observation has {values.size} numbers, and its space {part.size}"
                )
            if len(part.names) == 1:
                found[part.names[0]] = values
            else:
                found |= {name: values[i : i + 1] for i, name in enumerate(part.names)}
        for name, key in self.info.items():
            value = info.get(key)
            if value is None and not first:
                known = ", ".join(sorted(map(str, info))) or "nothing"
                raise UserError(
                    f"gym.info names {key!r}, and its info holds {known}. "
                    "Run: mend that file, then the same command again"
                )
            try:  # Many environments tell nothing at the start.
                found[name] = np.asarray([0.0 if value is None else float(value)], np.float32)
            except (TypeError, ValueError):
                raise UserError(
                    f"gym.info names {key!r}, which is no number but {type(value).__name__}. "
                    "Run: mend that file, then the same command again"
                ) from None
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise Broken(f"its observation holds NaN or an infinity ({name})")
        return found

    def sensors(self, low: Mapping[str, Array], high: Mapping[str, Array]) -> tuple[Sensor, ...]:
        """Return the sensors; ranges are those of the spaces, or those that were seen."""
        made = []
        for part in self.parts:
            bounds = _bounds(part.space)
            for i, name in enumerate(part.names):
                size = part.size if len(part.names) == 1 else 1
                seen = float(low[name].min()), float(high[name].max())
                mine = slice(i, i + 1) if len(part.names) > 1 else slice(None)
                told = float(bounds[0][mine].min()), float(bounds[1][mine].max())
                wide = not all(abs(v) < 1e6 for v in told)
                span = _rounded(*seen) if wide else told
                span = span if span[0] < span[1] else (span[0] - 0.5, span[0] + 0.5)
                show = "gauge" if size == 1 else ""
                where = ".".join(map(str, part.path))
                said = f"{where or 'the observation'} of the environment" + (
                    f", number {i}" if len(part.names) > 1 else ""
                )
                made.append(Sensor(name, (size,), "float32", "", *span, said, show))
        for name, key in self.info.items():
            span = _rounded(float(low[name].min()), float(high[name].max()))
            made.append(Sensor(name, (1,), "float32", "", *span, f"info[{key!r}]", "gauge"))
        return tuple(made)


def _bounds(space: spaces.Space[Any]) -> tuple[Array, Array]:
    if isinstance(space, spaces.Box):
        return space.low.ravel().astype(float), space.high.ravel().astype(float)
    if isinstance(space, spaces.Discrete):
        return np.array([space.start]), np.array([space.start + space.n - 1])
    if isinstance(space, spaces.MultiDiscrete):
        return space.start.ravel(), (space.start + space.nvec - 1).ravel()
    size = math.prod(space.shape or ())
    return np.zeros(size), np.ones(size)


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Return a range of short numbers around another, so that it is the same everywhere."""
    span = max(high - low, 1e-3 * max(abs(low), abs(high), 1.0))
    unit = float(10 ** math.floor(math.log10(span)) / 2)
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


class Frames:
    """The frame of each step, cropped and scaled as the recipe says."""

    def __init__(self, gym: Gym, space: spaces.Space[Any]) -> None:
        self.gym = gym
        self.there: tuple[int, int] | None = None
        self.size = (0, 0)
        self.path: tuple[Any, ...] | None = None
        self.last: Array = np.zeros((0, 0, 3), np.uint8)  # the whole frame that was read last
        if gym.frames != "render":
            pictures = {("_".join(map(str, path)) or "observation"): path
                        for path, one in _leaves(space, ()) if is_picture(one)}  # fmt: skip
            if gym.frames not in pictures:
                known = ", ".join(["render", *pictures])
                raise UserError(
                    f"gym.frames is {gym.frames!r}, and no image of that name is observed; it can "
                    f"be {known}. Run: mend that file, then the same command again"
                )
            self.path = pictures[gym.frames]

    def whole(self, env: Any, observation: Any) -> Array:
        """Return the whole frame, uint8 [H, W, 3]; UserError where there is none."""
        if self.path is None:
            frame, what = env.render(), "render()"
        else:
            frame, what = observation, "its observation"
            for key in self.path:
                frame = frame[key]
        if frame is None:
            raise UserError(
                "its render() gives no frame, with render_mode='rgb_array'. Run: give it one, or "
                "name an image of its observation as gym.frames"
            )
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.shape[2:] not in (
            (), (1,), (3,), (4,)
        ):  # fmt: skip
            raise UserError(
                f"{what} gives {frame.dtype} {list(frame.shape)}, which is no picture: uint8 "
                "[height, width, 3]. Run: mend it, then the same command again"
            )
        if frame.ndim == 2 or frame.shape[2] == 1:
            frame = np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)
        return frame[..., :3]

    def read(self, env: Any, observation: Any) -> Array:
        """Return the frame as it is learned; UserError if it is of another size than the first."""
        frame = self.whole(env, observation)
        if self.there is None:
            self._settle(frame.shape[0], frame.shape[1])
        elif frame.shape[:2] != self.there:
            had, now = (f"{w} x {h}" for h, w in (self.there, frame.shape[:2]))
            raise UserError(
                f"its frames change size, from {had} to {now} pixels; a world's frames have one. "
                "Run: make it draw one size, or name an image of its observation as gym.frames"
            )
        self.last = self.cropped(frame)
        return self.small(self.last)

    def _settle(self, height: int, width: int) -> None:
        self.there = height, width
        if crop := self.gym.crop:
            top, left, height, width = crop
            if top + height > self.there[0] or left + width > self.there[1] or not height * width:
                raise UserError(
                    f"gym.crop is {crop}, and the frame is {self.there[1]} x {self.there[0]} "
                    "pixels. Run: mend that file, then the same command again"
                )
        self.size = tuple(self.gym.size) or fitted(height, width, SIDE)  # type: ignore[assignment]

    def cropped(self, frame: Array) -> Array:
        """Return the part of a frame that is kept."""
        top, left, height, width = self.gym.crop or (0, 0, *frame.shape[:2])
        return frame[top : top + height, left : left + width]

    def small(self, frame: Array) -> Array:
        """Scale one frame."""
        from PIL import Image

        if frame.shape[:2] == self.size:
            return np.ascontiguousarray(frame)
        how = Image.Resampling.BOX if self.gym.scaling == "area" else Image.Resampling.NEAREST
        image = Image.fromarray(np.ascontiguousarray(frame)).resize(self.size[::-1], how)
        return np.asarray(image, np.uint8)
