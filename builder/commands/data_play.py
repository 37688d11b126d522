"""`wmsite data play`: let a person play a world's environment, and keep the games."""

from __future__ import annotations

import sys
from pathlib import Path

from builder.project import cache
from builder.project.worlds import Project
from builder.serve import local
from builder.terminal import Terminal, several
from sims.errors import UserError


def run(
    root: Path, name: str, out: Path | None, host: str, port: int | None, terminal: Terminal
) -> None:
    """Serve the page until interrupted, then say what was played, and what records it."""
    world = Project.open(root).world(name)
    played = world.played
    if played is None:
        raise UserError(
            f"world {name!r}: has no environment. A game of its sim is saved on its page. "
            "Run: wmsite serve, and press Save recording there",
            exit_code=2,
        )
    played.renew()  # Or it says that gymnasium is missing, which these need.
    from builder.serve import play
    from training.data.environment import person
    from training.data.environment.process import Keeper

    if not played.about.get("repeats", True):
        raise UserError(
            f"environment '{played.gym.id}': gives other frames for the same seed and actions, so "
            "a person's game can't be played again. Run: make it draw its chance from "
            "self.np_random, then the same command again"
        )
    folder = world.project.root
    file = (out or played.recipe.with_name("person.json")).resolve()
    if not file.is_relative_to(folder):
        raise UserError(f"--out {file}: is not in the project {folder}", exit_code=2)
    short = file.relative_to(folder).as_posix()
    held = folder / ".wmsite" / "locks" / f"games-{cache.key(file=short)[:16]}"
    with cache.lock(held, f"games '{short}'"):
        games = person.read(file) if file.exists() else []
        log = folder / ".wmsite" / "environments" / f"{name}.played.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        session = play.Session(played.spec, Keeper(played.gym, folder, log), file, games)
        server = play.listen(session, host, port)
        terminal.say(f"Play at {local.address(server, host)}  (Ctrl-C ends it)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            session.end()
        finally:
            server.server_close()
            session.keeper.close()
    steps = sum(len(game.actions) for game in session.games)
    count = several(len(session.games), "game")
    terminal.say(f"{short} holds {count} of {several(steps, 'step')}.")
    if session.games:
        terminal.say(f'Name it under [data] in behaviours, with its share: "{short}" = 0.2')
