"""Play a module of `sims` for a moment, and note which Python files it has imported.

Usage: page_imports.py ROOT FOLDER WORLD OUT [BLOCKED...]. ROOT is the project. FOLDER/sims has the
world's module, and wmsite is on Python's path. BLOCKED packages can't be imported. OUT gets JSON:
{"files": {path in a page: file here}, "standard": modules of Python and NumPy, "compiled":
packages with compiled code, which are not in "files", "opening": see `Host.opening`, "poster": a
later frame}, or {"error"}.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import io
import json
import sys
from pathlib import Path
from typing import Any

STANDARD = {"numpy", *sys.stdlib_module_names}
COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)
BEFORE = set(sys.modules)
POSTER, PLAYED = 60, 300  # steps before the frame that a page shows first, and in all


class Blocked:
    """Refuse some packages, as a Python does that has not installed them."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Return nothing for any other module."""
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(root: str, folder: str, world: str, *blocked: str) -> dict[str, Any]:
    """Play the world with all of its behaviours, and return what was imported."""
    sys.path.insert(0, root)
    sys.meta_path.insert(0, Blocked(set(blocked)))
    host = importlib.import_module("sims.host")
    host.load_sim(f"sims.{world}", Path(folder, "sims"))
    made = host.Host(f"sims.{world}")
    opening = list(made.opening())
    behaviours = json.loads(made.spec())["behaviours"]
    for behaviour in behaviours:
        made.reset(0, "default")
        made.step(made.act(behaviour))
    poster, over, step = made.frame[..., :3].tolist(), False, 0
    while not over and step < PLAYED:  # What is imported at the end of a game counts, too.
        made.step(made.act(behaviours[0]))
        step, over = step + 1, bool(made.status[2] or made.status[3])
        if not over and step <= POSTER:
            poster = made.frame[..., :3].tolist()
    new = {name: module for name, module in sys.modules.items() if name not in BEFORE}
    standard = [name for name in new if name.partition(".")[0] in STANDARD]
    found = {
        name: file
        for name, module in new.items()
        if name not in standard
        and not name.startswith("__")
        and (file := getattr(module, "__file__", None))
    }
    compiled = {name.partition(".")[0] for name, file in found.items() if file.endswith(COMPILED)}
    files = {}
    for name, file in found.items():
        if name.partition(".")[0] not in compiled and file.endswith(".py"):
            stem = name.replace(".", "/")
            files[f"{stem}/__init__.py" if file.endswith("__init__.py") else f"{stem}.py"] = file
    told = {"files": files, "standard": sorted(standard), "compiled": sorted(compiled)}
    return told | {"opening": opening, "poster": poster}


if __name__ == "__main__":
    asked, out = [*sys.argv[1:4], *sys.argv[5:]], Path(sys.argv[4])
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # The environment may print.
            found = main(*asked)
    except BaseException as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        found = {"error": said if type(error).__name__ != "UserError" else str(error)}
    out.write_text(json.dumps(found), encoding="utf-8")
