"""Check that a world keeps the contract, before anything is recorded from it.

A process of its own plays the world with a time limit, so that an endless loop or a crash does no
harm. The check reports an error in one line.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import sims
from sims import bindings, canvas, determinism, exact, resolve
from sims.contract import Array, Sim, Spec
from sims.errors import UserError
from sims.host import describe_error, load_sim

WORLDS, STEPS = 4, 120
MANY, FEW = 6, 24  # With more plans than this, each plan is shorter, down to this limit.

Row = dict[str, list[str]]  # For each array, one hash for every world.


def check_sim(target: str | type[Sim], folder: Path | None = None, limit: float = 60.0) -> None:
    """Play a world as recording does, and compare: again, alone, from a snapshot.

    target: its module ("sims.breakout") or class; folder: the `sims` folder of its project
    (default: where it is imported from); limit: seconds, more in proportion for a world with more
    than MANY scenarios and behaviours. Raises UserError with file and line for a world that raises,
    breaks its contract, is not deterministic, or does not end.
    """
    module = target if isinstance(target, str) else target.__module__
    world = module.removeprefix("sims.")
    if folder is None:
        folder = next((p for p in map(Path, sims.__path__) if _source(p, world)), None)
    source = _source(folder, world) if folder else None
    if folder is None or source is None:
        raise UserError(f"world '{world}': there is no {world}.py in {folder or 'sims'}.")
    determinism.check(world, resolve.read(world, folder, [source]))
    with tempfile.TemporaryDirectory() as place:
        result, trace = Path(place, "result"), Path(place, "trace")
        package = str(Path(exact.__file__).parents[1])
        paths = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "sims.checks", module, folder, result, trace, str(limit)]
        try:
            # The process ends itself at `limit`, counted from the end of NumPy's import.
            run = subprocess.run(
                [str(part) for part in command],
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit * 10 + 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"world '{world}': still busy after {limit * 10 + 60:.0f} s.") from None
        if result.exists():
            if problem := result.read_text(encoding="utf-8"):
                raise UserError(problem)
            return
        text = trace.read_text(encoding="utf-8", errors="replace") if trace.exists() else ""
    if "Timeout" in text or run.returncode == -getattr(signal, "SIGPROF", 0):
        where = _last_place(text, folder)
        raise UserError(
            f"world '{world}': {where}still running after {limit:.0f} s; a step must end. "
            "Run: mend the loop, then build again"
        )
    last = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise UserError(f"world '{world}': its Python died (exit {run.returncode}). {' '.join(last)}")


def _source(folder: Path, world: str) -> Path | None:
    """Return the Python file of a world; modules that it imports from its folder belong to it."""
    files = (folder / f"{world}.py", folder / world / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _last_place(trace: str, folder: Path) -> str:
    """Return "file:line: " of the innermost frame within the folder, from faulthandler's text."""
    for path, line in re.findall(r'File "(.+?)", line (\d+)', trace):
        if Path(path).resolve().is_relative_to(folder.resolve()):
            return f"{path}:{line}: "
    return ""


# From here on: the process that plays the world.


