from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines() -> None:
    log = io.StringIO()
    with Progress("train x", total=100, unit="%", interval=0.0, stream=log) as progress:
        progress.resume(50)
        progress.update(25, loss=0.5)
    lines = log.getvalue().splitlines()
    assert lines[0] == "train x: started"
    assert lines[1].startswith("train x: 75%,") and lines[1].endswith("left, loss: 0.5")
    assert "done" in lines[2] and "\r" not in log.getvalue()


def test_a_terminal_gets_a_bar_with_time_left() -> None:
    terminal = Terminal()
    with Progress("record x", total=10, stream=terminal) as progress:
        for _ in range(10):
            progress.update(1, episodes=3)
    assert "record x 100%|" in terminal.getvalue() and "episodes: 3" in terminal.getvalue()


def test_what_ends_early_ends_at_100_percent() -> None:
    log, terminal = io.StringIO(), Terminal()
    for stream in (log, terminal):
        with Progress("train x", total=100, unit="%", stream=stream) as progress:
            progress.update(99.2)
    assert "train x: 100%" in log.getvalue().splitlines()[-1]
    assert "train x 100%|" in terminal.getvalue()


def test_a_failure_is_not_called_done() -> None:
    log = io.StringIO()
    with pytest.raises(KeyError), Progress("x", total=1, stream=log):
        raise KeyError
    assert "stopped (KeyError)" in log.getvalue()


def test_what_comes_to_a_hair_more_than_the_total_leaves_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "progress.json"
    monkeypatch.setenv("WMSITE_PROGRESS", str(file))
    log = io.StringIO()
    with Progress("train x", total=100, unit="%", interval=0.0, stream=log) as progress:
        progress.update(100.001)
    told = json.loads(file.read_text())
    assert (told["left"], told["share"]) == (0, 1)
    assert "0:00 left" in log.getvalue()
