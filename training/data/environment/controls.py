"""What plays an environment: its action space as named actions or axes, with keys for each.

A discrete space becomes actions. Each button of a MultiBinary space becomes an axis from 0 to 1. So
does each value of a part of a MultiDiscrete space, except the first, which the part has while no
key is held. A Box becomes an axis for each of its numbers.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sims.contract import Action, Array, Axis
from sims.errors import UserError
from training.data.environment.bindings import action_of, bind_axes
from training.data.environment.labels import unlike
from training.data.foreign.features import KEYS, STICKS
from training.environment_recipe import Bound

ARROWS = {"left": "ArrowLeft", "right": "ArrowRight", "up": "ArrowUp", "down": "ArrowDown"}
FACES = {"left": "◀", "right": "▶", "up": "▲", "down": "▼", "space": "●"}
BUTTONS = ("south", "east", "west", "north", "l1", "r1", "l2", "r2")
# Keys for what nothing is known of, in this order.
POOL = (
    "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Space",
    *(f"Key{letter}" for letter in "ZXCVADWSQEFRTGBYHNUJIKOLP"),
    *(f"Digit{digit}" for digit in "1234567890"),
)  # fmt: skip
# What the words of an action's name mean, the first that fits.
MEANT = (
    ("left", {"left", "west"}), ("right", {"right", "east"}),
    ("up", {"up", "forward", "north", "accelerate", "faster", "gas"}),
    ("down", {"down", "backward", "back", "south", "brake", "slower"}),
    ("space", {"fire", "attack", "shoot", "jump", "flap", "toggle", "do", "interact", "use"}),
)  # fmt: skip
NOTHING = {"noop", "no", "nothing", "none", "idle", "still", "wait", "stay", "done"}
ROLE_KEYS: dict[str, tuple[str, ...]] = {
    **{role: (code,) for role, code in ARROWS.items()},
    "space": ("Space",),
    "right or space": ("ArrowRight", "Space"),
}
# What actions without names mean, by their number; "" is played while no key is held.
BY_NUMBER: dict[int, tuple[str, ...]] = {
    2: ("left", "right or space"),
    3: ("left", "", "right"),
    4: ("", "left", "up", "right"),
    5: ("", "left", "right", "up", "down"),
}
PYGAME = {1073741903: "right", 1073741904: "left", 1073741905: "down", 1073741906: "up"}


@dataclasses.dataclass(frozen=True)
class Controls:
    """The actions or the axes of a world, and the number of each in its environment's space.

    `values`: of a discrete space, the environment's number of each action; otherwise empty.
    """

    space: spaces.Space[Any]
    actions: tuple[Action, ...] = ()
    axes: tuple[Axis, ...] = ()
    values: tuple[int, ...] = ()

    def played(self, vector: Array) -> Any:
        """Return the environment's action for one row of `action`."""
        space = self.space
        if isinstance(space, spaces.Discrete):
            return np.int64(self.values[int(np.argmax(vector))])
        if isinstance(space, spaces.MultiBinary):
            return (np.asarray(vector) > 0.5).astype(space.dtype).reshape(space.shape)
        if isinstance(space, spaces.MultiDiscrete):
            found = [0 if part.max(initial=0) <= 0.5 else int(part.argmax()) + 1
                     for part in self._parts(np.asarray(vector))]  # fmt: skip
            return (np.array(found) + space.start.ravel()).astype(space.dtype).reshape(space.shape)
        assert isinstance(space, spaces.Box)
        low, high = space.low.ravel(), space.high.ravel()
        values = np.clip(np.asarray(vector, np.float64), low, high)
        values = values.round() if space.dtype.kind in "iu" else values
        return values.astype(space.dtype).reshape(space.shape)

    def told(self, action: Any) -> Array:
        """Return the row of `action` for an action of the environment; ValueError for none."""
        space = self.space
        if isinstance(space, spaces.Discrete):
            number = int(np.asarray(action).item())
            if number not in self.values:
                raise ValueError(f"action {number} is none of {', '.join(map(str, self.values))}")
            vector: Array = np.eye(len(self.values), dtype=np.float32)[self.values.index(number)]
            return vector
        values = np.asarray(action)
        if values.size != math.prod(space.shape or ()):
            raise ValueError(f"action {action!r} has not the {space.shape} numbers of {space}")
        values = values.ravel()
        if isinstance(space, spaces.MultiDiscrete):
            parts = [np.eye(int(n), dtype=np.float32)[int(v - s)][1:] for n, v, s in
                     zip(space.nvec.ravel(), values, space.start.ravel(), strict=True)]  # fmt: skip
            return np.concatenate(parts)
        row: Array = values.astype(np.float32)
        return row

    def _parts(self, vector: Array) -> list[Array]:
        assert isinstance(self.space, spaces.MultiDiscrete)
        stops = np.cumsum(self.space.nvec.ravel() - 1)[:-1]
        return np.split(vector, stops)


@dataclasses.dataclass(frozen=True)
class Hints:
    """What an environment itself says of its actions: a name and keys by number."""

    names: Mapping[int, str]
    keys: Mapping[int, tuple[str, ...]]


