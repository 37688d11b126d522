"""`wmsite build`: redo what changed, and swap the whole site in."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from builder.project import aside, built, cache, code, entries, own, steps
from builder.project.site_sources import configuration, watched
from builder.project.worlds import TEMPLATE, Project, World
from builder.site import film, recording_sections, views
from builder.terminal import Terminal, several, size, tree
from sims.errors import UserError

if TYPE_CHECKING:
    from builder.site import world_folder

PATH_SAFE = "/:@!$&'()*+,;=~"  # characters that an address path may hold unquoted
# The bytes of a site depend on these beside its source files.
VERSIONS = (
    "wmsite", "mkdocs", "mkdocs-material", "pymdown-extensions", "markdown", "pygments", "jinja2",
    "mkdocstrings", "mkdocstrings-python", "mkdocs-autorefs", "griffelib", "click", "numpy",
    "pydantic", "brotli",
)  # fmt: skip


@dataclass
class Options:
    """The options of `wmsite build`."""

    root: Path = field(default_factory=Path.cwd)
    only: str | None = None
    train: steps.Training = "auto"
    site_dir: Path | None = None
    base: str | None = None
    strict: bool = False
    wait: bool = False
    tree: bool = False
    compare: bool = True  # Play each sim in CPython and in the browser's Python.

    @property
    def out(self) -> Path:
        """The folder of the site."""
        return own.resolved(self.site_dir or self.root / "site", "--site-dir")


def run(options: Options, terminal: Terminal) -> Path:
    """Build the site and return its folder; on a UserError the old site stays complete."""
    began = time.monotonic()
    project = Project.open(options.root)
    base = base_path(options.base)
    if options.only:
        project.world(options.only)
    refuse(options.out, project)
    with project.lock(options.wait):
        cache.recover(options.out)
        aside.sweep(options.out)
        inputs = _inputs(project, base)
        stamp = built.read(project, options.out)
        # A build that trains nothing has nothing to do; a build that may train may have.
        settled = stamp.get("complete") or stamp.get("train") == options.train != "auto"
        settled = settled and (stamp.get("compared") or not options.compare)
        same = stamp.get("key") == inputs and stamp.get("weights") == _weights(project)
        if same and settled and options.train != "full":
            files = built.listing(options.out)
            if damaged := stamp.get("damaged"):
                terminal.say(f"site: {', '.join(damaged[:3])} not as built; it is built again.")
            elif files and files == stamp["files"]:
                for warning in stamp["warnings"]:
                    terminal.warn(warning)
                _refuse_warnings(options, terminal)
                _tell(options, files, terminal)
                terminal.say("Nothing changed.")
                return options.out
    entries = _prepare(project, options, terminal)
    # A concurrent build must not lose results that took long.
    with project.lock(wait=options.wait or options.train != "never"):
        shown = _weights(project)  # A training may publish others from now on.
        with aside.beside(options.out) as stage:
            hashes = _fill(project, entries, base, stage, terminal)
            _refuse_warnings(options, terminal)
            refuse(options.out, project)  # Training may have taken an hour.
            cache.swap(stage, options.out)
        files = built.listing(options.out)
        cache.write_json(
            built.stamp(project, options.out),
            {
                "key": inputs,
                "weights": shown,
                "train": options.train,
                "complete": not any(entry.due() for entry in entries),
                "compared": options.compare,
                "files": files,
                "sha256": hashes,
                "warnings": terminal.warnings,
            },
        )
    _tell(options, files, terminal)
    terminal.say(f"Built in {time.monotonic() - began:.1f} s.")
    return options.out


def _prepare(project: Project, options: Options, terminal: Terminal) -> dict[entries.Entry, bool]:
    """Check every sim and run the due steps of every model; return the models that ship."""
    for world in project.worlds.values():
        check(world, terminal)
        recording_sections.check(world, terminal)
    if options.compare:
        compare(project, terminal)
    ships = {}
    for world in project.worlds.values():
        training = options.train if options.only in (None, world.name) else "never"
        for family in world.families:
            entry = entries.Entry(world, family)
            ships[entry] = steps.prepare(entry, training, terminal, options.wait)
    for world in Project(project.root).worlds.values():
        if world.name in project.worlds and world.hash != project.worlds[world.name].hash:
            what = "recording" if world.recorded else "sim"
            raise UserError(
                f"world {world.name!r}: its {what} was edited while its model was made; the site "
                "is as it was. Run: the same command again"
            )
    return ships


def _fill(
    project: Project,
    ships: dict[entries.Entry, bool],
    base: str | None,
    stage: Path,
    terminal: Terminal,
) -> dict[str, str]:
    """Write a whole site into `stage`; return path -> sha256 of its files."""
    from builder.site import notices, plugin, render, vendor, world_folder

    made: dict[str, world_folder.Built] = {}
    icons: dict[int, bytes] = {}
    work = project.cache / "stage"
    shutil.rmtree(work, ignore_errors=True)
    for world in project.worlds.values():
        models = [
            world_folder.model(entry)
            for entry, playable in ships.items()
            if playable and entry.world is world
        ]
        for entry, playable in ships.items():
            old = playable and entry.world is world and film.shown(entry.weights) is not None
            if old and not film.current(entry.weights):
                terminal.say(
                    f"model {entry.name}: its film shows other graphs and is left out. "
                    f"Run: wmsite train {world.name}"
                )
        # The page plays the first model: the one that was right most often in the evaluation.
        models.sort(key=lambda model: world_folder.fidelity(model[0]), reverse=True)
        made[world.name] = world_folder.assemble(world, work / "wm" / "worlds", models)
        icons = icons or made[world.name].icons
    app, app_files = render.app(work / "wm", views.own(project.root))
    runtime = {"app": f"{app}/"}
    sources = {m.file for world in project.worlds.values() for m in world.page_modules}
    pages = [world.played.page for world in project.worlds.values() if world.played]
    more = {name for page in pages if page for name in page.standard}
    packages = {name for page in pages if page for name in page.packages}
    for part, folder in vendor.collect(project.cache / "vendor", sorted(sources), more).items():
        files = {f.relative_to(folder).as_posix(): f for f in cache.files_of(folder)}
        runtime[part] = render.folder(files, work / "wm", part) + "/"
    shown = {
        name: plugin.Shown(
            manifest=one.manifest,
            folder=one.folder,
            play_bytes=_play_bytes(project, work / "wm", runtime, one),
            weights={
                model.family: project.worlds[name].weights(model.family)
                for model in one.manifest.models
            },
            families=project.worlds[name].families,
            card=project.worlds[name].card,
        )
        for name, one in made.items()
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
            notices=[*notices.collect(project.cache / "vendor"), *notices.of_packages(packages)],
        ),
        terminal,
    )
    for taken in ("wm", "sw.js", "manifest.webmanifest"):
        if (stage / taken).exists():
            raise UserError(
                f"docs: a page or file of yours has the address '{taken}', which is the player's; "
                "the site is as it was. Run: rename it, then build again"
            )
    shutil.move(work / "wm", stage / "wm")
    shutil.rmtree(work, ignore_errors=True)
    render.root_files(stage, icons, _site_name(project))
    listed = render.site_json(stage, runtime, {name: one.folder for name, one in made.items()})
    hashes = {os.path.normpath(f"wm/{file.url}"): file.sha256 for file in listed.files}
    rest = [path for path in (stage / "sw.js", stage / built.MANIFEST) if path.is_file()]
    return hashes | {f.relative_to(stage).as_posix(): cache.sha256_file(f) for f in rest}


def _play_bytes(
    project: Project, wm: Path, runtime: dict[str, str], one: world_folder.Built
) -> dict[str | None, int]:
    """Return what Play downloads with each of a world's models; by None without any."""
    from builder.site import download

    found: dict[str | None, int] = {}
    families: list[str | None] = [model.family for model in one.manifest.models]
    for family in families or [None]:
        files = download.first_load(wm, runtime, one.manifest, wm.parent / one.folder, family)
        found[family] = download.compressed(files, known=project.cache / "sizes.json")
    return found


