"""Look at an environment once: the spec of its world, and what a page and a report say of it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sims.contract import Camera, Spec
from sims.errors import UserError
from training.data.environment import space_json
from training.data.environment.controls import Held
from training.data.environment.decided import Decided
from training.data.environment.observations import Broken
from training.data.environment.opened import Opened
from training.data.environment.policies import RANDOM
from training.data.environment.sheet import Sheet
from training.environment_recipe import Gym

STEPS = 400  # that are looked at, for ranges and lengths of games
LONGEST = 100  # of these in a game: several games are compared
SECONDS = 8.0
REPEATED = 40  # steps that are played twice
# The chance of an environment is not known. This number of each step is no part of the game; a
# model may draw with it.
NOISE = "noise"
RATE = 20.0  # steps a second of an environment that tells none
FASTEST, SLOWEST = 60.0, 5.0


@dataclass(frozen=True)
class Looked:
    """What was found: all plain values, except the spec.

    about: what is said of it (id, package, version, licence, frame, repeats; what it observes and
    takes; `values`, its numbers of discrete actions). lengths: of random games, cut at `LONGEST`.
    pace: steps a second, with frames. lost: the share of changes that the scaled frames do not show
    (`Sheet`). decided: whether numbers that are measured decide its frames (`Decided`).
    """

    spec: Spec
    about: dict[str, Any]
    lengths: list[int]
    pace: float
    left_out: list[str]
    lost: float
    decided: bool


def look(
    opened: Opened, name: str, behaviours: tuple[str, ...], file: Path | None = None
) -> Looked:
    """Play an environment for a moment; UserError if it fails even then.

    `file` gets a sheet of frames, before and after scaling.
    """
    sheet = Sheet()
    try:
        found = _look(opened, name, behaviours, sheet)
        if file:
            sheet.write(file)
        return found
    except Broken as error:
        raise UserError(
            f"{opened.where}: it fails in the first steps; {error}. "
            "Run: mend it, then the same command again"
        ) from error


def _look(opened: Opened, name: str, behaviours: tuple[str, ...], sheet: Sheet) -> Looked:
    gym, env = opened.gym, opened.env
    told = float((env.metadata or {}).get("render_fps") or RATE)
    rate = gym.rate or min(FASTEST, max(SLOWEST, told / gym.skip))
    random = np.random.default_rng(0)
    lengths: list[int] = []
    length = steps = 0
    seed = 0
    held = Held(opened.controls, rate, random)
    seen = opened.reset(seed)
    low = {name: values.copy() for name, values in seen.sensors.items()}
    high = {name: values.copy() for name, values in seen.sensors.items()}
    sheet.see(opened.frames.last, seen.frame, True)
    decided = Decided()
    decided.see(seen.sensors, seen.frame, seed)
    began = time.monotonic()
    while steps < STEPS and (steps < REPEATED or time.monotonic() - began < SECONDS):
        seen, _, terminated, truncated = opened.step(held.act())
        steps, length = steps + 1, length + 1
        sheet.see(opened.frames.last, seen.frame, False)
        decided.see(seen.sensors, seen.frame, seed)
        if terminated or truncated or length == LONGEST:
            lengths.append(length)
            length, seed = 0, seed + 1
            held = Held(opened.controls, rate, random)
            seen = opened.reset(seed)
            sheet.see(opened.frames.last, seen.frame, True)
            decided.see(seen.sensors, seen.frame, seed)
        for sensor, values in seen.sensors.items():
            np.minimum(low[sensor], values, out=low[sensor])
            np.maximum(high[sensor], values, out=high[sensor])
    pace = steps / max(1e-6, time.monotonic() - began)
    lengths += [length] if length else []
    height, width = opened.frames.size
    spec = Spec(
        name=name,
        title=title(gym.id),
        rate=round(rate, 3),
        cameras=(Camera("screen", height, width),),
        actions=opened.controls.actions,
        axes=opened.controls.axes,
        chance=(NOISE,),
        sensors=opened.vectors.sensors(low, high),
        behaviours=behaviours or (RANDOM,),
    )
    about = _about(opened) | {"repeats": _played(opened, rate) == _played(opened, rate)}
    return Looked(spec, about, lengths, pace,
                  opened.vectors.left_out, sheet.lost,
                  opened.vectors.measured and decided.all)  # fmt: skip


def _played(opened: Opened, rate: float) -> str:
    """Return the hash of some frames and rewards of a game, the same where it repeats."""
    random = np.random.default_rng(1)
    held = Held(opened.controls, rate, random)
    seen, found = opened.reset(1), hashlib.sha256()
    for _ in range(REPEATED):
        found.update(seen.frame.tobytes())
        seen, reward, terminated, truncated = opened.step(held.act())
        found.update(np.float64(reward).tobytes())
        if terminated or truncated:
            break
    found.update(seen.frame.tobytes())
    return found.hexdigest()


def title(asked: str) -> str:
    """Return what a page calls an environment: its ID without namespace and version."""
    name = asked.rpartition(":")[2].rpartition("/")[2]
    stem, dash, version = name.rpartition("-")
    return stem if dash and version[:1] == "v" and version[1:].isdigit() else name


def _about(opened: Opened) -> dict[str, Any]:
    gym: Gym = opened.gym
    entry = getattr(opened.env.spec, "entry_point", None)
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    top = module.partition(".")[0]
    packages = importlib.metadata.packages_distributions().get(top, [])
    package, version, licence = "", "", gym.licence
    if packages:
        told = importlib.metadata.metadata(packages[0])
        package, version = str(told["Name"]), str(told["Version"])
        licence = licence or _licence(told)
    assert opened.frames.there
    return {
        "id": gym.id,
        "package": package,
        "version": version,
        "licence": licence or "not told",
        "gymnasium": importlib.metadata.version("gymnasium"),
        "frame": list(opened.frames.there),
        "observes": space_json.to_json(opened.env.observation_space),
        "takes": space_json.to_json(opened.env.action_space),
        "values": [*opened.controls.values],
    }


def _licence(told: Any) -> str:
    """Return a package's licence from its metadata: an expression, a short text, a class."""
    for field in ("License-Expression", "License"):
        value = str(told.get(field) or "").strip()
        if value and value.upper() != "UNKNOWN" and len(value) <= 60 and "\n" not in value:
            return value
    classes = [str(c) for c in told.get_all("Classifier") or [] if str(c).startswith("License ::")]
    return classes[0].rpartition(":: ")[2] if classes else ""
