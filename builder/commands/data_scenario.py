"""`wmsite data scenario`: write a game of a driving sim as OpenSCENARIO, for other tools."""

from __future__ import annotations

from pathlib import Path

from builder.export import openscenario
from builder.project import cache
from builder.project.worlds import Project
from builder.terminal import Terminal, size
from sims.errors import UserError
from sims.road_users import road_users_of


def run(
    root: Path, name: str, terminal: Terminal, scenario: str, seed: int, seconds: float,
    out: Path | None,
) -> None:  # fmt: skip
    """Write one game, played by the sim's first behaviour, as `out`."""
    world = Project.open(root).world(name)
    sim_class = world.load()
    spec = sim_class.spec
    tell = road_users_of(name)
    if tell is None:
        raise UserError(
            f"world {name!r}: it tells no road users, so nothing of it is a traffic scenario. "
            f"Run: the same for a world of vehicles, or write sims/{name}/road_users.py",
            exit_code=2,
        )
    scenario = scenario or spec.scenarios[0]
    if not spec.has(scenario):
        known = ", ".join(spec.scenarios)
        raise UserError(
            f"world {name!r}: no scenario {scenario!r}; it has {known}, each also as NAME/CONDITION"
            f" ({', '.join(spec.conditions) or 'none'}). Run: the same with one of these",
            exit_code=2,
        )
    steps = max(1, round(seconds * spec.rate))
    told = openscenario.game(sim_class, tell, seed, scenario, steps)
    title = f"{spec.title}: {scenario}, seed {seed}"
    text = openscenario.document(told, spec.rate, title)
    out = out or Path(f"{name}-{scenario.replace('/', '-')}-{seed}.xosc")
    if out.exists() and openscenario.MARK not in out.read_text(encoding="utf-8", errors="replace"):
        raise UserError(
            f"scenario {out}: there is a file of that name that wmsite did not write, and it was "
            "not touched. Run: give another name with --out",
            exit_code=2,
        )
    cache.write(out, text.encode())
    others = len(openscenario.tracks(told)) - 1
    terminal.say(
        f"{out}: {(len(told) - 1) / spec.rate:g} s, {others} road users beside the driven one, "
        f"{size(len(text))}"
    )
