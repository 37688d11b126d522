"""Play worlds in CPython and in the browser's Python, and compare all results.

CPython plays under two hash seeds, real Pyodide (in Node) under a third, all from copies of exactly
the sources that the page gets. Each tick gives a hash to compare. If one differs, that tick is
played again to name the array, the place and the likely cause. The user's cache stores which worlds
play alike, by everything that made them, so that no world is compared twice.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from builder.project import cache
from builder.project.worlds import World
from builder.site import vendor
from sims import determinism, hazards, resolve
from sims.errors import UserError
from sims.host import CORE

TICKS = 300  # At most so many of each scenario.
SECONDS = 1.2  # For a scenario in each Python: slow worlds play fewer ticks.
MOST = 10.0  # For a world.
LIMIT = 90.0  # After this time, the sim is in a loop that does not end.
SEEDS = {"CPython": "1", "another run of CPython": "2", "the browser's Python": "3"}
HERE, AGAIN, BROWSER = SEEDS
PLAYER = Path(__file__).with_name("pythons_play.py")
RULES = (Path(__file__), PLAYER, vendor.RUNNER, *sorted(vendor.STUBS.glob("*.py")))
# What is said of an environment that imports something else.
LACKING = (
    "which the browser does not have: only Python and NumPy run there. Run: take gym.browser out, "
    "and its page plays the model alone"
)
Told = dict[str, dict[str, Any]]  # For each Python, the output of its player for one world.
# The likely hazards behind a difference, by what differs.
CAUSES = {
    "runs": ("set order",),
    "types": ("narrow",),
    "integers": ("casts", "narrow", "zeros", "scalars", "sums", "set order"),
    "floats": ("scalars", "sums", "casts", "zeros", "narrow", "set order"),
}


@dataclass(frozen=True, eq=False)
class Sources:
    """A world's sources as the page gets them: their places in the page, and their files here.

    `recipe` is that of an environment, which a page plays where the recipe says so.
    """

    name: str
    files: Mapping[str, Path]
    recipe: Path | None = None

    @cached_property
    def key(self) -> str:
        """The hash of everything that decides how the world plays."""
        lock = vendor.numpy_lock()
        rules = {file.name: cache.sha256_file(file) for file in RULES}
        return cache.key(
            sources={path: cache.source_hash(file) for path, file in self.files.items()},
            numpy=[lock.name, np.__version__],
            python=sys.version_info[:2],
            rules=rules,
        )

    @property
    def noted(self) -> Path:
        """The file that notes that the world plays alike."""
        return vendor.user_cache() / "played" / f"{self.name}-{self.key[:16]}.json"

    @property
    def main(self) -> Path:
        """The file with the sim's class."""
        alone = self.files.get(f"sims/{self.name}.py")
        return alone or self.files[f"sims/{self.name}/__init__.py"]

    def suspects(self) -> list[determinism.Finding]:
        """Return the lines of its own sources that may differ, by the table of hazards."""
        folder = self.main.parents[self.main.name == "__init__.py"]
        own = [f for f in self.files.values() if f.is_relative_to(folder) and f.stem not in CORE]
        return determinism.suspects(resolve.read(self.name, folder, [self.main, *own]))


def of(world: World) -> Sources:
    """Return the sources of a project's world."""
    recipe = world.file if world.recorded else None
    return Sources(world.name, {m.path: m.file for m in world.page_modules}, recipe)


def compare(worlds: Sequence[Sources]) -> dict[str, str]:
    """Play the worlds not compared yet; return the difference of each world that differs."""
    due = [world for world in worlds if not world.noted.is_file()]
    if not due:
        return {}
    problems: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="wmsite-") as place:
        folder = Path(place, "job")
        for world in due:
            for path, file in world.files.items():
                target = folder / world.name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        given = _play(folder, [world.name for world in due], {})
        told = {world: {python: given[python][world.name] for python in SEEDS} for world in due}
        places = {world: found for world in due if (found := _first(told[world]))}
        show = {world.name: place[1:] for world, place in places.items()}
        shown = _play(folder, list(show), show) if show else {}
    for world in due:
        if problem := _raised(world, told[world]):
            problems[world.name] = problem
        elif world in places:
            arrays = {python: _unpacked(shown[python][world.name]) for python in SEEDS}
            problems[world.name] = _named(world, places[world], arrays)
        elif _openings(told[world]) > 1:
            problems[world.name] = (
                f"world {world.name!r}: {world.main}: a world alone plays differently in the "
                f"Pythons. {_cause(world, 'floats')}"
            )
        else:
            ticks = sum(len(plan) - 1 for plan in told[world][BROWSER]["plans"])
            cache.write_json(world.noted, {"world": world.name, "ticks": ticks})
    return problems


def _openings(told: Told) -> int:
    """Return the number of different openings of the world."""
    return len({tuple(given["opening"]) for given in told.values()})


def _first(told: Told) -> tuple[str, str, int] | None:
    """Return the first Python that plays differently from CPython, with scenario and tick."""
    for other in (AGAIN, BROWSER):
        for mine, theirs in zip(told[HERE]["plans"], told[other]["plans"], strict=False):
            pairs = zip(mine[1:], theirs[1:], strict=False)
            tick = next((t for t, (a, b) in enumerate(pairs) if a != b), None)
            if tick is not None:
                return other, mine[0], tick
    return None


