"""Play a sim's behaviours in a batch of worlds, and return whole episodes."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sims import canvas
from sims.contract import Array, Sim, Spec
from sims.errors import UserError
from training.data.components import in_state
from training.data.images import encode_png
from training.data.palette import Colours

SAMPLE = 10  # The statistics of images use every tenth frame of a world.


@dataclass(frozen=True)
class Episode:
    """One game from its start: T rows, and its entries for the manifest.

    columns: [T, ...] by feature. images: T PNGs by camera. shades: int64 [cameras, 3, 256], the
    count of each value. events: (row, name). condition: "" in a world without conditions.
    """

    columns: dict[str, Array]
    images: dict[str, list[bytes]]
    shades: Array
    events: list[tuple[int, str]]
    seed: int
    behaviour: str
    scenario: str
    condition: str
    ended: str


def columns(spec: Spec, rows: tuple[int, ...]) -> dict[str, Array]:
    """Return empty arrays for all columns of a step except the images: [*rows, ...] by feature."""
    room: dict[str, Array] = {
        "action": np.zeros((*rows, spec.action_size), np.float32),
        "chance": np.zeros((*rows, len(spec.chance)), np.float32),
        "next.reward": np.zeros(rows, np.float32),
        "next.done": np.zeros(rows, np.bool_),
    }
    for sensor in spec.sensors:
        room[f"observation.{sensor.name}"] = np.zeros((*rows, *sensor.shape), sensor.dtype)
    return room


class Batch:
    """Worlds that step together, each with its current episode."""

    def __init__(
        self,
        sim_class: type[Sim],
        worlds: int,
        plan: dict[str, dict[str, float]],
        seeds: Iterator[int],
        limit: int,
        before: float | None = None,
    ) -> None:
        """Start `worlds` episodes; with `before`, continue as if there had been about so many."""
        self.sim_class, self.spec = sim_class, sim_class.spec
        spec = self.spec
        self.plan, self.seeds, self.limit = plan, seeds, limit
        self.frames = canvas.blank(spec, worlds)
        self.columns = columns(spec, (limit + 1, worlds))
        self.all = np.arange(worlds)
        self.length = np.zeros(worlds, np.int64)
        self.over = np.zeros(worlds, np.bool_)
        self.shades = np.zeros((worlds, len(spec.cameras), 3, 256), np.int64)
        self.images: list[list[list[bytes]]] = [[[] for _ in spec.cameras] for _ in self.all]
        self.events: list[list[tuple[int, str]]] = [[] for _ in self.all]
        self.seed = np.zeros(worlds, np.int64)
        self.behaviour = np.full(worlds, "", np.object_)
        self.scenario = np.full(worlds, "", np.object_)
        self.condition = np.full(worlds, "", np.object_)
        self.played = dict.fromkeys(plan["behaviours"], 0)  # steps of each behaviour so far
        scenarios, self.turns = list(plan["scenarios"]), {}
        for i, (behaviour, share) in enumerate(plan["behaviours"].items()):
            ahead = 0 if before is None else round(before * share) + i
            turn = ahead % len(scenarios)
            self.turns[behaviour] = {
                s: plan["scenarios"][s] for s in scenarios[turn:] + scenarios[:turn]
            }
        self.begun: dict[str, dict[str, int]] = {
            behaviour: dict.fromkeys(scenarios, 0) for behaviour in plan["behaviours"]
        }
        conditions = plan.get("conditions", {})
        self.met = {scenario: dict.fromkeys(conditions, 0) for scenario in scenarios}
        with blamed(sim_class):
            self.sim = sim_class(worlds)
            self._restart(np.ones(worlds, np.bool_))

    def tick(self, colours: Colours, last: bool) -> list[Episode]:
        """Record one step of every world; return the episodes that ended (all, at the last)."""
        at = self.length
        with blamed(self.sim_class):
            terminated, truncated, happened = self._step()
        colours.see(self.frames)
        for i, camera in enumerate(self.spec.cameras):
            shown = self.frames[:, i, : camera.height, : camera.width]
            for images, image in zip(self.images, encode_png(shown), strict=True):
                images[i].append(image)
        for world in np.flatnonzero(at % SAMPLE == 0).tolist():
            self.shades[world] += shades(self.frames[world], self.spec)
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
            with blamed(self.sim_class):
                self._restart(ended)
        return out

    def _step(self) -> tuple[Array, Array, list[tuple[list[int], str]]]:
        """Store one row of every world and step it; return which worlds ended, and the events."""
        spec = self.spec
        self.sim.render(self.frames)
        chance = self.sim.draw()
        sensors = self.sim.sensors()
        # The sim may write into the same arrays again.
        for sensor in spec.sensors:
            self._store(f"observation.{sensor.name}", sensors[sensor.name])
        actions = self._act()
        reward, terminated, truncated = self.sim.step(actions, chance)
        events = self.sim.events() if spec.events else {}
        self._store("action", np.eye(spec.action_size)[actions] if spec.actions else actions)
        self._store("chance", chance)
        self._store("next.reward", reward)
        self._store("next.done", terminated)
        happened = [(np.flatnonzero(events[name]).tolist(), name) for name in spec.events]
        return terminated, truncated, happened

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
        """Start new episodes: each behaviour gets its share of steps, each scenario of episodes."""
        chosen: dict[str, Array] = {}
        self.behaviour[where] = ""
        for world in np.flatnonzero(where).tolist():
            # An unfinished episode counts as half the longest one, so that not all choose the same.
            steps = {
                b: played + int((self.behaviour == b).sum()) * self.limit // 2
                for b, played in self.played.items()
            }
            behaviour = _neediest(self.plan["behaviours"], steps, self.limit // 2)
            scenario = start = _neediest(self.turns[behaviour], self.begun[behaviour], 1)
            self.begun[behaviour][scenario] += 1
            if self.met[scenario]:
                condition = _neediest(self.plan["conditions"], self.met[scenario], 1)
                self.met[scenario][condition] += 1
                self.condition[world], start = condition, f"{scenario}/{condition}"
            self.behaviour[world], self.scenario[world] = behaviour, scenario
            self.seed[world] = next(self.seeds)
            chosen.setdefault(start, np.zeros(len(self.all), np.bool_))[world] = True
        for start, worlds in chosen.items():
            self.sim.reset(self.seed, start, worlds)
        for world in np.flatnonzero(where).tolist():
            self.condition[world] = condition_of(self.sim, world) or self.condition[world]

    def _take(self, world: int, why: str) -> Episode:
        """Return a world's episode so far and forget it."""
        count = int(self.length[world])
        episode = Episode(
            columns=with_state(
                self.spec, {name: room[:count, world] for name, room in self.columns.items()}
            ),
            images={c.name: self.images[world][i] for i, c in enumerate(self.spec.cameras)},
            shades=self.shades[world].copy(),
            events=self.events[world],
            seed=int(self.seed[world]),
            behaviour=self.behaviour[world],
            scenario=self.scenario[world],
            condition=self.condition[world],
            ended=why,
        )
        self.images[world] = [[] for _ in self.spec.cameras]
        self.events[world] = []
        self.shades[world] = 0
        self.length[world] = 0
        return episode


