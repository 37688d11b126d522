"""One schema of the manifests: what is written from it is up to date, and the page keeps to it."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from builder.site import manifest, schema
from sims.driving import Driving

ROOT = Path(schema.__file__).parents[2]
FILE = {"url": "a", "sha256": "0", "bytes": 1}
SHAPE = {"dtype": "uint8", "shape": [1, 2]}
WORLD: dict[str, Any] = {
    "format": 1,
    "name": "driving",
    "title": "Driving",
    "spec": json.loads(json.dumps(Driving.spec.to_json())),
    "hud": {"score": "reward"},
    "sim": {
        "hash": "0",
        "module": "sims.driving",
        "sources": [{**FILE, "path": "sims/driving.py", "editable": True}],
        "opening": ["00000000"],
    },
    "models": [
        {
            "family": "plain",
            "label": "Plain",
            "parameters": 1,
            "history": 1,
            "ended_above": 0.5,
            "rewards": [0.0, 1],
            "state": [{"input": "a", "output": "b", "observed": True, **SHAPE}],
            "inputs": [{"name": "action", **SHAPE}],
            "outputs": [],
            "variants": [
                {
                    "name": "int8", "backends": ["wasm"], "evaluations": 1, "macs": 5, "ends": True,
                    "scores": False, "step": FILE, "parity": {"psnr": 30.5},
                }
            ],
            "metrics": {"any": [None, {"thing": 1}]},
            "provenance": {},
            "older": "",
        }
    ],
    "poster": None,
    "starts": None,
}  # fmt: skip
SITE = {
    "format": 1,
    "version": "1",
    "runtime": {"app": "app/"},
    "worlds": {"driving": "x"},
    "files": [{**FILE, "group": "page"}],
}
# Where, what is put there, and what the page says of it; "" where nothing is wrong.
CASES: list[tuple[str, Any, str]] = [
    ("", None, ""),
    ("poster", FILE, ""),
    ("starts", {**FILE, "count": 8, "ahead": 60}, ""),
    ("starts", {**FILE, "count": 8}, "starts.ahead: expected a whole number, found nothing"),
    ("sim", None, ""),
    ("starts", {**FILE, "ahead": 60}, "starts.count: expected a whole number, found nothing"),
    ("spec.rate", 12.5, ""),
    ("spec.cameras.0.focal", 3, ""),
    ("poster", 3, "poster: expected an object, found a number"),
    ("poster", {**FILE, "bytes": 1.5}, "poster.bytes: expected a whole number, found a number"),
    ("format", 2, "format: expected 1, found 2"),
    ("more", 1, "more: not a known key"),
    ("hud.score", 1, "hud.score: expected a string, found a number"),
    ("hud", [], "hud: expected an object, found a list"),
    ("sim.hash", ..., "sim.hash: expected a string, found nothing"),
    ("sim.sources.0.editable", "yes!", "sim.sources[0].editable: expected a boolean, found a "),
    ("sim.sources.0.of", 1, "sim.sources[0].of: not a known key"),
    ("spec.rate", "fast", "spec.rate: expected a number, found a string"),
    ("spec.more", 1, "spec.more: not a known key"),
    ("spec.axes.0.touch.0", None, "spec.axes[0].touch[0]: expected a string, found null"),
    ("spec.sensors.0.shape.0", 1.5, "spec.sensors[0].shape[0]: expected a whole number, found"),
    ("spec.cameras", {}, "spec.cameras: expected a list, found an object"),
    ("spec.cameras.0.place", [1.0, 2.0], "spec.cameras[0].place: expected 3 items, found 2"),
    ("models.0.rewards.1", None, "models[0].rewards[1]: expected a number, found null"),
    ("models.0.inputs.0.dtype", "int64", "models[0].inputs[0].dtype: expected float32 or uint8"),
    ("models.0.variants.0.name", "int4", "models[0].variants[0].name: expected fp32 or fp16 or"),
    ("models.0.variants.0.backends.0", "cuda", "models[0].variants[0].backends[0]: expected wasm"),
    ("models.0.variants.0.parity.psnr", "x", "models[0].variants[0].parity.psnr: expected a num"),
    (
        "models.0.variants.0.step",
        None,
        "models[0].variants[0].step: expected an object, found null",
    ),
    ("models.0.metrics", 1, "models[0].metrics: expected an object, found a number"),
]
CHECK = """
    const { check } = await import(process.argv[1]);
    const said = ([name, value]) => {
        try { check(name, value, "it"); return ""; } catch (error) { return error.message; }
    };
    let text = "";
    for await (const part of process.stdin) text += part;
    console.log(JSON.stringify(JSON.parse(text).map(said)));
"""


def page(values: list[tuple[str, Any]]) -> list[str]:
    """Return what the page's code says of manifests, each with its name in the schema."""
    module = (ROOT / "site_template" / "player" / "game" / "manifest.js").as_uri()
    command = ["node", "--input-type=module", "--eval", CHECK, module]
    told = subprocess.run(
        command, input=json.dumps(values), capture_output=True, text=True, check=True, timeout=60
    )
    found: list[str] = json.loads(told.stdout)
    return found


def changed(place: str, value: Any) -> dict[str, Any]:
    world = copy.deepcopy(WORLD)
    if place:
        *path, last = (int(key) if key.isdigit() else key for key in place.split("."))
        at: Any = world
        for key in path:
            at = at[key]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return world


def test_what_is_written_from_the_schema_is_up_to_date() -> None:
    for path, text in schema.files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"Run: python -m builder.site.schema ({path})"
        )


def test_the_page_refuses_what_the_builder_refuses_and_names_the_place() -> None:
    worlds = [changed(place, value) for place, value, _ in CASES]
    found = page([("World", world) for world in worlds] + [("Site", SITE), ("Site", [])])
    assert found[-2:] == ["", "it: expected an object, found a list"]
    for (place, value, said), world, told in zip(CASES, worlds, found, strict=False):
        assert told.startswith(f"it.{said}") if said else told == "", (place, value, told)
        if said:
            with pytest.raises(ValidationError):
                manifest.World.model_validate_json(json.dumps(world))
        else:
            manifest.World.model_validate_json(json.dumps(world))


def test_a_spec_is_kept_as_it_was_told() -> None:
    world = manifest.World.model_validate(WORLD)
    assert json.loads(world.model_dump_json()) == WORLD
    short = copy.deepcopy(WORLD)
    del short["spec"]["hud"]
    with pytest.raises(ValidationError, match=r"Spec\.to_json"):
        manifest.World.model_validate(short)