def _play(folder: Path, names: list[str], show: dict[str, Any]) -> dict[str, Any]:
    """Run the player in all Pythons at once; return the output of each.

    show: for each world, the scenario and tick to return arrays of; {}: play and return hashes.
    """
    job = {"worlds": names, "ticks": TICKS, "seconds": [SECONDS, MOST], "show": show}
    cache.write_json(folder / "job.json", job)
    running = {}
    limit = LIMIT * len(names)
    try:
        for python, seed in SEEDS.items():
            ours = [sys.executable, "-P", "-s", str(PLAYER), str(folder)]
            page = vendor.in_pyodide(folder, PLAYER, f"/world/{folder.name}")
            running[python] = _start(page if python == BROWSER else ours, seed)
        return {python: _end(process, python, names, limit) for python, process in running.items()}
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def _start(command: list[str], seed: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    environment |= {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError as error:
        raise UserError(
            f"worlds {command[0]}: not found, and needed to play the worlds as the browser does. "
            "Run: install Node.js 20 or newer"
        ) from error


def _end(process: subprocess.Popen[str], python: str, names: list[str], limit: float) -> Any:
    """Return the output of a player; UserError for a player that hangs or dies."""
    named = ", ".join(repr(name) for name in names)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"world {named}: still playing in {python} after {limit:.0f} s, and not in CPython. "
            "Run: mend the loop, then build again"
        ) from None
    if process.returncode or not out.strip():
        last = " ".join(err.strip().splitlines()[-1:])[:300]
        raise UserError(f"world {named}: {python} died while playing it. {last}")
    return json.loads(out.splitlines()[-1])


def _raised(world: Sources, told: Told) -> str:
    """Return the exception of a world in one of the Pythons, or ""."""
    for python, given in told.items():
        if error := given.get("error"):
            file = world.files.get(error["file"], world.main)
            place = f"world {world.name!r}: {file}:{error['line'] or 1}: "
            if world.recipe and file == world.main:
                place = f"world {world.name!r}: {world.recipe}: gym.browser is true; "
            if python == BROWSER and error["absent"]:
                lacks = LACKING if world.recipe else determinism.ABSENT
                return f"{place}it imports {error['absent']}, {lacks}"
            scenario, tick = given["at"]
            when = f" (scenario '{scenario}', tick {tick + 1})" if scenario else ""
            mend = "mend that line, then build again"
            if world.recipe and file == world.main:
                mend = "take gym.browser out, or mend the environment, then build again"
            said = f"{place}{error['type']} in {python}{when}: {error['message'].rstrip('.')}"
            return said if "Run: " in said else f"{said}. Run: {mend}"
    return ""


def _unpacked(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(base64.b64decode(data), dtype).reshape(shape)
        for name, (dtype, shape, data) in given.get("arrays", {}).items()
    }


def _named(world: Sources, place: tuple[str, str, int], arrays: dict[str, dict[str, Any]]) -> str:
    """Name the array and the place that differ, and the likely cause."""
    other, scenario, tick = place
    mine, theirs = arrays[HERE], arrays[other]
    if world.recipe and other == AGAIN:
        return (
            f"world {world.name!r}: {world.recipe}: gym.browser is true, and the environment does "
            f"not repeat itself: with the same seed and the same actions, step {tick + 1} differs. "
            "Run: draw its chance from self.np_random alone, or take gym.browser out"
        )
    start = (
        f"world {world.name!r}: {world.recipe or world.main}: it plays differently in {other}: "
        f"scenario '{scenario}', tick {tick + 1}, "
    )
    # A computed array says more than its picture.
    for name in sorted(mine, key=lambda name: (not name.startswith("state"), name == "frame")):
        a, b = mine[name], theirs.get(name)
        if b is None or a.shape != b.shape:
            shape = "absent" if b is None else f"of shape {b.shape}"
            return f"{start}{name} is {shape} there. {_cause(world, 'types')}"
        if a.dtype != b.dtype:
            return f"{start}{name} is {a.dtype} here and {b.dtype} there. {_cause(world, 'types')}"
        if a.tobytes() != b.tobytes():
            # Compare bits: 0.0 and -0.0 are equal, and a NaN is not.
            bits = np.dtype(f"V{a.dtype.itemsize}")
            at = [int(i) for i in np.argwhere(a.view(bits) != b.view(bits))[0]]
            kind = "runs" if other == AGAIN else "floats" if a.dtype.kind == "f" else "integers"
            values = f"{a[tuple(at)]} here and {b[tuple(at)]} there"
            return f"{start}{name}{at} is {values}. {_cause(world, kind)}"
    return f"{start}but not when it is played again. {_cause(world, 'runs')}"


def _cause(world: Sources, kind: str) -> str:
    """Name the lines of a world that may cause a difference, and what to use there."""
    found = world.suspects()
    kinds = {key: [f for f in found if f.hazard is hazards.BY_KEY[key]] for key in CAUSES[kind]}
    # A hazard in few lines says more than a hazard that is everywhere.
    likely = sorted((places for places in kinds.values() if places), key=len)[:3]
    if not likely:
        return "Run: see what is exact in the reference, mend it, then build again"
    causes = []
    for places in likely:
        first = places[0]
        more = ", ".join(str(place.line) for place in places[1:5])
        causes.append(
            f"{first.path.name}:{first.line}{f' (or {more})' if more else ''}: "
            f"`{first.written}` {first.hazard.why}: use {first.hazard.instead}"
        )
    return f"Likely cause: {'; or '.join(causes)}. Run: mend it, then build again"
