"""Turn saved games, seeds and actions, into whole episodes: the sim computes the rest again.

A file is refused if a page of wmsite did not write it. A game is refused if it was played on
another sim, or ends differently here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sims import canvas
from sims.contract import Array, Sim, Spec
from sims.errors import UserError
from sims.host import digest
from sims.source import UNREADABLE, fault, parse
from training.data.dataset_manifest import Book
from training.data.episodes import (
    SAMPLE,
    Episode,
    blamed,
    columns,
    condition_of,
    shades,
    with_state,
)
from training.data.images import encode_png
from training.data.lerobot import Writer
from training.data.palette import Colours
from training.data.record import note
from training.data.verify import PERSON
from training.keys import shown
from training.limits import within

FORMAT, VERSION = "wmsite-recording", 1
KEYS = {"format", "version", "world", "made", "rate", "axes", "actions", "sims", "games"}
GAME = {"sim", "edited", "seed", "scenario", "begun", "drivers", "steps", "end"}
SEEDS = 10**15
LIMIT_S, STEP_S = 30.0, 0.1  # most compute time for a game: this, and so much more for each step
MOST_BYTES = 64 * 10**6  # of a file: some 30 hours of driving, and ten times that size in memory


@dataclass(frozen=True)
class Game:
    """One saved game; errors call it `name`."""

    name: str
    sim: str
    edited: bool
    seed: int
    scenario: str
    behaviour: str
    actions: Array  # float32 [T, axes], or int64 [T]
    end: str


@dataclass(frozen=True)
class Recording:
    """A file that the page saved. `sims` holds edited sources by hash and path, None as shipped."""

    path: Path
    sha256: str
    world: str
    made: str
    sims: dict[str, dict[str, str] | None]
    games: list[Game]

    def told(self, games: list[Game]) -> dict[str, Any]:
        """Store in a dataset the source of its saved games."""
        steps = sum(len(game.actions) for game in games)
        return {
            "file": self.path.name, "sha256": self.sha256, "made": self.made,
            "games": len(games), "steps": steps,
        }  # fmt: skip


def read(path: Path, spec_of: Callable[[str], Spec]) -> Recording:
    """Read and check a file; `spec_of` returns a world's spec by its name.

    Raises UserError for a file that no page of wmsite saves, and for a world with other controls.
    """
    where = f"recording '{path}'"
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            most = MOST_BYTES // 10**6
            raise _wrong(where, f"it has {size / 1e6:,.0f} MB, and at most {most} MB are read")
        data = path.read_bytes()
        told = json.loads(data, parse_constant=_no_number)
    except OSError as error:
        raise _wrong(where, f"can't be read; {error.strerror}") from error
    except RecursionError as error:
        raise _wrong(where, "no JSON that a page saves: nested too deep") from error
    except ValueError as error:
        raise _wrong(where, f"no JSON ({error}): truncated, or another file") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise _wrong(where, "not a recording that a page of wmsite saved")
    if type(told.get("version")) is not int or told["version"] != VERSION:
        raise UserError(
            f"{where}: version {shown(told.get('version'))}, and this wmsite reads {VERSION}. "
            "Run: the wmsite that made the page, or a newer one"
        )
    try:
        _only(told, KEYS, where)
        for sources in told["sims"].values():
            for name, text in (sources or {}).items():
                if why := _unreadable(text):
                    raise _wrong(where, f"its edited source {shown(name)} {why}")
        spec = None  # An edited sim may have another.
        if None in told["sims"].values():
            spec = spec_of(told["world"])
            _matches(told, spec, where)
        games = [
            _game(game, f"{where}, game {number}", told, spec)
            for number, game in enumerate(told["games"], 1)
        ]
        if not games:
            raise _wrong(where, "it holds no game")
        return Recording(
            path, hashlib.sha256(data).hexdigest(), told["world"], told["made"],
            dict(told["sims"]), games,
        )  # fmt: skip
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise _wrong(where, f"damaged; {type(error).__name__}: {str(error)[:200]}") from error


def _unreadable(source: object) -> str:
    """Return why an edited source can't be used; "" if it can."""
    if not isinstance(source, str):
        return "is no text"
    try:
        parse(source)
    except UNREADABLE as error:
        line, reason = fault(error)
        return f"doesn't parse; line {line}: {reason}"
    return ""


def _wrong(where: str, what: str) -> UserError:
    return UserError(
        f"{where}: {what}. Run: save it again in the page, or import without that file"
    )


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _only(told: dict[str, Any], keys: set[str], where: str) -> None:
    for key in sorted(keys - told.keys()) + sorted(told.keys() - keys):
        state = "is missing" if key in keys else "is unknown; a newer page may have saved it"
        raise _wrong(where, f"key {shown(key)} {state}")


def _matches(told: dict[str, Any], spec: Spec, where: str) -> None:
    here = {"world": spec.name, "rate": spec.rate, "axes": [a.name for a in spec.axes]}
    here["actions"] = [a.name for a in spec.actions]
    for key, value in here.items():
        if told[key] != value:
            raise UserError(
                f"{where}: its {key} is {shown(told[key])}, and the sim's is {value!r}. "
                "Run: the import where that sim is"
            )


