"""Play a sim's scripted behaviours in batches, and record what happens as a dataset.

Row t of an episode holds frame t, the action and chance of the step taken on it, and that
step's reward and end. An episode that terminates has one row more, unless recording stopped
right there: the frame that the end left, with the step that changes nothing any more. Every
episode has a seed of its own, and no seed is in two splits.
"""

from __future__ import annotations

import inspect
import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sims.contract import Array, Sim
from sims.errors import UserError
from training.lerobot import Writer, encode_png, write_json, write_parquet
from training.palette import Colours
from training.progress import Progress
from training.recipe import Data, Recipe, to_json

MANIFEST = "meta/wmsite"
FORMAT = 1
SAMPLE = 10  # Every tenth frame of a world counts in the statistics of its images.


def record(sim_class: type[Sim], recipe: Recipe, out: Path, name: str) -> Path:
    """Record the recipe's data as the folder `out`/`name`, and return that folder.

    What stands there already is returned as it is: name it by all that decides its content.
    Raises UserError for shares of what the sim doesn't have, for a sim that fails, and for a
    disk that does; nothing half made is left behind.
    """
    folder = out / name
    if (folder / MANIFEST / "recording.json").exists():
        return folder
    shares = plan(sim_class, recipe.data)
    out.mkdir(parents=True, exist_ok=True)
    _sweep(out, name)
    aside = out / f".{name}.{os.getpid()}"
    aside.mkdir()
    try:
        _record(sim_class, recipe, shares, aside)
        if folder.exists():  # Not whole, or it would have been returned.
            shutil.rmtree(folder)
        aside.replace(folder)
        _sync_folder(out)
    except OSError as error:
        raise UserError(
            f"dataset of world '{sim_class.spec.name}': can't be written to {out}; "
            f"{error.strerror or error}. Run: make room there, then the same command again"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def episode_seed(recipe_seed: int, split: int, number: int) -> int:
    """Return the seed of a split's n-th episode, always within 10**6..2**40.

    The rest is left to those who play and to evaluation.
    """
    return (recipe_seed % 10**4 * 100 + split + 1) * 10**6 + number


def ordered_splits(data: Data) -> list[str]:
    """Return the splits in the order in which they are recorded: train, then by name."""
    return sorted(
        (s for s, share in data.splits.items() if share > 0), key=lambda s: (s != "train", s)
    )


def plan(sim_class: type[Sim], data: Data) -> dict[str, dict[str, float]]:
    """Return {"behaviours": ..., "scenarios": ...}: shares adding up to 1, in the sim's order.

    Raises UserError for one that the sim doesn't have.
    """
    spec = sim_class.spec
    out = {}
    for what, known in (("behaviours", spec.behaviours), ("scenarios", spec.scenarios)):
        shares = getattr(data, what) or dict.fromkeys(known, 1.0)
        for key in shares:
            if key not in known:
                raise UserError(
                    f"recipe for world '{spec.name}': data.{what} names '{key}'; "
                    f"the sim has {', '.join(known)}."
                )
        total = sum(shares.values())
        out[what] = {key: shares[key] / total for key in known if shares.get(key, 0) > 0}
    return out


def _record(
    sim_class: type[Sim], recipe: Recipe, plan: dict[str, dict[str, float]], folder: Path
) -> None:
    data, spec = recipe.data, sim_class.spec
    writer = Writer(folder, spec)
    book = _Book()
    colours = Colours()
    splits = ordered_splits(data)
    shares = sum(data.splits.values())
    ranges = {}
    with Progress(f"record {spec.name}", total=data.steps) as bar:
        for number, split in enumerate(splits):
            first = len(writer.episodes)
            steps = data.steps * data.splits[split] / shares
            # Few enough worlds that each lives through a whole episode.
            worlds = int(min(data.worlds, max(1, steps // data.episode_steps)))
            seeds = (episode_seed(recipe.seed, number, k) for k in range(10**6))
            batch = _Batch(sim_class, worlds, plan, seeds, data.episode_steps)
            ticks = max(1, round(steps / worlds))
            for tick in range(1, ticks + 1):
                for episode in batch.tick(colours, last=tick == ticks):
                    book.note(episode, split, writer)
                bar.update(worlds, episodes=len(writer.episodes))
            ranges[split] = f"{first}:{len(writer.episodes)}"
    writer.finish(ranges)
    book.write(folder)
    files = sorted(path for path in folder.glob("data/*/*.parquet"))
    recording = {
        "format": FORMAT,
        "world": spec.name,
        "spec": spec.to_json(),
        "seed": recipe.seed,
        "data": to_json(recipe)["data"],
        "frames": writer.frames,
        "episodes": len(writer.episodes),
        "palette": colours.palette(),
        "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
    }
    write_json(folder / MANIFEST / "recording.json", recording)


class _Batch:
    """Worlds stepped together, each with the episode it is in."""

    def __init__(
        self,
        sim_class: type[Sim],
        worlds: int,
        plan: dict[str, dict[str, float]],
        seeds: Iterator[int],
        limit: int,
    ) -> None:
        self.sim_class, self.spec = sim_class, sim_class.spec
        spec = self.spec
        self.plan, self.seeds, self.limit = plan, seeds, limit
        camera = spec.cameras[0]
        self.frames = np.zeros(
            (worlds, len(spec.cameras), camera.height, camera.width, 3), np.uint8
        )
        rows = (self.limit + 1, worlds)
        self.columns: dict[str, Array] = {
            "action": np.zeros((*rows, spec.action_size), np.float32),
            "chance": np.zeros((*rows, len(spec.chance)), np.float32),
            "next.reward": np.zeros(rows, np.float32),
            "next.done": np.zeros(rows, np.bool_),
        }
        for sensor in spec.sensors:
            shape = (*rows, *sensor.shape)
            self.columns[f"observation.{sensor.name}"] = np.zeros(shape, sensor.dtype)
        self.all = np.arange(worlds)
        self.length = np.zeros(worlds, np.int64)
        self.over = np.zeros(worlds, np.bool_)
        self.shades = np.zeros((worlds, len(spec.cameras), 3, 256), np.int64)
        self.images: list[list[list[bytes]]] = [[[] for _ in spec.cameras] for _ in self.all]
        self.events: list[list[tuple[int, str]]] = [[] for _ in self.all]
        self.seed = np.zeros(worlds, np.int64)
        self.behaviour = np.full(worlds, "", np.object_)
        self.scenario = np.full(worlds, "", np.object_)
        self.played = dict.fromkeys(plan["behaviours"], 0)  # steps of each so far
        self.begun: dict[str, dict[str, int]] = {
            behaviour: dict.fromkeys(plan["scenarios"], 0) for behaviour in plan["behaviours"]
        }
        with _blamed(self.sim_class):
            self.sim = sim_class(worlds)
            self._restart(np.ones(worlds, np.bool_))

    def tick(self, colours: Colours, last: bool) -> list[dict[str, Any]]:
        """Record one step of every world; return the episodes that ended (all, at the last)."""
        spec, at = self.spec, self.length
        with _blamed(self.sim_class):
            self.sim.render(self.frames)
            chance = self.sim.draw()
            sensors = self.sim.sensors()
            actions = self._act()
            reward, terminated, truncated = self.sim.step(actions, chance)
            events = self.sim.events() if spec.events else {}
            happened = [(np.flatnonzero(events[name]).tolist(), name) for name in spec.events]
            self._store("action", np.eye(spec.action_size)[actions] if spec.actions else actions)
            self._store("chance", chance)
            self._store("next.reward", reward)
            self._store("next.done", terminated)
            for sensor in spec.sensors:
                self._store(f"observation.{sensor.name}", sensors[sensor.name])
        colours.see(self.frames)
        for i in range(len(spec.cameras)):
            for images, image in zip(self.images, encode_png(self.frames[:, i]), strict=True):
                images[i].append(image)
        for world in np.flatnonzero(at % SAMPLE == 0).tolist():
            for i, channel in np.ndindex(len(spec.cameras), 3):
                values = self.frames[world, i, :, :, channel].reshape(-1)
                self.shades[world, i, channel] += np.bincount(values, minlength=256)
        for worlds, name in happened:
            for world in worlds:
                self.events[world].append((int(at[world]), name))

        self.length = at + 1
        ended = self.over | truncated | ((self.length >= self.limit) & ~terminated)
        over, self.over = self.over, terminated & ~ended
        out = []
        for world in (self.all if last else np.flatnonzero(ended)).tolist():
            why = "terminated" if over[world] or self.over[world] else "truncated"
            out.append(self._take(world, why))
        if not last and ended.any():
            with _blamed(self.sim_class):
                self._restart(ended)
        return out

    def _act(self) -> Array:
        """Let each world's behaviour choose its action."""
        actions: Array | None = None
        for behaviour in self.played:
            mine = self.behaviour == behaviour
            self.played[behaviour] += int(mine.sum())
            if mine.any():
                chosen = np.asarray(self.sim.act(behaviour))
                if actions is None:
                    actions = chosen.copy()
                else:
                    actions[mine] = chosen[mine]
        assert actions is not None
        return actions

    def _store(self, column: str, values: Array) -> None:
        values = np.asarray(values)
        room = self.columns[column]
        if values.shape != room.shape[1:]:
            raise ValueError(f"{column} has shape {values.shape}, not {room.shape[1:]}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{column} holds NaN or an infinity")
        room[self.length, self.all] = values

    def _restart(self, where: Array) -> None:
        """Begin new episodes: each behaviour gets its share of steps, each scenario of episodes."""
        chosen: dict[str, Array] = {}
        self.behaviour[where] = ""
        for world in np.flatnonzero(where).tolist():
            # An episode that has begun counts as half the longest one, lest all choose the same.
            steps = {
                b: played + int((self.behaviour == b).sum()) * self.limit // 2
                for b, played in self.played.items()
            }
            behaviour = _neediest(self.plan["behaviours"], steps, self.limit // 2)
            scenario = _neediest(self.plan["scenarios"], self.begun[behaviour], 1)
            self.begun[behaviour][scenario] += 1
            self.behaviour[world], self.scenario[world] = behaviour, scenario
            self.seed[world] = next(self.seeds)
            chosen.setdefault(scenario, np.zeros(len(self.all), np.bool_))[world] = True
        for scenario, worlds in chosen.items():
            self.sim.reset(self.seed, scenario, worlds)

    def _take(self, world: int, why: str) -> dict[str, Any]:
        """Return a world's episode so far and forget it."""
        count = int(self.length[world])
        columns = {name: room[:count, world] for name, room in self.columns.items()}
        if self.spec.sensors:
            flat = [columns[f"observation.{s.name}"].reshape(count, -1) for s in self.spec.sensors]
            columns["observation.state"] = np.concatenate(flat, axis=1).astype(np.float32)
        episode = {
            "columns": columns,
            "images": {c.name: self.images[world][i] for i, c in enumerate(self.spec.cameras)},
            "shades": self.shades[world].copy(),
            "events": self.events[world],
            "seed": int(self.seed[world]),
            "behaviour": self.behaviour[world],
            "scenario": self.scenario[world],
            "ended": why,
        }
        self.images[world] = [[] for _ in self.spec.cameras]
        self.events[world] = []
        self.shades[world] = 0
        self.length[world] = 0
        return episode


def _neediest(shares: dict[str, float], had: dict[str, int], more: int) -> str:
    """Return who lacks most of its share, were `more` given out."""
    total = sum(had.values()) + more
    return max(shares, key=lambda name: shares[name] * total - had[name])


class _Book:
    """The manifest: a row an episode and a row an event, to be asked without opening a frame."""

    def __init__(self) -> None:
        self.episodes: list[dict[str, Any]] = []
        self.events: dict[str, list[Any]] = {
            "event": [], "episode_index": [], "frame_index": [], "index": []
        }  # fmt: skip

    def note(self, episode: dict[str, Any], split: str, writer: Writer) -> None:
        """Hand an episode to the writer, and note where it went and what happened in it."""
        index = len(writer.episodes)
        task = f"{writer.spec.title}: {episode['behaviour']}"
        place = writer.add(episode["columns"], episode["images"], episode["shades"], task)
        first = place["dataset_from_index"]
        self.episodes.append(
            {
                "episode_index": index,
                "split": split,
                "behaviour": episode["behaviour"],
                "scenario": episode["scenario"],
                "seed": episode["seed"],
                "ended": episode["ended"],
                "length": place["dataset_to_index"] - first,
            }
            | place
        )
        for frame, event in episode["events"]:
            for key, value in zip(self.events, (event, index, frame, first + frame), strict=True):
                self.events[key].append(value)

    def write(self, folder: Path) -> None:
        """Write `episodes.parquet` and `events.parquet`."""
        (folder / MANIFEST).mkdir()
        write_parquet(folder / MANIFEST / "episodes.parquet", pa.Table.from_pylist(self.episodes))
        kinds = [pa.string(), pa.int64(), pa.int64(), pa.int64()]
        schema = pa.schema(list(zip(self.events, kinds, strict=True)))
        write_parquet(folder / MANIFEST / "events.parquet", pa.table(self.events, schema))


@contextmanager
def _blamed(sim_class: type[Sim]) -> Iterator[None]:
    """Turn what a sim raises into one line that says where in its source."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        source = inspect.getfile(sim_class)
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == source]
        where = f"{Path(source).name}, line {lines[-1]}" if lines else Path(source).name
        raise UserError(
            f"world '{sim_class.spec.name}' ({where}): {type(error).__name__}: {error}. "
            "Run: wmsite check"
        ) from error


def _sweep(out: Path, name: str) -> None:
    """Remove what recorders that were killed have left."""
    for path in out.glob(f".{name}.*"):
        pid = int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0
        if pid == os.getpid() or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
