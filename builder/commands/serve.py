"""`wmsite serve`: build, serve, watch, and show every edit, or what is wrong with it, in the page.

Each build runs in a process of its own, so that nothing of an edited sim stays behind. What the
page is told comes over one event stream from the same origin; nothing of it is in the site.
"""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from builder import cache, chromium
from builder.commands.build import Options, base_path, watched
from builder.project import Project
from builder.terminal import Terminal
from sims.errors import UserError

HASHED = re.compile(r"-[0-9a-f]{12}/")
LIVE = "__wmsite/"
PORTS = 20

LIVE_JS = """\
// Injected by `wmsite serve` alone: reload when the site is new, show what is wrong with an edit.
const home = new URL(".", document.currentScript.src);
const mine = document.currentScript.dataset.version;
let box = null;

function show(text) {
  if (!box) {
    box = document.createElement("pre");
    box.id = "wmsite-live";
    box.setAttribute("role", "alert");
    box.style.cssText =
      "position:fixed;inset:auto 1rem 1rem;z-index:9999;margin:0;padding:1rem;" +
      "white-space:pre-wrap;background:#2b0d12;color:#ffd7dc;border:1px solid #ff4878;" +
      "border-radius:4px;font:14px/1.5 monospace;max-height:50vh;overflow:auto";
    document.body.append(box);
  }
  box.textContent = text;
  box.hidden = !text;
}

// A service worker that keeps the old site must bring the new one first.
async function renewed() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  await new Promise((done) => {
    navigator.serviceWorker.addEventListener("message", ({ data }) => {
      if (data?.type !== "offline" || data.loading) return;
      if (data.ready) worker.postMessage({ type: "activate" });
      else done();
    });
    navigator.serviceWorker.startMessages();
    worker.postMessage({ type: "update" });
    setTimeout(done, 10000);
  });
}

new EventSource(new URL("events", home)).onmessage = async (event) => {
  const { version, error } = JSON.parse(event.data);
  show(error ?? "");
  // Once for each version: a page that stays old must not reload for ever.
  if (version === mine || sessionStorage.getItem("wmsite-live") === version) return;
  sessionStorage.setItem("wmsite-live", version);
  await renewed();
  location.reload();
};
"""


@dataclass
class State:
    """What the pages are told: the site's version, and what is wrong with the last edit."""

    version: str = ""
    error: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    number: int = 0

    def tell(self, version: str, error: str | None) -> None:
        """Set both and wake every page."""
        with self.changed:
            self.version, self.error = version, error
            self.number += 1
            self.changed.notify_all()


def run(
    options: Options, terminal: Terminal, host: str = "127.0.0.1", port: int | None = None
) -> None:
    """Build once, serve until interrupted, and build again after every change."""
    project = Project.open(options.root)
    base = base_path(options.base) or "/"
    state = State()
    server = _listen(options.out, base, state, host, port)  # Before a build that may take long.
    try:
        code, error = _build(options, options.train)
        if error and not (options.out / "wm" / "site.json").is_file():
            raise UserError(f"serve: nothing to serve yet; {error.removeprefix('error: ')}", code)
        state.tell(version_of(options.out), error)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://{host}:{server.server_address[1]}{base}"
        terminal.say(f"Serving {address}  (Ctrl-C ends it)")
        sys.stdout.flush()
        _watch(project, options, state, terminal)
    except KeyboardInterrupt:
        terminal.say("Ended.")
    finally:
        server.server_close()


def _build(options: Options, training: str, quiet: bool = False) -> tuple[int, str | None]:
    """Build in a process of its own; return its exit code and its one-line error, if any."""
    command = [sys.executable, "-m", "builder.cli", "-C", str(options.root), "build", "--wait"]
    command += ["--train", training, "--site-dir", str(options.out)]
    command += ["--base", options.base] if options.base else []
    command += ["--only", options.only] if options.only else []
    command += ["--quiet"] if quiet else []
    command += ["--strict"] if options.strict else []
    error = None
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.startswith("error: "):
                error = line.strip()
    if process.returncode and not error:
        error = f"error: the build ended with exit code {process.returncode}"
    return process.returncode, error


def _watch(project: Project, options: Options, state: State, terminal: Terminal) -> None:
    """Build after every change of what the site is made from, until interrupted."""
    import watchfiles

    def wanted(_: watchfiles.Change, path: str) -> bool:
        return not any(
            part.startswith(".") or part == "__pycache__" or part.endswith("~")
            for part in Path(path).parts[len(project.root.parts) :]
        )

    while True:
        paths = [p for p in (*watched(project), project.root / "weights") if p.exists()]
        config = project.root / "mkdocs.yml"
        known = config.read_bytes()
        for changes in watchfiles.watch(*paths, watch_filter=wanted, debounce=300, step=50):
            first = min(Path(path) for _, path in changes)
            terminal.say(f"changed: {first}" + (" and more" if len(changes) > 1 else ""))
            began = time.monotonic()
            # What was edited is to be seen now: training waits for the next build or train.
            _, error = _build(options, "never", quiet=True)
            state.tell(version_of(options.out), error)
            if not error:
                terminal.say(f"built in {time.monotonic() - began:.1f} s")
            sys.stdout.flush()
            if config.is_file() and known != config.read_bytes():
                break  # It may name other folders to watch.


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


def _listen(out: Path, base: str, state: State, host: str, port: int | None) -> ThreadingHTTPServer:
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
            self._reply(HTTPStatus.OK, LIVE_JS.encode(), chromium.content_type("live.js"))
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
                told = json.dumps({"version": self.state.version, "error": self.state.error})
            self.wfile.write(f"data: {told}\n\n".encode() if fresh else b": still here\n\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for builds."""
