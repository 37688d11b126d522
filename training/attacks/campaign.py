"""Try all attacks on one model: what breaks at each strength, and games that break it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sims import exact
from sims.canvas import rgba
from sims.contract import Array, Spec
from sims.errors import UserError
from sims.incidents import Happen
from training import attacks
from training.attacks.contract import Attack
from training.attacks.judges import Judge, Rules, judge_of
from training.attacks.search import Case, Opening, search, taken
from training.attacks.victim import Attacked, Broken, Choose, acting, play
from training.evaluation import bootstrap, players
from training.evaluation.autonomy import AIM, AIM_STEPS, CHANCE
from training.evaluation.measures.contract import Subject
from training.evaluation.starts import (
    HELD_OUT,
    Scene,
    large_sensors,
    make_scene,
    sensor_matrix,
    stacked,
)
from training.progress import Progress

STARTS, PLAYED = 9000, 9001  # seeds, far from those of other figures
COVERING = 9500  # the seed of the starts in each scenario
COVERED, COVER = 4, 3.0  # starts in each scenario, and seconds of each
SEEDS = HELD_OUT + (1 << 38)  # of chance, and of where the player aims
UNTOUCHED = Attack("No attack", "Nothing is disturbed.", "", (0.0,), 0)


class Kept:
    """Results of an unfinished campaign, a file each, so that a killed one goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a result in JSON form: the one that is kept, or a new one, which is kept then."""
        file = self.folder / f"{name}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        made = make()
        aside = file.with_suffix(".new")
        aside.write_text(json.dumps(made), encoding="utf-8")
        aside.replace(file)
        return made


class Campaign:
    """A model to attack, and how its games are played and judged."""

    def __init__(self, subject: Subject, spec: Spec, games: int, steps: int, seed: int) -> None:
        self.subject, self.spec, self.steps, self.seed = subject, spec, steps, seed
        self.judge: Judge = judge_of(subject, spec)
        starts = subject.scene(STARTS + 2 * seed, 1, 2 * games)
        self.starts = starts.pick(np.flatnonzero(starts.alive[:, 0])[:games])
        self.games = len(self.starts.history)
        # Without a player that sees frames, the actions of other held-out games are played.
        self.inputs = subject.scene(PLAYED + 2 * seed, steps, games)

    def chooser(self, games: int) -> Choose:
        """Return who plays so many games when nothing is attacked."""
        seeds = SEEDS + self.seed * (1 << 30) + np.arange(games)
        if not isinstance(self.judge, Rules):
            return _repeated(self.inputs, games)
        detector, spec = self.judge.detector, self.spec

        def seen(step: int, frames: Array) -> tuple[Array, Array]:
            tick = np.full(len(frames), step)
            aims = exact.uniform(seeds, tick // AIM_STEPS, AIM, 1)[:, 0]
            actions = detector.act(detector.read(frames[:, 0]), aims)
            given = np.eye(spec.action_size, dtype=np.float32)[actions] if spec.actions else actions
            return given, exact.uniform(seeds, tick, CHANCE, len(spec.chance))

        return seen

    def attacked(
        self, attack: Attack, strength: float, tell: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Return how many of the games break under an attack, when, and by what."""
        found = self.played(self.starts, attack, strength, self.steps, tell)
        names = list(self.judge.causes)
        causes = [names[cause] for cause in found.cause if cause >= 0]
        step = found.step[found.counts]
        if not len(step):
            raise UserError(
                f"attack {attack.title!r} at {strength:g} {attack.unit}: it ends every game at "
                "once, so that no model can be measured. Run: the same with another strength"
            )
        return {
            "strength": strength,
            "broken": bootstrap.mean(step > 0, True),
            "step": bootstrap.median(np.where(step > 0, step, self.steps)),
            "causes": {name: causes.count(name) for name in names if name in causes},
        }

    def played(
        self, starts: Scene, attack: Attack, strength: float, steps: int,
        tell: Callable[[], None] = lambda: None, choose: Choose | None = None,
    ) -> Broken:  # fmt: skip
        """Play games from some starts under an attack; those that it ends at once do not count."""
        choose = choose or self.chooser(len(starts.history))
        on = np.ones(len(starts.history), bool)
        if attack.happen:
            starts, on = self._happened(starts, attack.happen, strength, choose)
            choose = _later(choose, self.subject.model.config.history)
        player = Attacked(self.subject.model, attack, strength, self.seed)
        choose = acting(choose, attack, strength, self.spec, self.seed)
        found = play(player, starts, self.judge, choose, steps, tell)
        return Broken(np.where(on, found.step, 0), np.where(on, found.cause, -1), on)

    def _happened(
        self, starts: Scene, happen: Happen, strength: float, choose: Choose
    ) -> tuple[Scene, Array]:
        """Let something happen, and let the model watch for as long as it looks back.

        Return the new starts, and bool [N]: the game goes on.
        """
        sim_class = self.subject.sim_class
        assert sim_class
        sim = sim_class(len(starts.history))
        sim.restore(starts.start)
        happen(sim.state, strength)
        seen, ended = [], np.zeros(sim.worlds, bool)
        for step in range(self.subject.model.config.history):
            given, chances = choose(step, rgba(sim))
            _, over, cut = sim.step(taken(given, self.spec), chances)
            ended |= over | cut
            seen.append({
                "history": rgba(sim), "history_sensors": sensor_matrix(sim),
                "history_actions": given, "history_chances": chances, **large_sensors(sim),
            })  # fmt: skip
        more = stacked(seen)
        large = {name: np.concatenate([value, more.pop(name)], 1)
                 for name, value in starts.history_large.items()}  # fmt: skip
        parts: dict[str, Any] = {
            name: np.concatenate([getattr(starts, name), value], 1) for name, value in more.items()
        }
        parts |= {"start": sim.snapshot(), "history_large": large}
        return dataclasses.replace(starts, **parts), ~ended

    @cached_property
    def situations(self) -> Scene:
        """Starts in the first seconds of each scenario, `COVERED` of each, one after the other."""
        recipe, sim_class = self.subject.recipe, self.subject.sim_class
        assert sim_class
        scenes = []
        for name in self.spec.scenarios:
            data = dataclasses.replace(
                recipe.data, scenarios={name: 1.0}, behaviours={self.spec.behaviours[0]: 1.0}
            )
            one = dataclasses.replace(recipe, data=data)
            history, steps = self.subject.model.config.history, round(COVER * self.spec.rate)
            scene = make_scene(sim_class, one, COVERING + self.seed, history, steps, 2 * COVERED)
            scenes.append(scene.pick(np.resize(np.flatnonzero(scene.alive[:, 0]), COVERED)))
        return _joined(scenes)

    def covered(self, attack: Attack, strength: float, tell: Callable[[], None]) -> list[int]:
        """Return the step at which a game of `situations` breaks; 0: it does not, -1: no game.

        The actions are those that the sim's first behaviour takes when nothing is attacked.
        """
        scene = self.situations
        steps = scene.actions.shape[1]

        def choose(step: int, frames: Array) -> tuple[Array, Array]:
            return scene.actions[:, step % steps], scene.chances[:, step % steps]

        found = self.played(scene, attack, strength, steps, tell, choose)
        told: list[int] = np.where(found.counts, found.step, -1).tolist()
        return told

    def case(self, number: int, generations: int, tell: Callable[[], None]) -> Case | None:
        """Search one game of the sim for actions that break the model soon."""
        sim_class = self.subject.sim_class
        assert sim_class
        scenarios = list(self.subject.recipe.data.scenarios) or [self.spec.scenarios[0]]
        opening = Opening.of(
            sim_class, 1 + number, scenarios[number % len(scenarios)],
            self.subject.model.config.history, self.steps,
        )  # fmt: skip
        player = players.Model(self.subject.model)
        return search(player, self.judge, opening, generations, self.seed + number, tell)


