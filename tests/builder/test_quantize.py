from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from builder.export import quantize, runtimes
from builder.export.export import shapes
from sims import breakout


@pytest.mark.parametrize("variant", ["fp16", "int8"])
def test_edges_keep_their_names_types_and_shapes(graphs: Path, variant: str) -> None:
    full, small = (onnx.load(graphs / f"step.{v}.onnx") for v in ("fp32", variant))
    onnx.checker.check_model(small, full_check=True)
    for mine, theirs in (
        (small.graph.input, full.graph.input),
        (small.graph.output, full.graph.output),
    ):
        assert [(v.name, v.type) for v in mine] == [(v.name, v.type) for v in theirs]


def test_half_has_narrow_convolutions_and_large_weights_and_wide_places(graphs: Path) -> None:
    full, half = (onnx.load(graphs / f"step.{v}.onnx") for v in ("fp32", "fp16"))
    kinds = {i.name: i.data_type for i in half.graph.initializer}
    sizes = {i.name: numpy_helper.to_array(i).size for i in half.graph.initializer}
    assert max(sizes[n] for n, kind in kinds.items() if kind == TensorProto.FLOAT) < quantize.LARGE
    assert len(half.SerializeToString()) < 0.65 * len(full.SerializeToString())
    assert sum(sizes.values()) <= 1.1 * sum(np.prod(i.dims) for i in full.graph.initializer)
    for node in half.graph.node:
        if node.op_type == "Conv":
            assert kinds[node.input[1]] == TensorProto.FLOAT16
    # Places and velocities keep their digits: 0.01 px in 60 is less than a half can tell.
    rng = np.random.default_rng(1)
    feeds = {
        "state_frame": np.zeros((1, 1, 1, 1, 64, 64, 4), np.uint8),
        "state_sensors": np.array([[[[59.37, 40.01, 1.234, -0.853, 20, 3, 1]]]], np.float32),
        "state_hidden": rng.standard_normal((1, 1, 1, 8, 16, 16)).astype(np.float32),
        "action": np.array([[[[0, 1, 0]]]], np.float32),
        "chance": np.array([[[[0.5]]]], np.float32),
    }
    both = [
        runtimes.Native().run(graphs / f"step.{v}.onnx", feeds, {}, ["next_sensors"]).outputs
        for v in ("fp32", "fp16")
    ]
    np.testing.assert_allclose(both[0]["next_sensors"], both[1]["next_sensors"], atol=2e-3)


def test_int8_computes_wide_convolutions_in_integers_per_channel(graphs: Path) -> None:
    full, small = (onnx.load(graphs / f"step.{v}.onnx") for v in ("fp32", "int8"))
    known = shapes(full)
    wide = [n for n in full.graph.node if n.op_type == "Conv" and known[n.input[1]][2:] == (3, 3)]
    assert len(wide) == 2  # one that looks, one that draws
    made = {i.name: numpy_helper.to_array(i) for i in small.graph.initializer}
    weights = [w for w in made.values() if w.dtype == np.int8 and w.ndim == 4]
    assert sorted(w.shape for w in weights) == sorted(known[n.input[1]] for n in wide)
    assert len(small.SerializeToString()) < 0.7 * len(full.SerializeToString())
    scales = [n.input[1] for n in small.graph.node if n.op_type == "DequantizeLinear"]
    assert sum(made[s].shape == (16,) for s in scales) >= len(wide)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_colours_are_read_exactly_in_every_variant(graphs: Path, variant: str) -> None:
    # One column of each palette colour, and one of its nearest neighbours in RGB: the same cells.
    graph = graphs / f"step.{variant}.onnx"
    rng = np.random.default_rng(0)
    frame = np.full((1, 1, 64, 64, 4), 255, np.uint8)
    frame[0, 0, :, :, :3] = breakout.PALETTE[rng.integers(0, len(breakout.PALETTE), (64, 64))]
    near = frame.astype(np.int16)
    near[..., :3] += rng.integers(-2, 3, near[..., :3].shape)
    near = np.clip(near, 0, 255).astype(np.uint8)
    feeds = {
        "state_frame": np.stack([frame, near])[:, None],
        "state_sensors": np.tile(np.array([30, 40, 1, -1, 20, 3, 1], np.float32), (2, 1, 1, 1)),
        "state_hidden": rng.standard_normal((1, 1, 8, 16, 16)).astype(np.float32)[[0, 0], None],
        "action": np.tile(np.array([0, 1, 0], np.float32), (2, 1, 1, 1)),
        "chance": np.full((2, 1, 1, 1), 0.5, np.float32),
    }
    out = runtimes.Native().run(graph, feeds, {}, ["frame", "next_hidden"]).outputs
    assert np.array_equal(out["frame"][0], out["frame"][1])
    assert np.array_equal(out["next_hidden"][0], out["next_hidden"][1])
    shown = out["frame"][0].reshape(-1, 4)
    assert (shown[:, 3] == 255).all()
    assert {tuple(c) for c in shown[:, :3]} <= {tuple(c) for c in breakout.PALETTE}
    assert len({tuple(c) for c in shown}) > 3
