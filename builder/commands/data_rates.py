"""`wmsite data rates`: the rate of each event while a behaviour plays.

`rates.json`, beside the world's dataset card, has one row for each scenario: the share of games in
which each event happened at least once, with its interval. The sim draws no frames, so a hundred
games take seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from builder.project import cache, own
from builder.project.worlds import Project
from builder.site import recording_sections
from builder.terminal import Terminal
from sims.contract import Array, Sim
from sims.errors import UserError
from training.data.episodes import blamed
from training.evaluation import bootstrap
from training.progress import Progress

FORMAT = 1
SEED = 900_000  # The seed of the first game: below all recorded seeds.
LASTED = "lasted"  # Not an event: the game reached its limit of steps.


def run(
    root: Path, name: str, terminal: Terminal, behaviour: str | None, games: int, out: Path | None
) -> None:
    """Measure every scenario of a world and write rates.json."""
    world = Project.open(root).world(name)
    sim_class = world.load()
    spec = sim_class.spec
    behaviour = behaviour or spec.behaviours[0]
    if behaviour not in spec.behaviours:
        raise UserError(
            f"world '{name}': no behaviour '{behaviour}'; it has {', '.join(spec.behaviours)}.",
            exit_code=2,
        )
    out = own.resolved(out or world.card, "card")
    recording_sections.refuse(out)
    rows = []
    with Progress(f"rates of {name}", len(spec.scenarios)) as bar:
        for scenario in spec.scenarios:
            with blamed(sim_class):
                rows.append(measure(sim_class, behaviour, scenario, games))
            bar.update(1)
    told = {
        "format": FORMAT,
        "world": name,
        "sim": world.hash,
        "behaviour": behaviour,
        "games": games,
        "seeds": [SEED, SEED + games - 1],
        "limit": spec.max_steps / spec.rate,
        "scenarios": rows,
    }
    cache.write_json(out / "rates.json", told)
    terminal.say(f"rates {out / 'rates.json'}: {len(rows)} scenarios, {games} games each")


def measure(sim_class: type[Sim], behaviour: str, scenario: str, games: int) -> dict[str, Any]:
    """Play a scenario's games to their ends: shares in percent, and their mean length in s."""
    sim = sim_class(games)
    sim.reset(np.arange(SEED, SEED + games, dtype=np.int64), scenario)
    names = sim.spec.events
    happened: dict[str, Array] = {event: np.zeros(games, np.bool_) for event in names}
    ticks = np.full(games, sim.spec.max_steps, np.int64)
    playing = np.arange(games)
    over = np.zeros(games, np.bool_)
    for tick in range(1, sim.spec.max_steps + 1):
        _, terminated, _ = sim.step(sim.act(behaviour))
        events = sim.events()
        for event in names:
            happened[event][playing] |= events[event]
        ended = terminated & ~over[playing]
        ticks[playing[ended]] = tick
        over[playing[terminated]] = True
        if over.all():
            break
        if terminated.sum() * 2 > len(playing):
            # Worlds are independent, so the games that still run can continue without the others.
            playing, kept = playing[~terminated], sim.snapshot()
            sim = sim_class(len(playing))
            sim.restore({name: value[~terminated] for name, value in kept.items()})
    shares = {event: bootstrap.mean(found, percent=True) for event, found in happened.items()}
    return {
        "name": scenario,
        "games": games,
        "seconds": round(float(ticks.mean()) / sim.spec.rate, 2),
        "events": shares | {LASTED: bootstrap.mean(~over, percent=True)},
    }
