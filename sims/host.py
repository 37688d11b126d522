"""The page's side of a sim: one world, whose frame and figures lie in arrays that never move.

It runs alike in Pyodide (the page's sim worker) and in CPython (tests), without JavaScript.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import struct
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import sims
from sims.contract import Array, Sim
from sims.errors import UserError

# Modules of this package: an error in them is shown at the world's line that called them.
CORE = frozenset(
    (
        *("__init__", "contract", "detector", "errors", "exact", "host", "gym", "checks"),
        *("bindings", "determinism", "hazards", "incidents", "parts", "resolve", "road_users"),
        *("source", "values"),
    )
)

# A page's folder holds these of wmsite and Gymnasium: an error is shown at the line that called it.
LIBRARIES = frozenset(("training", "gymnasium"))

OPENING = 24  # Ticks of the game that shows whether two Pythons play a world alike.

_MAGIC = b"WMS1"


def load_sim(module: str, folder: Path | str | None = None) -> type[Sim]:
    """Import a world's module, such as "sims.breakout", and return its one Sim class.

    `folder` is the project's own `sims` folder, if it is not this package's: its worlds become
    modules of this package, so that they import the contract alike in both Pythons. Raises
    UserError if the module does not define exactly one Sim with a spec.
    """
    if folder is not None and (place := str(Path(folder).resolve())) not in sims.__path__:
        sims.__path__.insert(0, place)
        importlib.invalidate_caches()
    loaded = importlib.import_module(module)
    found = [
        value
        for value in vars(loaded).values()
        if isinstance(value, type)
        and issubclass(value, Sim)
        and f"{value.__module__}.".startswith(f"{module}.")
        and hasattr(value, "spec")
    ]
    world = module.removeprefix("sims.")
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise UserError(
            f"world '{world}': a world's file must define exactly one Sim class with a "
            f"`spec`, and this one defines {names}; keep one."
        )
    return found[0]


def digest(snapshot: Mapping[str, Array]) -> str:
    """Return 16 hex digits that tell one world's snapshot (a batch of one) from another's."""
    told = hashlib.sha256()
    for name in sorted(snapshot):
        value = np.ascontiguousarray(snapshot[name])
        told.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        told.update(value.tobytes())
    return told.hexdigest()[:16]


class Host:
    """Play one world of `module` (such as "sims.breakout").

    frame: uint8 [cameras, H, W, 4], RGBA. status: float64, one entry for each name in `layout` (a
    JSON list). Both always stay the same arrays. Among the names, `chance.<i>` is the chance of the
    coming step, and `sensor.<name>.<i>` come last, in the form for models. Raises UserError for a
    world that breaks its contract.
    """

    def __init__(self, module: str) -> None:
        self._hold(load_sim(module))

    def _hold(self, cls: type[Sim]) -> None:
        """Make a world of a class, and the arrays for its frame and status."""
        self._spec = spec = cls.spec
        self._sim = cls(1)
        if not spec.cameras:
            raise self._error("its spec must name at least one camera")
        # Every camera draws into the top left corner of its plane.
        height = max(camera.height for camera in spec.cameras)
        width = max(camera.width for camera in spec.cameras)
        self._rgb = np.zeros((1, len(spec.cameras), height, width, 3), dtype=np.uint8)
        self.frame = np.full((len(spec.cameras), height, width, 4), 255, dtype=np.uint8)
        names = ["tick", "reward", "terminated", "truncated"]
        names += [f"hud.{field.name}" for field in spec.hud]
        names += [f"event.{name}" for name in spec.events]
        names += [f"chance.{i}" for i in range(len(spec.chance))]
        for sensor in spec.sensors:
            names += [f"sensor.{sensor.name}.{i}" for i in range(math.prod(sensor.shape))]
        self.layout = json.dumps(names)
        self.status = np.zeros(len(names), dtype=np.float64)
        self.reset(0, spec.scenarios[0])

    def reset(self, seed: int, scenario: str) -> None:
        """Start a game from a seed (an int64) and one of the spec's scenarios."""
        if not self._spec.has(scenario):
            raise self._error(f"no scenario '{scenario}'; it has {', '.join(self._spec.scenarios)}")
        if not -(2**63) <= int(seed) < 2**63:
            raise self._error(f"seed {seed} does not fit into 64 bits")
        self._sim.reset(np.array([int(seed)], dtype=np.int64), scenario)
        self._show(0.0, False, False)

    def step(self, action: Sequence[float]) -> None:
        """Advance one tick: [index] of a discrete action, or one value an axis."""
        reward, terminated, truncated = self._sim.step(self._actions(action))
        self._show(
            self._one("its reward", reward),
            bool(self._one("terminated", terminated)),
            bool(self._one("truncated", truncated)),
        )

    def act(self, behaviour: str) -> list[float]:
        """Return the current action of a behaviour, in the form that `step` takes."""
        size = max(1, len(self._spec.axes))
        return [float(value) for value in np.asarray(self._sim.act(behaviour)).reshape(size)]

    def spec(self) -> str:
        """Return the spec as JSON."""
        return json.dumps(self._spec.to_json())

    def sensors(self) -> str:
        """Return the current sensors as JSON: name to nested lists of numbers."""
        values = {name: value[0].tolist() for name, value in self._sim.sensors().items()}
        try:
            return json.dumps(values, allow_nan=False)
        except ValueError as error:
            raise self._error("a sensor is not a finite number") from error

    def snapshot(self) -> bytes:
        """Return the whole game as compact bytes that `restore` restores exactly.

        Raises UserError for a sim that is `replayed`: to play its actions again is all that there
        is, and may take longer than a page waits for one answer.
        """
        if getattr(self._sim, "replayed", False):
            raise self._error("its games are restored by their actions alone")
        arrays = {name: np.ascontiguousarray(a) for name, a in self._sim.snapshot().items()}
        header = {
            "world": self._spec.name,
            "status": self.status[1:4].tolist(),
            "arrays": [[name, a.dtype.str, a.shape] for name, a in arrays.items()],
        }
        head = json.dumps(header, separators=(",", ":")).encode()
        body = b"".join(a.tobytes() for a in arrays.values())
        return _MAGIC + struct.pack("<I", len(head)) + head + body

    def digest(self) -> str:
        """Return the digest of the game's state, for replay links and saved games."""
        return digest(self._sim.snapshot())

    def opening(self) -> Iterator[str]:
        """Play the first ticks of a game of its own; yield 8 hex digits of each tick's results.

        The build stores them, and the page compares its own Python with them.
        """
        twin = object.__new__(type(self))
        twin._hold(type(self._sim))
        told = hashlib.sha256()
        for _ in range(OPENING):
            try:
                action = twin.act(self._spec.behaviours[0])
            except NotImplementedError:
                action = [axis.neutral for axis in self._spec.axes] or [0.0]
            twin.step(action)
            told.update(twin.frame.tobytes() + twin.status.tobytes() + twin.digest().encode())
            yield told.hexdigest()[:8]

    def restore(self, data: bytes) -> None:
        """Restore the result of `snapshot`; a snapshot that does not fit changes nothing."""
        try:
            arrays, (reward, terminated, truncated) = self._unpacked(bytes(data))
        except (struct.error, ValueError, KeyError, TypeError):
            raise self._error("this snapshot is broken, or of other code; start anew") from None
        self._sim.restore(arrays)
        self._show(reward, bool(terminated), bool(truncated))

    def _unpacked(self, data: bytes) -> tuple[dict[str, Array], list[float]]:
        """Return the state and status in a snapshot; raise ValueError if it does not fit."""
        now = self._sim.snapshot()
        expected = [[name, a.dtype.str, list(a.shape)] for name, a in now.items()]
        (length,) = struct.unpack_from("<I", data, len(_MAGIC))
        offset = len(_MAGIC) + 4 + length
        header = json.loads(data[offset - length : offset])
        if data[: len(_MAGIC)] != _MAGIC or header["world"] != self._spec.name:
            raise ValueError("not a snapshot of this world")
        if header["arrays"] != expected:
            raise ValueError("a snapshot of other code")
        arrays: dict[str, Array] = {}
        for name, like in now.items():
            values = np.frombuffer(data, like.dtype, like.size, offset)
            arrays[name] = values.reshape(like.shape)
            offset += values.nbytes
        if offset != len(data):
            raise ValueError("bytes left over")
        return arrays, header["status"]

    def _actions(self, action: Sequence[float]) -> Array:
        """Check one action and return it as the batch of one that the sim takes."""
        values = [float(value) for value in action]
        spec = self._spec
        if not all(math.isfinite(value) for value in values):
            raise self._error(f"action {values} is not finite")
        if spec.actions:
            if len(values) != 1 or values[0] not in range(len(spec.actions)):
                raise self._error(f"action {values} is none of 0 to {len(spec.actions) - 1}")
            return np.array(values, dtype=np.int64)
        if len(values) != len(spec.axes):
            raise self._error(f"action {values} must hold {len(spec.axes)} values, one an axis")
        return np.array([values], dtype=np.float32)

    def _show(self, reward: float, terminated: bool, truncated: bool) -> None:
        """Write the current frame and status into their arrays."""
        sim, status, spec = self._sim, self.status, self._spec
        if (tick := sim.state.get("tick")) is None:
            raise self._error('its state has no "tick" (int64 [N])')
        values = [self._one("its tick", tick), reward, float(terminated), float(truncated)]
        hud = sim.hud() if spec.hud else {}
        events = sim.events() if spec.events else {}
        for fields, found, what in (
            ([field.name for field in spec.hud], hud, "HUD field"),
            (spec.events, events, "event"),
        ):
            for name in fields:
                if name not in found:
                    raise self._error(f"{what} '{name}' of its spec is missing")
                values.append(self._one(f"{what} '{name}'", found[name]))
        chance = np.asarray(sim.draw())
        if chance.shape != (1, len(spec.chance)):
            raise self._error(f"draw() gave shape {chance.shape}, not (1, {len(spec.chance)})")
        if not ((chance >= 0) & (chance < 1)).all():
            raise self._error("draw() must give chance within [0, 1)")
        values += chance[0].tolist()
        measured = sim.sensors() if spec.sensors else {}
        for sensor in spec.sensors:
            value = np.asarray(measured.get(sensor.name, ()), np.float64)
            if value.shape != (1, *sensor.shape):
                wanted = (1, *sensor.shape)
                raise self._error(f"sensor '{sensor.name}' has shape {value.shape}, not {wanted}")
            if not np.isfinite(value).all():
                raise self._error(f"sensor '{sensor.name}' is not a finite number")
            values += value.ravel().tolist()
        status[:] = values
        sim.render(self._rgb)
        self.frame[..., :3] = self._rgb[0]

    def _one(self, what: str, value: Array) -> float:
        """Return the number in an array of shape (1,); refuse another shape, NaN, infinity."""
        shape = np.shape(value)
        if shape != (1,):
            raise self._error(f"{what} has shape {shape} for one world, not (1,)")
        number = float(value[0])
        if not math.isfinite(number):
            raise self._error(
                f"{what} is {number} at tick {int(self.status[0])}; it must be finite"
            )
        return number

    def _error(self, problem: str) -> UserError:
        return UserError(f"world '{self._spec.name}': {problem}.")


