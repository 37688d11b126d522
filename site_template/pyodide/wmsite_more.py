"""Inside the page's Python: fetch the full library when an import needs more than was kept.

The page starts from a trimmed standard library and a trimmed NumPy. The finder below stands
last in `sys.meta_path`; on the first import of a module that was left out it fetches the full
archive (once, blocking: this runs in a worker), puts it in place and finds the module there.
"""

from __future__ import annotations

import gc
import importlib
import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

REST: dict[str, list[str]] = {}
"""Archive -> the modules that only it has; `builder/trim.py` fills it in."""

START: list[str] = []
"""The library's modules that NumPy and the sims import; `builder/trim.py` fills it in."""

STDLIB = Path("/lib/python314.zip")
SITE = Path("/lib/python3.14/site-packages")


class More:
    """Find modules in archives that JavaScript's `fetch(archive)` brings when first needed."""

    def __init__(self, fetch: Callable[[str], Any]) -> None:
        self.fetch = fetch
        self.rest = {name: archive for archive, names in REST.items() for name in names}
        self.fetched: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a left-out module, fetching its archive the first time."""
        archive = self.rest.get(fullname)
        if archive is None or archive in self.fetched:
            return None
        try:
            data: bytes = self.fetch(archive).to_bytes()
        except Exception as error:
            raise ImportError(f"{fullname!r} needs {archive}, not loaded: {error}") from error
        self.fetched.add(archive)
        if archive.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(data)) as wheel:
                wheel.extractall(SITE, [n for n in wheel.namelist() if not (SITE / n).exists()])
        else:
            STDLIB.write_bytes(data)
        importlib.invalidate_caches()
        return PathFinder.find_spec(fullname, path, target)


def preload() -> None:
    """Import what NumPy and the sims import of the library, so that a snapshot holds it."""
    gc.disable()  # Nothing to collect while modules load.
    for name in START:
        if name not in sys.modules:
            importlib.import_module(name)


def start(fetch: Callable[[str], Any]) -> None:
    """Stand last among the finders, and import NumPy, whose files are in place by now."""
    sys.meta_path.append(More(fetch))
    importlib.invalidate_caches()
    gc.disable()
    importlib.import_module("numpy")
    gc.enable()
    gc.freeze()
    if "random" in sys.modules:  # Of a snapshot: it would go on from where it was taken.
        sys.modules["random"].seed()
