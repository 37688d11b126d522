"""`wmsite train`: record, train, evaluate and export one world's models, without a site."""

from __future__ import annotations

from pathlib import Path

from builder.commands.build import check
from builder.project import adoption, steps
from builder.project.entries import Entry
from builder.project.worlds import Project
from builder.site import film
from builder.terminal import Terminal
from sims.errors import UserError


def run(
    root: Path,
    name: str,
    terminal: Terminal,
    *,
    family: str | None = None,
    full: bool = False,
    adopt: bool = False,
    budget: str | None = None,
    wait: bool = False,
) -> None:
    """Bring a world's models up to date; UserError for a world without recipes."""
    for entry in entries(root, name, family, terminal, budget):
        if adopt:
            with entry.lock(wait):
                adoption.adopt(entry, terminal)
        due = entry.due()
        steps.prepare(entry, "full" if full else "auto", terminal, wait)
        if entry.playable:
            with entry.lock(wait):
                film.renew(entry, terminal)
        if not due and not full:
            terminal.say(f"model {entry.name}: {due.why}.")


def entries(
    root: Path, name: str, family: str | None, terminal: Terminal, budget: str | None = None
) -> list[Entry]:
    """Check a world; return its models to work on, or only the one of `family`.

    With a `budget`, only those whose recipes have it. UserError for a model without a recipe, and
    where no recipe has the budget.
    """
    world = Project.open(root).world(name)
    known = world.families
    if family and family not in known:
        raise UserError(
            f"world {name!r}: no recipe recipes/{name}/{family}.toml; it has "
            f"{', '.join(known) or 'none'}",
            exit_code=2,
        )
    if not known:
        raise UserError(
            f"world {name!r}: it has no recipe, so there is nothing to train. "
            f"Run: write recipes/{name}/pixels.toml, as `wmsite new` shows",
            exit_code=2,
        )
    check(world, terminal)
    found = [Entry(world, one, budget) for one in ([family] if family else known)]
    if not budget:
        return found
    if having := [entry for entry in found if budget in entry.asked.budget]:
        return having
    names = sorted({name for entry in found for name in entry.asked.budget})
    raise UserError(
        f"world {name!r}: no recipe of its models has a budget {budget!r}; they have "
        f"{', '.join(names) or 'none'}. Run: leave --budget out, or write [budget.{budget}.train] "
        "into a recipe",
        exit_code=2,
    )
