"""Build a copy of the starter's project, and hear what the command says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder import cli
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
    options.setdefault("compare", False)  # Seconds for each edit; test_pythons.py is about that.
    build.run(build.Options(root=folder, **options), terminal)  # type: ignore[arg-type]
    return terminal


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, and what it wrote to stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err
