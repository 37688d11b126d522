"""`wmsite build`: do what changed, and swap the whole site in."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import cache, card, pipeline
from builder.project import PACKAGES, TEMPLATE, Project, World
from builder.terminal import Terminal, tree
from sims.errors import UserError

if TYPE_CHECKING:
    from builder import worlds

VERSIONS = ("wmsite", "mkdocs", "mkdocs-material", "pymdown-extensions", "markdown", "pygments")


@dataclass
class Options:
    """What `wmsite build` was asked for."""

    root: Path = field(default_factory=Path.cwd)
    only: str | None = None
    train: pipeline.Training = "auto"
    site_dir: Path | None = None
    base: str | None = None
    strict: bool = False
    wait: bool = False

    @property
    def out(self) -> Path:
        """The folder that the site is put in."""
        return (self.site_dir or self.root / "site").resolve()


def run(options: Options, terminal: Terminal) -> Path:
    """Build the site and return its folder; UserError loses nothing of what was there."""
    began = time.monotonic()
    project = Project.open(options.root)
    base = base_path(options.base)
    if options.only:
        project.world(options.only)
    _refuse_own_folders(options.out, project)
    place = os.path.relpath(options.out, project.root)
    stamp_file = project.cache / "sites" / f"{cache.key(out=place)[:12]}.json"
    with project.lock(options.wait):
        cache.recover(options.out)
        inputs = _inputs(project, base)
        stamp = cache.read_json(stamp_file) or {}
        # A build that trains nothing is as it was; one that may train has something to do.
        settled = stamp.get("complete") or stamp.get("train") == options.train != "auto"
        same = stamp.get("key") == inputs and stamp.get("weights") == _weights(project)
        if same and settled and options.train != "full":
            files = _listing(options.out)
            if files and files == stamp["files"]:
                for warning in stamp["warnings"]:
                    terminal.warn(warning)
                _refuse_warnings(options, terminal)
                terminal.say(_tree(options.out, files))
                terminal.say("Nothing changed.")
                return options.out
    entries = _prepare(project, options, terminal)
    # Nothing that took long is lost to a build that happens to run just now.
    with project.lock(wait=options.wait or options.train != "never"):
        stage = options.out.with_name(f".{options.out.name}.wmsite-new")
        shutil.rmtree(stage, ignore_errors=True)
        try:
            _fill(project, entries, base, stage, terminal)
            _refuse_warnings(options, terminal)
            cache.swap(stage, options.out)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        files = _listing(options.out)
        cache.write_json(
            stamp_file,
            {
                "key": inputs,
                "weights": _weights(project),
                "train": options.train,
                "complete": not any(entry.due() for entry in entries),
                "files": files,
                "warnings": terminal.warnings,
            },
        )
    terminal.say(_tree(options.out, files))
    terminal.say(f"Built in {time.monotonic() - began:.1f} s.")
    return options.out


def _prepare(project: Project, options: Options, terminal: Terminal) -> dict[pipeline.Entry, bool]:
    """Check every sim and do what is due for every model; return which models ship."""
    for world in project.worlds.values():
        check(world, terminal)
        card.check(world, terminal)
    ships = {}
    for world in project.worlds.values():
        training = options.train if options.only in (None, world.name) else "never"
        for family in world.families:
            entry = pipeline.Entry(world, family)
            ships[entry] = pipeline.prepare(entry, training, terminal, options.wait)
    for world in project.worlds.values():
        if World(project, world.name, world.file).hash != world.hash:
            raise UserError(
                f"world {world.name!r}: its sim was edited while its model was made; the site is "
                "as it was. Run: the same command again"
            )
    return ships


def _fill(
    project: Project,
    ships: dict[pipeline.Entry, bool],
    base: str | None,
    stage: Path,
    terminal: Terminal,
) -> None:
    """Write a whole site into `stage`."""
    from builder import download, plugin, render, vendor, worlds

    made: dict[str, worlds.Built] = {}
    icons: dict[int, bytes] = {}
    work = project.cache / "stage"
    shutil.rmtree(work, ignore_errors=True)
    for world in project.worlds.values():
        models = [
            worlds.model(entry)
            for entry, playable in ships.items()
            if playable and entry.world is world
        ]
        # The page plays the first: the one that was found to be right most often.
        models.sort(key=lambda model: worlds.fidelity(model[0]), reverse=True)
        made[world.name] = worlds.assemble(world, work / "wm" / "worlds", models)
        icons = icons or worlds.facts(world).icons
    app, app_files = render.app(work / "wm")
    runtime = {"app": f"{app}/"}
    sources = {m.file for world in project.worlds.values() for m in world.page_modules}
    for part, folder in vendor.collect(project.cache / "vendor", sorted(sources)).items():
        files = {f.relative_to(folder).as_posix(): f for f in cache.files_of(folder)}
        runtime[part] = render.folder(files, work / "wm", part) + "/"
    shown = {
        name: plugin.Shown(
            manifest=built.manifest,
            folder=built.folder,
            play_bytes=download.compressed(
                download.first_load(work / "wm", runtime, built.manifest, work / built.folder),
                known=project.cache / "sizes.json",
            ),
            weights={
                model.family: project.worlds[name].weights(model.family)
                for model in built.manifest.models
            },
            families=project.worlds[name].families,
            card=project.worlds[name].card,
        )
        for name, built in made.items()
    }
    overrides = TEMPLATE / "overrides"
    render.pages(
        project,
        stage,
        plugin.Build(
            terminal=terminal,
            worlds=shown,
            app=f"wm/{app}/",
            cache=project.cache / "templates",
            base=base,
            overrides=[overrides] if overrides.is_dir() else [],
            app_files=app_files,
        ),
        terminal,
    )
    shutil.move(work / "wm", stage / "wm")
    shutil.rmtree(work, ignore_errors=True)
    render.root_files(stage, icons, _site_name(project))
    render.site_json(stage, runtime, {name: built.folder for name, built in made.items()})


def check(world: World, terminal: Terminal) -> None:
    """Check the sim against its contract, once for each of its hashes."""
    known = world.project.cache / "checks" / f"{world.name}.json"
    rules = cache.source_hash(PACKAGES / "sims" / "checks.py")
    wanted = cache.key(sim=world.hash, rules=rules)
    if cache.read_json(known) == wanted:
        return
    from sims import checks

    terminal.say(f"world {world.name}: checking its sim")
    world.forget()
    checks.check_sim(f"sims.{world.name}", world.project.root / "sims")
    cache.write_json(known, wanted)


def _site_name(project: Project) -> str:
    return str(_configuration(project).get("site_name", "wmsite"))


def _configuration(project: Project) -> dict[str, Any]:
    """Return mkdocs.yml as plain values; tags that name Python objects count as None."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    try:
        loaded = yaml.load((project.root / "mkdocs.yml").read_text(), Loader)
    except yaml.YAMLError as error:
        raise UserError(f"mkdocs.yml: {error}. Run: mend it, then build again") from None
    return loaded if isinstance(loaded, dict) else {}


