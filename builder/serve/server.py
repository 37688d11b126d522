"""The server of `wmsite serve`: the site as a good host sends it, and a stream of changes.

The page gets all messages over that stream from the same origin; the site holds none of them.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from builder import chromium
from builder.project import cache
from builder.serve import local

HASHED = re.compile(r"-[0-9a-f]{12}/")
LIVE = "__wmsite/"
LIVE_JS = Path(__file__).with_name("live.js")
LONGEST = 4096  # characters of an address
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass
class State:
    """The messages for the pages, and the way to wake the pages."""

    version: str = ""  # the version of the site
    error: str | None = None  # the error of the last edit
    training: dict[str, Any] | None = None  # the progress of the model of the last edit
    edits: int = 0  # the number of changes of a sim's files
    changed: threading.Condition = field(default_factory=threading.Condition)
    number: int = 0

    def tell(self, **news: Any) -> None:
        """Change the given values and wake every page, if a value is new."""
        with self.changed:
            if all(getattr(self, name) == value for name, value in news.items()):
                return
            for name, value in news.items():
                setattr(self, name, value)
            self.number += 1
            self.changed.notify_all()


def version_of(out: Path) -> str:
    """Return the version of the site in a folder, or ""."""
    told = cache.read_json(out / "wm" / "site.json", dict)
    return str(told.get("version", "")) if told else ""


def injected(page: bytes, base: str, version: str) -> bytes:
    """Return a page with the live reload, which knows the version of the page."""
    src = html.escape(f"{base}{LIVE}live.js")
    tag = f'<script src="{src}" data-version="{version}" defer></script></body>'
    return page.replace(b"</body>", tag.encode(), 1)


def adjusted(out: Path, base: str) -> bytes:
    """Return site.json in agreement with the served pages, which contain the live reload."""
    told = json.loads((out / "wm" / "site.json").read_bytes())
    for entry in told["files"]:
        if entry["url"].endswith(".html"):
            page = (out / "wm" / entry["url"]).resolve().read_bytes()
            page = injected(page, base, told["version"])
            entry |= {"sha256": cache.sha256(page), "bytes": len(page)}
    told["version"] = cache.key(served=told["version"], base=base)[:12]
    return json.dumps(told).encode()


def listen(
    out: Path,
    base: str,
    state: State,
    host: str,
    port: int | None,
    sims: Callable[[], Mapping[str, Mapping[str, str]]] = dict,
) -> local.Server:
    """Return a server on the requested port, or on the first free one from 8000, or on any.

    `base` is the path that the site is served under, in the form of an address. `sims` returns the
    current files of each world's sim.
    """
    told = {"out": out, "base": base, "state": state, "names": local.names_of(host)}
    handler = type("Handler", (_Handler,), {**told, "sims": staticmethod(sims)})
    return local.opened(handler, host, port, "serve")


class _Handler(local.Handler):
    """Serve files as a good static host does, and the event stream of the live reload."""

    out: Path
    base: str
    state: State
    sims: Callable[[], Mapping[str, Mapping[str, str]]]

    def do_GET(self) -> None:
        """Answer one request."""
        self.server.wait(self.connection, False)
        if not self.welcome():
            self.refuse(HTTPStatus.FORBIDDEN, "serve answers to its own names alone: see --host")
            return
        try:
            path = unquote(urlsplit(self.path).path)
        except ValueError:
            path = "\0"
        if len(self.path) > LONGEST or CONTROL.search(path):
            self.refuse(HTTPStatus.BAD_REQUEST, "no address of a site")
            return
        base = unquote(self.base)
        if not path.startswith(base):
            if path == "/" or f"{path}/" == base:
                self.reply(HTTPStatus.FOUND, b"", "text/plain", {"Location": self.base})
            else:
                self._missing()
            return
        inner = path[len(base) :]
        if inner == f"{LIVE}live.js":
            self.reply(HTTPStatus.OK, LIVE_JS.read_bytes(), chromium.content_type("live.js"))
        elif inner == f"{LIVE}sims.json":
            data = json.dumps(self.sims()).encode()
            self.reply(HTTPStatus.OK, data, chromium.content_type("sims.json"))
        elif inner == f"{LIVE}events":
            self._events()
        else:
            self._file(inner)

    do_HEAD = do_GET

    def _file(self, inner: str) -> None:
        try:
            file = (self.out / inner).resolve()
            if self.out != file and self.out not in file.parents:
                self._missing()
                return
            if file.is_dir():
                if inner and not inner.endswith("/"):
                    where = {"Location": f"{self.base}{quote(inner)}/"}
                    self.reply(HTTPStatus.FOUND, b"", "text/plain", where)
                    return
                file /= "index.html"
            data = file.read_bytes()
        except (OSError, RuntimeError):  # Missing, a loop of links, a name of 300 characters.
            self._missing()
            return
        self._send(HTTPStatus.OK, data, file.suffix, inner)

    def _missing(self) -> None:
        try:
            data = (self.out / "404.html").read_bytes()
        except OSError:
            data = b"not found"
        self._send(HTTPStatus.NOT_FOUND, data, ".html", "404.html")

    def _send(self, status: HTTPStatus, data: bytes, suffix: str, inner: str) -> None:
        from builder.site.policy import POLICY

        policy = POLICY.format(scripts="")
        if suffix == ".html":
            found = re.search(rb'http-equiv="Content-Security-Policy" content="([^"]*)"', data)
            policy = found[1].decode() if found else policy
            data = injected(data, self.base, version_of(self.out))
        elif inner == "wm/site.json":
            data = adjusted(self.out, self.base)
        immutable = bool(HASHED.search(inner))
        self.reply(
            status,
            data,
            chromium.content_type(f"file{suffix}"),
            {
                "Content-Security-Policy": policy,
                "Cache-Control": "public, max-age=31536000, immutable" if immutable else "no-store",
            },
        )

    def _events(self) -> None:
        """Send every change to one page, while it listens."""
        if self.command == "HEAD":
            self.reply(HTTPStatus.OK, b"", "text/event-stream")
        elif not self.server.streams.acquire(blocking=False):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages listen")
        else:
            try:
                self._stream()
            finally:
                self.server.streams.release()

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        seen = -1
        while True:
            with self.state.changed:
                if self.state.number == seen:
                    self.state.changed.wait(15)
                fresh = self.state.number != seen
                seen = self.state.number
                names = ("version", "error", "training", "edits")
                told = json.dumps({name: getattr(self.state, name) for name in names})
            self.wfile.write(f"data: {told}\n\n".encode() if fresh else b": still here\n\n")
            self.wfile.flush()
