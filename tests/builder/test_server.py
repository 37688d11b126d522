"""What serves the site to the page that is edited: its answers to what no browser of ours asks."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from builder.serve import local, server

BASE = "/a%20b/"


@pytest.fixture
def state() -> server.State:
    return server.State()


@pytest.fixture
def port(state: server.State, tmp_path: Path) -> Generator[int, None, None]:
    """A server of a small folder, under a path with a space."""
    yield from served(state, tmp_path, "127.0.0.1")


def served(
    state: server.State, folder: Path, host: str, timeout: float = 30
) -> Generator[int, None, None]:
    (folder / "guide").mkdir(exist_ok=True)
    (folder / "guide" / "index.html").write_text("<body>guide</body>")
    (folder / "50%").mkdir(exist_ok=True)
    (folder / "loop").symlink_to("loop")
    one = server.listen(folder, BASE, state, host, 0)
    one.RequestHandlerClass.timeout = timeout  # type: ignore[attr-defined]
    thread = threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield one.server_address[1]
    one.shutdown()
    one.server_close()


def ask(port: int, path: str, host: str = "localhost", verb: str = "GET") -> tuple[int, Any, bytes]:
    """Send what no client would, and return the status, the headers and the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{verb} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection, method=verb)
        answer.begin()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/a%20b/guide/", 200),
        ("/a%20b/%00", 400),
        ("/a%20b/guide%00", 400),
        ("/a%20b/guide%0d%0aSet-Cookie:%20a=b", 400),
        ("/a%20b/guide%0A", 400),
        ("/a%20b/" + "x" * 5000, 400),
        ("/a%20b/?" + "x" * 5000, 400),
        ("http://[/a%20b/", 400),
        ("/a%20b/" + "x" * 300, 404),
        ("/a%20b/loop/", 404),
        ("/a%20b/../secret", 404),
        ("/a%20b/%2Fetc/passwd", 404),
        ("/a%20b/\xff", 404),
    ],
)
def test_any_path_has_an_answer(port: int, path: str, status: int) -> None:
    assert ask(port, path)[0] == status
    assert ask(port, path, verb="HEAD")[0] == status


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/", BASE),
        ("/a%20b", BASE),
        ("/%61%20b/guide", "/a%20b/guide/"),
        ("/a%20b/guide?x=%0d%0aSet-Cookie:%20a=b", "/a%20b/guide/"),
        ("/a%20b/50%25", "/a%20b/50%25/"),
    ],
)
def test_a_redirect_leads_to_an_address_of_ours(port: int, path: str, where: str) -> None:
    status, headers, _ = ask(port, path)
    assert (status, headers["Location"], headers["Set-Cookie"]) == (302, where, None)


@pytest.mark.parametrize(
    ("host", "named", "welcome"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:8000", True),
        ("127.0.0.1", "127.0.0.1:9", True),
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "rebound.example", False),
        ("127.0.0.1", "127.0.0.1.rebound.example:8000", False),
        ("127.0.0.1", "localhost@rebound.example", False),
        ("127.0.0.1", "192.168.0.9:8000", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "192.168.0.9:8000", True),
        ("0.0.0.0", "[fe80::1]:8000", True),
        ("0.0.0.0", "localhost", True),
        ("0.0.0.0", "rebound.example:8000", False),
        ("localhost", "127.0.0.1", True),
    ],
)
def test_only_who_calls_it_by_its_name_is_answered(
    state: server.State, tmp_path: Path, host: str, named: str, welcome: bool
) -> None:
    running = served(state, tmp_path, host)
    port = next(running)
    for path in ("guide/", "__wmsite/live.js", "__wmsite/events"):
        verb = "HEAD" if path.endswith("events") else "GET"
        assert ask(port, BASE + path, named, verb)[0] == (200 if welcome else 403)
    running.close()


def test_a_stream_of_events_ends_for_who_asks_for_its_head(port: int) -> None:
    status, headers, body = ask(port, BASE + "__wmsite/events", verb="HEAD")
    assert (status, headers["Content-Type"], body) == (200, "text/event-stream", b"")


def test_many_slow_connections_hold_few_threads_and_keep_nobody_out(
    port: int, state: server.State
) -> None:
    before = threading.active_count()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as page:
        page.sendall(f"GET {BASE}__wmsite/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        told = page.makefile("rb")
        assert b"200" in told.readline()
        slow = []
        for _ in range(300):
            slow.append(socket.create_connection(("127.0.0.1", port), timeout=20))
            slow[-1].sendall(b"GET /a%20b/guide/ HT")
        assert threading.active_count() - before <= local.CONNECTIONS
        assert ask(port, BASE + "guide/")[0] == 200
        # Who listens is not sent away for them.
        state.tell(version="next")
        assert any(b'"version": "next"' in line for line in iter(told.readline, b""))
        for connection in slow:
            connection.close()


def test_no_more_pages_listen_than_leave_room_for_others(port: int) -> None:
    listening = []
    head = f"GET {BASE}__wmsite/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(local.STREAMS):
        listening.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        listening[-1].sendall(head)
        assert listening[-1].recv(12) == b"HTTP/1.1 200"
    assert ask(port, BASE + "__wmsite/events")[0] == 503
    assert ask(port, BASE + "guide/")[0] == 200
    for connection in listening:
        connection.close()


def test_a_connection_that_says_nothing_is_dropped(state: server.State, tmp_path: Path) -> None:
    running = served(state, tmp_path, "127.0.0.1", timeout=0.3)
    port = next(running)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - began < 10
    running.close()


def test_busy_ports_leave_another_one(state: server.State, tmp_path: Path) -> None:
    with ExitStack() as busy:
        for number in range(8000, 8000 + local.PORTS):
            holder = busy.enter_context(socket.socket())
            # Of a server that has just ended, connections may still be closing.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # Somebody else holds it, which is as good.
                holder.bind(("127.0.0.1", number))
                holder.listen()
        with server.listen(tmp_path, BASE, state, "127.0.0.1", None) as one:
            assert one.server_address[1] not in range(8000, 8000 + local.PORTS)
