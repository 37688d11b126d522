"""Whether a model ends a game when the truth does, under the same actions and chance.

Recorded games are played from their first frames, a sim's from somewhere in a game. What a model
says after the first end that it told does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sims.contract import Array
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.players import Player
from training.evaluation.starts import Scene, whole_games

SEED = 5000  # far from the seeds of other figures
STEPS = 300  # most steps of a game
NEAR = 3  # steps from the true end that still count as right
FEWEST = 5  # games that ended; of fewer, nothing is told


def measure(subject: Subject) -> Table | None:
    """Compare the first end that a model tells with the true one; None where few games end."""
    scene = _scene(subject)
    if scene is None:
        return None
    # Of an end in the last steps, a late one could not be seen.
    scene = scene.pick(~scene.ends[:, -NEAR:].any(1))
    ended: Array = np.asarray(scene.ends.any(1))
    if ended.sum() < FEWEST:
        return None
    games, steps = scene.ends.shape
    cast: dict[str, Player] = {
        subject.recipe.family: players.Model(subject.model),
        "no carried state": players.Model(subject.model, carry=False),
    }
    subject.expect(len(cast) * games * steps)
    found = {name: told(subject.counted(player), scene) for name, player in cast.items()}
    true = np.where(ended, scene.ends.argmax(1), scene.alive.sum(1))
    found["always after the median"] = np.full(games, np.median(true[ended]))
    return {
        "title": "When it ends the game",
        "note": (
            f"{games} held-out games under their own actions, {ended.sum()} of which end. An end "
            f"at most {NEAR} steps from the true one is right."
        ),
        "columns": COLUMNS,
        "rows": [
            {"name": name, "values": _figures(mine, true, ended)} for name, mine in found.items()
        ],
        "curve": None,
    }


COLUMNS: list[dict[str, Any]] = [
    {"key": key, "label": label, "unit": unit, "better": better}
    for key, label, unit, better in (
        ("right", "ends that are right", "%", "high"),
        ("early", "ends that come earlier", "%", "low"),
        ("late", "ends that come later, or never", "%", "low"),
        ("off", "steps from the true end, median", "steps", "low"),
        ("false", "games that go on, and the model ends", "%", "low"),
    )
]


def told(player: Player, scene: Scene) -> Array:
    """Return the step of the first end that a player tells in each game; far off for none."""
    games, steps = scene.ends.shape
    never = 2 * steps + NEAR
    first = np.full(games, never)
    player.watch(scene)
    last = np.where(scene.ends.any(1), scene.ends.argmax(1) + NEAR, scene.alive.sum(1) - 1)
    for t in range(min(steps, int(last.max()) + 1)):
        player.step(scene.actions[:, t], scene.chances[:, t])
        assert player.heads is not None
        first[player.heads.ends & (first == never)] = t
    return first


def _scene(subject: Subject) -> Scene | None:
    asked = subject.recipe.evaluate
    if subject.sim_class:
        return subject.scene(SEED, STEPS, asked.games)
    history = subject.model.config.history
    return whole_games(subject.recordings, asked.games, STEPS, history, SEED)


def _figures(mine: Array, true: Array, ended: Array) -> dict[str, bootstrap.Figure | None]:
    off = (mine - true)[ended]
    rest: Any = (mine < true)[~ended]
    return {
        "right": bootstrap.mean(np.abs(off) <= NEAR, True),
        "early": bootstrap.mean(off < -NEAR, True),
        "late": bootstrap.mean(off > NEAR, True),
        "off": bootstrap.median(np.abs(off)),
        "false": bootstrap.mean(rest, True) if len(rest) else None,
    }
