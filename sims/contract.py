"""What every sim is: a `Spec` that names its parts, and a batched `Sim` that plays it.

The rules of determinism (design, section 2): same seed and actions give the same bytes in
CPython and Pyodide. Use + - * / sqrt floor, comparisons and integers; take trigonometry from
`sims.exact`; name int64; draw no random number but through `chance` and `sims.exact.uniform`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Action:
    """One discrete action, with what triggers it in the page.

    `keys` are KeyboardEvent.code values; `touch` labels its button on the touch pad (None: no
    button); `gamepad` holds standard-mapping names such as "dpad-left" or "axis0-".
    """

    name: str
    keys: tuple[str, ...] = ()
    touch: str | None = None
    gamepad: tuple[str, ...] = ()


@dataclass(frozen=True)
class Axis:
    """One continuous control with its range, unit and bindings (for worlds without `actions`).

    `increase` and `decrease` are KeyboardEvent.code values that push it to `high` and `low`, in
    units a second of `pace` (0: at once), and back to `neutral` when they are let go. `gamepad` is
    a standard-mapping name: "axis0" for a stick's whole way ("axis0-": turned round, where left or
    up is `high`), "r2" for a trigger. `touch` labels its buttons on the touch pad, one a direction
    that it has: (decrease, increase).
    """

    name: str
    low: float
    high: float
    unit: str
    neutral: float = 0.0
    increase: tuple[str, ...] = ()
    decrease: tuple[str, ...] = ()
    gamepad: str | None = None
    pace: float = 0.0
    touch: tuple[str, ...] = ()


@dataclass(frozen=True)
class Camera:
    """One view: frames are uint8 [height, width, 3].

    A pinhole camera also tells its optics: `focal` length in pixels (0: a plain screen), its
    principal point is the middle of the frame. It stands at `place`, metres forward, left and up
    of the vehicle's origin on the ground, and looks `yaw` radians to the left of straight ahead
    and `pitch` radians up.
    """

    name: str
    height: int
    width: int
    focal: float = 0.0
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """One measured array beside the frame: float32 or integer of `shape`, in `unit`.

    `show` is how the page draws it: "" (not at all), "gauge" (one number on a dial from `low` to
    `high`), "path" (points ahead in metres, [n, 2]: forward and left) or "scan" (a range image in
    metres, [rings, columns], 0 where nothing came back; column k of n looks pi - 2 pi (k + 1/2) / n
    radians to the left, so that straight ahead is its middle; `elevations` are the rings', in
    radians, and it stands at `place` as a camera does). Those of several dimensions are no part of
    what is recorded as `observation.state`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    low: float
    high: float
    meaning: str
    show: str = ""
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    elevations: tuple[float, ...] = ()


@dataclass(frozen=True)
class HudField:
    """One number the page shows beside the stage; `name` is a key of `Sim.hud()`."""

    name: str
    label: str


@dataclass(frozen=True)
class Spec:
    """Name everything the page, the recorder and the model need to know about a sim.

    `chance` names the components of the chance vector, each uniform in [0, 1).
    `events` names the booleans that `Sim.events()` returns for the last step.
    `conditions` are what any scenario may be played under, such as weather: "junction/fog" is the
    scenario "junction" in the condition "fog". A scenario alone leaves the condition to the seed.
    """

    name: str
    title: str
    rate: float
    cameras: tuple[Camera, ...]
    actions: tuple[Action, ...] = ()
    axes: tuple[Axis, ...] = ()
    chance: tuple[str, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    hud: tuple[HudField, ...] = ()
    events: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ("default",)
    conditions: tuple[str, ...] = ()
    behaviours: tuple[str, ...] = ("random",)
    max_steps: int = 10_000

    @property
    def action_size(self) -> int:
        """Length of the model's action vector: one-hot over `actions`, or one value an axis."""
        return len(self.actions) or len(self.axes)

    def has(self, scenario: str) -> bool:
        """Return whether `scenario` is one of the scenarios, alone or with a condition."""
        name, _, condition = scenario.partition("/")
        known = condition in self.conditions if condition else not scenario.endswith("/")
        return name in self.scenarios and known

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values."""
        return asdict(self)


class Sim(ABC):
    """N independent worlds stepped together; world i behaves as it would alone.

    `self.state` holds the whole state as arrays with leading dimension N, so that snapshot and
    restore are the same three lines for every sim. Its arrays "seed" and "tick" (int64 [N])
    key every chance.
    """

    spec: ClassVar[Spec]

    def __init__(self, worlds: int) -> None:
        self.worlds = worlds
        self.state: dict[str, Array] = {}

    @abstractmethod
    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start worlds anew from int64 [N] seeds; `where` (bool [N]) picks which (default all)."""

    @abstractmethod
    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick.

        actions: int64 [N] (discrete) or float32 [N, axes]. chance: float32 [N, C] in [0, 1),
        drawn by `draw()` when None. Returns rewards float32 [N], terminated bool [N],
        truncated bool [N]. A terminated world stays as it is until it is reset.
        """

    @abstractmethod
    def render(self, out: Array) -> None:
        """Draw every camera into `out`, uint8 [N, cameras, H, W, 3]."""

    @abstractmethod
    def draw(self) -> Array:
        """Return the chance of the coming step, float32 [N, C], from (seed, tick) alone."""

    def sensors(self) -> dict[str, Array]:
        """Return each sensor of the spec as an array [N, *shape]."""
        return {}

    def hud(self) -> dict[str, Array]:
        """Return each HUD field of the spec as an array [N]."""
        return {}

    def events(self) -> dict[str, Array]:
        """Return, for each event of the spec, bool [N]: did it happen in the last step."""
        return {}

    def act(self, behaviour: str) -> Array:
        """Return the actions that a scripted behaviour takes now, in the form `step` takes."""
        raise NotImplementedError(behaviour)

    def snapshot(self) -> dict[str, Array]:
        """Return a copy of the whole state, restorable exactly."""
        return {name: value.copy() for name, value in self.state.items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Bring back a state that `snapshot` returned."""
        self.state = {name: np.array(value) for name, value in snapshot.items()}
