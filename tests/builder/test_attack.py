"""`wmsite attack`: what it prints, keeps, refuses and shows; and the links of what it found."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest

from builder import cli
from builder.commands import attack
from builder.project import cache, game_link, weights
from builder.project.entries import Entry
from builder.project.worlds import Project
from builder.site import attack_sections
from builder.terminal import Terminal
from sims.breakout import Breakout
from sims.driving import Driving

ROOT = Path(__file__).parents[2]
MINE = """
from training.attacks.contract import Attack

def disturb(state, observed, strength, random):
    return state | {"frame": state["frame"].roll(round(strength), 2)}

ATTACK = Attack("A shifted picture", "It is shifted.", "px", (8,), 32, disturb)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the taught Breakout, and an attack of its own."""
    root = tmp_path_factory.mktemp("attack") / "project"
    for part in ("sims/breakout", "weights/breakout/object_laws"):
        shutil.copytree(ROOT / part, root / part)
    (root / "recipes" / "breakout").mkdir(parents=True)
    shutil.copy(ROOT / "recipes/breakout/object_laws.toml", root / "recipes/breakout")
    (root / "docs").mkdir()
    (root / "docs" / "index.md").write_text("# Breakout\n")
    (root / "mkdocs.yml").write_text("site_name: Tests\nplugins: [wmsite]\n")
    (root / "attacks").mkdir()
    (root / "attacks" / "shift.py").write_text(MINE)
    (root / "weights/breakout/object_laws" / weights.ATTACKS).unlink(missing_ok=True)
    return root


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.slow
def test_what_it_finds_is_kept_and_shown(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    own_sims: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attack, "GENERATIONS", 2)
    attack.run(project, "breakout", Terminal(), games=4, length=20, searched=1)
    out = capsys.readouterr().out
    assert "model breakout/object_laws" in out and "A shifted picture, 8 px" in out
    folder = project / "weights" / "breakout" / "object_laws"
    told = json.loads((folder / weights.ATTACKS).read_text())
    tries = {one["name"]: one["tries"] for one in told["attacks"]}
    assert list(tries) == ["actions", "memory", "patch", "pixels", "shift", "worst"]
    assert told["none"]["broken"]["mean"] == 0 and tries["shift"][0]["strength"] == 8
    assert tries["shift"][0]["broken"]["mean"] == 100
    assert not [*(project / ".wmsite" / "attack").iterdir()]

    entry = Entry(Project.open(project).world("breakout"), "object_laws")
    model: Any = None
    shown = attack_sections.attacks(model, entry.weights, "")
    assert (
        "A shifted picture" in shown
        and "found actions that break the model within 20 steps in 0.</p>" in shown
    )
    # A game that breaks it is offered until the sim is another.
    case = {"seed": 1, "scenario": "fresh", "step": 9, "cause": next(iter(told["causes"]))}
    for sim, offers in ((entry.world.hash, True), ("0" * 64, False)):
        case["link"] = f"replay=breakout&sim={sim[:16]}&seed=1"
        cache.write_json(folder / weights.ATTACKS, told | {"cases": [case], "found": 1})
        page = attack_sections.attacks(model, entry.weights, "")
        assert ("Watch it break at step 9" in page) == offers
        assert ("of the sim before its last edit" in page) != offers
    cache.write_json(folder / weights.ATTACKS, told)
    # One attack alone stores nothing; and figures of other weights are not shown.
    before = (folder / weights.ATTACKS).read_bytes()
    attack.run(project, "breakout", Terminal(), games=2, length=5, only=["pixels=0.5"])
    assert (folder / weights.ATTACKS).read_bytes() == before
    cache.write_json(folder / weights.ATTACKS, told | {"weights": "other"})
    assert "Not attacked yet" in attack_sections.attacks(model, entry.weights, "")


@pytest.mark.slow
def test_what_cannot_be_asked_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], own_sims: None
) -> None:
    root = ("-C", str(project), "attack", "breakout")
    for arguments, why in (
        (("--only", "glare"), "--only glare: no such attack; there are actions, memory, patch, "),
        (("--only", "pixels=x"), "strengths are numbers. Run: --only pixels=1,5"),
        (("--only", "pixels=90"), "--only pixels=90: its strength is above 0 and at most 50 %."),
        (("--only", "patch=-4"), "--only patch=-4: its strength is above 0 and at most 64 px."),
        (("--family", "pixels"), "no recipe recipes/breakout/pixels.toml"),
    ):
        code, _, err = said(capsys, *root, *arguments)
        assert code == 2 and len(err.strip().splitlines()) == 1 and why in err, err


@pytest.mark.parametrize("sim_class", [Breakout, Driving])
def test_a_link_holds_the_game_as_the_page_reads_it(sim_class: Any, tmp_path: Path) -> None:
    spec, random = sim_class.spec, np.random.default_rng(1)
    if spec.actions:
        actions = np.eye(len(spec.actions), dtype=np.float32)[random.integers(0, 3, 6)]
    else:
        low, high = (np.array([getattr(a, end) for a in spec.axes]) for end in ("low", "high"))
        steps = random.integers(0, 255, (6, len(spec.axes))) / 254
        actions = (low + (high - low) * steps).astype(np.float32)
    actions = np.repeat(actions, [1, 2, 200, 1, 1, 3], 0)
    scenario = spec.scenarios[0]
    link = game_link.fragment(sim_class, "ab" * 32, 7, scenario, actions, "laws", "neural")
    assert parse_qs(link)["model"] == ["laws"]
    script = tmp_path / "read.mjs"
    script.write_text(
        f'import {{ fromFragment }} from "{ROOT}/site_template/player/replay/link.js";\n'
        f"const spec = {json.dumps(spec.to_json())};\n"
        f"console.log(JSON.stringify(fromFragment({json.dumps(link)}, spec)));\n"
    )
    done = subprocess.run(["node", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["seed"], found["sim"], found["mode"]) == (7, "ab" * 8, "neural")
    wanted = actions.argmax(1)[:, None] if spec.actions else actions
    assert np.allclose(np.array(found["actions"]), wanted, atol=1e-6)