def _game(told: dict[str, Any], where: str, file: dict[str, Any], spec: Spec | None) -> Game:
    _only(told, GAME, where)
    if told["sim"] not in file["sims"]:
        raise _wrong(where, f"its sim {told['sim'][:12]} is not among the file's")
    if bool(told["edited"]) != (file["sims"][told["sim"]] is not None):
        raise _wrong(where, f"says edited = {shown(told['edited'])}, and its sim says otherwise")
    seed = told["seed"]
    if type(seed) is not int or not 0 <= seed < SEEDS:
        raise _wrong(where, f"seed {shown(seed)} is no whole number from 0 to 10^15")
    if spec is not None and not spec.has(told["scenario"]):
        known = ", ".join(spec.scenarios)
        raise _wrong(where, f"no scenario {shown(told['scenario'])}; the sim has {known}")
    width = len(file["axes"]) or 1
    steps = np.array(told["steps"], np.float64)
    if steps.ndim != 2 or steps.shape[1] != width or not len(steps):
        raise _wrong(where, f"its steps are not lists of {width} numbers each")
    bad = ~np.isfinite(steps).all(axis=1)
    if spec is not None and spec.axes:
        low, high = (np.array([getattr(a, end) for a in spec.axes]) for end in ("low", "high"))
        bad |= ((steps < np.float32(low)) | (steps > np.float32(high))).any(axis=1)
    if not file["axes"]:
        bad |= (steps != np.floor(steps))[:, 0]
        bad |= ((steps < 0) | (steps >= len(file["actions"])))[:, 0]
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise _wrong(where, f"step {row} is {steps[row].tolist()}, out of the controls' range")
    who = {name for _, name in told["drivers"]}
    if not all(isinstance(name, str) for name in who):
        raise _wrong(where, "a driver is no name")
    scripted = who - {PERSON, "replay"}
    actions: Array = steps.astype(np.float32) if file["axes"] else steps[:, 0].astype(np.int64)
    return Game(
        where, told["sim"], bool(told["edited"]), seed, told["scenario"],
        scripted.pop() if len(who) == len(scripted) == 1 else PERSON,
        actions, str(told["end"]),
    )  # fmt: skip


def replay(sim_class: type[Sim], game: Game, colours: Colours) -> Episode:
    """Play a game again, and return it as an episode. UserError if it ends differently."""
    spec = sim_class.spec
    if game.behaviour not in (PERSON, *spec.behaviours):
        raise _wrong(game.name, f"driven by {shown(game.behaviour)}, no behaviour of the sim")
    frames = canvas.blank(spec, 1)
    rows = len(game.actions) + 1
    room = columns(spec, (rows,))
    images: dict[str, list[bytes]] = {camera.name: [] for camera in spec.cameras}
    counts = np.zeros((len(spec.cameras), 3, 256), np.int64)
    events: list[tuple[int, str]] = []
    still: Array = np.array([[axis.neutral for axis in spec.axes]], np.float32)
    if spec.actions:
        still = np.zeros(1, np.int64)
    over = truncated = False
    limit = LIMIT_S + STEP_S * len(game.actions)
    with blamed(sim_class), within(limit, game.name):
        sim = sim_class(1)
        sim.reset(np.array([game.seed], np.int64), game.scenario)
        condition = condition_of(sim, 0) or game.scenario.partition("/")[2]
        for row in range(rows):
            if row == rows - 1 and not over:  # The last row is the frame after the end.
                break
            if row < rows - 1 and (over or truncated):
                raise UserError(f"{game.name}: it goes on after its end. {_ELSE}")
            sim.render(frames)
            colours.see(frames)
            for i, view in enumerate(spec.cameras):
                images[view.name] += encode_png(frames[:, i, : view.height, : view.width])
            if row % SAMPLE == 0:
                counts += shades(frames[0], spec)
            for name, value in sim.sensors().items():
                if f"observation.{name}" in room:
                    room[f"observation.{name}"][row] = value[0]
            action = game.actions[row : row + 1] if row < rows - 1 else still
            chance = sim.draw()
            reward, terminated, ended = sim.step(action, chance)
            room["action"][row] = np.eye(spec.action_size)[action[0]] if spec.actions else action[0]
            room["chance"][row] = chance[0]
            room["next.reward"][row], room["next.done"][row] = reward[0], terminated[0]
            events += [(row, name) for name, value in sim.events().items() if value[0]]
            if row == rows - 2 and digest(sim.snapshot()) != game.end:
                raise UserError(f"{game.name}: played again, it ends otherwise. {_ELSE}")
            over, truncated = bool(terminated[0]), bool(ended[0])
    count = len(next(iter(images.values())))
    return Episode(
        columns=with_state(spec, {name: values[:count] for name, values in room.items()}),
        images=images,
        shades=counts,
        events=[(row, name) for row, name in events if row < count],
        seed=game.seed,
        behaviour=game.behaviour,
        scenario=game.scenario.partition("/")[0],
        condition=condition,
        ended="terminated" if over else "truncated",
    )


_ELSE = (
    "The file is damaged, or this Python has another NumPy. Run: the import with that of pyproject"
)


def write(
    sim_class: type[Sim],
    recordings: list[tuple[Recording, list[Game]]],
    folder: Path,
    skip: Callable[[str], None] | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Write games as a dataset into a new folder, all in the split "train"; return how many.

    For a game that can't be played again, this raises UserError, or calls `skip` with the reason.
    """
    writer, book, colours = Writer(folder, sim_class.spec), Book(sim_class.spec), Colours()
    sources = []
    for recording, games in recordings:
        good = []
        for game in games:
            try:
                episode = replay(sim_class, game, colours)
            except UserError as error:
                if skip is None:
                    raise
                skip(str(error))
                continue
            note(episode, "train", writer, book)
            good.append(game)
            told(len(game.actions))
        if good:
            sources.append(recording.told(good))
    if book.count:
        book.finish(writer, None, None, palette=colours.palette(), imported=sources)
    return book.count


def steps(recordings: list[tuple[Recording, list[Game]]]) -> int:
    """Return the number of all steps, at least 1."""
    return max(1, sum(len(game.actions) for _, games in recordings for game in games))