def run(
    campaign: Campaign, chosen: Mapping[str, Sequence[float]], searched: int, generations: int,
    cover: bool, kept: Kept,
) -> tuple[dict[str, Any], list[Case]]:  # fmt: skip
    """Return the figures of attacks for attacks.json, and the cases, the soonest first.

    `chosen` holds the strengths of each attack. `searched` games of the sim are searched, through
    so many generations each. `cover` asks for each scenario of the sim.
    """
    some = [(name, attacks.attack(name, campaign.spec.name)) for name in chosen]
    tries = [(name, attack, strength) for name, attack in some for strength in chosen[name]]
    total = (1 + len(tries)) * campaign.steps + searched * (generations + 1) * campaign.steps
    span = round(COVER * campaign.spec.rate)
    total += cover * (1 + len(some)) * span
    middle = [(name, attack, chosen[name][len(chosen[name]) // 2]) for name, attack in some]
    recipe = campaign.subject.recipe
    with Progress(f"attack {recipe.world}/{recipe.family}", total) as bar:

        def part(name: str, steps: int, make: Callable[[], Any]) -> Any:
            before = bar.done
            found = kept.get(name, make)
            bar.update(max(0.0, before + steps - bar.done))  # Games may end before their time.
            return found

        def tell() -> None:
            bar.update(1)

        none = part("none", campaign.steps, lambda: campaign.attacked(UNTOUCHED, 0.0, tell))
        figures: dict[str, list[Any]] = {name: [] for name, _ in some}
        for name, attack, strength in tries:
            play = partial(campaign.attacked, attack, strength, tell)
            figures[name].append(part(f"{name}-{strength:g}", campaign.steps, play))
        found = []
        for number in range(searched):
            asked = partial(_searched, campaign, number, generations, bar)
            found.append(part(f"search-{number}", (generations + 1) * campaign.steps, asked))
        scenarios: dict[str, list[int]] = {}
        for name, attack, strength in [("none", UNTOUCHED, 0.0), *middle] if cover else []:
            cover_one = partial(campaign.covered, attack, strength, tell)
            scenarios[name] = part(f"cover-{name}", span, cover_one)
    cases = [Case(**(one | {"actions": np.array(one["actions"], np.float32)}))
             for one in found if one]  # fmt: skip
    told = {
        "games": campaign.games, "steps": campaign.steps, "seed": campaign.seed,
        "by": campaign.judge.by, "causes": campaign.judge.causes, "none": none,
        "attacks": [
            {"name": name, "title": attack.title, "says": attack.says, "unit": attack.unit,
             "tries": figures[name]}
            for name, attack in some
        ],
        "searched": searched, "generations": generations,
    }  # fmt: skip
    if cover:
        told["coverage"] = _coverage(campaign, scenarios)
    return told, sorted(cases, key=lambda one: one.step)


def _coverage(campaign: Campaign, steps: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return how many games of each scenario break: untouched, and by some attack alone."""
    found = {name: np.array(some).reshape(-1, COVERED) for name, some in steps.items()}
    alone = found.pop("none") > 0
    attacked = np.stack([one > 0 for one in found.values()]).any(0) & ~alone
    rows = [
        {"name": name, "alone": bootstrap.mean(alone[k], True),
         "broken": bootstrap.mean(attacked[k], True)}
        for k, name in enumerate(campaign.spec.scenarios)
    ]  # fmt: skip
    return {"games": COVERED, "seconds": COVER, "attacks": len(found), "rows": rows}


def _joined(scenes: Sequence[Scene]) -> Scene:
    """Return the rollouts of several scenes as one."""

    def joined(parts: Sequence[Any]) -> Any:
        if isinstance(parts[0], dict):
            return {name: joined([part[name] for part in parts]) for name in parts[0]}
        return np.concatenate(parts)

    names = [field.name for field in dataclasses.fields(Scene)]
    return Scene(**{name: joined([getattr(one, name) for one in scenes]) for name in names})


def _searched(
    campaign: Campaign, number: int, generations: int, bar: Progress
) -> dict[str, Any] | None:
    """Search one game; return the case in JSON form."""
    found = campaign.case(number, generations, lambda: bar.update(campaign.steps))
    return None if found is None else vars(found) | {"actions": found.actions.tolist()}


def _later(choose: Choose, steps: int) -> Choose:
    """Return a player who goes on from some steps later."""
    return lambda step, frames: choose(step + steps, frames)


def _repeated(inputs: Scene, games: int) -> Choose:
    length = inputs.actions.shape[1]

    def chosen(step: int, frames: Array) -> tuple[Array, Array]:
        rows = (np.arange(games) + step // length) % len(inputs.actions)
        return inputs.actions[rows, step % length], inputs.chances[rows, step % length]

    return chosen
