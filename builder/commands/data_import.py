"""`wmsite data import`: make datasets of what was driven in the page."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import cache
from builder.commands.data import _made, find
from builder.project import Project, World
from builder.terminal import Terminal
from sims.errors import UserError

if TYPE_CHECKING:
    from training.imports import Game, Recording

Group = list[tuple["Recording", list["Game"]]]


def run(
    root: Path, files: list[Path], terminal: Terminal, into: str | None, edited: bool,
    skip_bad: bool,
) -> None:  # fmt: skip
    """Replay the games of saved recordings into a dataset of each sim they were played on."""
    from training import imports

    project = Project.open(root)
    refuse = terminal.warn if skip_bad else _raise
    groups: dict[tuple[str, str], Group] = {}
    sources: dict[str, dict[str, str]] = {}
    for file in files:
        with _refused(refuse):
            recording = imports.read(file, lambda name: project.world(name).load().spec)
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
        with _world(project.world(name), sources.get(sim)) as sim_class:
            _write(project, name, sim_class, group, terminal, into, skip_bad, sim in sources)


def _write(
    project: Project, name: str, sim_class: type[Any], group: Group, terminal: Terminal,
    into: str | None, skip_bad: bool, edited: bool,
) -> None:  # fmt: skip
    from training import imports
    from training.locks import lock
    from training.merge import merge
    from training.progress import Progress

    home = project.cache / "data"
    games = [[r.sha256, [g.name.rpartition(" ")[2] for g in some]] for r, some in group]
    stem = f"{name}-{'edited' if edited else 'person'}-{cache.key(games=games)[:16]}"
    target = home / stem
    home.mkdir(parents=True, exist_ok=True)
    with lock(home / f".{stem}.lock", f"dataset '{target}'", keep=False):
        aside = home / f".{stem}.{os.getpid()}"
        try:
            aside.mkdir()
            with Progress(f"import {name}", imports.steps(group)) as bar:
                skip = terminal.warn if skip_bad else None
                if not imports.write(sim_class, group, aside, skip, bar.update):
                    raise UserError(f"import: no game of world '{name}' could be played again.")
            if into is None:
                cache.swap(aside, target)
                _made(target, terminal)
                return
            folder = find(project.root, into)
            told = cache.read_json(folder / "meta/wmsite/recording.json") or {}
            had = {(one["sha256"], one["games"]) for one in told.get("imported", [])}
            if twice := [r for r, some in group if (r.sha256, len(some)) in had]:
                raise UserError(
                    f"recording '{twice[0].path}': dataset '{folder}' has its games already."
                )
            both = aside.with_name(f"{aside.name}.both")
            with lock(folder.with_name(f".{folder.name}.lock"), f"dataset '{folder}'", keep=False):
                try:
                    both.mkdir()
                    merge([aside, folder], sim_class.spec, both, told.get("seed"), told.get("data"))
                    cache.swap(both, folder)
                finally:
                    shutil.rmtree(both, ignore_errors=True)
            _made(folder, terminal)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _check(game: Game, recording: Recording, world: World, edited: bool) -> None:
    """Refuse a game that was not played on the sim that is here, by name."""
    told = recording.sims[game.sim]
    if told is not None:
        if not edited:
            raise UserError(
                f"{game.name}: played on an edited sim ({', '.join(sorted(told))}). "
                "Run: with --edited to take it, which runs those sources"
            )
        known = {m.path for m in world.closure if world.editable(m)}
        if strange := sorted(set(told) - known):
            raise UserError(f"{game.name}: edits {strange[0]}, which is no file of that world.")
    elif game.sim != world.hash:
        raise UserError(
            f"{game.name}: played on another sim ({game.sim[:12]}; world '{world.name}' is now "
            f"{world.hash[:12]}). Run: the import where sims/{world.name} is as that site had it, "
            "or drive again on a site built from this one"
        )


@contextmanager
def _world(world: World, sources: dict[str, str] | None) -> Iterator[type[Any]]:
    """Give the sim's class: the project's, or one with edited sources in a folder of its own."""
    if sources is None:
        yield world.load()
        return
    with tempfile.TemporaryDirectory() as folder:
        for module in world.closure:
            if world.editable(module):
                path = Path(folder) / module.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(sources.get(module.path, module.file.read_text()))
        try:
            yield Project(Path(folder)).world(world.name).load()
        finally:
            world.project.activate()
            world._sim = None


@contextmanager
def _refused(refuse: Any) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        refuse(str(error))


def _raise(message: str) -> None:
    raise UserError(message)
