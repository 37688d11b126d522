"""The base of every sim: a `Spec` that describes its parts, and a batched `Sim` that plays it.

The rules of determinism (docs/reference/exact.md): the same seed and actions give the same bytes in
CPython and Pyodide. Use + - * / sqrt floor, comparisons and integers. Take trigonometry from
`sims.exact`. Name int64 explicitly. Draw random numbers only through `chance` and
`sims.exact.uniform`.
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
    """One discrete action, with its bindings in the page.

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

    `increase` and `decrease` are KeyboardEvent.code values. While a key is held, the value moves
    towards `high` or `low`, by `pace` units a second (0: at once); after its release, back to
    `neutral`. `gamepad` is a standard-mapping name: "axis0" for a stick's full range ("axis0-":
    reversed, so that left or up is `high`), "r2" for a trigger. `touch` labels its buttons on the
    touch pad, one for each direction that the axis has: (decrease, increase).
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

    A pinhole camera also has optics: its `focal` length in pixels (0: a plain screen), with the
    principal point in the middle of the frame. It stands at `place`, in metres forward, left and
    up of the vehicle's origin on the ground, and looks `yaw` radians to the left of straight ahead
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

    `show` names its view in the page: "" (none), "gauge" (one number on a dial from `low` to
    `high`), "path" (points ahead in metres, [n, 2]: forward and left) or "scan" (a range image in
    metres, [rings, columns], 0 where nothing came back). Column k of n of a scan looks
    pi - 2 pi (k + 1/2) / n radians to the left, so that straight ahead is in the middle.
    `elevations` are the angles of its rings, in radians, and `place` is where it stands, as for a
    camera. Sensors of several dimensions are not part of the recorded `observation.state`.
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
    """One number that the page shows beside the stage; `name` is a key of `Sim.hud()`."""

    name: str
    label: str


@dataclass(frozen=True)
class Spec:
    """Describe everything that the page, the recorder and the model need to know about a sim.

    `chance` names the components of the chance vector, each uniform in [0, 1).
    `events` names the booleans that `Sim.events()` returns for the last step.
    `conditions` can apply to any scenario, such as weather: "junction/fog" is the scenario
    "junction" in the condition "fog". For a scenario alone, the seed chooses the condition.
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
        """Length of the model's action vector: one-hot over `actions`, or one value per axis."""
        return len(self.actions) or len(self.axes)

    def has(self, scenario: str) -> bool:
        """Return whether `scenario` is one of the spec's scenarios, alone or with a condition."""
        name, _, condition = scenario.partition("/")
        known = condition in self.conditions if condition else not scenario.endswith("/")
        return name in self.scenarios and known

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values."""
        return asdict(self)


class Sim(ABC):
    """N independent worlds that step together; world i behaves as it would alone.

    `self.state` holds the whole state as arrays with leading dimension N, so that `snapshot` and
    `restore` are the same few lines for every sim. Its arrays "seed" and "tick" (int64 [N]) are
    the keys of every random draw.
    """

    spec: ClassVar[Spec]

    def __init__(self, worlds: int) -> None:
        self.worlds = worlds
        self.state: dict[str, Array] = {}

    @abstractmethod
    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start new games from int64 [N] seeds; `where` (bool [N]) selects which (default: all)."""

    @abstractmethod
    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick.

        actions: int64 [N] (discrete) or float32 [N, axes]. chance: float32 [N, C] in [0, 1); None:
        `draw()` draws it. Returns rewards float32 [N], terminated bool [N], truncated bool [N]. A
        terminated world does not change until its reset.
        """

    @abstractmethod
    def render(self, out: Array) -> None:
        """Draw every camera into `out`, uint8 [N, cameras, H, W, 3].

        H and W are the largest camera's; a smaller camera fills the top left corner of its plane,
        and the rest of it stays black.
        """

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
        """Return bool [N] for each event of the spec: whether it happened in the last step."""
        return {}

    def act(self, behaviour: str) -> Array:
        """Return the current actions of a behaviour, in the form that `step` takes."""
        raise NotImplementedError(behaviour)

    def snapshot(self) -> dict[str, Array]:
        """Return an exact copy of the whole state."""
        return {name: value.copy() for name, value in self.state.items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Restore a state that `snapshot` returned."""
        self.state = {name: np.array(value) for name, value in snapshot.items()}
