"""`wmsite train`: record, train, evaluate and export one world's models, without a site."""

from __future__ import annotations

from pathlib import Path

from builder import adoption, pipeline
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
    for entry in entries(root, name, family, terminal):
        if adopt:
            with entry.lock(wait):
                adoption.adopt(entry, terminal)
        due = entry.due()
        pipeline.prepare(entry, "full" if full else "auto", terminal, wait)
        if not due and not full:
            terminal.say(f"model {entry.name}: {due.why}.")


def entries(root: Path, name: str, family: str | None, terminal: Terminal) -> list[pipeline.Entry]:
    """Return a world's models to work on, or the one of `family`, once its sim is checked.

    UserError for a model that no recipe describes.
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
            f"Run: write recipes/{name}/recurrent.toml, as `wmsite new` shows",
            exit_code=2,
        )
    check(world, terminal)
    return [pipeline.Entry(world, one) for one in ([family] if family else known)]
