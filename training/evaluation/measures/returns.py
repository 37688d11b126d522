"""What a policy earns when it sees only what the model says, beside what it earned in recordings.

For a world that was recorded from an environment. Held-out games that a policy has played go on
from their first frames, in the model, under the same policy. A model in which policies can be
judged gives each of them what the environment gave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np

from sims.contract import Array
from sims.errors import UserError
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.starts import Scene, whole_games

SEED = 6000  # far from the seeds of other figures
FEWEST = 5  # held-out games of a policy; of fewer, nothing is told
# Numbers of games, and what the model says in each, by name -> actions float32 [N, A]
Choose = Callable[[Array, Mapping[str, Array]], Array]


def measure(subject: Subject) -> Table | None:
    """Let each policy that was recorded play in the model; None for a world of no environment."""
    dataset = subject.dataset
    if subject.sim_class or dataset is None or "environment" not in dataset.recording:
        return None
    if find_spec("gymnasium") is None:  # The recording was made on another machine.
        return None
    from training.data.environment import person, policies

    found: dict[str, tuple[Scene, Choose]] = {}
    for name in dataset.spec["behaviours"]:
        scene = None if name.endswith(person.SUFFIX) else _games(subject, name)
        if scene is None:
            continue
        if name == policies.RANDOM:
            found[name] = scene, _others(scene)
        elif choose := _policy(subject, name, scene):
            found[name] = scene, choose
    if not found:
        return None
    steps = subject.recipe.data.episode_steps - subject.model.config.history
    cast = {
        subject.recipe.family: players.Model(subject.model),
        "no carried state": players.Model(subject.model, carry=False),
    }
    subject.expect(len(cast) * steps * sum(len(scene.actions) for scene, _ in found.values()))
    rows = []
    for who, player in cast.items():
        played = {name: _played(subject.counted(player), *some, steps)
                  for name, some in found.items()}  # fmt: skip
        rows.append({"name": who, "values": _figures(played)})
    true = {name: ((scene.rewards * scene.alive).sum(1), scene.alive.sum(1))
            for name, (scene, _) in found.items()}  # fmt: skip
    rows.append({"name": "the environment", "values": _figures(true)})
    return {
        "title": "What a policy earns in it",
        "note": (
            f"Held-out games of each policy from step {subject.model.config.history} on, as they "
            "were recorded, and in the model: there the same policy sees only what the model says, "
            f"and '{policies.RANDOM}' plays the actions of other games. A game whose recording "
            "stops before its end stops there in the model, too."
        ),
        "columns": [
            {"key": f"{what}@{name}", "label": f"{name}: {label}", "unit": unit, "better": ""}
            for name in found
            for what, (label, unit) in FIGURES.items()
        ],
        "rows": rows,
        "curve": None,
    }


FIGURES = {"return": ("return", ""), "steps": ("length, median", "steps")}


def _figures(games: Mapping[str, tuple[Array, Array]]) -> dict[str, bootstrap.Figure | None]:
    """Return the figures of what was earned [N], and of steps [N], by policy."""
    told: dict[str, bootstrap.Figure | None] = {}
    for name, (earned, steps) in games.items():
        told |= {f"return@{name}": bootstrap.mean(earned), f"steps@{name}": bootstrap.median(steps)}
    return told


def _games(subject: Subject, name: str) -> Scene | None:
    """Return held-out games of a policy; None for few."""
    assert subject.dataset is not None
    arrays, history = subject.recordings, subject.model.config.history
    first, stop = arrays.episodes.T
    by = subject.dataset.episodes["behaviour"][arrays.episode_index[first]]
    mine = arrays.episodes[(by == name) & (stop - first > history)]
    if len(mine) < FEWEST:
        return None
    some = dataclasses.replace(arrays, episodes=mine, _windows={})
    asked, longest = subject.recipe.evaluate, subject.recipe.data.episode_steps
    return whole_games(some, asked.games, longest, history, SEED)


def _others(scene: Scene) -> Choose:
    """Play the actions of other games, one after the other."""
    flat = scene.actions[scene.alive]
    step, games = 0, len(scene.actions)
    places = np.random.default_rng(SEED).integers(len(flat), size=games)

    def choose(rows: Array, said: Mapping[str, Array]) -> Array:
        nonlocal step
        step += 1
        chosen: Array = flat[(places[rows] + step) % len(flat)]
        return chosen

    return choose


def _policy(subject: Subject, name: str, scene: Scene) -> Choose | None:
    """Let a policy choose; None where it sees more than the model says: the environment itself."""
    from training.data.environment import policies
    from training.data.environment.controls import Controls
    from training.data.environment.opened import one_line
    from training.data.environment.rebuild import rebuild
    from training.data.environment.space_json import from_json

    assert subject.dataset is not None and subject.recipe.gym
    about, spec = subject.dataset.recording["environment"], subject.dataset.spec
    space = from_json(about["observes"])
    see = rebuild(space, subject.recipe.gym, spec, subject.model.observed)
    if see is None:
        return None
    where = f"measure 'returns' of world '{subject.recipe.world}'"
    policy = policies.policy(name, subject.root, where)
    controls = Controls(from_json(about["takes"]), values=tuple(about["values"]))
    randoms = [np.random.default_rng([SEED, game]) for game in range(len(scene.actions))]

    def act(row: int, said: Mapping[str, Array]) -> Array:
        seen = see({key: value[row] for key, value in said.items()})
        return controls.told(policy(seen, None, randoms[row]))

    def choose(rows: Array, said: Mapping[str, Array]) -> Array:
        try:
            return np.stack([act(row, said) for row in rows])
        except Exception as error:
            raise UserError(
                f"{where}: {name} fails at what the model says; {one_line(error)}. Run: mend it, "
                "or take 'returns' out of evaluate.measures"
            ) from error

    try:
        act(0, {key: value[:, 0] for key, value in scene.history_shown.items()})
    except Exception:  # Of what it was recorded with, only the environment is missing.
        return None
    return choose


def _played(
    player: players.Player, scene: Scene, choose: Choose, steps: int
) -> tuple[Array, Array]:
    """Let a policy play in the model: what it earned in each game [N], and its steps [N]."""
    games = len(scene.actions)
    drawn = np.random.default_rng(SEED)
    player.watch(scene)
    said = {name: value[:, -1] for name, value in scene.history_shown.items()}
    actions, on = scene.actions[:, 0].copy(), np.ones(games, np.bool_)
    earned, lasted = np.zeros(games), np.zeros(games)
    most = np.where(scene.ends.any(1), steps, scene.alive.sum(1))
    for _ in range(steps):
        rows = np.flatnonzero(on)
        if not len(rows):
            break
        actions[rows] = choose(rows, said)
        chances = drawn.random((games, scene.chances.shape[2]), np.float32)
        frame = player.step(actions, chances)
        assert player.heads is not None
        earned += on * player.heads.rewards
        lasted += on
        on &= ~player.heads.ends & (lasted < most)
        said = {"frame": frame, **player.shown}
    return earned, lasted
