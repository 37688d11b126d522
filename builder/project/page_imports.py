"""Play a module of `sims` for a moment, and print which Python files it has imported.

Usage: page_imports.py ROOT FOLDER WORLD. ROOT is the project; FOLDER/sims holds the world's module,
and wmsite is on Python's path. The last line is JSON: {"files": {path in a page: file here},
"standard": modules of Python and NumPy, "opening": see `Host.opening`, "poster": a later frame}, or
{"error"}. Packages with compiled code are left out: a page that needs one fails.
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
POSTER = 60  # steps before the frame that a page shows first


def main(root: str, folder: str, world: str) -> dict[str, Any]:
    """Play the world with all of its behaviours, and return what was imported."""
    sys.path.insert(0, root)
    host = importlib.import_module("sims.host")
    host.load_sim(f"sims.{world}", Path(folder, "sims"))
    made = host.Host(f"sims.{world}")
    opening = list(made.opening())
    behaviours = json.loads(made.spec())["behaviours"]
    for behaviour in behaviours:
        made.reset(0, "default")
        made.step(made.act(behaviour))
    poster = made.frame[..., :3].tolist()
    for _ in range(POSTER):
        made.step(made.act(behaviours[0]))
        if made.status[2] or made.status[3]:  # terminated, truncated
            break
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
    return {"files": files, "standard": sorted(standard), "opening": opening, "poster": poster}


if __name__ == "__main__":
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # The environment may print.
            told = main(*sys.argv[1:])
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        told = {"error": said if type(error).__name__ != "UserError" else str(error)}
    print(f"\n{json.dumps(told)}")
