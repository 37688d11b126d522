"""`wmsite info`: the project's worlds, and for each model whether it is up to date, or why not."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from builder.project import cache, entries
from builder.project.worlds import Project
from builder.terminal import Terminal, size
from sims.errors import UserError

PACKAGES = ("wmsite", "numpy", "mkdocs", "mkdocs-material", "torch", "onnx", "onnxruntime")


def run(root: Path, terminal: Terminal) -> None:
    """Print the project's content; a broken world or recipe shows its error in its place."""
    project = Project.open(root)
    terminal.say(f"project {project.root}")
    for world in project.worlds.values():
        try:
            kind, place = ("recording", str(world.recorded.path)) if world.recorded else (
                "sim", str(world.file)
            )  # fmt: skip
            if world.played:
                kind, place = "environment", world.played.gym.id
            terminal.say(f"world {world.name}  {kind} {world.hash[:12]}  {place}")
        except UserError as error:
            terminal.say(f"world {world.name}  broken: {error}")
            continue
        if not world.families:
            terminal.say("  no recipe: it plays its sim alone")
        for family in world.families:
            entry = entries.Entry(world, family)
            try:
                due = entry.due()
            except UserError as error:
                terminal.say(f"  model {family}  broken: {error}")
                continue
            state = f"due: {' -> '.join(due.steps)}" if due else "cached"
            shipped = ", ships" if entry.playable else ", does not ship"
            terminal.say(f"  model {family}  {state} ({due.why}){shipped}")
            for step, key in entry.keys.items():
                made = entry.made.get(step)
                mark = "same" if made == key else "changed" if made else "absent"
                terminal.say(f"    {step:<9} {key[:12]}  {mark}")
    terminal.say("cache " + str(project.cache))
    for folder in sorted(project.cache.glob("*/")):
        count = sum(file.stat().st_size for file in cache.files_of(folder))
        terminal.say(f"  {folder.name:<9} {size(count):>8}")
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} absent")
    terminal.say(f"python {platform.python_version()}, " + ", ".join(found))
