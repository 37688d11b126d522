"""PyTorch to ONNX: a model's `step` as a checked graph of static shape.

`describe` returns what the page needs to know of it (names, shapes, state); this becomes
`graphs/model.json`, with the files that passed the parity gate.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from builder.site import manifest
from sims.errors import UserError

OPSET = 18  # The exporter writes this version natively; it converts later ones from it.
FRAME = "frame"
# WebGPU has no kernel for these, and wasm runs them slowly: write them as convolutions and gates.
REFUSED = {
    "ConvTranspose", "GRU", "GroupNormalization", "If", "LSTM", "Loop", "QLinearConv", "RNN",
    "Resize", "Scan", "SpaceToDepth",
}  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """One graph to export: its module, example inputs by name, and output names."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


class Step(nn.Module):
    """A model's step with plain tensors in and out; the graph leaves out empty tensors."""

    def __init__(self, model: Any, state: list[str], given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model, self.state = model, state
        self.given = dict(given)
        self.names = [name for name, value in given.items() if value.numel()]

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return (frame, other next states..., reward, terminated)."""
        given = self.given | dict(zip(self.names, values, strict=True))
        state = {name: given[f"state_{name}"] for name in self.state}
        frame, after, heads = self.model.step(state, given["action"], given["chance"])
        carried = [after[name] for name in self.state if name != FRAME and after[name].numel()]
        return (frame, *carried, heads["reward"], heads["terminated"])


def step_graph(model: Any) -> Graph:
    """Return the step graph of a model in evaluation mode, for a batch of one."""
    c = model.config
    first = model.initial(model.blank())
    # Copies: two states that are one tensor would become one input of the graph.
    given = {f"state_{name}": value.clone() for name, value in first.items()}
    given |= {"action": torch.zeros(1, c.actions), "chance": torch.zeros(1, c.chance)}
    carried = [name for name, value in first.items() if name != FRAME and value.numel()]
    return Graph(
        Step(model, list(first), given),
        {name: value for name, value in given.items() if value.numel()},
        [FRAME, *(f"next_{name}" for name in carried), "reward", "terminated"],
    )


def export(model: Any, out: Path, metadata: Mapping[str, str]) -> Path:
    """Write the step's fp32 graph into `out`; return its path.

    If the network is evaluated several times, the graph contains it several times, with its weights
    once. The file holds `metadata` and the model's config. Raises UserError if the exporter or
    ONNX's checker refuses the model, for a shape that isn't static, and for operators that the
    page's runtimes can't run well.
    """
    kept = {"config": json.dumps(model.config.to_json()), **metadata}
    proto = _trace(step_graph(model.eval()))
    _strip(proto)
    checked = check(proto)
    onnx.helper.set_model_props(checked, kept)
    times = model.evaluations
    path = out / (f"step.{times}.fp32.onnx" if times > 1 else "step.fp32.onnx")
    path.write_bytes(checked.SerializeToString())
    return path


def _trace(graph: Graph) -> onnx.ModelProto:
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                input_names=list(graph.inputs),
                output_names=graph.outputs,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise UserError(
            f"export: PyTorch can't write the step graph; {error}. "
            "Run: rewrite that part of the model in plain tensor operations"
        ) from error
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's messages about packages and internals off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _strip(proto: onnx.ModelProto) -> None:
    """Remove stack traces and paths of this machine: they are half the file, and private."""
    for node in proto.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for values in (proto.graph.input, proto.graph.output, proto.graph.value_info):
        for value in values:
            value.ClearField("doc_string")
            value.ClearField("metadata_props")
    for initializer in proto.graph.initializer:
        initializer.ClearField("doc_string")
        initializer.ClearField("metadata_props")
    proto.graph.ClearField("doc_string")
    proto.graph.ClearField("metadata_props")


def check(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with inferred shapes; UserError if it is invalid, as `export`."""
    try:
        onnx.checker.check_model(proto, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"export: the step graph is not valid ONNX; {first}") from error
    for node in inferred.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type in REFUSED:
            raise UserError(
                f"export: the step graph uses {node.domain or 'ONNX'} {node.op_type}, which the "
                "page's runtimes lack or run slowly. Run: write it as convolutions and gates"
            )
    known = shapes(inferred)
    for node in inferred.graph.node:
        for name in node.output:
            if name and name not in known:
                raise UserError(
                    f"export: the step graph has no static shape for {node.op_type} ({name}). "
                    "Run: make its shape follow from the config alone"
                )
    return inferred


def shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value with a static shape, initializers included."""
    found = {i.name: tuple(i.dims) for i in proto.graph.initializer}
    values = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    for value in values:
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            found[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
    return found


def count_macs(proto: onnx.ModelProto) -> int:
    """Return the multiply-accumulates of one run: convolutions and matrix products."""
    known = shapes(proto)
    total = 0
    for node in proto.graph.node:
        if node.op_type == "Conv":
            total += math.prod(known[node.output[0]]) * math.prod(known[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            flipped = any(a.name == "transA" and a.i for a in node.attribute)
            inner = known[node.input[0]][-2 if flipped else -1]
            total += math.prod(known[node.output[0]]) * inner
    return total


def describe(model: Any, step: Path) -> dict[str, Any]:
    """Return the fields of manifest.Model, except the variants and the provenance."""
    graph = step_graph(model)
    inputs = graph.inputs
    proto = onnx.load(step)
    known = shapes(proto)

    def tensor(name: str, like: Tensor | None = None) -> manifest.Tensor:
        dtype = str(like.dtype).removeprefix("torch.") if like is not None else "float32"
        shape = like.shape if like is not None else known[name]
        # Pydantic refuses a dtype that the page does not know.
        return manifest.Tensor(name=name, dtype=dtype, shape=list(shape))  # type: ignore[arg-type]

    state = []
    for name, value in inputs.items():
        if not name.startswith("state_"):
            continue
        shown = name == f"state_{FRAME}"
        state.append(
            manifest.StateTensor(
                input=name,
                output=FRAME if shown else name.replace("state_", "next_", 1),
                dtype=str(value.dtype).removeprefix("torch."),  # type: ignore[arg-type]
                shape=list(value.shape),
                observed=name.removeprefix("state_") in model.observed,
            )
        )
    frame = inputs[f"state_{FRAME}"]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "history": model.config.history,
        "state": [s.model_dump() for s in state],
        "inputs": [tensor(name, value).model_dump() for name, value in inputs.items()],
        "outputs": [
            tensor(name, frame if name == FRAME else None).model_dump() for name in graph.outputs
        ],
    }
