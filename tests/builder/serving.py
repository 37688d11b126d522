"""A running `wmsite serve`, and what a page that listens to it is told."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SILENCE = 240  # seconds without a change, in which a model is made


class Served:
    """A running `wmsite serve` of a project, under /r/."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], port: int) -> None:
        self.folder, self.process, self.port = folder, process, port

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data


@contextmanager
def serving(folder: Path, training: str, **environment: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "builder.cli", "-C", str(folder), "serve"]
    process = subprocess.Popen(
        [*command, "--train", training, "--base", "r"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"Serving http://127\.0\.0\.1:(\d+)/r/", line):
            break
    else:
        pytest.fail(f"serve ended with exit code {process.wait()}: {''.join(said)}")
    yield Served(folder, process, int(found[1]))
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)


def events(served: Served) -> Iterator[dict[str, Any]]:
    """Yield what a page that listens is told."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/r/__wmsite/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    last = time.monotonic()
    while line := answer.readline():
        assert time.monotonic() - last < SILENCE, "nothing has been told for so long"
        if line.startswith(b"data: "):
            yield json.loads(line[6:])
            last = time.monotonic()
