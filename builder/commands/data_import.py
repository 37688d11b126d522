"""`wmsite data import`: make datasets of games that people played in the page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.commands.data import find, refuse, say
from builder.project import aside, cache
from builder.project.worlds import Project, World
from builder.terminal import Terminal
from sims.errors import UserError
from training import contained
from training.keys import shown

if TYPE_CHECKING:
    from training.data.saved_games import Game, Recording

MOST_TOLD = 20  # the most games left out that a warning names
Group = list[tuple["Recording", list["Game"]]]


def run(
    root: Path, files: list[Path], terminal: Terminal, into: str | None, edited: bool,
    skip_bad: bool,
) -> None:  # fmt: skip
    """Replay saved games into datasets, one for each sim that they were played on."""
    from training.data import saved_games

    project = Project.open(root)
    skipped = Skipped(terminal)
    refuse = skipped.tell if skip_bad else _raise
    groups: dict[tuple[str, str], Group] = {}
    sources: dict[str, dict[str, str]] = {}
    for file in files:
        with _refused(refuse):
            recording = saved_games.read(file, lambda name: project.world(name).load().spec)
            world = project.world(recording.world)
            for game in recording.games:
                with _refused(refuse):
                    _check(game, recording, world, edited)
                    key = (world.name, game.sim)
                    if told := recording.sims[game.sim]:
                        sources[game.sim] = told
                    same = groups.setdefault(key, [])
                    if not same or same[-1][0] is not recording:
                        same.append((recording, []))
                    same[-1][1].append(game)
    if not groups:
        raise UserError("import: no game that can be taken in these files. Run: without --skip-bad")
    for (name, sim), group in groups.items():
        with _world(project.world(name), sources.get(sim), group) as sim_class:
            skip = skipped.tell if skip_bad else None
            _write(project, name, sim_class, group, terminal, into, skip, sim in sources)
    skipped.finish()


def _write(
    project: Project, name: str, sim_class: type[Any], group: Group, terminal: Terminal,
    into: str | None, skip: Callable[[str], None] | None, edited: bool,
) -> None:  # fmt: skip
    from training.data import saved_games
    from training.data.dataset_manifest import recording_of
    from training.data.merge import merge
    from training.locks import lock
    from training.progress import Progress

    home = project.cache / "data"
    games = [[r.sha256, [g.name.rpartition(" ")[2] for g in some]] for r, some in group]
    stem = f"{name}-{'edited' if edited else 'person'}-{cache.key(games=games)[:16]}"
    target = home / stem
    folder = target if into is None else find(project.root, into).resolve()
    refuse(folder)
    contained.files(folder, f"dataset '{folder}'")
    home.mkdir(parents=True, exist_ok=True)
    held = lock(home / f".{stem}.lock", f"dataset '{target}'", keep=False)
    with held, aside.beside(target) as made:
        with Progress(f"import {name}", saved_games.steps(group)) as bar:
            if not saved_games.write(sim_class, group, made, skip, bar.update):
                raise UserError(
                    f"import: no game of world '{name}' could be played again. "
                    "Run: without --skip-bad, to see why"
                )
        if into is None:
            cache.swap(made, target)
            say(target, terminal)
            return
        told = recording_of(folder)
        had = {(one["sha256"], one["games"]) for one in told.get("imported", [])}
        if twice := [r for r, some in group if (r.sha256, len(some)) in had]:
            raise UserError(
                f"recording '{twice[0].path}': dataset '{folder}' has its games already. "
                "Run: without that file"
            )
        own_lock = folder.with_name(f".{folder.name}.lock")
        with lock(own_lock, f"dataset '{folder}'", keep=False), aside.beside(folder) as both:
            merge([made, folder], sim_class.spec, both, told.get("seed"), told.get("data"))
            cache.swap(both, folder)
        say(folder, terminal)


def _check(game: Game, recording: Recording, world: World, edited: bool) -> None:
    """Refuse a game that was not played on the current sim, and name both sims."""
    told = recording.sims[game.sim]
    if told is not None:
        if not edited:
            raise UserError(
                f"{game.name}: played on an edited sim ({', '.join(sorted(told))}). "
                "Run: with --edited to take it, which runs those sources"
            )
        known = {m.path for m in world.closure if world.editable(m)}
        if strange := sorted(set(told) - known):
            raise UserError(
                f"{game.name}: edits {shown(strange[0])}, which is no file of that world. "
                "Run: the import without that file"
            )
    elif game.sim != world.hash:
        raise UserError(
            f"{game.name}: played on another sim ({game.sim[:12]}; world '{world.name}' is now "
            f"{world.hash[:12]}). Run: the import where sims/{world.name} is as that site had it, "
            "or drive again on a site built from this one"
        )


@contextmanager
def _world(world: World, sources: dict[str, str] | None, group: Group) -> Iterator[type[Any]]:
    """Yield the sim's class: the project's, or one with edited sources in a folder of its own."""
    from training.data.saved_games import LIMIT_S
    from training.limits import within

    if sources is None:
        yield world.load()
        return
    with tempfile.TemporaryDirectory() as folder:
        for module in world.closure:
            if world.editable(module):
                path = Path(folder) / module.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(
                    sources.get(module.path, module.file.read_text(encoding="utf-8")),
                    encoding="utf-8",
                )
        try:
            try:
                with within(LIMIT_S, group[0][1][0].name):
                    sim_class = Project(Path(folder)).world(world.name).load()
            except UserError as error:
                why = str(error).replace(f"{folder}{os.sep}", "").partition(" Run: ")[0]
                raise UserError(
                    f"{group[0][1][0].name}: its edited sim can't be used; {why} "
                    "Run: the import without --edited, or without that file"
                ) from None
            yield sim_class
        finally:
            world.project.activate()
            world._sim = None


class Skipped:
    """Warn of games that are left out: the first by name, the others by their number."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal, self.count = terminal, 0

    def tell(self, message: str) -> None:
        """Report one game."""
        self.count += 1
        if self.count <= MOST_TOLD:
            self.terminal.warn(message)

    def finish(self) -> None:
        """Report the number of games that were not named."""
        if self.count > MOST_TOLD:
            self.terminal.warn(f"import: {self.count - MOST_TOLD:,} more are left out")


@contextmanager
def _refused(refuse: Any) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        refuse(str(error))


def _raise(message: str) -> None:
    raise UserError(message)
