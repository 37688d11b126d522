"""`wmsite new DIR --gym ID`: a site whose world is recorded from a Gymnasium environment."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from builder.commands import data as verb
from builder.project import cache, environment, own
from builder.project.environment import Played
from builder.terminal import Terminal
from sims.errors import UserError
from training.environment_recipe import Gym
from training.recipe import Data, DataRecipe

STARTER = Path(__file__).parents[1] / "starter_gym"
RECORDED = 150.0  # seconds of recording, about, on this machine
MOST, FEWEST = 60_000, 6_000  # steps
LOST = 0.02  # share of the changes that may vanish before it is said
PROCESSES = 16  # most that record at once
SEED = 1
RANDOM = "random"
LONGEST = 30.0  # seconds of a game


@dataclass(frozen=True)
class Asked:
    """An environment as the command line names it."""

    id: str
    imports: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: str | None, imports: tuple[str, ...]) -> Asked | None:
        """Return what the options name; None without --gym."""
        if asked is None and imports:
            raise UserError("--gym-import: goes with --gym ID", exit_code=2)
        if asked is not None and not asked.strip():
            raise UserError("--gym: names no environment", exit_code=2)
        return None if asked is None else cls(asked.strip(), imports)

    @property
    def gym(self) -> Gym:
        """The table of a recipe; the modules of a known namespace are imported unasked."""
        imports = list(self.imports)
        if not imports and (module := environment.known_module(self.id)):
            imports.append(module)
        return Gym(id=self.id, imports=imports)

    @property
    def world(self) -> str:
        """The name of its world."""
        name = self.id.rpartition(":")[2].rpartition("/")[2]
        stem = re.sub(r"[^a-z0-9_-]+", "-", re.sub(r"-v\d+$", "", name).lower()).strip("-_")
        return stem if re.match("[a-z]", stem) else f"world-{stem}".rstrip("-")


def played(asked: Asked, root: Path) -> Played:
    """Return the environment of a project that has no recipe of it yet; UserError without one."""
    if not environment.installed("gymnasium"):
        raise environment.absent(f"--gym {asked.id}")
    data = Data(steps=1, worlds=1, episode_steps=1, behaviours={RANDOM: 1.0})
    return Played(root, asked.world, root, asked.gym, data)


def plan(looked: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a recipe for what was found: how much to record, what to measure."""
    spec = looked["spec"]
    rate, lengths = spec["rate"], sorted(looked["lengths"])
    usual = lengths[len(lengths) * 9 // 10]
    steps = int(min(MOST, max(FEWEST, RECORDED * 1.5 * looked["pace"])) // 1000 * 1000)
    most = max(50, round(LONGEST * rate))
    horizon = max(2, min(round(2 * rate), usual - 6, 40))
    horizons = sorted({1, max(1, horizon // 4), max(1, horizon // 2), horizon})
    camera = spec["cameras"][0]
    sides = camera["height"], camera["width"]
    patch = next((p for p in (8, 4, 2) if not any(side % p for side in sides)), 2)
    return {
        "steps": steps, "episode_steps": most, "horizon": horizon, "horizons": horizons,
        "height": sides[0], "width": sides[1], "patch": patch,
    }  # fmt: skip


def family(looked: dict[str, Any]) -> str:
    """Return the family that suits: `numbers` where these decide the frames, or `latent`."""
    return "numbers" if looked["decided"] else "latent"


def recipe(asked: Asked, looked: dict[str, Any]) -> str:
    """Return the text of a recipe for an environment that was looked at."""
    spec, about, gym = looked["spec"], looked["about"], asked.gym
    numbers = plan(looked)
    values = {name: str(value) for name, value in numbers.items()}
    training = (STARTER / f"{family(looked)}.toml").read_text(encoding="utf-8")
    values |= {
        "family": family(looked),
        "names": _names(spec),
        "training": Template(training).substitute(values),
        "world": asked.world,
        "title": spec["title"],
        "id": json.dumps(asked.id),
        "imports": f"imports = {json.dumps(gym.imports)}\n" if gym.imports else "",
        "there": f"{about['frame'][1]} x {about['frame'][0]}",
        "rate": f"{spec['rate']:g}",
        "actions": _actions(spec, looked),
        "repeats": "gives the same frames again" if about["repeats"] else "does not repeat itself",
    }
    return Template((STARTER / "recipe.toml").read_text(encoding="utf-8")).substitute(values)


def _names(spec: dict[str, Any]) -> str:
    """Return the line of gym.names, to be changed: the numbers that have a gauge each."""
    single = [sensor["name"] for sensor in spec["sensors"] if sensor["show"] == "gauge"]
    return (
        f"# names = {json.dumps(single)} # what the page calls them; a change records anew\n"
        if single
        else ""
    )


def _actions(spec: dict[str, Any], looked: dict[str, Any]) -> str:
    """Return the lines of [gym.actions], for a discrete space; its axes have keys by themselves."""
    if not spec["actions"]:
        axes = ", ".join(
            f"{axis['name']} ({' '.join([*axis['decrease'], *axis['increase']]) or 'no key'})"
            for axis in spec["axes"][:8]
        )
        return f"# Its axes and their keys: {axes}\n"
    lines = ["[gym.actions] # the first one is played while no key is held"]
    for action, value in zip(spec["actions"], looked["about"]["values"], strict=True):
        parts = [f"value = {value}", f"keys = {json.dumps(list(action['keys']))}"]
        if action["touch"]:
            parts.append(f"touch = {json.dumps(action['touch'], ensure_ascii=False)}")
        if action["gamepad"]:
            parts.append(f"gamepad = {json.dumps(list(action['gamepad']))}")
        lines.append(f"{action['name']} = {{ {', '.join(parts)} }}")
    return "\n".join(lines) + "\n"


def page(asked: Asked, looked: dict[str, Any]) -> str:
    """Return the text of the world's page."""
    spec = looked["spec"]
    values = {"world": asked.world, "title": spec["title"], "family": family(looked)}
    return Template((STARTER / "index.md").read_text(encoding="utf-8")).substitute(values)


def write(asked: Asked, made: Path, terminal: Terminal) -> str:
    """Write the recipe and the page of a new project; return the recipe's place in it.

    Modules that register its ID and lie in the current folder are copied. UserError where nothing
    can be recorded.
    """
    here = Path.cwd()
    modules = [*asked.gym.imports, *environment.module_of(asked.id)]
    for name in environment.own_sources(here, modules):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here / name, made / name)
    looked = played(asked, made).looked
    file = Path("recipes", asked.world, f"{family(looked)}.toml")
    (made / file).parent.mkdir(parents=True)
    (made / file).write_text(recipe(asked, looked), encoding="utf-8")
    environment.find(made, ())[asked.world].keep(looked)
    warn(looked, terminal)
    (made / "docs").mkdir()
    (made / "docs" / "index.md").write_text(page(asked, looked), encoding="utf-8")
    return file.as_posix()


def warn(looked: dict[str, Any], terminal: Terminal) -> None:
    """Warn of an environment of which something small vanishes in the frames that are learned."""
    if looked["lost"] >= LOST:
        camera = looked["spec"]["cameras"][0]
        terminal.warn(
            f"frames: in {100 * looked['lost']:.0f} % of the steps in which the whole frame "
            f"changes, the one of {camera['width']} x {camera['height']} pixels does not: "
            "something small vanishes. Run: give gym.size larger numbers, or cut out the part "
            "that matters with gym.crop"
        )


def _same(asked: Asked, data: Data, steps: int | None, folder: Path) -> None:
    """Refuse a folder that holds, or has begun to hold, another recording; UserError."""
    from training.data.dataset_manifest import recording_of
    from training.data.record import whole

    begun = folder.with_name(f"{folder.name}.shards")
    mark, wanted = begun / "asked.json", cache.key(gym=asdict(asked.gym), data=asdict(data))
    if whole(folder):
        told = recording_of(folder)
        made = (told.get("environment") or {}).get("id"), (told.get("data") or {}).get("steps")
        if made != (asked.id, steps or made[1]):
            of = made[0] or "a sim"
            raise UserError(
                f"--out {folder}: holds another recording, {made[1]} steps of {of}. "
                "Run: the same with another folder as --out",
                exit_code=2,
            )
    elif any(begun.glob("[0-9]*")) and cache.read_json(mark) != {"key": wanted}:
        raise UserError(
            f"--out {folder}: {begun.name} beside it was begun with other options. Run: the "
            "command that began it, or delete that folder",
            exit_code=2,
        )
    else:
        cache.write_json(mark, {"key": wanted})


def record(
    asked: Asked, root: Path, out: Path | None, steps: int | None, processes: int | None,
    terminal: Terminal,
) -> None:  # fmt: skip
    """Record an environment as a dataset, in a folder of its own."""
    one = played(asked, root.resolve())
    numbers = plan(one.looked)
    warn(one.looked, terminal)
    folder = own.resolved(out or root / "tapes" / asked.world, "--out")
    data = Data(steps=steps or numbers["steps"], worlds=PROCESSES,
                episode_steps=numbers["episode_steps"])  # fmt: skip
    recipe = DataRecipe(asked.world, SEED, data, asked.gym)
    verb.refuse(folder)
    _same(asked, data, steps, folder)
    made = one.record(recipe, folder.parent, folder.name, processes)
    verb.say(made, terminal)
    terminal.say(f"Run: wmsite data show {made}, or name it as `dataset` in a recipe")
