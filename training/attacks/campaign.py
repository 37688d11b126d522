"""Try all attacks on one model: what breaks at each strength, and games that break it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sims import exact
from sims.contract import Array, Spec
from training import attacks
from training.attacks.contract import Attack
from training.attacks.judges import Judge, Rules, judge_of
from training.attacks.search import Case, Opening, search
from training.attacks.victim import Attacked, Choose, acting, play
from training.evaluation import bootstrap, players
from training.evaluation.autonomy import AIM, AIM_STEPS, CHANCE
from training.evaluation.measures.contract import Subject
from training.evaluation.starts import HELD_OUT, Scene
from training.progress import Progress

STARTS, PLAYED = 9000, 9001  # seeds, far from those of other figures
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

    @property
    def choose(self) -> Choose:
        """Who plays when nothing is attacked."""
        seeds = SEEDS + self.seed * (1 << 30) + np.arange(self.games)
        if not isinstance(self.judge, Rules):
            return _repeated(self.inputs, self.games)
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
        player = Attacked(self.subject.model, attack, strength, self.seed)
        choose = acting(self.choose, attack, strength, self.spec, self.seed)
        found = play(player, self.starts, self.judge, choose, self.steps, tell)
        names = list(self.judge.causes)
        causes = [names[cause] for cause in found.cause if cause >= 0]
        return {
            "strength": strength,
            "broken": bootstrap.mean(found.step > 0, True),
            "step": bootstrap.median(np.where(found.step > 0, found.step, self.steps)),
            "causes": {name: causes.count(name) for name in names if name in causes},
        }

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
    kept: Kept,
) -> tuple[dict[str, Any], list[Case]]:  # fmt: skip
    """Return the figures of attacks for attacks.json, and the cases, the soonest first.

    `chosen` holds the strengths of each attack. `searched` games of the sim are searched, through
    so many generations each.
    """
    some = [(name, attacks.attack(name)) for name in chosen]
    tries = [(name, attack, strength) for name, attack in some for strength in chosen[name]]
    total = (1 + len(tries)) * campaign.steps + searched * (generations + 1) * campaign.steps
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
    return told, sorted(cases, key=lambda one: one.step)


def _searched(
    campaign: Campaign, number: int, generations: int, bar: Progress
) -> dict[str, Any] | None:
    """Search one game; return the case in JSON form."""
    found = campaign.case(number, generations, lambda: bar.update(campaign.steps))
    return None if found is None else vars(found) | {"actions": found.actions.tolist()}


def _repeated(inputs: Scene, games: int) -> Choose:
    length = inputs.actions.shape[1]

    def chosen(step: int, frames: Array) -> tuple[Array, Array]:
        rows = (np.arange(games) + step // length) % len(inputs.actions)
        return inputs.actions[rows, step % length], inputs.chances[rows, step % length]

    return chosen
