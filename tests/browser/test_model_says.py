"""What a model says of every sensor is shown as the model's, with the simulator's beside it.

Driving has models here whose graphs are a few lines: onnxruntime-web runs them as any other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from drive import WORLD, game, play, sees, text, until
from onnx import TensorProto, helper

from builder.site import manifest
from sims.driving import Driving

PAGE = "worlds/driving/"
SPEC = Driving.spec
OFF = 2.0  # What this model adds to every sensor of at most one dimension.
FAR = 0.5  # What it makes of the ranges and the points ahead.
FRAME = [1, len(SPEC.cameras), SPEC.cameras[0].height, SPEC.cameras[0].width, 4]
TYPES: dict[str, int] = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


def graph(sensors: bool) -> tuple[dict[str, Any], bytes]:
    """Return a model of driving and its graph; without `sensors` it sees and says frames alone.

    Its frame stays, its reward is the throttle, and it ends a game when the brake is pressed.
    """
    shapes = {"sensors": [1, sum(len(s.shape) <= 1 for s in SPEC.sensors)]}
    shapes |= {s.name: [1, *s.shape] for s in SPEC.sensors if len(s.shape) > 1}
    carried = [("state_frame", "frame", "uint8", FRAME)]
    carried += [(f"state_{n}", f"next_{n}", "float32", s) for n, s in shapes.items() if sensors]
    given = [("action", "float32", [1, 3]), ("chance", "float32", [1, 4])]
    numbers = {"off": OFF, "far": FAR}
    constants = [
        *(helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in numbers.items()),
        *(helper.make_tensor(f"at{i}", TensorProto.INT64, [], [i]) for i in (1, 2)),
    ]
    nodes = [
        helper.make_node("Identity", ["state_frame"], ["frame"]),
        helper.make_node("Gather", ["action", "at1"], ["reward"], axis=1),
        helper.make_node("Gather", ["action", "at2"], ["terminated"], axis=1),
    ]
    for name in shapes if sensors else ():
        step = ("Add", "off") if name == "sensors" else ("Mul", "far")
        nodes.append(helper.make_node(step[0], [f"state_{name}", step[1]], [f"next_{name}"]))
    inputs = [(name, dtype, shape) for name, _, dtype, shape in carried] + given
    outputs = [(name, dtype, shape) for _, name, dtype, shape in carried]
    outputs += [("reward", "float32", [1]), ("terminated", "float32", [1])]
    given_infos, said_infos = (
        [helper.make_tensor_value_info(n, TYPES[dtype], shape) for n, dtype, shape in some]
        for some in (inputs, outputs)
    )
    made = helper.make_model(
        helper.make_graph(nodes, "step", given_infos, said_infos, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(made)
    tensors = [
        [{"name": n, "dtype": dtype, "shape": shape} for n, dtype, shape in some]
        for some in (inputs, outputs)
    ]
    data = made.SerializeToString()
    family = "whole" if sensors else "blind"
    file = {"url": f"{family}.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    told = manifest.Model.model_validate(
        {
            "family": family, "label": family, "parameters": 1, "history": 1,
            "state": [
                {"input": i, "output": o, "dtype": dtype, "shape": shape, "observed": True}
                for i, o, dtype, shape in carried
            ],
            "inputs": tensors[0], "outputs": tensors[1],
            "variants": [{
                "name": "fp32", "backends": ["wasm"], "macs": 1, "ends": True, "step": file,
                "parity": {},
            }],
            "metrics": {}, "provenance": {},
        }
    )  # fmt: skip
    return told.model_dump(), data


def serve_models(page: Any, site: Path) -> None:
    """Let driving's page have both models, whose files the site does not hold."""
    made = [graph(sensors) for sensors in (True, False)]
    (file,) = site.glob("wm/worlds/driving-*/world.json")
    world = json.loads(file.read_text())
    world |= {"models": [model for model, _ in made], "hud": {"speed": "sensor.speed.0 * 3.6"}}
    whole = json.dumps(world).encode()
    listed = json.loads((site / "wm" / "site.json").read_text())
    (entry,) = (e for e in listed["files"] if re.search(r"/driving-\w+/world.json$", e["url"]))
    entry |= {"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}
    answers = {"world.json": whole, "site.json": json.dumps(listed).encode()}
    answers |= {model["variants"][0]["step"]["url"]: data for model, data in made}

    def answering(body: bytes) -> Callable[[Any], None]:
        return lambda route: route.fulfill(status=200, body=body)

    for name, body in answers.items():
        page.route(f"**/{name}", answering(body))


@pytest.fixture(scope="module")
def car(browser: Any, address: str, whole_site: Path) -> Iterator[Any]:
    """Driving's page on a desk, with the models."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    page = context.new_page()
    serve_models(page, whole_site)
    page.goto(address + PAGE)
    page.wait_for_selector("wm-world[data-phase=idle]")
    # As the server writes it for a world with models.
    page.evaluate(f"{WORLD}.setAttribute('data-modelled', '')")
    play(page, model=False)
    until(page, "s.backend !== null")
    yield page
    context.close()


def paused(page: Any, mode: str, ticks: int = 4) -> None:
    """Let the car roll for a few ticks in a mode, and pause it with everything drawn."""
    game(page, f"g.autoplay(null); await g.restart(1); g.setMode('{mode}'); g.resume();")
    until(page, f"s.phase === 'playing' && s.shown === '{mode}' && s.tick > {ticks}")
    page.click("[data-do=play]")
    game(page, "await g.turn")
    page.wait_for_timeout(300)  # The figures are written four times a second.


def said(page: Any, of: str) -> dict[str, list[float]]:
    """Return the sensors as the sim or the model has them now."""
    found: dict[str, list[float]] = game(
        page,
        f"return Object.fromEntries(g.sim.spec.sensors.map((s) => [s.name, [...{of}.view(s)]]))",
    )
    return found


def dial(page: Any, name: str) -> tuple[str, str | None, str]:
    """Return a dial's number, the place of its mark if it has one, and what is read aloud."""
    meter = page.locator(f"[role=meter][aria-label='{name}']")
    mark = meter.locator(".wm-dial-mark")
    shown = mark.get_attribute("visibility") == "visible"
    return (
        meter.locator(".wm-meter-value").inner_text(),
        mark.get_attribute("transform") if shown else None,
        meter.get_attribute("aria-valuetext"),
    )


def turned(value: float, name: str) -> str:
    """Return where a dial marks a value."""
    (sensor,) = (s for s in SPEC.sensors if s.name == name)
    share = np.clip((value - sensor.low) / (sensor.high - sensor.low), 0, 1)
    return f"rotate({270 * share - 135:.1f} 50 50)"


def test_alone_the_instruments_are_the_models_and_the_sims_are_faint(car: Any) -> None:
    page = car
    paused(page, "neural")
    model, sim = said(page, "g.said"), said(page, "g")
    # It starts from the sim, and goes on from what it said itself.
    ticks = round((model["lateral_offset"][0] - sim["lateral_offset"][0]) / OFF)
    assert ticks > 3
    assert model["speed"][0] > sim["speed"][0] + OFF
    assert max(model["lidar"]) < 0.2 * max(sim["lidar"])
    assert abs(model["waypoints"][0]) < 0.2 * abs(sim["waypoints"][0])
    number, mark, aloud = dial(page, "Speed")
    assert abs(float(number) - model["speed"][0]) < 0.06
    assert mark == turned(sim["speed"][0], "speed")
    assert aloud.startswith(f"{number} m/s; beside it {sim['speed'][0]:.1f}")
    assert page.inner_text(".wm-says") == "Model; faint: the simulator"
    assert page.inner_text(".wm-by") == "Model"
    # Its own speed in the HUD, and the sim's beside it; the route is nobody's but the sim's.
    kmh, route = page.locator("[data-hud=speed]"), page.locator("[data-hud=route]")
    assert abs(int(kmh.inner_text()) - 3.6 * model["speed"][0]) < 0.51
    assert page.inner_text("[data-sim=speed]") == str(game(page, "return g.read('hud.speed')"))
    assert route.inner_text() == "–" and "Only the simulator knows" in route.get_attribute("title")


def test_beside_the_sim_the_models_are_the_faint_ones(car: Any) -> None:
    page = car
    for mode in ("overlay", "split", "difference"):
        paused(page, mode)
        model, sim = said(page, "g.said"), said(page, "g")
        number, mark, _ = dial(page, "Speed")
        assert abs(float(number) - sim["speed"][0]) < 0.06
        assert mark == turned(model["speed"][0], "speed")
        assert page.inner_text(".wm-says") == "Simulator; faint: the model"
        # Both lanes are drawn ahead, in different places.
        drawn = "(all) => all.map((one) => one.getAttribute('points')).join('')"
        kinds = (".wm-beside", ":not(.wm-beside)")
        lanes = [page.eval_on_selector_all(f".wm-ahead polygon{kind}", drawn) for kind in kinds]
        assert all(len(lane.split()) > 4 for lane in lanes) and lanes[0] != lanes[1]
        assert page.locator(".wm-by").is_hidden() and page.locator("[data-sim=speed]").is_hidden()
    paused(page, "sim")
    assert dial(page, "Speed")[1] is None and page.locator(".wm-says").is_hidden()
    assert not page.locator(".wm-beside").first.get_attribute("points")


def test_its_reward_and_its_end_are_the_models(car: Any) -> None:
    page = car
    paused(page, "neural")
    assert page.inner_text("[data-hud='+reward']") == "0"
    page.click("[data-do=play]")
    page.focus(".wm-stage")
    page.keyboard.down("ArrowUp")
    # The throttle is what it takes for a reward: 20 times 1 a second.
    sees(page, "Math.abs(g.rewards.model.sum() - 20) < 0.1 && g.rewards.sim.sum() < 19")
    page.locator("[data-hud='+reward']").filter(has_text="20").wait_for()
    page.keyboard.up("ArrowUp")
    page.keyboard.down("Space")
    until(page, "s.over")
    page.keyboard.up("Space")
    assert not game(page, "return g.ended")
    assert "The model says so." in text(page)


def test_what_it_does_not_say_is_blank_with_a_reason(car: Any) -> None:
    page = car
    page.click("[data-opens=settings]")
    page.select_option(".wm-field:has(> span:text-is('Model')) select", "blind")
    sees(page, "g.model.model.family === 'blind'")
    page.click("[data-opens=settings]")
    paused(page, "neural")
    speed = said(page, "g")["speed"][0]
    number, mark, aloud = dial(page, "Speed")
    assert (number, mark) == ("–", turned(speed, "speed"))
    assert aloud.startswith("–")
    meter = page.locator("[role=meter][aria-label='Speed']")
    assert "does not say" in meter.get_attribute("title")
    assert page.locator(".wm-ahead > svg").is_hidden()
    paused(page, "sim")
    assert dial(page, "Speed")[0] != "–" and page.locator(".wm-ahead > svg").is_visible()
    assert "does not say" not in (meter.get_attribute("title") or "")
