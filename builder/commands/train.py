"""`wmsite train`: record, train, evaluate and export one world's models, without a site."""

from __future__ import annotations

from pathlib import Path

from builder import pipeline
from builder.commands.build import check
from builder.project import Project
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
    wait: bool = False,
) -> None:
    """Bring a world's models up to date; UserError for a world without recipes."""
    project = Project.open(root)
    world = project.world(name)
    chosen = entries(world_families=world.families, family=family, name=name)
    check(world, terminal)
    for one in chosen:
        entry = pipeline.Entry(world, one)
        if adopt:
            with entry.lock(wait):
                pipeline.adopt(entry, terminal)
        due = entry.due()
        pipeline.prepare(entry, "full" if full else "auto", terminal, wait)
        if not due and not full:
            terminal.say(f"model {entry.name}: {due.why}.")


def entries(world_families: list[str], family: str | None, name: str) -> list[str]:
    """Return the families to work on; UserError for one that no recipe describes."""
    if family and family not in world_families:
        raise UserError(
            f"world {name!r}: no recipe recipes/{name}/{family}.toml; it has "
            f"{', '.join(world_families) or 'none'}",
            exit_code=2,
        )
    if not world_families:
        raise UserError(
            f"world {name!r}: it has no recipe, so there is nothing to train. "
            f"Run: write recipes/{name}/recurrent.toml, as `wmsite new` shows",
            exit_code=2,
        )
    return [family] if family else world_families
