"""`wmsite new`: a small site with one editable sim, or of an environment, which builds at once."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from builder.commands import new_gym
from builder.project import aside, cache, own
from builder.terminal import Terminal

STARTER = Path(__file__).parents[1] / "starter"
RENAMED = {"gitignore": ".gitignore"}


def run(folder: Path, terminal: Terminal, gym: new_gym.Asked | None = None) -> Path:
    """Make a project in `folder`, whole or not at all; UserError if the folder has content.

    With `gym`, its world is recorded from that environment, and there is no sim.
    """
    folder = own.resolved(folder, "folder")
    own.refuse(folder, "folder", (), "wmsite new with a folder that is new or empty")
    rest = ("sims", "recipes", "docs") if gym else ()
    with aside.beside(folder) as made:
        shutil.copytree(
            STARTER, made, ignore=shutil.ignore_patterns("__pycache__", *rest), dirs_exist_ok=True
        )
        for name, renamed in RENAMED.items():
            (made / name).rename(made / renamed)
        config = made / "mkdocs.yml"
        title = json.dumps(folder.name, ensure_ascii=False)  # a string of YAML, too
        config.write_text(
            config.read_text(encoding="utf-8").replace("SITE_NAME", title), encoding="utf-8"
        )
        if gym:
            recipe = new_gym.write(gym, made, terminal)
        cache.swap(made, folder)
    if gym:
        terminal.say(f"Made {folder}: {recipe} says what is recorded.")
        terminal.say(f"Frames before and after: .wmsite/environments/{gym.world}.png there.")
        terminal.say(f"Run: cd {shlex.quote(str(folder))} && wmsite build")
    else:
        terminal.say(f"Made {folder}: sims/catcher.py is the world, docs/ are the pages.")
        terminal.say(f"Run: cd {shlex.quote(str(folder))} && wmsite serve --train never")
    return folder
