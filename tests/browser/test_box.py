"""Somebody else's simulator stays in its box: what it tries, on every kind of host.

Each attack is tried twice: by a bare worker in the box, which has every name that the browser gives
(so the browser itself has to refuse), and by a Python simulator, which has what `lock.js` leaves.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from drive import WORLD, notice, play, state, text, until

from builder.serve import server

HERE = Path(__file__).parent
# Every name that a simulator may meet in its worker. What is new is looked at first: can it reach
# anything, keep anything, run text, or start something that can?
KNOWN = """
AbortController AbortSignal AggregateError Array ArrayBuffer AsyncDisposableStack Atomics
BigInt BigInt64Array BigUint64Array Boolean DOMException DataView Date DisposableStack Error
EvalError Event EventTarget FinalizationRegistry Float16Array Float32Array Float64Array
Function Infinity Int16Array Int32Array Int8Array Intl Iterator JSON Map Math MessageChannel
MessagePort NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set
String SuppressedError Symbol SyntaxError TextDecoder TextEncoder TypeError URIError
Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet WebAssembly
clearInterval clearTimeout console crypto decodeURI decodeURIComponent encodeURI
encodeURIComponent escape globalThis isFinite isNaN parseFloat parseInt performance
queueMicrotask self setInterval setTimeout undefined unescape
"""
# Numbers of Chromium's, which can't be deleted.
NUMBERS = {"PERSISTENT", "TEMPORARY"}


class Other(BaseHTTPRequestHandler):
    """Another origin: notes whoever comes, and lets them in."""

    came: list[str]

    def do_GET(self) -> None:
        """Answer anybody."""
        self.came.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Type", "text/javascript")
        self.end_headers()
        self.wfile.write(b"export default 1")

    do_HEAD = do_POST = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Plain(SimpleHTTPRequestHandler):
    """A host that sends no headers of its own."""

    came: list[str]
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def do_GET(self) -> None:
        """Note the query: no page of ours has one."""
        if "attack" in self.path:
            self.came.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def run(listening: ThreadingHTTPServer) -> Iterator[str]:
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}/"
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture(scope="module")
def other() -> Iterator[tuple[str, list[str]]]:
    came: list[str] = []
    handler = type("Counting", (Other,), {"came": came})
    with run(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield address, came


@contextmanager
def hosted(site: Path, tmp_path: Path, host: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the site plainly, or as `wmsite serve` does."""
    came: list[str] = []
    if host == "serve":
        out = shutil.copytree(site, tmp_path / "served")
        # Of another version, the page would load itself again.
        told = server.State(version=server.version_of(out))
        listening = server.listen(out, "/", told, "127.0.0.1", 0)
    else:
        handler = partial(type("Noting", (Plain,), {"came": came}), directory=str(site))
        listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with run(listening) as address:
        yield address, came


