"""A job beside another: it tells its end, shows nothing, and ends with a block that fails."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from sims.errors import UserError
from training.processes import beside


def answer(seen: Path) -> int:
    print("not to be seen", file=sys.stderr, flush=True)
    seen.write_text(os.environ.get("WMSITE_PROGRESS", "none"))
    return os.getpid()


def refuse() -> None:
    raise UserError("that can't be done. Run: something else")


def go_on(beats: Path) -> None:
    while True:
        beats.write_text(str(time.monotonic()))
        time.sleep(0.02)


def test_it_answers_from_a_process_of_its_own_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMSITE_PROGRESS", str(tmp_path / "progress.json"))
    with beside(answer, tmp_path / "seen") as future:
        assert future.result(60) != os.getpid()
    assert (tmp_path / "seen").read_text() == "none"
    assert capfd.readouterr().err == ""


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(UserError, match="something else"), beside(refuse) as future:
        future.result(60)


def test_it_ends_with_a_block_that_fails(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with pytest.raises(KeyError), beside(go_on, beats):
        while not beats.exists():
            time.sleep(0.02)
        raise KeyError
    time.sleep(0.5)
    last = beats.read_text()
    time.sleep(0.5)
    assert beats.read_text() == last
