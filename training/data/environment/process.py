"""A process of its own for an environment: it may crash, hang or print, and is then begun anew."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sims.errors import UserError
from training import processes
from training.data.environment.live import Begin, Shown, Step, shown
from training.data.environment.observations import Broken
from training.data.environment.opened import Opened
from training.data.environment.play import Ask, Colours, Game, play
from training.data.environment.probe import Looked, look
from training.environment_recipe import Gym

OPENING = 120.0  # seconds that imports and a constructor may take, at least
# Without a window, without sound, and on one core.
QUIETLY = {
    "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
}  # fmt: skip
CLOSING = 3.0  # seconds that an environment may take to close
GROWN = 2**30  # bytes of memory that a process may gain before another takes its place


@dataclass(frozen=True)
class Dropped:
    """A game that could not be recorded, and why."""

    why: str


@dataclass(frozen=True)
class _Failed:
    """A fault that ends the recording."""

    said: str
    exit_code: int


Answer = Looked | Game | Shown | Dropped | _Failed


@dataclass
class Keeper:
    """The process of one environment, from outside: ask it for a game, and watch it.

    `clock` has the time of its last sign of life; `count` the steps of all processes.
    """

    gym: Gym
    root: Path
    log: Path
    count: Any = None
    clock: Any = field(default_factory=lambda: processes.SPAWN.Value("d", 0.0, lock=False))
    process: Any = None
    connection: Connection | None = None
    opened: bool = False
    busy: bool = False

    def ask(self, what: Any) -> None:
        """Ask for what it shall do.

        A game (`Ask` with its spec), a step for a person (`Begin` or `Step`), or to look at it
        (name, behaviours, sheet).
        """
        if self.process is None:
            here, there = processes.SPAWN.Pipe()
            arguments = (there, self.gym, self.root, self.log, self.clock, self.count)
            process = processes.SPAWN.Process(target=_serve, args=arguments, daemon=True)
            had = {key: os.environ.get(key) for key in QUIETLY}
            os.environ.update({key: value for key, value in QUIETLY.items() if not had[key]})
            try:
                process.start()
            finally:
                for key, value in had.items():
                    if value is None:
                        del os.environ[key]
            self.process = process
            there.close()
            self.connection, self.opened = here, False
        assert self.connection
        self.clock.value = time.monotonic()
        with suppress(OSError):  # It died between two games: its answer says so.
            self.connection.send(what)
        self.busy = True

    @property
    def late(self) -> float:
        """By how many seconds it is late with its next sign of life; at most 0: it is not."""
        limit = self.gym.patience if self.opened else max(OPENING, self.gym.patience)
        return float(time.monotonic() - self.clock.value - limit)

    def answer(self) -> Looked | Game | Shown | Dropped:
        """Return the answer that is there; Dropped, for a process that is dead or late.

        Raises the UserError that the process met.
        """
        assert self.connection and self.process
        try:
            if not self.connection.poll():
                self.close()
                waited = self.gym.patience if self.opened else max(OPENING, self.gym.patience)
                return Dropped(f"hangs: nothing for {waited:g} s")
            told, last = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(5)
            code = self.process.exitcode
            self.close()
            how = f"killed by signal {-code}" if code and code < 0 else f"exit code {code}"
            return Dropped(f"its process died ({how}{self.last_line()})")
        self.opened, self.busy = True, False
        if last:  # It leaks memory: the next game gets a new one.
            self.close()
        if isinstance(told, _Failed):
            raise UserError(told.said, told.exit_code)
        assert isinstance(told, Looked | Game | Shown | Dropped)
        return told

    def last_line(self) -> str:
        """Return the last line that it printed, as the end of a sentence."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        lines = [" ".join(line.split()) for line in lines if line.strip()]
        return f"; it said: {lines[-1][:200]}" if lines else ""

    def close(self) -> None:
        """End the process, whatever it does, and all that it has started."""
        if self.connection is not None:
            self.connection.close()
        if self.process is not None:
            if not self.busy:  # It waits, and so it can close its environment.
                self.process.join(CLOSING)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()
        self.process = self.connection = None
        self.busy = False


def looked(
    gym: Gym, root: Path, log: Path, name: str, behaviours: tuple[str, ...],
    sheet: Path | None = None,
) -> Looked:  # fmt: skip
    """Look at an environment in a process of its own; UserError in one line if that fails."""
    keeper = Keeper(gym, root, log)
    try:
        keeper.ask((name, behaviours, sheet))
        assert keeper.connection
        while not keeper.connection.poll(0.5):
            if keeper.late > 0:
                break
        told = keeper.answer()
    finally:
        keeper.close()
    if isinstance(told, Dropped):
        raise UserError(
            f"environment '{gym.id}': {told.why}. Run: mend it, then the same command again"
        )
    assert isinstance(told, Looked)
    return told


def _serve(connection: Connection, gym: Gym, root: Path, log: Path, clock: Any, count: Any) -> None:
    """Play what is asked for, until the other end is closed."""
    os.setsid()  # So that what the environment starts ends with it.
    processes.end_with_parent(lambda: os.killpg(0, signal.SIGKILL))
    _print_to(log)

    def touched() -> None:
        clock.value = time.monotonic()

    def stepped() -> None:
        with count.get_lock():
            count.value += 1

    opened: Opened | None = None
    colours = Colours()
    began = 0
    while True:
        try:
            asked: tuple[Any, ...] = connection.recv()
        except EOFError:
            if opened:
                opened.close()
            return
        told: Answer
        try:
            opened = opened or Opened(gym, root, touched)
            if isinstance(asked[0], Ask):
                told = play(opened, asked[1], asked[0], colours, stepped)
            elif isinstance(asked[0], Begin | Step):
                told = shown(opened, asked[0])
            else:
                told = look(opened, *asked)
        except UserError as error:
            told = _Failed(str(error), error.exit_code)
        except Broken as error:
            told = Dropped(str(error))
            if opened:
                opened.close()
            opened = None
        began = began or memory()
        grown = memory() > began + GROWN
        connection.send((told, grown))
        if grown:
            return


def _print_to(log: Path) -> None:
    """Let what the environment prints go to a file, also what its C code prints."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def memory() -> int:
    """Return the bytes of memory of this process now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
