"""`wmsite serve`: build, serve, watch, show every edit, and update the models.

Each build runs in a process of its own, so that nothing of an edited sim stays in memory. The page
shows an edit at once, beside the model of the earlier sim, while a build that trains runs in the
background. The page shows the new model when it is complete.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from builder import lifetime
from builder.commands.build import Options, base_path, refuse
from builder.project import built, cache
from builder.project.site_sources import watched
from builder.project.worlds import Project
from builder.serve import local
from builder.serve.edits import Edits
from builder.serve.server import State, listen, version_of
from builder.terminal import Terminal
from sims.errors import UserError

POLL = 250  # ms

Changes = Iterator[set[tuple[Any, str]]]  # a kind and a path each


def run(
    options: Options, terminal: Terminal, host: str = "127.0.0.1", port: int | None = None
) -> None:
    """Build once, serve until interrupted, and build again after every change."""
    project = Project.open(options.root)
    base = base_path(options.base) or "/"
    state = State()
    refuse(options.out, project)
    edits = Edits(project.root, state)
    # Serve before a build that may take long.
    server = listen(options.out, base, state, host, port, edits.sources)
    following = Following(options, project.cache / "progress.json")
    # An edit that comes while the first build runs must not be missed.
    sources = Sources(project)
    try:
        # Training runs while the rest of the site is already visible.
        first = "later" if options.train == "auto" else options.train
        behind = options.train in ("auto", "never")
        code, error = _run(_command(options, first, compare=not behind))
        if error and not (options.out / "wm" / "site.json").is_file():
            raise UserError(f"serve: nothing to serve yet; {error.removeprefix('error: ')}", code)
        state.tell(version=version_of(options.out), error=error)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        edits.start()
        terminal.say(f"Serving {local.address(server, host, base)}  (Ctrl-C ends it)")
        terminal.say("Edit sims/, docs/ or recipes/, and the page follows.")
        terminal.say(f"To publish, put the folder {_short(options.out)} on any static host.")
        sys.stdout.flush()
        if behind and not error:
            following.start()
        _watch(project, options, state, terminal, following, sources)
    except KeyboardInterrupt:
        terminal.say("Ended.")
    finally:
        edits.stop()
        following.stop()
        server.server_close()


def _short(folder: Path) -> str:
    """Return a folder relative to the current folder, if it lies below it."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _command(
    options: Options, training: str, quiet: bool = False, compare: bool = True
) -> list[str]:
    """Return the command line of a build in a process of its own."""
    command = [sys.executable, "-m", "builder.cli", "-C", str(options.root), "build", "--wait"]
    command += ["--train", training, "--site-dir", str(options.out)]
    command += ["--base", options.base] if options.base else []
    command += ["--only", options.only] if options.only else []
    command += ["--quiet"] if quiet else []
    command += [] if compare else ["--no-compare"]
    return command + (["--strict"] if options.strict else [])


