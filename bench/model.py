"""One model step in Chromium, wasm, one thread: every variant, and the published denoiser.

All run in turn in one page, round after round, so that the ratios hold on a busy machine too.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.table import ROOT, Figure, median
from builder.export import runtimes
from builder.project.worlds import Project, World
from builder.site import manifest, starts
from sims import canvas
from sims.errors import UserError

ROUNDS, STEPS, WARM = 6, 60, 5
# In ms; others have 6.
MOST = {
    "driving/latent": 15.0,
    "driving/transition": 15.0,
    "breakout/pixels": 2.5,
    "pong/pixels": 2.5,
    "doorkey/pixels": 10.0,
    "maze/pixels": 2.5,
    "lander/numbers": 10.0,
    "cartpole/numbers": 10.0,
    "doom/numbers": 10.0,
    "rooms/first_person": 10.0,
}
# The published design (issue 2): a pixel denoiser with four evaluations for each frame.
SIZE, PLANES, WIDTH, BLOCKS, DILATIONS, EVALUATIONS = 64, 19, 96, 14, (1, 2, 4, 8), 4


def denoiser(path: Path) -> int:
    """Write the denoiser with random weights; return the number of its parameters."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = []
    weights: list[Any] = []

    def conv(source: str, out: str, inputs: int, outputs: int, dilation: int = 1) -> str:
        bound = (inputs * 9) ** -0.5
        kernel = rng.uniform(-bound, bound, (outputs, inputs, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{out}.w"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"{out}.b"))
        edges: dict[str, Any] = {
            "pads": [dilation] * 4,
            "dilations": [dilation] * 2,
            "kernel_shape": [3, 3],
        }
        nodes.append(helper.make_node("Conv", [source, f"{out}.w", f"{out}.b"], [out], **edges))
        return out

    def unary(kind: str, sources: list[str], out: str) -> str:
        nodes.append(helper.make_node(kind, sources, [out]))
        return out

    x = conv("x", "in", PLANES, WIDTH)
    for k in range(BLOCKS):
        dilation = DILATIONS[k % len(DILATIONS)]
        y = unary("Relu", [conv(x, f"a{k}", WIDTH, WIDTH, dilation)], f"r{k}")
        x = unary("Add", [x, conv(y, f"b{k}", WIDTH, WIDTH, dilation)], f"x{k}")
    conv(x, "y", WIDTH, 3)

    def image(name: str, planes: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, planes, SIZE, SIZE])

    graph = helper.make_graph(nodes, "denoiser", [image("x", PLANES)], [image("y", 3)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return sum(numpy_helper.to_array(w).size for w in weights)


def first_frame(world: World, weights: Path) -> NDArray[np.uint8]:
    """Return a first frame in the graphs' form, uint8 [1, cams, H, W, 4].

    It is the sim's, or that of the first recorded moment beside the weights.
    """
    if world.recorded:
        frame = starts.unpack((weights / starts.FILE).read_bytes(), world.spec.to_json())[0, :1]
    else:
        sim = world.load()(1)
        frame = canvas.blank(sim.spec, 1)
        sim.reset(np.zeros(1, np.int64))
        sim.render(frame)
    return np.concatenate([frame, np.full((*frame.shape[:-1], 1), 255, np.uint8)], -1)


def feeds(told: dict[str, Any], frame: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return inputs for one row of STEPS steps of a game, and the carried state."""
    rng = np.random.default_rng(0)
    carry = {s["input"]: s["output"] for s in told["state"]}
    values: dict[str, Any] = {}
    for state in told["state"]:
        shown = state["input"] == "state_frame"
        start = frame if shown else np.zeros(state["shape"], state["dtype"])
        values[state["input"]] = start[None]
    for entry in told["inputs"]:
        if entry["name"] in carry:
            continue
        shape = (STEPS, *entry["shape"])
        value = rng.random(shape, np.float32)
        if entry["name"] == "action":
            value = np.eye(shape[-1], dtype=np.float32)[rng.integers(0, shape[-1], shape[:-1])]
        values[entry["name"]] = value[None]
    return values, carry


def measure(weights: Path = ROOT / "weights") -> list[Figure]:
    """Time every shipped variant of every model, and the published denoiser."""
    project = Project.open(ROOT)
    made = sorted(weights.glob("*/*/graphs/model.json"))
    if not made:
        raise UserError("model: there are no graphs to time. Run: wmsite train breakout")
    times: dict[tuple[str, str], list[float]] = {}
    figures = []
    with tempfile.TemporaryDirectory() as folder, runtimes.open_browser("wasm") as browser:
        graph = Path(folder) / "denoiser.onnx"
        parameters = denoiser(graph)
        noise = np.random.default_rng(0).standard_normal((1, 1, 1, PLANES, SIZE, SIZE))
        for turn in range(ROUNDS):
            for file in made:
                told = json.loads(file.read_text())
                name = f"{file.parts[-4]}/{file.parts[-3]}"
                world = project.world(file.parts[-4])
                values, carry = feeds(told, first_frame(world, file.parent.parent))
                for variant in told["variants"]:
                    step = file.parent / variant["step"]["url"]
                    ran = browser.run(step, values, carry, [])
                    title = manifest.titled(variant["name"], variant["evaluations"])
                    times.setdefault((name, title), []).extend(ran.ms[WARM:])
            # Seconds each: one run to warm up, then enough runs for a reliable median.
            if turn < 4:
                ran = browser.run(graph, {"x": noise.astype(np.float32)}, {}, [])
                times.setdefault(("published", "fp32"), []).extend(ran.ms if turn else [])
    slow = EVALUATIONS * median(times.pop(("published", "fp32")))
    fastest: dict[str, str] = {}
    for (name, variant), ms in times.items():
        if name not in fastest or median(ms) < median(times[name, fastest[name]]):
            fastest[name] = variant
    for (name, variant), ms in times.items():
        ship = fastest[name] == variant
        low, high = np.quantile(ms, (0.05, 0.95))
        note = (
            f"p5 {low:.1f}, p95 {high:.1f}; the published takes {slow / median(ms):,.0f} x as long"
        )
        figures.append(
            Figure(
                f"model step, median: {name} {variant}, Chromium wasm, one thread",
                median(ms),
                "ms",
                at_most=MOST.get(name, 6.0) if ship else None,
                note=note,
            )
        )
    figures.append(
        Figure(
            f"published denoiser, a frame ({EVALUATIONS} evaluations): same page, same run",
            slow,
            "ms",
            note=f"{parameters / 1e6:.2f} M random parameters",
        )
    )
    return figures
