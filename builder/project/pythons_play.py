"""Play worlds and print one hash for each tick: one file that both Pythons run.

Usage: pythons_play.py FOLDER. FOLDER/job.json says what to play; FOLDER/<world>/sims holds the
sources of a world, as the page gets them. The last line printed is JSON, {world: its result}.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

LEAST = 6  # The fewest ticks of a scenario, even if the world is slow.


def play(root: Path, name: str, job: dict[str, Any]) -> dict[str, Any]:
    """Play every scenario of one world, with all of its behaviours at once and at random.

    Return {"plans": [[scenario, hash of each tick...]...], "opening"}, or {"arrays"} of the one
    tick that the job asks for; and {"error"} with the exception, with the tick in "at".
    """
    for loaded in [n for n, module in sys.modules.items() if of_another(module, root)]:
        del sys.modules[loaded]
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    wanted, last = job["show"].get(name, [None, job["ticks"] - 1])
    given: dict[str, Any] = {"plans": [], "opening": [], "at": ["", 0]}
    try:
        host = importlib.import_module("sims.host").Host(f"sims.{name}")
        cls = type(host._sim)
        spec = cls.spec
        given["opening"] = [] if wanted else list(host.opening())
        share = min(job["seconds"][0], job["seconds"][1] / len(spec.scenarios))
        game = Game(cls)
        for scenario in spec.scenarios:
            if wanted not in (None, scenario):
                continue
            began, hashes = time.monotonic(), [scenario]
            given["plans"].append(hashes)
            game.begin(scenario)
            for tick in range(last + 1):
                given["at"] = [scenario, tick]
                if not wanted and tick >= LEAST and time.monotonic() - began > share:
                    break
                arrays = game.advance()
                if not wanted:
                    hashes.append(hashed(arrays))
                elif tick == last:
                    given["arrays"] = {n: packed(a) for n, a in arrays.items()}
    except BaseException as error:
        describe = importlib.import_module("sims.host").describe_error
        given["error"] = json.loads(describe(error, str(root)))
        given["error"]["absent"] = absent(error)
    finally:
        sys.path.remove(str(root))
    return given


def of_another(module: Any, root: Path) -> bool:
    """Return whether a module came with the world that was played before."""
    return (getattr(module, "__file__", None) or "").startswith(f"{root.parent}/")


def absent(error: BaseException | None) -> str | None:
    """Return the name of the module that an import did not find, if that led to an error."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, ModuleNotFoundError):
            return error.name
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


class Game:
    """Some worlds of a batch: the first plays at random, each of the others with a behaviour."""

    def __init__(self, cls: Any) -> None:
        self.spec = cls.spec
        self.size = 1 + len(self.spec.behaviours)
        self.sim = cls(self.size)
        # Every camera draws into the top left corner of its plane.
        height = max(camera.height for camera in self.spec.cameras)
        width = max(camera.width for camera in self.spec.cameras)
        shape = (self.size, len(self.spec.cameras), height, width, 3)
        self.frames = np.zeros(shape, np.uint8)

    def begin(self, scenario: str) -> None:
        """Start anew."""
        self.scenario, self.tick = scenario, 0
        self.seeds = np.arange(self.size, dtype=np.int64) * 7919 + 5
        self.sim.reset(self.seeds, scenario)
        self.done = np.zeros(self.size, np.bool_)

    def advance(self) -> dict[str, Any]:
        """Take one step; return all results of the world."""
        sim, spec = self.sim, self.spec
        if self.done.any():
            sim.reset(self.seeds + self.tick, self.scenario, self.done)
        actions = self._actions()
        given = {"chance": sim.draw(), "actions": actions}
        reward, terminated, truncated = sim.step(actions)
        given |= {"reward": reward, "terminated": terminated, "truncated": truncated}
        sim.render(self.frames)
        given["frame"] = self.frames
        for kind, named in (
            ("sensor", sim.sensors() if spec.sensors else {}),
            ("HUD field", sim.hud() if spec.hud else {}),
            ("event", sim.events() if spec.events else {}),
        ):
            given |= {f"{kind} {name}": value for name, value in named.items()}
        given = {name: _widened(np.asarray(value)) for name, value in given.items()}
        # The types of a snapshot count; of the values that the page shows, only the numbers count.
        given |= {f"state {name}": np.asarray(value) for name, value in sim.state.items()}
        self.done = np.asarray(terminated) | np.asarray(truncated)
        self.tick += 1
        return given

    def _actions(self) -> Any:
        spec = self.spec
        u = uniform(self.size, self.tick // 4, spec.action_size)
        if spec.actions:
            actions = (u[:, 0] * np.float32(len(spec.actions))).astype(np.int64)
        else:
            low = np.array([axis.low for axis in spec.axes], np.float32)
            high = np.array([axis.high for axis in spec.axes], np.float32)
            actions = low + u * (high - low)
        for row, behaviour in enumerate(spec.behaviours, 1):
            with contextlib.suppress(NotImplementedError):
                actions[row] = self.sim.act(behaviour)[row]
        return actions


def uniform(rows: int, tick: int, columns: int) -> Any:
    """Return random numbers in [0, 1): a world need not have sims.exact."""
    z = np.arange(rows * columns, dtype=np.uint64) + np.uint64((tick + 1) << 20)
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    u = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return u.reshape(rows, columns)


def _widened(array: Any) -> Any:
    return (
        array.astype(np.int64) if array.dtype.kind in "biu" and array.dtype != np.uint8 else array
    )


def hashed(arrays: dict[str, Any]) -> str:
    """Return a hash of named arrays."""
    told = hashlib.blake2b(digest_size=6)
    for name, array in arrays.items():
        told.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()


def packed(array: Any) -> list[Any]:
    """Return an array in a form for JSON: its type, shape and bytes."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return [array.dtype.str, array.shape, data]


def main(folder: str) -> None:
    """Play all worlds of a job."""
    job = json.loads(Path(folder, "job.json").read_text(encoding="utf-8"))
    given = {}
    for name in job["worlds"]:
        # The sim's own prints must not mix with the output here.
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            given[name] = play(Path(folder, name), name, job)
    print(f"\n{json.dumps(given)}")


main(sys.argv[1])