def _run(
    command: list[str],
    environment: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen[str]], None] = lambda _: None,
) -> tuple[int, str | None]:
    """Build; return the exit code and the one-line error, if any."""
    error = None
    with subprocess.Popen(
        command,
        **lifetime.attached({**os.environ, **(environment or {})}),
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        started(process)
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.startswith("error: "):
                error = line.strip()
    if process.returncode and not error:
        error = f"error: the build ended with exit code {process.returncode}"
    return process.returncode, error


class Following:
    """A build in the background: it compares the edited sims, and updates their models."""

    def __init__(self, options: Options, progress: Path) -> None:
        self.options, self.progress = options, progress
        self.thread: threading.Thread | None = None
        self.process: subprocess.Popen[str] | None = None
        self.result: tuple[int, str | None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is running, or its end was not yet reported."""
        return self.thread is not None

    def start(self) -> None:
        """Start the build; call `stop` first."""
        self.progress.unlink(missing_ok=True)
        self.result = None
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        environment = {"WMSITE_PROGRESS": str(self.progress)}
        training = "never" if self.options.train == "never" else "auto"
        command = _command(self.options, training, quiet=True)
        self.result = _run(command, environment, lambda process: setattr(self, "process", process))

    def stop(self) -> bool:
        """Stop the build at any point; return whether it was running."""
        if self.thread is None:
            return False
        busy = self.thread.is_alive()
        while self.thread.is_alive():
            if self.process:
                # The next try uses unfinished work. A process that ignores the signal is killed.
                self.process.send_signal(signal.SIGINT)
            self.thread.join(10)
            if self.thread.is_alive() and self.process:
                self.process.kill()
        self.thread = self.process = None
        return busy

    def told(self) -> dict[str, Any] | None:
        """Return the progress, in the form that pages read."""
        told = cache.read_json(self.progress) if self.running else None
        return told if isinstance(told, dict) else None

    def ended(self) -> tuple[int, str | None] | None:
        """Return its exit code and error, once; None while it runs, or if none was started."""
        if self.thread is None or self.thread.is_alive():
            return None
        self.thread = self.process = None
        return self.result


class Sources:
    """The site's sources, watched; a file or folder that is new is watched from then on."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.told: set[tuple[Any, str]] = set()
        self.name()

    def name(self) -> None:
        """Watch what mkdocs.yml names now."""
        self.named = [*watched(self.project), self.project.root / "weights"]
        self._begin()

    def edited(self) -> list[Path]:
        """Return what has changed; nothing after `POLL`."""
        told, self.told = self.told or next(self.changes), set()
        before, now = self.there, self._existing()
        # A file that is replaced is another file, which is not watched yet.
        if now != before or any(Path(path) in before and Path(path).is_file() for _, path in told):
            old = self.changes
            self._begin()
            told = told | next(old)
        return [*(Path(path) for _, path in told), *(now ^ before)]

    def _existing(self) -> set[Path]:
        return {path for path in self.named if path.exists()}

    def _begin(self) -> None:
        import watchfiles

        def wanted(_: watchfiles.Change, path: str) -> bool:
            return not any(
                part.startswith(".") or part == "__pycache__" or part.endswith("~")
                for part in Path(path).parts[len(self.project.root.parts) :]
            )

        while True:
            self.there = self._existing()
            self.changes: Changes = watchfiles.watch(
                *self.there, watch_filter=wanted, debounce=300, step=50, rust_timeout=POLL,
                yield_on_timeout=True,
            )  # fmt: skip
            with suppress(FileNotFoundError):  # Something went away meanwhile.
                self.told = next(self.changes)  # It watches from its first step on.
                return


def _watch(
    project: Project, options: Options, state: State, terminal: Terminal, following: Following,
    sources: Sources,
) -> None:  # fmt: skip
    """Build after every change of the site's sources, until interrupted."""
    config = project.root / "mkdocs.yml"
    known = config.read_bytes()
    while True:
        state.tell(training=following.told())
        if ended := following.ended():
            _, error = ended
            state.tell(version=version_of(options.out), error=error, training=None)
            follows = not error and options.train != "never"
            if follows and built.read(project, options.out).get("complete"):
                terminal.say("The models are up to date.")
        edited = sources.edited()
        if following.running:  # The build itself writes there.
            weights = project.root / "weights"
            edited = [path for path in edited if not path.is_relative_to(weights)]
        if edited and config.is_file() and known != config.read_bytes():
            known = config.read_bytes()
            with suppress(UserError):  # The build says what is wrong with it.
                sources.name()  # It may name other folders.
        if edited:
            _show(min(edited), len(edited), options, state, terminal, following)
        sys.stdout.flush()


def _show(
    first: Path, count: int, options: Options, state: State, terminal: Terminal,
    following: Following,
) -> None:  # fmt: skip
    """Build the edit so that it shows now, and update the models in the background."""
    terminal.say(f"changed: {first}" + (" and more" if count > 1 else ""))
    follows = options.train != "never"
    if following.stop() and follows:
        terminal.say("The training is left: it begins again with the newest edit.")
    began = time.monotonic()
    training = "later" if follows else "never"
    _, error = _run(_command(options, training, quiet=True, compare=False))
    state.tell(version=version_of(options.out), error=error, training=None)
    if error:
        return
    terminal.say(f"built in {time.monotonic() - began:.1f} s")
    following.start()
