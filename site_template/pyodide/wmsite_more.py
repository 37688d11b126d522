"""Inside the page's Python: take the full library when an import needs more than was kept.

The page starts from a trimmed standard library and a trimmed NumPy, in a worker that can fetch
nothing. The finder below stands last in `sys.meta_path`; at an import of a module that was left
out it says which archive is lacking. The page hands that in and repeats the call that failed.
"""

from __future__ import annotations

import gc
import importlib
import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

REST: dict[str, list[str]] = {}
"""Archive -> the modules that only it has; `builder/site/trim.py` fills it in."""

START: list[str] = []
"""The library's modules that NumPy and the sims import; `builder/site/trim.py` fills it in."""

STDLIB = Path("/lib/python314.zip")
SITE = Path("/lib/python3.14/site-packages")


class More:
    """Find modules in archives that JavaScript hands in once `lack(archive)` has asked for them."""

    def __init__(self, lack: Callable[[str], Any]) -> None:
        self.lack = lack
        self.rest = {name: archive for archive, names in REST.items() for name in names}
        self.here: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say which archive a left-out module needs; there is none to return."""
        archive = self.rest.get(fullname)
        if archive is None or archive in self.here:
            return None
        self.lack(archive)
        raise ImportError(f"{fullname!r} needs {archive}, which is not here yet")

    def provide(self, archive: str, data: Any) -> None:
        """Put an archive in place, given as a JavaScript buffer."""
        found: bytes = data.to_bytes()
        if archive.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(found)) as wheel:
                wheel.extractall(SITE, [n for n in wheel.namelist() if not (SITE / n).exists()])
        else:
            STDLIB.write_bytes(found)
        self.here.add(archive)
        importlib.invalidate_caches()


def preload() -> None:
    """Import what NumPy and the sims import of the library, so that a snapshot holds it."""
    gc.disable()  # Nothing to collect while modules load.
    for name in START:
        if name not in sys.modules:
            importlib.import_module(name)


def start(lack: Callable[[str], Any]) -> More:
    """Stand last among the finders, and import NumPy, whose files are in place by now."""
    more = More(lack)
    sys.meta_path.append(more)
    importlib.invalidate_caches()
    gc.disable()
    importlib.import_module("numpy")
    gc.enable()
    gc.freeze()
    if "random" in sys.modules:  # Of a snapshot: it would go on from where it was taken.
        sys.modules["random"].seed()
    return more
