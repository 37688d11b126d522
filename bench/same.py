"""Whether today's code makes the same models as that of another commit, to the digit, in small.

`python -m bench same:COMMIT` records, trains, evaluates and exports each committed model in both
trees, with a small version of its recipe, and compares all results; `same:COMMIT,pong` those of one
world. If nothing differs, models that were up to date by that commit's code are stamped as up to
date by today's code: to measure everything again takes hours, and a change that only tidies up
changes no number. Both runs are on this machine, because the rounding of numbers depends on it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.table import ROOT, Figure
from builder.project import cache
from builder.project.entries import STEPS, Entry
from builder.project.worlds import Project
from sims.errors import UserError

# Run in each tree, in a separate process. Modules have moved: the first one found counts.
SMALL = """
import dataclasses, hashlib, json, shutil, sys
from importlib import import_module
from pathlib import Path

def first(*names):
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in name:
                raise
    raise SystemExit(f"none of {names}")

world, family, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
Entry = first("builder.project.entries", "builder.project.steps", "builder.pipeline").Entry
Project = first("builder.project.worlds", "builder.project").Project
entry = Entry(Project.open(Path(".")).world(world), family)
keys, asked, sim = entry.keys_of(entry.tuning), entry.recipe, entry.world.load()
change = dataclasses.replace
small = change(
    asked,
    data=change(asked.data, steps=4000, worlds=16, shards=1, episode_steps=120),
    train=change(asked.train, steps=3, minutes=60.0, checkpoint_minutes=60.0, validate_minutes=0.0,
                 batch=8, ranks=1, validate_games=4, validate_steps=8, teacher_share=0.3),
    evaluate=change(asked.evaluate, seeds=1, rollouts=4, steps=40, games=2, play_steps=40),
    export=change(asked.export, calibration=16, replays=3, rollouts=1, webgpu=False,
                  variants=["fp32", "int8"]),
)
data = first("training.data.record", "training.record").record(sim, small, out, "data")
told = {"keys": keys, "data": {}, "train": {}}
read = first("pyarrow.parquet").read_table
for file in sorted(data.glob("data/**/*.parquet")):
    columns = read(file).to_pydict()
    told["data"][file.name] = hashlib.sha256(repr(columns).encode()).hexdigest()
made = out / "trained"
first("training.trainer.train", "training.train").train(small, data, made, sim, keys=keys)
load = first("safetensors.numpy").load_file
for name, value in sorted(load(made / "weights.safetensors").items()):
    told["train"][name] = hashlib.sha256(value.tobytes()).hexdigest()
shipped = Path(shutil.copytree(entry.weights, out / "shipped"))
evaluate = first("training.evaluation.evaluate", "training.evaluate").evaluate
told["evaluate"] = evaluate(shipped, sim, small)
graphs = first("builder.export.graphs", "builder.graphs")
graphs.SAMPLE = graphs.STEPS = graphs.ENDING = 8
first("builder.export.parity", "builder.parity").STATES = 8
network = first(f"training.families.{family}.model", f"training.models.{family}").Model
network.offered = lambda self: [self]  # One sampler; the others are the same network.
graphs.make_graphs(shipped, data, sim, small, out / "graphs", print)
def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "ms"}
    return [plain(v) for v in value] if isinstance(value, list) else value
told["graphs"] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest()
                  for f in sorted((out / "graphs").glob("*.onnx"))}
for name in ("model.json", "parity.json"):
    told["graphs"][name] = plain(json.loads((out / "graphs" / name).read_text()))
(out / "told.json").write_text(json.dumps(told))
"""


def measure(commit: str, *worlds: str) -> list[Figure]:
    """Compare each committed model's small run in the tree of `commit` with today's.

    With `worlds`, the models of these worlds alone.
    """
    figures = []
    with tempfile.TemporaryDirectory(prefix="wmsite-same-") as place:
        old = Path(place) / "tree"
        _git("worktree", "add", "--detach", "--quiet", str(old), commit)
        try:
            (old / "node_modules").symlink_to(ROOT / "node_modules")
            (old / ".wmsite").mkdir()
            (old / ".wmsite" / "vendor").symlink_to(ROOT / ".wmsite" / "vendor")
            every = Project.open(ROOT).worlds.values()
            for world in (w for w in every if w.name in worlds or not worlds):
                for family in world.families:
                    known = (old / "recipes" / world.name / f"{family}.toml").exists()
                    if known and Entry(world, family).trained:
                        figures += _compare(old, Path(place), world.name, family)
        finally:
            _git("worktree", "remove", "--force", str(old))
    return figures


def _compare(old: Path, place: Path, world: str, family: str) -> list[Figure]:
    before = _small(old, place / f"before-{world}-{family}", world, family)
    now = _small(ROOT, place / f"now-{world}-{family}", world, family)
    entry = Entry(Project.open(ROOT).world(world), family)
    told = entry.provenance
    figures = []
    for step in STEPS:
        apart = sorted(_apart(before[step], now[step]))
        current = entry.made.get(step) == before["keys"][step]
        note = f"differs: {', '.join(apart[:3])}" if apart else ""
        if not apart and current:
            told["keys"][step] = now["keys"][step]
            note = "stamped"
        figures.append(
            Figure(f"{world}/{family}: {step}, values apart", len(apart), "", 0, note=note)
        )
    if entry.made.get("sim") == before["keys"]["sim"] == now["keys"]["sim"]:
        text = json.dumps(told, indent=1) + "\n"
        (entry.weights / "provenance.json").write_text(text, encoding="utf-8")
    return figures


def _small(tree: Path, out: Path, world: str, family: str) -> dict[str, Any]:
    out.mkdir()
    command = [sys.executable, "-c", SMALL, world, family, str(out)]
    # Without Chromium: it takes minutes, and runs the same graphs that are compared here.
    environment = os.environ | {"PYTHONPATH": str(tree), "WMSITE_CHROMIUM": "/nowhere/chromium"}
    if subprocess.run(command, cwd=tree, env=environment).returncode:
        raise UserError(f"bench same: {world}/{family} failed in {tree}. Run: the same, and look")
    return dict(cache.read_json(out / "told.json"))


def _apart(one: Any, other: Any, at: str = "") -> list[str]:
    """Return the places where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted(one.keys() | other.keys())
        return [x for n in names for x in _apart(one.get(n), other.get(n), f"{at}/{n}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = zip(one, other, strict=True)
        return [x for i, (a, b) in enumerate(parts) for x in _apart(a, b, f"{at}/{i}")]
    return [] if one == other else [at or "/"]


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"bench same: git {' '.join(arguments)}: {done.stderr.strip()}")
