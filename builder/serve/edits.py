"""The sims as they are on the disk, for games that continue with an edit before it is built."""

from __future__ import annotations

import threading
from pathlib import Path

from builder.project.worlds import Module, Project
from builder.serve.server import State
from sims.errors import UserError

STEP, MOST = 20, 200  # ms: an edit is complete after so long without a change, or at most


class Edits:
    """Send each edit of a project's sims to the pages at once."""

    def __init__(self, root: Path, state: State) -> None:
        self.root, self.state = root, state
        self.modules: dict[str, list[Module]] = {}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def sources(self) -> dict[str, dict[str, str]]:
        """Return the files of each world's sim by their paths, as the page has them.

        For a sim that can't be parsed, return its earlier files: the page shows the error with its
        place.
        """
        for name, world in Project(self.root).worlds.items():
            try:
                self.modules[name] = world.page_modules
            except (UserError, OSError):
                self.modules.setdefault(name, [])
        return {
            name: {m.path: _text(m.file) for m in modules}
            for name, modules in self.modules.items()
            if modules and all(m.file.is_file() for m in modules)
        }

    def start(self) -> None:
        """Start watching."""
        self.thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self.ending.set()

    def _watch(self) -> None:
        import watchfiles

        folder = self.root / "sims"
        known = self.sources()
        if not folder.is_dir():
            return
        first = True  # An edit may have come before it watched.
        for changes in watchfiles.watch(
            folder, debounce=MOST, step=STEP, rust_timeout=500, stop_event=self.ending,
            yield_on_timeout=True,
        ):  # fmt: skip
            if not first and not any(path.endswith(".py") for _, path in changes):
                continue
            first, now = False, self.sources()
            if now != known:
                known = now
                self.state.tell(edits=self.state.edits + 1)


def _text(file: Path) -> str:
    """Return a file's text as a browser decodes it."""
    return file.read_bytes().decode("utf-8-sig", errors="replace")