def watched(project: Project) -> list[Path]:
    """Return the files and folders that the site is made from, absent ones among them."""
    config = _configuration(project)
    theme = config.get("theme")
    named = [
        *(config.get("watch") or []),
        *(config.get("hooks") or []),
        theme.get("custom_dir") if isinstance(theme, dict) else None,
        config.get("INHERIT"),
        config.get("docs_dir", "docs"),
    ]
    own = ["mkdocs.yml", "sims", "recipes", "data-cards", "package-lock.json", *filter(None, named)]
    rooms = [PACKAGES / room for room in ("builder", "training", "sims")]
    return list(dict.fromkeys([*(project.root / str(p) for p in own), *rooms, TEMPLATE]))


def _inputs(project: Project, base: str | None) -> str:
    """Return the hash of everything that the site is made from."""
    return cache.key(
        files=cache.tree_hash(watched(project), project.root),
        base=base,
        versions={name: importlib.metadata.version(name) for name in VERSIONS},
    )


def _weights(project: Project) -> str:
    """Return the hash of the committed weights, which a build may itself renew."""
    return cache.tree_hash([project.root / "weights"], project.root)


def _listing(out: Path) -> dict[str, list[int]]:
    """Return path -> [bytes, time changed in ns] of a site's files."""
    found = {}
    for file in cache.files_of(out):
        stat = file.stat()
        found[file.relative_to(out).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return found


def _tree(out: Path, files: dict[str, list[int]]) -> str:
    return tree({path: size for path, (size, _) in files.items()}, str(out))


def _refuse_warnings(options: Options, terminal: Terminal) -> None:
    if options.strict and terminal.warnings:
        raise UserError(
            f"build: {len(terminal.warnings)} warnings count as errors in strict mode; "
            "the site is as it was. Run: mend them, or build without --strict"
        )


def base_path(base: str | None) -> str | None:
    """Return --base with slashes at both ends."""
    if base is None:
        return None
    if "://" in base or " " in base:
        raise UserError(
            f"--base {base!r}: it is a path such as /repo/, not an address", exit_code=2
        )
    return "/" + base.strip("/") + "/" if base.strip("/") else "/"


def _refuse_own_folders(out: Path, project: Project) -> None:
    """Refuse an output folder whose replacement would take sources with it."""
    root = project.root
    rooms = [root / name for name in ("docs", "sims", "recipes", "weights", ".wmsite")]
    if out == root or out in root.parents or any(out == r or r in out.parents for r in rooms):
        raise UserError(
            f"--site-dir {out}: this folder holds the project's own files and would be replaced. "
            "Run: give a folder of its own, such as site",
            exit_code=2,
        )
