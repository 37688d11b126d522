"""`wmsite new`: a small site with one editable sim, that builds at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.terminal import Terminal
from sims.errors import UserError

STARTER = Path(__file__).parents[1] / "starter"
RENAMED = {"gitignore": ".gitignore"}


def run(folder: Path, terminal: Terminal) -> Path:
    """Make a project in `folder`, whole or not at all; UserError where something is there."""
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"folder {folder}: there is something in it already, and nothing of it was touched. "
            "Run: wmsite new with a folder that is new or empty",
            exit_code=2,
        )
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.copytree(STARTER, aside, ignore=shutil.ignore_patterns("__pycache__"))
        for name, renamed in RENAMED.items():
            (aside / name).rename(aside / renamed)
        config = aside / "mkdocs.yml"
        title = folder.name.replace('"', "'")
        config.write_text(config.read_text().replace("SITE_NAME", f'"{title}"'))
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    terminal.say(f"Made {folder}: sims/catcher.py is the world, docs/ are the pages.")
    terminal.say(f"Run: cd {folder} && wmsite serve --train never")
    return folder
