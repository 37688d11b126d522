"""Build a copy of the starter's project, and hear what the command says."""

from __future__ import annotations

import shutil
from pathlib import Path

from builder.commands import build
from builder.terminal import Terminal


class Lines(Terminal):
    """A terminal that keeps what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str = "") -> None:
        self.lines.append(text)


def copy_of(project: Path, folder: Path) -> Path:
    """Copy a built project to change it; what it fetched and prepared once serves both."""
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("vendor"))
    (folder / ".wmsite" / "vendor").symlink_to(project / ".wmsite" / "vendor")
    return folder


def run(folder: Path, **options: object) -> Lines:
    terminal = Lines()
    build.run(build.Options(root=folder, **options), terminal)  # type: ignore[arg-type]
    return terminal


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
