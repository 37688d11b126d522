"""`wmsite serve`: build, serve, watch, show every edit, and let the models follow it.

Each build runs in a process of its own, so that nothing of an edited sim stays behind. An edit is
shown at once, beside the model of the sim before it, while a build that trains runs in the
background; what it makes is shown when it is whole.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from builder import cache
from builder.commands.build import Options, base_path, watched
from builder.project import Project
from builder.server import State, listen, version_of
from builder.terminal import Terminal
from sims.errors import UserError

POLL = 500  # ms


def run(
    options: Options, terminal: Terminal, host: str = "127.0.0.1", port: int | None = None
) -> None:
    """Build once, serve until interrupted, and build again after every change."""
    project = Project.open(options.root)
    base = base_path(options.base) or "/"
    state = State()
    server = listen(options.out, base, state, host, port)  # Before a build that may take long.
    following = Following(options, project.cache / "progress.json")
    try:
        # What must be trained is trained while the rest can be seen.
        first = "later" if options.train == "auto" else options.train
        code, error = _run(_command(options, first))
        if error and not (options.out / "wm" / "site.json").is_file():
            raise UserError(f"serve: nothing to serve yet; {error.removeprefix('error: ')}", code)
        state.tell(version=version_of(options.out), error=error)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://{host}:{server.server_address[1]}{base}"
        terminal.say(f"Serving {address}  (Ctrl-C ends it)")
        sys.stdout.flush()
        if options.train == "auto" and not error:
            following.start()
        _watch(project, options, state, terminal, following)
    except KeyboardInterrupt:
        terminal.say("Ended.")
    finally:
        following.stop()
        server.server_close()


def _command(options: Options, training: str, quiet: bool = False) -> list[str]:
    """Return the command line of a build in a process of its own."""
    command = [sys.executable, "-m", "builder.cli", "-C", str(options.root), "build", "--wait"]
    command += ["--train", training, "--site-dir", str(options.out)]
    command += ["--base", options.base] if options.base else []
    command += ["--only", options.only] if options.only else []
    command += ["--quiet"] if quiet else []
    return command + (["--strict"] if options.strict else [])


def _run(
    command: list[str],
    environment: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen[str]], None] = lambda _: None,
) -> tuple[int, str | None]:
    """Build; return the exit code and the one-line error, if any."""
    error = None
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
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
    """A build in the background, whose models follow the newest edit."""

    def __init__(self, options: Options, progress: Path) -> None:
        self.options, self.progress = options, progress
        self.thread: threading.Thread | None = None
        self.process: subprocess.Popen[str] | None = None
        self.result: tuple[int, str | None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way, or its end was not yet told."""
        return self.thread is not None

    def start(self) -> None:
        """Begin; `stop` first."""
        self.progress.unlink(missing_ok=True)
        self.result = None
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        environment = os.environ | {"WMSITE_PROGRESS": str(self.progress)}
        command = _command(self.options, "auto", quiet=True)
        self.result = _run(command, environment, lambda process: setattr(self, "process", process))

    def stop(self) -> bool:
        """End it, wherever it is; return whether it was under way."""
        if self.thread is None:
            return False
        busy = self.thread.is_alive()
        while self.thread.is_alive():
            if self.process:
                # What is half done is kept for the next try; what is not heard is killed.
                self.process.send_signal(signal.SIGINT)
            self.thread.join(10)
            if self.thread.is_alive() and self.process:
                self.process.kill()
        self.thread = self.process = None
        return busy

    def told(self) -> dict[str, Any] | None:
        """Return how far it is, as pages are told."""
        told = cache.read_json(self.progress) if self.running else None
        return told if isinstance(told, dict) else None

    def ended(self) -> tuple[int, str | None] | None:
        """Return its exit code and error, once; None while it runs, or nothing was begun."""
        if self.thread is None or self.thread.is_alive():
            return None
        self.thread = self.process = None
        return self.result


def _watch(
    project: Project, options: Options, state: State, terminal: Terminal, following: Following
) -> None:
    """Build after every change of what the site is made from, until interrupted."""
    import watchfiles

    weights = project.root / "weights"

    def wanted(_: watchfiles.Change, path: str) -> bool:
        return not any(
            part.startswith(".") or part == "__pycache__" or part.endswith("~")
            for part in Path(path).parts[len(project.root.parts) :]
        )

    while True:
        paths = [p for p in (*watched(project), weights) if p.exists()]
        config = project.root / "mkdocs.yml"
        known = config.read_bytes()
        for changes in watchfiles.watch(
            *paths, watch_filter=wanted, debounce=300, step=50, rust_timeout=POLL,
            yield_on_timeout=True,
        ):  # fmt: skip
            state.tell(training=following.told())
            if ended := following.ended():
                _, error = ended
                state.tell(version=version_of(options.out), error=error, training=None)
                if not error:
                    terminal.say("The models are up to date.")
            edited = [Path(path) for _, path in changes]
            if following.running:  # It writes there itself.
                edited = [path for path in edited if not path.is_relative_to(weights)]
            if edited:
                _show(min(edited), len(edited), options, state, terminal, following)
            sys.stdout.flush()
            if config.is_file() and known != config.read_bytes():
                break  # It may name other folders to watch.


def _show(
    first: Path, count: int, options: Options, state: State, terminal: Terminal,
    following: Following,
) -> None:  # fmt: skip
    """Build what was edited, to be seen now, and let the models follow in the background."""
    terminal.say(f"changed: {first}" + (" and more" if count > 1 else ""))
    if following.stop():
        terminal.say("The training is left: it begins again with the newest edit.")
    began = time.monotonic()
    follows = options.train != "never"
    _, error = _run(_command(options, "later" if follows else "never", quiet=True))
    state.tell(version=version_of(options.out), error=error, training=None)
    if error:
        return
    terminal.say(f"built in {time.monotonic() - began:.1f} s")
    if follows:
        following.start()
