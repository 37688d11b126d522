"""What only playing finds: tiny worlds of one hazard each, in CPython and in real Pyodide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.commands import check
from builder.project import pythons
from builder.project.worlds import PACKAGES, Project
from builder.site import vendor

STARTER = (PACKAGES / "builder" / "starter" / "sims" / "catcher.py").read_text()
STEP = '        alive = s["lives"] > 0\n'
INIT = "        self.reset(self.state"
FLOATS = '        self.state["f"] = np.zeros(worlds, dtype=np.float64)\n'
MANY = FLOATS.replace("np.zeros(worlds", "np.zeros((worlds, 99)")
# A number that only the seed and the tick decide, in [0, 1).
U = '        u = exact.uniform(s["seed"], s["tick"], 5, 1)[:, 0].astype(np.float64)\n'

# What is added to the imports, to __init__ and to step(); and what is said.
HAZARDS = {
    "cast": (
        *("", "", '        s["x"] += (s["x"] - 20.5).astype(np.uint8)\n'),
        ("it plays differently in the browser's Python: scenario 'default', tick 1, state x[0] is ",
         "`(s[\"x\"] - 20.5).astype(np.uint8)` casts a float", "use np.clip before the cast"),
    ),
    "narrow": (
        *("", "", '        s["score"] = (s["score"] + np.arange(self.worlds) * 0).astype("q")\n'
          '        s["lives"] = np.full(self.worlds, 3)\n'),
        ("state lives is int64 here and int32 there", "makes default integers", "dtype=np.int64"),
    ),
    "overflow": (
        *("", "", '        n = np.arange(self.worlds) + len("ab") * 40_000\n'
          '        s["score"] = (n * n).astype(np.int64)\n'),
        ("state score[0] is 6400000000 here and", "makes default integers"),
    ),
    "scalars": (
        *("", MANY, U + "        for k in range(99):\n"
          '            s["f"][0, k] = (u[0] * 900 + k / 3) ** 2\n'),
        ("state f[0, ", "`(u[0] * 900 + k / 3) ** 2` may be of a single number"),
    ),
    "sums": (
        *("", FLOATS, U + '        s["f"][0] = sum([float(u[0]) * k / 7 for k in range(40)])\n'),
        ("state f[0] is ", "adds floats otherwise since Python 3.12", "use np.sum or math.fsum"),
    ),
    "sets": (
        *("import zlib\n", "", '        names = {"a" * k for k in range(1, 9)}\n'
          "        def go(these):\n            return [len(name) for name in these]\n"
          '        s["score"] += go(names)[0]\n'),
        ("it plays differently in another run of CPython", "makes a set, whose order differs"),
    ),
    "zeros": (
        *("", MANY, U + "        u = u[:, None] - np.arange(99) / 99\n"
          '        s["f"][:] = np.sort(np.round(u * 3))\n'),
        ("state f[0, ", "0.0 here and", "keeps either of 0.0 and -0.0"),
    ),
    "absent": (
        *("try:\n    import click\nexcept ImportError:\n    raise\n", "", ""),
        ("it imports click, which the browser does not have", "wmsite new DIR --gym ID"),
    ),
    "raises": (
        *("import os\n", "", '        s["x"] += 1 // os.path.exists("/usr")\n'),
        ("ZeroDivisionError in the browser's Python: division by zero",),
    ),
    "honest": ("", FLOATS, U + '        s["f"] = np.sqrt(u) ** 2 + np.cumsum(u)\n', ()),
}  # fmt: skip


def write(folder: Path, name: str, head: str, init: str, step: str) -> None:
    text = STARTER.replace('name="catcher"', f'name="{name}"')
    text = text.replace("import numpy as np\n", f"{head}import numpy as np\n", 1)
    text = text.replace(INIT, init + INIT, 1).replace(STEP, STEP + step, 1)
    (folder / f"{name}.py").write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hazards")
    (root / "mkdocs.yml").write_text("site_name: Hazards\n")
    (root / "sims").mkdir()
    for name, (head, init, step, _) in HAZARDS.items():
        write(root / "sims", name, head, init, step)
    return root


@pytest.fixture(scope="module")
def played(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Play all worlds in one go: what is said of each. Nothing is known of them before."""
    vendor.node_modules(), vendor.numpy_wheel()  # Where the user keeps them.
    store = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pythons, "SECONDS", 0.5)
        patch.setattr(pythons.Sources, "noted", property(lambda s: store / f"{s.name}.json"))
        yield pythons.compare(sources(project))


def sources(project: Path) -> list[pythons.Sources]:
    return [pythons.of(world) for world in Project.open(project).worlds.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HAZARDS if name != "honest"])
def test_a_difference_names_tick_array_place_and_cause(
    played: dict[str, str], project: Path, name: str
) -> None:
    text = played[name]
    for part in HAZARDS[name][3]:
        assert part in text
    assert text.startswith(f"world '{name}': {project / 'sims' / name}.py:")
    assert "Run: " in text
    assert "\n" not in text


@pytest.mark.slow
def test_an_honest_world_plays_alike(played: dict[str, str]) -> None:
    assert "honest" not in played


@pytest.mark.slow
def test_check_plays_the_worlds_of_the_project_and_no_others(
    starter_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "catcher.json"
    monkeypatch.setattr(pythons.Sources, "noted", property(lambda _: noted))
    monkeypatch.setattr(pythons, "SECONDS", 0.1)
    # Somebody else's site: its Python is not run here.
    assert list(check.alike(starter_site / "site", None)) == []
    assert not noted.exists()
    assert list(check.alike(starter_site / "site", Project.open(starter_site))) == []
    assert json.loads(noted.read_text())["ticks"] > 0
