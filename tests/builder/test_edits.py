"""What pages are told of a sim that is edited, before anything is built with it."""

from __future__ import annotations

import time
from pathlib import Path

from builder.serve.edits import Edits
from builder.serve.server import State

PONG = "from sims.contract import Sim\r\n\r\n\r\nclass Pong(Sim):\r\n    lives = 3\r\n"


def until(state: State, edits: int) -> None:
    end = time.monotonic() + 20
    while state.edits < edits and time.monotonic() < end:
        time.sleep(0.01)
    assert state.edits == edits


def test_each_edit_is_told_once_as_it_is_on_the_disk(tmp_path: Path) -> None:
    sim = tmp_path / "sims" / "pong.py"
    sim.parent.mkdir()
    sim.write_bytes(PONG.encode())
    state = State()
    edits = Edits(tmp_path, state)
    told = edits.sources()
    # Byte for byte, with all that the page's Python needs beside it.
    assert told["pong"]["sims/pong.py"] == PONG
    assert {"sims/__init__.py", "sims/contract.py", "sims/host.py"} <= told["pong"].keys()
    edits.start()
    time.sleep(0.5)
    sim.write_bytes(PONG.replace("3", "4").encode())
    until(state, 1)
    # One that can't be parsed has the files that it had.
    sim.write_bytes(PONG.replace("(Sim):", "(Sim:").encode())
    until(state, 2)
    assert edits.sources()["pong"].keys() == told["pong"].keys()
    assert "(Sim:" in edits.sources()["pong"]["sims/pong.py"]
    # What changes no file of a sim is none.
    (sim.parent / "notes.py").write_text("later = True\n")
    (sim.parent / "notes.txt").write_text("later\n")
    sim.write_bytes(sim.read_bytes())
    sim.unlink()
    until(state, 3)
    assert edits.sources() == {}
    edits.stop()
    edits.thread.join(10)
    assert not edits.thread.is_alive()