def hints(env: Any) -> Hints:
    """Ask an environment for its actions' names and keys."""
    inner = env.unwrapped
    names: dict[int, str] = {}
    meanings, known = getattr(inner, "get_action_meanings", None), getattr(inner, "actions", None)
    if callable(meanings):
        names = {i: str(name) for i, name in enumerate(meanings())}
    elif isinstance(known, type) and issubclass(known, enum.Enum):
        names = {int(one.value): one.name for one in known if isinstance(one.value, int)}
    elif isinstance(told := getattr(getattr(inner, "action_type", None), "actions", None), dict):
        names = {k: str(v) for k, v in told.items() if isinstance(k, int)}
    keys: dict[int, tuple[str, ...]] = {}
    asked = getattr(inner, "get_keys_to_action", None)
    for combination, action in (asked() if callable(asked) else {}).items():
        some = combination if isinstance(combination, tuple) else (combination,)
        codes = [code for key in some if (code := _code(key))]
        if len(some) == len(codes) == 1:
            keys[int(action)] = (*keys.get(int(action), ()), codes[0])
    return Hints(names, keys)


def _code(key: Any) -> str:
    """Return the KeyboardEvent.code of a letter, its number, or one of pygame's arrows."""
    if isinstance(key, int | np.integer) and int(key) in PYGAME:
        return ARROWS[PYGAME[int(key)]]
    letter = chr(int(key)) if isinstance(key, int | np.integer) and 0 < key < 128 else key
    if not isinstance(letter, str):
        return ""
    if letter.lower() in ARROWS:
        return ARROWS[letter.lower()]
    if letter in (" ", "space"):
        return "Space"
    if re.fullmatch(r"[A-Za-z]", letter):
        return f"Key{letter.upper()}"
    return f"Digit{letter}" if re.fullmatch(r"\d", letter) else ""


def controls(
    space: spaces.Space[Any], told: Hints, bound: Mapping[str, Bound], where: str
) -> Controls:
    """Return what plays an action space; UserError that begins with `where` if no key can."""
    if isinstance(space, spaces.Discrete):
        found = _discrete(space, told, bound, where)
    elif isinstance(space, spaces.MultiBinary):
        found = Controls(space, axes=_buttons(_numbered(math.prod(space.shape)), told))
    elif isinstance(space, spaces.MultiDiscrete):
        names = [f"choice_{i}_{value}" for i, n in enumerate(space.nvec.ravel())
                 for value in range(1, int(n))]  # fmt: skip
        found = Controls(space, axes=_buttons(names, Hints({}, {})))
    elif isinstance(space, spaces.Box):
        found = Controls(space, axes=_axes(space, where))
    else:
        raise UserError(
            f"{where}: no key can drive its action space, {space}; Discrete, MultiDiscrete, "
            "MultiBinary and Box can be played. Run: wrap it, and name the wrapper's ID"
        )
    if len(found.axes) > len(POOL) and not isinstance(space, spaces.Box):
        raise UserError(_many(space, where) + ". Run: wrap it, and name the wrapper's ID")
    return dataclasses.replace(found, axes=bind_axes(found.axes, bound, where))


def _many(space: spaces.Space[Any], where: str) -> str:
    return (
        f"{where}: no key can drive its action space, {space}: there are keys for {len(POOL)} "
        "actions"
    )


def _discrete(
    space: spaces.Discrete[Any], told: Hints, bound: Mapping[str, Bound], where: str
) -> Controls:
    start, count = int(space.start), int(space.n)
    if bound:
        values = tuple(one.value for one in bound.values())
        if wrong := [v for v in values if not start <= v < start + count]:
            raise UserError(
                f"{where}: gym.actions names action {wrong[0]}; it has {start} to "
                f"{start + count - 1}. Run: mend that file, then the same command again"
            )
        actions = tuple(action_of(name, one) for name, one in bound.items())
        return Controls(space, actions=actions, values=values)
    if count > len(POOL):
        more = ". Run: name those that shall be played in [gym.actions]"
        raise UserError(_many(space, where) + more)
    values, made = default_actions(range(start, start + count), told)
    return Controls(space, actions=made, values=values)


def default_actions(
    numbers: Iterable[int], told: Hints
) -> tuple[tuple[int, ...], tuple[Action, ...]]:
    """Return numbers of discrete actions, and the actions: the first is played without a key."""
    values = list(numbers)
    roles = _roles(values, told)
    first = next((v for v in values if roles.get(v) == ""), values[0])
    order = [first, *(v for v in values if v != first)]
    keys: dict[int, tuple[str, ...]] = {v: told.keys.get(v, ()) for v in order}
    used = {code for some in keys.values() for code in some}
    for value in order:
        more = [code for code in ROLE_KEYS.get(roles.get(value, ""), ()) if code not in used]
        keys[value] += tuple(more)
        used |= set(more)
    # An arrow would say something of an action that has a name.
    pool = POOL[len(ARROWS) + 1 :] if told.names else POOL
    spare = iter([code for code in pool if code not in used])
    for value in order[1:]:
        keys[value] = keys[value] or tuple(filter(None, [next(spare, "")]))
    pads = iter(BUTTONS)
    made: list[Action] = []
    taken: set[str] = set()
    for value in order:
        name = unlike((told.names.get(value) or f"action {value}").lower(), taken)
        arrow = next((role for role, code in ARROWS.items() if code in keys[value]), "")
        silent = not keys[value] or (value == first and not arrow)
        pad = "" if silent else f"dpad-{arrow}" if arrow else next(pads, "")
        face = FACES.get(arrow or ("space" if "Space" in keys[value] else ""), name[:8])
        made.append(Action(name, keys[value], None if silent else face, tuple(filter(None, [pad]))))
    return tuple(order), tuple(made)


