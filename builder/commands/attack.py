"""`wmsite attack`: disturb a model that plays alone, and search games that break it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder.commands.eval import refuse
from builder.commands.train import entries
from builder.project import cache, code, game_link, steps, weights
from builder.project.entries import Entry
from builder.project.worlds import World
from builder.terminal import Terminal
from sims.errors import UserError
from training import attacks

GAMES, STEPS = 32, 300  # of each attack
SEARCHED, GENERATIONS = 3, 6  # games of the sim, and generations of the search in each
SHOWN = 3  # games that are kept as links
MODE = "neural"  # in which a link plays
NEEDED = (*steps.NEEDED, "cma")


def run(
    root: Path,
    name: str,
    terminal: Terminal,
    *,
    family: str | None = None,
    only: Sequence[str] = (),
    games: int = GAMES,
    length: int = STEPS,
    searched: int = SEARCHED,
    seed: int = 0,
    wait: bool = False,
) -> None:
    """Attack a world's models, print the table, and store it beside the weights.

    `only` names attacks, as "pixels" or with strengths, "pixels=1,5": then nothing is stored, and
    no games are searched. A campaign that was killed goes on.
    """
    models = entries(root, name, family, terminal)
    asked = _asked(only, models[0].world)
    for entry in models:
        with entry.lock(wait):
            _attack(entry, asked, not only, games, length, searched, seed, terminal)


def _asked(only: Sequence[str], world: World) -> dict[str, tuple[float, ...]]:
    """Return the attacks by name, with the strengths that are asked for, or none."""
    world.project.activate()
    known, found = attacks.of(world.name), {}
    for one in only or known:
        name, _, told = one.partition("=")
        if name not in known:
            raise UserError(
                f"--only {one}: no such attack; there are {', '.join(known)}", exit_code=2
            )
        try:
            found[name] = tuple(float(part) for part in told.split(",")) if told else ()
        except ValueError:
            raise UserError(
                f"--only {one}: strengths are numbers. Run: --only {name}=1,5", exit_code=2
            ) from None
    return found


def _attack(
    entry: Entry, asked: dict[str, tuple[float, ...]], keep: bool, games: int, length: int,
    searched: int, seed: int, terminal: Terminal,
) -> None:  # fmt: skip
    refuse(entry, NEEDED)
    from training.attacks import campaign
    from training.data.dataset import Dataset
    from training.evaluation.measures.contract import Subject
    from training.trainer.checkpoints import load_model

    world = entry.world
    chosen = {name: _strengths(name, some, world) for name, some in asked.items()}
    sim_class = None if world.recorded else world.load()
    data = Dataset.open(steps.dataset(entry)) if sim_class is None else None
    subject = Subject(
        load_model(entry.weights), entry.recipe, sim_class, data, lambda player: player,
        root=world.project.root,
    )  # fmt: skip
    fight = campaign.Campaign(subject, world.spec, games, length, seed)
    # `--only` deletes its folder at the end; that of an unfinished campaign stays.
    key = f"{_key(entry, games, length, seed)}{'' if keep else '-only'}"
    folder = entry.home / "attack" / f"{entry.stem}-{key}"
    kept = campaign.Kept(folder)
    count = searched if keep and sim_class else 0
    cover = keep and sim_class is not None and len(world.spec.scenarios) > 1
    told, cases = campaign.run(fight, chosen, count, GENERATIONS, cover, kept)
    terminal.say(_table(entry, told))
    if sim_class and count:
        told["cases"] = [
            {"seed": case.seed, "scenario": case.scenario, "step": case.step,
             "cause": list(told["causes"])[case.cause],
             "link": game_link.fragment(sim_class, world.hash, case.seed, case.scenario,
                                        case.actions, entry.family, MODE)}
            for case in _confirmed(entry, fight, cases)[:SHOWN]
        ]  # fmt: skip
        told["found"] = len(cases)
        for case in told["cases"]:
            terminal.say(f"  breaks at step {case['step']} ({case['cause']}): #{case['link']}")
    if keep:
        told["weights"] = cache.sha256_file(entry.weights / weights.WEIGHTS)
        cache.write_json(entry.weights / weights.ATTACKS, told)
    shutil.rmtree(folder, ignore_errors=True)


def _strengths(name: str, asked: tuple[float, ...], world: World) -> tuple[float, ...]:
    attack = attacks.attack(name, world.name)
    for strength in asked:
        if not 0 < strength <= attack.most:
            raise UserError(
                f"--only {name}={strength:g}: its strength is above 0 and at most "
                f"{attack.most:g} {attack.unit}. Run: --only {name}="
                f"{','.join(f'{s:g}' for s in attack.strengths)}",
                exit_code=2,
            )
    return asked or attack.strengths


def _key(entry: Entry, games: int, length: int, seed: int) -> str:
    """Return what decides a campaign's results: an unfinished one goes on if it is the same."""
    made = cache.sha256_file(entry.weights / weights.WEIGHTS)
    used = (f"training.attacks.{name}" for name in ("campaign", *attacks.names()))
    closure = code.code_hash([*used])
    some = {"games": games, "steps": length, "seed": seed, "generations": GENERATIONS}
    project, incidents = entry.world.project, f"sims.{entry.world.name}.incidents"
    happens = [cache.source_hash(module.file) for module in project.closure([incidents])]
    return cache.key(
        weights=made, keys=entry.keys["evaluate"], code=closure, happens=happens, asked=some
    )[:16]


def _confirmed(entry: Entry, fight: Any, cases: Sequence[Any]) -> list[Any]:
    """Return the games that break the graph that a page plays, each at the step where it does."""
    from builder.export import graph_player, runtimes
    from builder.site.world_folder import VARIANTS
    from training.attacks.search import Opening, case

    folder = entry.weights / "graphs"
    told = cache.read_json(folder / "model.json", dict)
    if not told:
        return []
    variants = sorted(told["variants"], key=lambda v: VARIANTS.index(v["name"]))
    native, found = runtimes.Native(), []
    for one in cases:
        history = fight.subject.model.config.history
        opening = Opening.of(
            fight.subject.sim_class, one.seed, one.scenario, history, len(one.actions)
        )
        player = graph_player.Graph(native, folder / variants[0]["step"]["url"], told)
        actions = one.actions[None, history - 1 :]
        broken, _ = opening.played(player, fight.judge, actions)
        if broken.step[0]:
            found.append(case(opening, actions[0], broken))
    return sorted(found, key=lambda one: one.step)


def _table(entry: Entry, told: dict[str, Any]) -> str:
    """Return the figures as text, a line for each strength."""
    rows = [("no attack", told["none"])]
    rows += [
        (f"{one['title']}, {tried['strength']:g} {one['unit']}", tried)
        for one in told["attacks"]
        for tried in one["tries"]
    ]
    lines = [f"{'model ' + entry.name:<32} {'broken %':>8} {'at step':>8}"]
    lines += [
        f"{name:<32} {tried['broken']['mean']:>8.0f} {tried['step']['mean']:>8.0f}"
        for name, tried in rows
    ]
    return "\n".join(lines) + f"\n  {told['games']} games of {told['steps']} steps. {told['by']}"
