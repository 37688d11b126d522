"""What `wmsite serve` serves: the site as a good host sends it, and a stream of what is new.

What the page is told comes over that stream from the same origin; nothing of it is in the site.
"""

from __future__ import annotations

import errno
import json
import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from builder import cache, chromium
from sims.errors import UserError

HASHED = re.compile(r"-[0-9a-f]{12}/")
LIVE = "__wmsite/"
LIVE_JS = Path(__file__).with_name("live.js")
PORTS = 20


@dataclass
class State:
    """What the pages are told, and how to wake them."""

    version: str = ""  # the site's
    error: str | None = None  # what is wrong with the last edit
    training: dict[str, Any] | None = None  # how far a model is that follows it
    changed: threading.Condition = field(default_factory=threading.Condition)
    number: int = 0

    def tell(self, **news: Any) -> None:
        """Change what is given and wake every page, if that is new."""
        with self.changed:
            if all(getattr(self, name) == value for name, value in news.items()):
                return
            for name, value in news.items():
                setattr(self, name, value)
            self.number += 1
            self.changed.notify_all()


def version_of(out: Path) -> str:
    """Return the version of the site in a folder, or nothing."""
    told = cache.read_json(out / "wm" / "site.json")
    return str(told["version"]) if told else ""


def injected(page: bytes, base: str, version: str) -> bytes:
    """Return a page with the live reload, which knows of which version the page is."""
    tag = f'<script src="{base}{LIVE}live.js" data-version="{version}" defer></script></body>'
    return page.replace(b"</body>", tag.encode(), 1)


def adjusted(out: Path, base: str) -> bytes:
    """Return site.json as true of the pages as they are served, with the live reload in them."""
    told = json.loads((out / "wm" / "site.json").read_bytes())
    for entry in told["files"]:
        if entry["url"].endswith(".html"):
            page = (out / "wm" / entry["url"]).resolve().read_bytes()
            page = injected(page, base, told["version"])
            entry |= {"sha256": cache.sha256(page), "bytes": len(page)}
    told["version"] = cache.key(served=told["version"], base=base)[:12]
    return json.dumps(told).encode()


def listen(out: Path, base: str, state: State, host: str, port: int | None) -> ThreadingHTTPServer:
    """Return a server on the port asked for, or on the first free one from 8000."""
    handler = type("Handler", (_Handler,), {"out": out, "base": base, "state": state})
    for candidate in [port] if port is not None else range(8000, 8000 + PORTS):
        try:
            return _Server((host, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"serve: can't listen on {host}:{candidate}; {error}") from None
    tried = f"port {port} is" if port is not None else f"ports 8000 to {7999 + PORTS} are"
    raise UserError(f"serve: {tried} busy. Run: wmsite serve --port with a free one")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    """Serve files as a good static host does, and the event stream of the live reload."""

    protocol_version = "HTTP/1.1"
    out: Path
    base: str
    state: State

    def do_GET(self) -> None:
        """Answer one request."""
        path = unquote(urlsplit(self.path).path)
        if not path.startswith(self.base):
            if path == "/" or f"{path}/" == self.base:
                self._reply(HTTPStatus.FOUND, b"", "text/plain", {"Location": self.base})
            else:
                self._missing()
            return
        inner = path[len(self.base) :]
        if inner == f"{LIVE}live.js":
            self._reply(HTTPStatus.OK, LIVE_JS.read_bytes(), chromium.content_type("live.js"))
        elif inner == f"{LIVE}events":
            self._events()
        else:
            self._file(inner)

    do_HEAD = do_GET

    def _file(self, inner: str) -> None:
        file = (self.out / inner).resolve()
        if self.out != file and self.out not in file.parents:
            self._missing()
            return
        if file.is_dir():
            if inner and not inner.endswith("/"):
                self._reply(
                    HTTPStatus.FOUND, b"", "text/plain", {"Location": f"{self.base}{inner}/"}
                )
                return
            file /= "index.html"
        try:
            data = file.read_bytes()
        except OSError:
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
        from builder.plugin import POLICY

        policy = POLICY.format(scripts="")
        if suffix == ".html":
            found = re.search(rb'http-equiv="Content-Security-Policy" content="([^"]*)"', data)
            policy = found[1].decode() if found else policy
            data = injected(data, self.base, version_of(self.out))
        elif inner == "wm/site.json":
            data = adjusted(self.out, self.base)
        immutable = bool(HASHED.search(inner))
        self._reply(
            status,
            data,
            chromium.content_type(f"file{suffix}"),
            {
                "Content-Security-Policy": policy,
                "Cache-Control": "public, max-age=31536000, immutable" if immutable else "no-store",
            },
        )

    def _reply(
        self, status: HTTPStatus, data: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {"Cache-Control": "no-store"}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _events(self) -> None:
        """Tell one page of every change, for as long as it listens."""
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
                names = ("version", "error", "training")
                told = json.dumps({name: getattr(self.state, name) for name in names})
            self.wfile.write(f"data: {told}\n\n".encode() if fresh else b": still here\n\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for builds."""