def check(world: World, terminal: Terminal) -> None:
    """Check each sim against its contract, once for each of its hashes, and its recipes."""
    if world.recorded:
        if not world.families:
            raise UserError(
                f"world {world.name!r}: its dataset is named in {world.file}, and no model is. "
                f"Run: name it in recipes/{world.name}/FAMILY.toml"
            )
        for family in world.families:
            entries.Entry(world, family).suit()
        return
    known = world.project.cache / "checks" / f"{world.name}.json"
    root, rules = world.project.root, code.code_hash(["sims.checks"])
    wanted = cache.key(sim=world.hash, rules=rules, views=sorted(views.known(root)))
    if cache.read_json(known) != wanted:
        from sims import checks

        terminal.say(f"world {world.name}: checking its sim")
        world.forget()
        checks.check_sim(f"sims.{world.name}", root / "sims")
        views.check(world.load().spec.to_json()["sensors"], root, f"sims/{world.name}")
        cache.write_json(known, wanted)
    for family in world.families:
        entries.Entry(world, family).suit()


def compare(project: Project, terminal: Terminal) -> None:
    """Play each sim in the browser's Python too, once for each of its hashes."""
    from builder.project import pythons

    sources = [pythons.of(world) for world in project.worlds.values() if world.page_modules]
    for each in sources:
        if not each.noted.is_file():
            terminal.say(f"world {each.name}: playing its sim in the browser's Python too")
    problems = list(pythons.compare(sources).values())
    for problem in problems[1:]:
        terminal.warn(problem)
    if problems:
        raise UserError(problems[0])