class _Run:
    """A batch in play; `advance` returns the hashes of all results of one step."""

    def __init__(self, cls: type[Sim], seeds: Array, scenario: str, policy: str | None) -> None:
        self.spec: Spec = cls.spec
        self.sim = cls(len(seeds))
        self.seeds, self.scenario, self.policy = seeds, scenario, policy
        self.t, self.done = 0, np.zeros(len(seeds), dtype=np.bool_)
        self.frames = canvas.blank(self.spec, len(seeds))
        self.sim.reset(seeds, scenario)
        self.sim.render(self.frames)

    def advance(self, explicit: bool = False) -> Row:
        """Take one step; `explicit` passes the chance as an argument, which must change nothing."""
        sim, spec, n = self.sim, self.spec, len(self.seeds)
        if self.done.any():
            self.sim.reset(self.seeds + self.t, self.scenario, self.done)
        actions, chance = self._actions(), sim.draw()
        _expect("draw()", chance, (n, len(spec.chance)), "float32")
        if not ((chance >= 0) & (chance < 1)).all():
            raise _Broken("draw() gave chance outside of [0, 1)")
        reward, terminated, truncated = sim.step(actions, chance if explicit else None)
        _expect("its reward", reward, (n,), "float32")
        _expect("terminated", terminated, (n,), "bool")
        _expect("truncated", truncated, (n,), "bool")
        self.done, self.t = terminated | truncated, self.t + 1
        row = {"frame": self._frame(), "chance": _hashes(chance), "actions": _hashes(actions)}
        sensors, hud, events = sim.sensors(), sim.hud(), sim.events()
        for sensor in spec.sensors:
            _expect(
                f"sensor '{sensor.name}'",
                sensors.get(sensor.name),
                (n, *sensor.shape),
                sensor.dtype,
            )
        for field in spec.hud:
            _expect(f"HUD field '{field.name}'", hud.get(field.name), (n,), None)
        for name in spec.events:
            _expect(f"event '{name}'", events.get(name), (n,), "bool")
        row |= {"reward": _hashes(reward), "terminated": _hashes(terminated)}
        for kind, named in (("sensor", sensors), ("HUD field", hud), ("event", events)):
            row |= {f"{kind} {name}": _hashes(value) for name, value in named.items()}
        for name, value in sim.state.items():
            _expect(f"state '{name}'", value, (n, *np.shape(value)[1:]), None)
            row[f"state {name}"] = _hashes(value)
        if not {"seed", "tick"} <= sim.state.keys():
            raise _Broken('its state must hold "seed" and "tick", int64 [N]')
        return row

    def _actions(self) -> Array:
        """Return checked actions: from the policy, or random ones that last four steps."""
        spec, n = self.spec, len(self.seeds)
        if self.policy is not None:
            actions = self.sim.act(self.policy)
            if not spec.actions:
                _expect(f"act('{self.policy}')", actions, (n, len(spec.axes)), "float32")
                return actions
            _expect(f"act('{self.policy}')", actions, (n,), "int64")
            if not ((actions >= 0) & (actions < len(spec.actions))).all():
                raise _Broken(f"act('{self.policy}') took an action that is not in its spec")
            return actions
        ticks = np.full(n, self.t // 4, dtype=np.int64)
        u = exact.uniform(self.seeds, ticks, 0xC0DE, spec.action_size)
        if spec.actions:
            return np.asarray((u[:, 0] * np.float32(len(spec.actions))).astype(np.int64))
        low = np.array([axis.low for axis in spec.axes], dtype=np.float32)
        high = np.array([axis.high for axis in spec.axes], dtype=np.float32)
        return np.asarray(low + u * (high - low))

    def _frame(self) -> list[str]:
        """Draw over black and over white: both results must be the same."""
        self.frames[:] = 0
        other = np.full_like(self.frames, 255)
        self.sim.render(self.frames)
        self.sim.render(other)
        for i, camera in enumerate(self.spec.cameras):  # The rest of its plane is nobody's.
            other[:, i, camera.height :] = other[:, i, :, camera.width :] = 0
        if not np.array_equal(self.frames, other):
            raise _Broken("render() leaves pixels undrawn, or draws by chance")
        return _hashes(self.frames)


def _check(cls: type[Sim]) -> None:
    """Raise _Broken, or any exception of the world, unless it keeps the contract."""
    spec = cls.spec
    if bool(spec.actions) == bool(spec.axes):
        raise _Broken("its spec must name either actions or axes")
    if problem := bindings.problem(spec):
        raise _Broken(problem)
    if not spec.cameras:
        raise _Broken("its spec must name at least one camera")
    seeds = np.arange(WORLDS, dtype=np.int64) * 7919 + 1
    plans = _plans(spec)
    steps = max(FEW, STEPS * MANY // max(MANY, len(plans)))
    split = steps // 4 * 2 + 1  # The step of the snapshot: odd, so that an alternation shows.
    for scenario, policy in plans:
        run = _Run(cls, seeds, scenario, policy)
        rows = []
        for t in range(steps):
            if t == split:
                saved, done, before = run.sim.snapshot(), run.done.copy(), run.frames.copy()
            rows.append(run.advance())
        where = f"scenario '{scenario}'" + (f", behaviour '{policy}'" if policy else "")

        again = _Run(cls, seeds, scenario, policy)
        _compare(rows, [again.advance() for _ in rows], f"the same seed twice, {where}")

        restored = _Run(cls, seeds + 1, scenario, policy)
        restored.sim.restore(saved)
        restored.seeds, restored.t, restored.done = seeds, split, done
        restored.sim.render(restored.frames)
        if not np.array_equal(restored.frames, before):
            raise _Broken(f"restore() does not bring back the frame ({where})")
        rest = [restored.advance(explicit=True) for _ in range(split, steps)]
        _compare(rows[split:], rest, f"restored from a snapshot, {where}")

        if (scenario, policy) == plans[0]:
            for i in range(WORLDS):
                alone = _Run(cls, seeds[i : i + 1], scenario, policy)
                mine = [{name: [value[i]] for name, value in row.items()} for row in rows]
                others = [alone.advance() for _ in rows]
                _compare(mine, others, f"world {i} of a batch against itself alone")


def _plans(spec: Spec) -> list[tuple[str, str | None]]:
    """Return the plans: each scenario at random, and the first one with each behaviour."""
    plans: list[tuple[str, str | None]] = [(scenario, None) for scenario in spec.scenarios]
    return plans + [(spec.scenarios[0], behaviour) for behaviour in spec.behaviours]


def _compare(rows: list[Row], others: list[Row], what: str) -> None:
    for t, (row, other) in enumerate(zip(rows, others, strict=True)):
        for name in row:
            if row[name] != other.get(name):
                raise _Broken(f"not deterministic: {what}, {name} differs at step {t + 1}")


def _hashes(value: Array) -> list[str]:
    return [hashlib.blake2b(np.ascontiguousarray(row).tobytes()).hexdigest() for row in value]


def _expect(what: str, value: Any, shape: tuple[int, ...], dtype: str | None) -> None:
    """Refuse a value that is missing, has another shape or dtype, or is not finite."""
    if value is None:
        raise _Broken(f"{what} is in its spec, but the sim does not give it")
    if not isinstance(value, np.ndarray):
        raise _Broken(f"{what} is a {type(value).__name__}, not a NumPy array")
    if value.shape != shape:
        raise _Broken(f"{what} has shape {value.shape}, not {shape}")
    if dtype is not None and value.dtype != np.dtype(dtype):
        raise _Broken(f"{what} is {value.dtype}, not {dtype}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise _Broken(f"{what} holds NaN or infinity")
    if value.dtype.kind not in "biuf":
        raise _Broken(f"{what} holds {value.dtype}, not numbers")


class _Broken(Exception):
    """A broken contract: the fault, without the world's name."""


def _end_after(seconds: float, output: TextIO) -> None:
    """End this process, with its place in the code, after so many seconds of work; 0: never.

    The process's own time counts if the system reports it: on a busy machine a check takes several
    times as long by the clock.
    """
    if hasattr(signal, "setitimer"):
        faulthandler.register(signal.SIGPROF, file=output, all_threads=False, chain=True)
        signal.setitimer(signal.ITIMER_PROF, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=output)
    else:
        faulthandler.cancel_dump_traceback_later()


def _main(module: str, folder: str, result: str, trace: str, limit: str) -> None:
    """Check in this process; write the problem, or nothing, to the file `result`."""
    world = module.removeprefix("sims.")
    with Path(trace).open("w", encoding="utf-8") as output:
        _end_after(float(limit), output)
        try:
            cls = load_sim(module, folder)
            share = min(10.0, max(1.0, len(_plans(cls.spec)) / MANY))
            _end_after(float(limit) * share, output)
            _check(cls)
            problem = ""
        except _Broken as error:
            file = _source(Path(folder), world)
            problem = f"world '{world}': {file}: {error}. Run: mend it, then build again"
        except UserError as error:
            problem = str(error)
        except BaseException as error:
            found = json.loads(describe_error(error, folder))
            place = f"{Path(folder, found['file'])}:{found['line']}: " if found["file"] else ""
            problem = (
                f"world '{world}': {place}{found['type']}: {found['message']}. "
                "Run: mend that line, then build again"
            )
        finally:
            _end_after(0.0, output)
    Path(result).write_text(problem, encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    _main(*sys.argv[1:])
