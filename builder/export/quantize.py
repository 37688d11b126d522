"""Smaller numbers for a graph: fp16 for WebGPU and for size, int8 for speed on wasm.

The inputs and outputs keep their types (uint8 frames, float32 states), so that one variant can
replace another. Every variant decides the colour of each pixel in float32.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from builder.export.export import shapes

Array = NDArray[Any]
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGE = 16_384  # smaller weights keep their precision: laws, which must be exact, have fewer


def to_half(source: Path, out: Path) -> None:
    """Write a graph with float16 convolutions, and all large weights in float16.

    The rest computes in float32, with large weights widened again when the graph is loaded: colour
    distances overflow float16, and places and velocities need more digits than it has.
    """
    proto = onnx.load(source)
    graph = proto.graph
    weights = {i.name: i for i in graph.initializer if i.data_type == FLOAT}
    convolved = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    nodes: list[onnx.NodeProto] = []
    halved: dict[str, str] = {}

    def half(name: str) -> str:
        """Return the name of a value's float16 twin, which is made at its first use."""
        if name not in halved:
            halved[name] = f"{name}_half"
            if name in weights:
                graph.initializer.append(_narrow(weights[name], halved[name]))
            else:
                nodes.append(helper.make_node("Cast", [name], [halved[name]], to=HALF))
        return halved[name]

    for node in list(graph.node):
        if node.op_type == "Conv":
            node.input[:] = [half(name) for name in node.input]
            name = node.output[0]
            node.output[0] = f"{name}_narrow"
            nodes += [node, helper.make_node("Cast", [node.output[0]], [name], to=FLOAT)]
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    _replace(proto, nodes, kept)
    _keep_in_half(proto, convolved)
    _save(proto, out)


def _narrow(weight: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a weight in float16, under another name."""
    return numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name)


def _keep_in_half(proto: onnx.ModelProto, but: Collection[str] = ()) -> None:
    """Store large float32 weights in float16; they are widened when the graph is loaded."""
    weights, casts = [], []
    for weight in proto.graph.initializer:
        small = weight.data_type != FLOAT or np.prod(weight.dims) < LARGE
        if small or weight.name in but:
            weights.append(weight)
            continue
        name = f"{weight.name}_half"
        weights.append(_narrow(weight, name))
        casts.append(helper.make_node("Cast", [name], [weight.name], to=FLOAT))
    _replace(proto, [*casts, *proto.graph.node], weights)


def _replace(
    proto: onnx.ModelProto, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]
) -> None:
    graph = proto.graph
    graph.ClearField("value_info")
    for field, values in (("node", nodes), ("initializer", weights)):
        values = [type(v).FromString(v.SerializeToString()) for v in values]
        graph.ClearField(field)
        getattr(graph, field).extend(values)


def to_int8(source: Path, out: Path, feeds: Iterable[Mapping[str, Array]]) -> None:
    """Write a graph whose wide convolutions compute in int8 (QDQ, static, weights per channel).

    Other large weights are stored in float16 and compute in float32. `feeds` are recorded inputs of
    the graph, states included: they set the scale of activations. Convolutions of one pixel stay
    float32: on wasm they gain nothing (measured), and rounding harms their outputs, gates and
    colours, most.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(feeds)

        def get_next(self) -> Mapping[str, Array] | None:
            return next(self.rest, None)

    proto = onnx.load(source)
    known = shapes(proto)
    left = [
        node.name
        for node in proto.graph.node
        if node.op_type == "Conv" and max(known[node.input[1]][2:]) == 1
    ]
    with tempfile.TemporaryDirectory(dir=out.parent) as folder, _quiet():
        aside = Path(folder) / "int8.onnx"
        quantize_static(
            source,
            aside,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=left,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        made = onnx.load(aside)
    helper.set_model_props(made, {p.key: p.value for p in proto.metadata_props})
    _keep_in_half(made)
    _save(made, out)


def _save(proto: onnx.ModelProto, out: Path) -> None:
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    onnx.checker.check_model(inferred, full_check=True)
    out.write_bytes(inferred.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice on preprocessing, done by our exporter, off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
