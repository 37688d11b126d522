"""What the page plays, as it is committed: the graphs in real onnxruntime, and the HUD beside."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from building import Lines

from builder.commands import build
from builder.export import graph_player, runtimes
from builder.project.worlds import PACKAGES, Project
from builder.site import hud
from sims.breakout import Breakout
from sims.driving import Driving
from training.evaluation import agreement
from training.evaluation.heads import nearest
from training.evaluation.players import perform
from training.evaluation.starts import Scene, one_hot, rgba, sensor_matrix

GRAPHS = PACKAGES / "weights" / "breakout" / "object_laws" / "graphs"
GAMES, STEPS = 6, 12


def lost_games(history: int) -> Scene:
    """Games that nobody tries to win: their last steps, the last of which ends each."""
    sim = Breakout(GAMES)
    sim.reset(np.arange(GAMES) + (1 << 40))
    sim.state["lives"][:] = 1
    rows: list[tuple[Any, ...]] = []
    while not rows or not rows[-1][-1].all():
        shown = rgba(sim), sensor_matrix(sim)
        actions, chances = sim.act("bad"), sim.draw()
        rewards, ended, _ = sim.step(actions, chances)
        rows.append((*shown, one_hot(sim, actions), chances, rewards, ended))
    rows.append((rgba(sim), sensor_matrix(sim), *rows[-1][2:]))
    frames, sensors, actions, chances, rewards, ended = (
        np.stack(part, 1) for part in zip(*rows, strict=True)
    )
    first = ended.argmax(1)[:, None] + 1 - STEPS
    assert first.min() >= history

    def cut(part: Any, begin: int, end: int) -> Any:
        return part[np.arange(GAMES)[:, None], first + np.arange(begin, end)]

    k = history - 1
    return Scene(
        history=cut(frames, -k, 1),
        history_sensors=cut(sensors, -k, 1),
        history_actions=cut(actions, -k, 0),
        history_chances=cut(chances, -k, 0),
        start={},
        frames=cut(frames, 1, STEPS + 1),
        sensors=cut(sensors, 1, STEPS + 1),
        actions=cut(actions, 0, STEPS),
        chances=cut(chances, 0, STEPS),
        alive=np.ones((GAMES, STEPS), bool),
        rewards=cut(rewards, 0, STEPS),
        ends=np.tile(np.arange(STEPS) == STEPS - 1, (GAMES, 1)),
    )


@pytest.mark.slow
def test_the_shipped_model_ends_a_lost_game_alone() -> None:
    told = json.loads((GRAPHS / "model.json").read_text())
    scene = lost_games(told["history"])
    for variant in told["variants"]:
        assert variant.get("ends"), f"{variant['name']} does not know when a game ends"
        player = graph_player.Graph(runtimes.Native(), GRAPHS / variant["step"]["url"], told)
        heads = perform(player, scene)[1]
        assert heads is not None
        found = agreement.head_figures(agreement.head_counts(heads, scene, told["rewards"]))
        for key in ("end_recall", "end_precision"):
            figure = found[key]
            assert figure and figure["mean"] == 100, (variant["name"], key)
        assert np.array_equal(nearest(heads.rewards, told["rewards"]), scene.rewards)


@pytest.mark.slow
def test_the_hud_is_found_out_by_playing() -> None:
    assert hud.sources(Breakout) == {"score": "reward", "lives": "sensor.lives.0"}
    assert hud.sources(Driving) == {"speed": "sensor.speed.0 * 3.6"}

    class Bonus(Breakout):
        """A score that is not what was rewarded."""

        def hud(self) -> dict[str, Any]:
            shown = super().hud()
            return shown | {"score": shown["score"] + self.state["tick"]}

    assert hud.sources(Bonus) == {"lives": "sensor.lives.0"}


@pytest.mark.slow
@pytest.mark.parametrize("world", ["breakout", "driving", "lander", "maze", "pong"])
def test_each_sim_keeps_the_contract(world: str) -> None:
    """It is checked and noted as a build does it, so that the whole site's build need not again."""
    build.check(Project(PACKAGES).world(world), Lines())


def test_a_site_of_every_family_is_built_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from training import families\n"
        "for name in families.names():\n"
        "    families.part(name, 'options'), families.optional(name, 'diagram')\n"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=PACKAGES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