def fresh(module: str) -> Host:
    """Unload every module of `sims`, import `module` from its current sources, and host it.

    If that fails, the earlier modules are loaded again, and the exception passes on.
    """
    before = {name: m for name, m in sys.modules.items() if name.split(".")[0] == "sims"}
    paths = list(sys.modules["sims"].__path__)
    for name, loaded in before.items():
        del sys.modules[name]
        # Python matches bytecode by size and whole seconds, which a quick edit may not change.
        if source := getattr(loaded, "__file__", None):
            Path(importlib.util.cache_from_source(source)).unlink(missing_ok=True)
    importlib.invalidate_caches()
    try:
        package = importlib.import_module("sims")
        package.__path__ = paths
        host: Host = importlib.import_module("sims.host").Host(module)
    except BaseException:
        for name in [name for name in sys.modules if name.split(".")[0] == "sims"]:
            del sys.modules[name]
        sys.modules.update(before)
        raise
    return host


def describe_error(exception: BaseException | None, folder: str) -> str:
    """Describe an exception as JSON {message, type, file, line}.

    file (relative to `folder`, the folder of the sims or the one that holds it) and line are the
    innermost within the world's own sources, or null. None stands for Python's last uncaught
    exception.
    """
    error = exception if exception is not None else getattr(sys, "last_exc", None)
    root = Path(folder).resolve()
    place: tuple[str, int] | None = None
    for frame, line in traceback.walk_tb(error.__traceback__ if error is not None else None):
        place = _own(root, frame.f_code.co_filename, line) or place
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        place = _own(root, error.filename, error.lineno) or place
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return json.dumps(
        {
            "message": message or type(error).__name__,
            "type": type(error).__name__,
            "file": place and place[0],
            "line": place and place[1],
        }
    )


def _own(root: Path, name: str, line: int) -> tuple[str, int] | None:
    """Return (path within `root`, line) if `name` is a world's source, else None."""
    path = Path(name).resolve() if Path(name).is_absolute() else root / name
    if not path.is_relative_to(root) or not path.is_file():
        return None
    relative = path.relative_to(root)
    within = relative.parts[relative.parts[0] == "sims" :]
    core = len(within) == 1 and relative.stem in CORE
    return None if core or within[0] in LIBRARIES else (relative.as_posix(), line)