def _roles(values: list[int], told: Hints) -> dict[int, str]:
    """Return what some actions mean: left, right, up, down, space, or "" for nothing."""
    if not told.names:
        given = () if told.keys else BY_NUMBER.get(len(values), ())
        return dict(zip(values, given, strict=False))
    roles: dict[int, str] = {}
    for value in values:
        words = set(re.findall(r"[a-z]+", told.names.get(value, "").lower()))
        meant = [role for role, known in MEANT if words & known]
        if len(meant) == 1 and meant[0] not in roles.values():
            roles[value] = meant[0]
        elif words & NOTHING and "" not in roles.values():
            roles[value] = ""
    return roles


def _numbered(count: int) -> list[str]:
    return [f"button_{i}" for i in range(count)]


def _buttons(names: list[str], told: Hints) -> tuple[Axis, ...]:
    """Return axes from 0 to 1: held, or not."""
    made: list[Axis] = []
    taken: set[str] = set()
    for i, name in enumerate(names):
        key = told.keys.get(i) or ((POOL[i],) if i < len(POOL) else ())
        label = unlike(told.names.get(i, name).lower(), taken)
        pad = BUTTONS[i] if i < len(BUTTONS) else None
        made.append(
            Axis(
                label, 0.0, 1.0, "", increase=key, gamepad=pad, touch=(FACES.get(label, label[:8]),)
            )
        )
    return tuple(made)


def _axes(space: spaces.Box, where: str) -> tuple[Axis, ...]:
    low, high = space.low.ravel().astype(float), space.high.ravel().astype(float)
    made = []
    for i, (least, most) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if not (math.isfinite(least) and math.isfinite(most) and least < most):
            raise UserError(
                f"{where}: no key can drive its action space, {space}: number {i} has no bounds. "
                "Run: give it some with gymnasium.wrappers.RescaleAction, and name that ID"
            )
        rest = 0.0 if least <= 0 <= most else least
        keys: dict[str, Any] = {}
        if i < len(KEYS):  # From end to end in a quarter of a second.
            keys = {"decrease": (KEYS[i][0],), "increase": (KEYS[i][1],)}
            keys |= {"pace": 4 * (most - least)}
        stick = STICKS[i] if i < len(STICKS) else None
        name = "axis" if len(low) == 1 else f"axis_{i}"
        made.append(Axis(name, least, most, "", rest, **keys, gamepad=stick))
    return tuple(made)


class Held:
    """Random play in which an action is held for a while, as a person holds a key.

    How long differs from game to game: from one step to half a second, on average.
    """

    def __init__(self, controls: Controls, rate: float, random: np.random.Generator) -> None:
        self.controls, self.random = controls, random
        self.change = 1 / np.exp(random.uniform(0, np.log(max(2.0, rate / 2))))
        self.vector = self._drawn(np.zeros(len(controls.actions) or len(controls.axes)))

    def act(self) -> Array:
        """Return the row of `action` for the coming step."""
        if self.controls.actions or isinstance(self.controls.space, spaces.MultiDiscrete):
            if self.random.random() < self.change:
                self.vector = self._drawn(self.vector)
            return self.vector
        changed = self.random.random(len(self.vector)) < self.change
        if changed.any():
            self.vector = np.where(changed, self._drawn(self.vector), self.vector)
        return self.vector

    def _drawn(self, before: Array) -> Array:
        controls, random = self.controls, self.random
        if count := len(controls.actions):
            drawn: Array = np.eye(count, dtype=np.float32)[random.integers(count)]
            return drawn
        if isinstance(controls.space, spaces.MultiDiscrete):
            return controls.told(controls.space.start + random.integers(controls.space.nvec))
        axes = controls.axes
        low, high, rest = (np.array([getattr(a, k) for a in axes], np.float32)
                           for k in ("low", "high", "neutral"))  # fmt: skip
        if isinstance(controls.space, spaces.MultiBinary):
            return (random.random(len(axes)) < 0.3).astype(np.float32)
        kind = random.integers(4, size=len(axes))
        anywhere = random.uniform(low, high)
        drawn = np.choose(kind, [low, rest, high, anywhere]).astype(np.float32)
        return controls.told(controls.played(drawn))  # A Box of whole numbers rounds it.
