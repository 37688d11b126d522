"""The server of `wmsite data play`: a person plays an environment, which runs in a process here.

The page keeps the pace: it asks for each step. A game is its seed and its actions; see
`training.data.environment.person`.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

from builder import chromium
from builder.project.worlds import TEMPLATE
from builder.serve import local
from sims.contract import Array, Spec
from sims.errors import UserError
from training.data.environment import person
from training.data.environment.live import Begin, Shown, Step
from training.data.environment.opened import MOST_SEED
from training.data.environment.person import Played
from training.data.environment.process import Dropped, Keeper

PAGE = "play/play.html"
FOLDERS = ("play", "player")  # of the template, of which it sends files
LONGEST = 65_536  # bytes of a request
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


@dataclass
class Session:
    """The game that is on, and the games before it, which are in `file`."""

    spec: Spec
    keeper: Keeper
    file: Path
    games: list[Played]
    game: Played | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> dict[str, Any]:
        """Begin a game with a seed that no other has; one that was on is left."""
        had = {game.seed for game in self.games}
        seed = next(s for s in iter(lambda: secrets.randbelow(MOST_SEED), -1) if s not in had)
        self.game = Played(seed, [], 0.0)
        return self._told(self._asked(Begin(seed)))

    def step(self, row: Array) -> dict[str, Any]:
        """Play one step; a game that is over is kept."""
        if self.game is None:
            raise UserError("no game is on; begin one")
        shown = self._asked(Step(row))
        game = self.game
        self.game = Played(game.seed, [*game.actions, shown.action], game.earned + shown.reward)
        if not shown.over:
            return self._told(shown)
        return self.end() | {"frame": self._told(shown)["frame"]}

    def end(self) -> dict[str, Any]:
        """Keep the game that is on."""
        said = "Nothing was played."
        if self.game and self.game.actions:
            self.games.append(self.game)
            person.write(self.file, self.games)
            said = f"Kept: {len(self.game.actions)} steps, return {self.game.earned:g}."
        kept, self.game = self.game, None
        return self._counts(kept) | {"said": said}

    def drop(self) -> dict[str, Any]:
        """Take back the last game that was kept."""
        if self.games:
            self.games.pop()
            person.write(self.file, self.games)
        return self._counts(None) | {"said": "The last game is dropped."}

    def row(self, told: Any) -> Array:
        """Return the row of `action` for what the page sends; ValueError for anything else."""
        values = np.array(told, np.float32)
        size = 1 if self.spec.actions else len(self.spec.axes)
        if values.shape != (size,) or not np.isfinite(values).all():
            raise ValueError(f"an action has {size} numbers")
        if not self.spec.actions:
            return values
        index = int(values[0])
        if not 0 <= index < len(self.spec.actions):
            raise ValueError(f"there are {len(self.spec.actions)} actions")
        row: Array = np.eye(len(self.spec.actions), dtype=np.float32)[index]
        return row

    def _asked(self, what: Begin | Step) -> Shown:
        """Ask the environment's process; UserError if the game fails, which is left then."""
        keeper = self.keeper
        keeper.ask((what,))
        while keeper.connection and not keeper.connection.poll(0.2):
            if keeper.late > 0:
                break
        told = keeper.answer()
        if isinstance(told, Dropped):
            self.game = None
            raise UserError(f"The game is left: {told.why}. Begin another one.")
        assert isinstance(told, Shown)
        return told

    def _told(self, shown: Shown) -> dict[str, Any]:
        picture = base64.b64encode(shown.png).decode("ascii")
        frame = {"frame": f"data:image/png;base64,{picture}", "over": False, "said": ""}
        return self._counts(self.game) | frame

    def _counts(self, game: Played | None) -> dict[str, Any]:
        """Return what the page shows of a game; without a frame, that one is over."""
        steps, earned = (len(game.actions), game.earned) if game else (0, 0.0)
        return {
            "games": len(self.games), "steps": steps, "earned": earned, "frame": "", "over": True,
        }  # fmt: skip


def listen(session: Session, host: str, port: int | None) -> local.Server:
    """Return a server of the page and of the game."""
    told = {"session": session, "names": local.names_of(host)}
    return local.opened(type("Handler", (_Handler,), told), host, port, "data play")


class _Handler(local.Handler):
    """Answer with the page, and with each step of the game."""

    session: Session

    def do_GET(self) -> None:
        """Send a file of the page."""
        self.server.wait(self.connection, False)
        path = self.path.partition("?")[0].removeprefix("/")
        if not self.welcome():
            self.refuse(HTTPStatus.FORBIDDEN, "it answers to its own names alone: see --host")
        elif path == "world.json":
            self._json(HTTPStatus.OK, self.session.spec.to_json())
        elif path:
            self._file((TEMPLATE / path).resolve())
        else:
            self.reply(HTTPStatus.FOUND, b"", "text/plain", {"Location": f"/{PAGE}"})

    def do_POST(self) -> None:
        """Play: `begin`, `step`, `end` or `drop`."""
        length = int(self.headers.get("Content-Length") or 0)
        # A page of another site can't send this type without asking first, and is not answered.
        told = self.headers.get("Content-Type", "") == "application/json"
        if not self.welcome() or not told or length > LONGEST:
            self.refuse(HTTPStatus.FORBIDDEN, "only the page of this server plays")
            return
        body = self.rfile.read(length)
        self.server.wait(self.connection, False)
        session, verb = self.session, self.path.removeprefix("/")
        with session.guard:
            try:
                if verb == "step":
                    answer = session.step(session.row(json.loads(body)["action"]))
                elif verb in ("begin", "end", "drop"):
                    answer = getattr(session, verb)()
                else:
                    raise ValueError(f"no verb {verb!r}")
            except UserError as error:
                self._json(HTTPStatus.CONFLICT, str(error))
            except (ValueError, KeyError, TypeError) as error:
                self._json(HTTPStatus.BAD_REQUEST, str(error))
            else:
                self._json(HTTPStatus.OK, answer)

    def _file(self, file: Path) -> None:
        inside = any(TEMPLATE / folder in file.parents for folder in FOLDERS)
        if not inside or not file.is_file():
            self.refuse(HTTPStatus.NOT_FOUND, "no such file")
            return
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        kind = chromium.content_type(file.name)
        self.reply(HTTPStatus.OK, file.read_bytes(), kind, headers)

    def _json(self, status: HTTPStatus, told: Any) -> None:
        text = told if isinstance(told, str) else json.dumps(told)
        kind = "text/plain; charset=utf-8" if isinstance(told, str) else "application/json"
        self.reply(status, text.encode(), kind)