def shades(frames: Array, spec: Spec) -> Array:
    """Count the values of each camera in uint8 [cameras, H, W, 3]: int64 [cameras, 3, 256]."""
    counts = np.zeros((len(frames), 3, 256), np.int64)
    for i, camera in enumerate(spec.cameras):
        shown = frames[i, : camera.height, : camera.width]
        for channel in range(3):
            counts[i, channel] = np.bincount(shown[:, :, channel].reshape(-1), minlength=256)
    return counts


def with_state(spec: Spec, columns: dict[str, Array]) -> dict[str, Array]:
    """Return an episode's columns with `observation.state`, if the sim has such sensors."""
    told = [columns[f"observation.{s.name}"] for s in spec.sensors if in_state(s.shape)]
    if not told:
        return columns
    flat = [values.reshape(len(values), -1) for values in told]
    return columns | {"observation.state": np.concatenate(flat, axis=1).astype(np.float32)}


def condition_of(sim: Sim, world: int) -> str:
    """Return the condition of a world, from its state; "" if the state has none."""
    if not sim.spec.conditions or "condition" not in sim.state:
        return ""
    return sim.spec.conditions[int(sim.state["condition"][world])]


def _neediest(shares: dict[str, float], had: dict[str, int], more: int) -> str:
    """Return the index whose share would be the furthest behind, if `more` were assigned."""
    total = sum(had.values()) + more
    return max(shares, key=lambda name: shares[name] * total - had[name])


@contextmanager
def blamed(sim_class: type[Sim]) -> Iterator[None]:
    """Turn an exception of a sim into one line with its place in the source."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        source = Path(inspect.getfile(sim_class))
        own = {source} if source.name != "__init__.py" else set(source.parent.rglob("*.py"))
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame for frame in frames if Path(frame.filename) in own]
        where = (
            f"{Path(lines[-1].filename).name}, line {lines[-1].lineno}" if lines else source.name
        )
        raise UserError(
            f"world '{sim_class.spec.name}' ({where}): {type(error).__name__}: {error}. "
            "Run: wmsite check"
        ) from error