def visit(browser: Any, address: str, kept: bool) -> Any:
    """Open the site and play; `kept`: from the service worker's copy."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    if kept:
        page.click(".wm-embed .wm-offline-do")
        page.wait_for_selector(".wm-embed .wm-offline[data-state=kept]", timeout=120_000)
        page.reload()
        assert page.evaluate("navigator.serviceWorker.controller !== null")
    play(page, model=False, seconds=120)
    page.evaluate("g => { window.untouched = true; window.heard = []; }")
    page.evaluate(
        """() => { const c = new BroadcastChannel("attack");
        c.onmessage = (e) => window.heard.push(e.data); window.channel = c; }"""
    )
    return page


def limit_opening(page: Any, app: str, address: str, milliseconds: int) -> None:
    """Say how long a simulator may take to open."""
    page.evaluate(
        "async ([at, limit]) => { (await import(at)).LIMITS.open = limit; }",
        [f"{address}{app}/game/loading-stages.js", milliseconds],
    )


@pytest.mark.parametrize("host", ["plain", "worker", "serve"])
def test_nothing_gets_out_of_the_box(
    browser: Any, site: Path, app: str, other: tuple[str, list[str]], tmp_path: Path, host: str
) -> None:
    elsewhere, came = other
    came.clear()
    with hosted(site, tmp_path, host) as (address, own):
        page = visit(browser, address, host == "worker")
        names = {"OTHER": elsewhere, "OWN": address}
        # Hundreds of attempts in one import take their time.
        limit_opening(page, app, address, 120_000)
        # The browser's own walls.
        told = page.evaluate(
            "async ([box, code, names]) => {"
            "  const { Sandbox } = await import(box);"
            "  const head = Object.entries(names).map(([k, v]) => `const ${k} = '${v}';`).join('');"
            "  const bytes = await new Blob([head, code]).arrayBuffer();"
            "  const made = new Sandbox('bare', Promise.resolve(bytes));"
            "  try { return await new Promise((resolve, reject) => {"
            "    made.onmessage = ({ data }) => resolve(data);"
            "    made.onerror = ({ message }) => reject(new Error(message));"
            "  }); } finally { made.terminate(); }"
            "}",
            [f"{address}{app}/sim/sandbox.js", (HERE / "attacks.js").read_text(), names],
        )
        assert told.pop("origin") == "null"
        assert {name: said for name, said in told.items() if said.startswith("REACHED")} == {}
        # A simulator, with what Python and Pyodide give it.
        attack = (HERE / "attacks.py.txt").read_text()
        source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
        head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        found: dict[str, Any] = {}
        for part in ("begin", "end", "walk"):
            code = f"{source}\n{head}PART = {part!r}\n{attack}"
            answer = page.evaluate(
                f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})", code
            )
            assert answer["error"]["type"] == "Report", answer
            found |= json.loads(answer["error"]["message"])
            page.wait_for_timeout(1000)
        assert found.pop("tried") > 50
        assert found.pop("walked") > 50
        assert found.pop("walk") == []
        assert set(found.pop("globals")) - set(KNOWN.split()) - NUMBERS == set()
        assert found == {}
        # What Python does not survive: the page starts another one.
        for part in ("a lazy file", "text by C"):
            code = f"{source}\n{head}PART = {part!r}\n{attack}"
            answer = page.evaluate(
                f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})", code
            )
            assert "Python itself has failed" in answer["error"]["message"]
            until(page, "s.phase === 'paused'", 120)
            assert "The last good code is back" in notice(page)
            page.evaluate(f"{WORLD}.play()")
        # Nothing has come anywhere, and nothing was left.
        assert came == []
        assert own == []
        assert page.evaluate("window.heard") == []
        ours = {"wm-python", "wmsite / files", "wmsite / record"}
        assert set(page.evaluate("caches.keys()")) <= ours
        assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 0
        assert page.evaluate("Object.keys(localStorage).filter((k) => k.includes('attack'))") == []
        page.context.close()


def test_a_simulator_that_answers_for_the_worker_shows_a_wrong_game_at_most(
    browser: Any, site: Path, app: str, tmp_path: Path
) -> None:
    with hosted(site, tmp_path, "plain") as (address, _):
        page = visit(browser, address, False)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        # The forged worker never opens; half the usual limit is enough to see it.
        limit_opening(page, app, address, 10_000)
        source = page.evaluate(f"{WORLD}.sources['sims/breakout/__init__.py']")
        forged = (HERE / "forged.py.txt").read_text()
        page.evaluate(
            f"(text) => {WORLD}.runSource({{'sims/breakout/__init__.py': text}})",
            f"{source}\n{forged}",
        )
        # It has the port, and posts what no worker posts; the page says so, or goes on.
        page.wait_for_timeout(3000)
        assert page.evaluate("window.untouched")
        assert page.url == address
        assert page.evaluate("document.querySelectorAll('wm-world img[src*=attack]').length") == 0
        assert "undefined" not in text(page)
        # One press, and the shipped sim plays.
        if state(page)["phase"] == "error":
            page.click(".wm-notice [data-do=retry]")
        else:
            page.evaluate(f"{WORLD}.game.stop()")
        until(page, "s.phase === 'paused' || s.phase === 'playing'", 120)
        assert not problems
        page.context.close()
