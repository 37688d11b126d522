"""The browser's Python, in Node: the same bytes as CPython's, and the page's edge at work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from builder.site.vendor import in_pyodide as command_of
from sims.host import load_sim

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow  # Minutes of play in two Pythons.
SIMS = HERE.parents[1] / "sims"


def in_pyodide(file: Path, *arguments: object) -> str:
    command = command_of(SIMS, file, *arguments)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


def in_cpython(file: Path, *arguments: object) -> str:
    command = [str(part) for part in (sys.executable, file, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# Module, worlds, steps, steps of a hash, and steps in all: driving's 20,000 take two minutes, and
# the bench compares them (python -m bench sim).
PLAYED = [
    ("sims.breakout", 64, 560, 40, 100_000),
    ("sims.driving", 8, 15, 5, 2_400),
    ("sims.pong", 64, 160, 40, 10_000),
    ("sims.maze", 32, 80, 40, 2_500),
    ("sims.lander", 32, 80, 40, 2_500),
]


@pytest.fixture(scope="module")
def hashes() -> dict[str, tuple[list[str], list[str]]]:
    """The hashes of each module in CPython and in Pyodide, each of which starts once."""
    asked = [part for row in PLAYED for part in ("and", *row[:4])][1:]
    ours, theirs = (one(HERE / "replay.py", *asked).split() for one in (in_cpython, in_pyodide))
    assert len(ours) == len(theirs)
    found, at = {}, 0
    for module, _, steps, chunk, _ in PLAYED:
        until = at + steps // chunk * len(load_sim(module).spec.scenarios)
        found[module] = ours[at:until], theirs[at:until]
        at = until
    assert at == len(ours)
    return found


@pytest.mark.parametrize(("module", "worlds", "steps", "chunk", "in_all"), PLAYED)
def test_many_steps_give_the_same_bytes_in_both_pythons(
    module: str, worlds: int, steps: int, chunk: int, in_all: int,
    hashes: dict[str, tuple[list[str], list[str]]],
) -> None:  # fmt: skip
    assert worlds * steps * len(load_sim(module).spec.scenarios) >= in_all
    for mine, other in zip(*hashes[module], strict=True):
        assert mine == other


def test_the_host_works_in_the_page(tmp_path: Path) -> None:
    script = tmp_path / "play.py"
    script.write_text(
        """
import hashlib, json, pathlib, sys
from sims.host import Host, describe_error, fresh
host = Host("sims.breakout")
host.reset(11, "half")
digest = hashlib.sha256()
for _ in range(200):
    host.step(host.act("recovery"))
    digest.update(host.frame.tobytes() + host.status.tobytes() + host.snapshot())
    digest.update(host.sensors().encode())
print(digest.hexdigest())
if "edit" in sys.argv:
    import sims.breakout
    file = pathlib.Path(sims.breakout.__file__)
    source = file.read_text()
    file.write_text(source.replace("POINTS = 10", "POINTS = 50"))
    fresh("sims.breakout")
    print(sys.modules["sims.breakout"].POINTS)
    file.write_text(source + "\\nx = = 1\\n")
    try:
        fresh("sims.breakout")
    except SyntaxError as error:
        found = json.loads(describe_error(error, str(file.parents[1])))
        print(found["file"], found["line"] == len(source.splitlines()) + 2, found["type"])
    print(sys.modules["sims.breakout"].POINTS)
"""
    )
    ours = in_cpython(script)
    theirs = in_pyodide(script, "edit").splitlines()
    assert theirs == [ours.strip(), "50", "breakout/__init__.py True SyntaxError", "50"]