def _site_name(project: Project) -> str:
    return str(configuration(project).get("site_name", "wmsite"))


def _inputs(project: Project, base: str | None) -> str:
    """Return the hash of everything that the site is made from."""
    return cache.key(
        files=cache.tree_hash(watched(project), project.root),
        configuration=repr(configuration(project)),  # It may read the environment.
        base=base,
        recordings={n: w.hash for n, w in project.worlds.items() if w.recorded},
        **_environments(project),
        versions={name: _version(name) for name in VERSIONS},
        python=[*sys.version_info[:2], zlib.ZLIB_RUNTIME_VERSION],
    )


def _environments(project: Project) -> dict[str, Any]:
    """Return what the environments are made of that worlds are recorded from, if there are any."""
    played = {n: w.played for n, w in project.worlds.items() if w.played}
    made = {n: one.sources(one.data.behaviours) for n, one in played.items()}
    pages = {n: project.worlds[n].page_hash for n, one in played.items() if one.gym.browser}
    return ({"environments": made} if made else {}) | ({"pages": pages} if pages else {})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _weights(project: Project) -> str:
    """Return the hash of the committed weights, which a build may renew itself."""
    return cache.tree_hash([project.root / "weights"], project.root)


def _tell(options: Options, files: dict[str, list[int]], terminal: Terminal) -> None:
    """Print one line about the site, or its file tree on request."""
    sizes = {path: count for path, (count, _) in files.items()}
    if options.tree:
        terminal.say(tree(sizes, str(options.out)))
        return
    pages = sum(path.endswith(".html") for path in sizes)
    terminal.say(
        f"{options.out}: {several(pages, 'page')}, {several(len(sizes), 'file')}, "
        f"{size(sum(sizes.values()))}"
    )


def _refuse_warnings(options: Options, terminal: Terminal) -> None:
    if options.strict and terminal.warnings:
        raise UserError(
            f"build: {several(len(terminal.warnings), 'warning')} in strict mode, which allows "
            "none; "
            "the site is as it was. Run: mend them, or build without --strict"
        )


def base_path(base: str | None) -> str | None:
    """Return --base as addresses need it: with slashes at both ends, and quoted where needed."""
    if base is None:
        return None
    path = unquote(base).strip("/")
    if "://" in base or re.search(r"[\x00-\x1f\x7f\\]", path) or ".." in path.split("/"):
        raise UserError(
            f"--base {base!r}: it is a path such as /repo/, not an address", exit_code=2
        )
    return f"/{quote(path, safe=PATH_SAFE)}/" if path else "/"


def refuse(out: Path, project: Project) -> None:
    """Raise UserError for an output folder that holds anything but a site of ours.

    Even an empty folder must not lie among the sources of the site.
    """
    sources = [*watched(project), project.root / "weights", project.cache]
    if any(out.is_relative_to(s) and not project.root.is_relative_to(s) for s in sources):
        raise UserError(
            f"--site-dir {out}: this folder holds the project's own files and would be replaced. "
            "Run: give a folder of its own, such as site",
            exit_code=2,
        )
    built.refuse(project, out)
