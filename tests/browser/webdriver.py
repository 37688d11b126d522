"""Firefox and WebKit as Debian has them, driven over WebDriver by the standard library alone.

with webdriver.firefox() as page, webdriver.webkit() as other:
    page.goto(url)

A page has the part of Playwright's that `drive` uses, so that tests say the same of every browser.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sims.errors import UserError

START = 60.0
"""Seconds in which a browser has to be there, on a machine that has much else to do."""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014"}

Command = Callable[[str, str, dict[str, Any]], Any]


def find(program: str, package: str) -> str:
    """Return the path of a program; UserError that names its Debian package if it is not there."""
    found = shutil.which(program)
    if not found:
        found = next((str(p) for p in Path("/usr/lib").glob(f"*/webkit2gtk-4.*/{program}")), None)
    if not found:
        raise UserError(f"{program} not found. Run: apt-get install {package}")
    return found


class Page:
    """One tab; `send` takes a command: its name in Marionette, its path over HTTP, arguments."""

    def __init__(self, send: Command) -> None:
        self.send = send
        self.keyboard = self
        send("SetTimeouts", "POST timeouts", {"script": 120_000, "pageLoad": 60_000})

    def goto(self, url: str) -> None:
        self.send("Navigate", "POST url", {"url": url})

    def reload(self) -> None:
        """Open the same page anew; WebDriver's own Refresh goes past service workers in Firefox."""
        self.goto(self.evaluate("location.href"))

    def evaluate(self, code: str, argument: Any = None) -> Any:
        """Return what an expression is, or what a function of `argument` returns."""
        script = f"""
            const [given, done] = arguments;
            (async () => {{
                const it = ({code.strip().rstrip(";")});
                return typeof it === "function" ? it(given) : it;
            }})().then((value) => done([value ?? null]), (error) => done([null, String(error)]));
        """
        answer = self.send(
            "ExecuteAsyncScript", "POST execute/async", {"script": script, "args": [argument]}
        )
        if len(answer) > 1:
            raise RuntimeError(answer[1])
        return answer[0]

    def wait_for_function(self, check: str, timeout: float = 30_000, polling: int = 50) -> None:
        end = time.monotonic() + timeout / 1000
        while not self.evaluate(check):
            if time.monotonic() > end:
                raise TimeoutError(f"never: {check}")
            time.sleep(polling / 1000)

    def wait_for_selector(self, selector: str, timeout: float = 30_000) -> None:
        self.wait_for_function(f"document.querySelector({json.dumps(selector)}) !== null", timeout)

    def inner_text(self, selector: str) -> str:
        found: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def click(self, selector: str) -> None:
        element = self.send(
            "FindElement", "POST element", {"using": "css selector", "value": selector}
        )
        name = element.get("value", element)[ELEMENT]
        self.send("ElementClick", f"POST element/{name}/click", {"id": name})

    def down(self, key: str) -> None:
        self._key("keyDown", key)

    def up(self, key: str) -> None:
        self._key("keyUp", key)

    def _key(self, kind: str, key: str) -> None:
        actions = [{"type": "key", "id": "keys", "actions": [{"type": kind, "value": KEYS[key]}]}]
        self.send("PerformActions", "POST actions", {"actions": actions})


@contextmanager
def firefox() -> Iterator[Page]:
    """Start headless Firefox with an empty profile, spoken to in Marionette: no driver needed."""
    program = find("firefox-esr", "firefox-esr")
    with tempfile.TemporaryDirectory(prefix="wmsite-firefox-", ignore_cleanup_errors=True) as home:
        (Path(home) / "user.js").write_text('user_pref("marionette.port", 0);\n')
        command = [program, "--headless", "--marionette", "--no-remote", "--profile", home]
        with _running(command, home):
            told = Path(home) / "MarionetteActivePort"
            port = int(_until(lambda: told.is_file() and told.read_text(), "Firefox"))
            with socket.create_connection(("127.0.0.1", port), timeout=START) as connection:
                connection.settimeout(180)
                stream = connection.makefile("rb")
                _packet(stream)  # What it is.
                sent = 0

                def send(name: str, _: str, arguments: dict[str, Any]) -> Any:
                    nonlocal sent
                    sent += 1
                    text = json.dumps([0, sent, f"WebDriver:{name}", arguments]).encode()
                    connection.sendall(b"%d:%s" % (len(text), text))
                    _, _, error, result = _packet(stream)
                    if error:
                        raise RuntimeError(f"Firefox: {name}: {error['message']}")
                    return result["value"] if set(result) == {"value"} else result

                send("NewSession", "", {"capabilities": {"alwaysMatch": {}}})
                yield Page(send)


def _packet(stream: Any) -> Any:
    """Read one packet of Marionette: its length, a colon, JSON."""
    digits = b""
    while (byte := stream.read(1)) != b":":
        if not byte:
            raise RuntimeError("Firefox ended")
        digits += byte
    return json.loads(stream.read(int(digits)))


@contextmanager
def webkit() -> Iterator[Page]:
    """Start WebKitGTK's MiniBrowser on a display of its own, by WebKitWebDriver."""
    driver = find("WebKitWebDriver", "webkit2gtk-driver")
    program = find("MiniBrowser", "webkit2gtk-driver")
    display = find("Xvfb", "xvfb")
    with tempfile.TemporaryDirectory(prefix="wmsite-webkit-", ignore_cleanup_errors=True) as home:
        read, write = os.pipe()
        screen = [
            display,
            "-displayfd",
            str(write),
            "-screen",
            "0",
            "1280x1000x24",
            "-nolisten",
            "tcp",
        ]
        with _running(screen, home, pass_fds=(write,)):
            os.close(write)
            with os.fdopen(read) as told:
                number = told.readline().strip()
            port = _free()
            with _running([driver, f"--port={port}"], home, DISPLAY=f":{number}"):
                at = f"http://127.0.0.1:{port}/session"
                _until(lambda: _listens(port), "WebKitWebDriver")
                options = {"binary": program, "args": ["--automation"]}
                wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
                session = _post("POST", at, {"capabilities": wanted})["sessionId"]

                def send(_: str, path: str, arguments: dict[str, Any]) -> Any:
                    method, _, path = path.partition(" ")
                    return _post(method, f"{at}/{session}/{path}", arguments)

                try:
                    yield Page(send)
                finally:
                    _post("DELETE", f"{at}/{session}", None)


def _post(method: str, url: str, body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=180) as answer:
            return json.load(answer)["value"]
    except HTTPError as error:
        raise RuntimeError(f"WebKit: {url}: {error.read().decode()}") from None


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + START
    while not (it := found()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not start within {START:.0f} s")
        time.sleep(0.05)
    return it


@contextmanager
def _running(
    command: list[str], home: str, pass_fds: tuple[int, ...] = (), **environment: str
) -> Iterator[None]:
    """Run a program with a home of its own; it ends with the block."""
    env = os.environ | {"HOME": home, "XDG_RUNTIME_DIR": home} | environment
    log = Path(home) / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, pass_fds=pass_fds)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
