"""A server on this machine alone: its limits, its port, and the names that it answers to."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sims.errors import UserError

PORTS = 20
SILENT = 30.0  # seconds after which a silent connection is dropped
CONNECTIONS = 64  # connections at a time, one thread for each
STREAMS = 32  # of them, pages that listen to a stream
OWN_NAMES = ("localhost", "127.0.0.1", "::1")


def opened(handler: type[Handler], host: str, port: int | None, verb: str) -> Server:
    """Return a server on the requested port, or on the first free one from 8000, or on any.

    `verb` is the command of `wmsite` that serves. Raises UserError in one line.
    """
    # The system picks a free port for 0.
    for candidate in [port] if port is not None else [*range(8000, 8000 + PORTS), 0]:
        try:
            return Server((host, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"{verb}: can't listen on {host}:{candidate}; {error}") from None
    raise UserError(f"{verb}: port {port} is busy. Run: wmsite {verb} --port with a free one")


def address(server: Server, host: str, base: str = "/") -> str:
    """Return the address at which a browser reaches a server."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{server.server_address[1]}{base}"


def names_of(host: str) -> frozenset[str] | None:
    """Return the names that a request may call this server by; None: any numeric address.

    Another site could point its own name at this address; requests from its pages use that name.
    """
    if host in ("", "0.0.0.0", "::"):
        return None
    return frozenset({*OWN_NAMES, host.strip("[]").lower()})


def called(header: str) -> str:
    """Return the name in a Host header, without the port and brackets."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::\d{1,5})?", header.strip())
    return found[1].strip("[]").lower() if found else ""


class Server(ThreadingHTTPServer):
    """One thread for each connection, up to a limit: the longest silent connection makes room."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 2 * CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.room = threading.BoundedSemaphore(CONNECTIONS)
        self.streams = threading.BoundedSemaphore(STREAMS)
        self.waiting: dict[socket.socket, float] = {}  # waiting for a request, since when
        self.guard = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, after there is room."""
        if not self.room.acquire(blocking=False):
            self._drop_longest()
            if not self.room.acquire(timeout=1):
                self.shutdown_request(request)
                return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # No thread can be started.
            self.room.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def wait(self, request: socket.socket, waits: bool) -> None:
        """Note that a connection waits for a request, or has one."""
        with self.guard:
            if waits:
                self.waiting[request] = time.monotonic()
            else:
                self.waiting.pop(request, None)

    def _drop_longest(self) -> None:
        with self.guard:
            if not self.waiting:
                return
            longest = min(self.waiting, key=self.waiting.__getitem__)
            del self.waiting[longest]
            with contextlib.suppress(OSError):  # It has ended by itself.
                longest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing if a browser has gone away."""


class Handler(BaseHTTPRequestHandler):
    """Answer requests by the names of this machine alone; `names` is None for any address."""

    protocol_version = "HTTP/1.1"
    timeout = SILENT
    server: Server
    names: frozenset[str] | None

    def handle_one_request(self) -> None:
        """Answer one request; until all of it has arrived, this connection may be dropped."""
        self.server.wait(self.connection, True)
        try:
            super().handle_one_request()
        finally:
            self.server.wait(self.connection, False)

    def welcome(self) -> bool:
        """Return whether the request calls this server by a name of its own."""
        name = called(self.headers.get("Host", ""))
        if self.names is not None:
            return name in self.names
        try:
            return name in OWN_NAMES or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer with an error, in words, and close the connection."""
        self.close_connection = True
        self.reply(status, f"{status.value}: {why}\n".encode(), "text/plain; charset=utf-8")

    def reply(
        self, status: HTTPStatus, data: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with a whole body; nothing is cached unless `headers` say so."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {"Cache-Control": "no-store"}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for builds."""
