"""Chromium and a static host on localhost, for `wmsite check`, parity, the bench and tests.

with chromium.serve_folder(site, base="/repo/") as url, chromium.browser() as browser:
    page = browser.new_page()
    page.goto(url)
"""

from __future__ import annotations

import mimetypes
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from builder import extras
from sims.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")

QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
)
"""Chromium asks nobody anything but the page's own host."""

WEBGPU = (
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-webgpu-adapter=swiftshader",
    "--use-vulkan=swiftshader",
    "--ignore-gpu-blocklist",
)
"""WebGPU on the software adapter, so that it is there on machines without a GPU."""

SCRIPT_CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
"""Sent with every script: a worker's policy is its own file's header, not its page's tag."""

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def content_type(name: str) -> str:
    """Return the MIME type of a file by its name, the same on every machine."""
    suffix = Path(name).suffix.lower()
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind in {"application/json", "application/manifest+json"}
    return f"{kind}; charset=utf-8" if text else kind


def find() -> str:
    """Return the path of Chromium: $WMSITE_CHROMIUM, else the first known name on PATH.

    Raises UserError if there is none.
    """
    named = os.environ.get("WMSITE_CHROMIUM")
    for name in (named,) if named else NAMES:
        path = shutil.which(name)
        if path:
            return path
    what = f"WMSITE_CHROMIUM={named} is no program" if named else f"none of {', '.join(NAMES)}"
    raise UserError(
        f"Chromium not found: {what}. Run: apt-get install chromium, or set WMSITE_CHROMIUM"
    )


@contextmanager
def browser(*, webgpu: bool = False) -> Iterator[Browser]:
    """Start headless Chromium and yield Playwright's Browser.

    `webgpu` turns on the software adapter; without it, `navigator.gpu` has no adapter. Raises
    UserError if Playwright or Chromium is missing.
    """
    path = find()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise UserError(
            f"Playwright is not installed. Run: {extras.install('check')}, then the same again"
        ) from error
    thread = threading.get_ident()
    # Playwright refuses a second instance in a thread, so browsers in one thread share it.
    playwright, users = _playwrights.get(thread) or (sync_playwright().start(), 0)
    _playwrights[thread] = (playwright, users + 1)
    try:
        opened = playwright.chromium.launch(
            executable_path=path,
            args=[*QUIET, *(WEBGPU if webgpu else ())],
            # Chromium's sandbox refuses to run as root, as in a container.
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield opened
        finally:
            opened.close()
    finally:
        playwright, users = _playwrights.pop(thread)
        if users > 1:
            _playwrights[thread] = (playwright, users - 1)
        else:
            playwright.stop()


_playwrights: dict[int, tuple[Playwright, int]] = {}


class Handler(SimpleHTTPRequestHandler):
    """A static host such as GitHub Pages: a folder below a base path, 404.html, no listing."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, base: str, headers: Mapping[str, str], **kwargs: Any) -> None:
        self.base = base
        self.extra = headers
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        """Return the file of a request path; a path outside of the base has none."""
        path, base = unquote(urlsplit(path).path), unquote(self.base)
        if not path.startswith(base):
            return str(Path(self.directory) / ".no such file")
        return super().translate_path("/" + quote(path[len(base) :]))

    def guess_type(self, path: Any) -> str:
        """Return the type that a good host sends."""
        return content_type(str(path))

    def end_headers(self) -> None:
        """Add the caller's headers, and the script policy to scripts."""
        self.send_header("Cache-Control", "no-cache")
        if self.path.partition("?")[0].endswith((".js", ".mjs")):
            self.send_header("Content-Security-Policy", SCRIPT_CSP)
        for name, value in self.extra.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Refuse: static hosts do not list folders."""
        self.send_error(404)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the site's own 404 page, if it has one."""
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", content_type("404.html"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Connections end with the server; a browser that closes a connection is no error."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End, and every connection that is kept alive with it."""
        super().server_close()
        for request in list(self.connections):
            with suppress(OSError):  # It has ended by itself.
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: closing a page cuts its downloads."""


@contextmanager
def serve_folder(
    path: Path, base: str = "/", headers: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[str]:
    """Serve a folder on localhost as a static host would and yield its address, base included.

    `base` is a path in the form of an address, with spaces quoted. Every answer has the `headers`.
    Scripts carry `SCRIPT_CSP`, so that workers have it.
    """
    base = "/" + base.strip("/") + "/" if base.strip("/") else "/"
    handler = partial(Handler, directory=str(path), base=base, headers=headers or {})
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            # An address, not a name: it needs no look-up, and counts as a secure context.
            yield f"http://127.0.0.1:{server.server_address[1]}{base}"
        finally:
            server.shutdown()
            thread.join()
