from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from builder.export import export
from builder.site import manifest
from sims import breakout
from sims.errors import UserError
from training.families.object_laws.model import Config, Model
from training.recipe import Recipe
from training.trainer.checkpoints import load_model

PALETTE = tuple(tuple(int(v) for v in colour) for colour in breakout.PALETTE)


def names(values: Any) -> list[str]:
    return [value.name for value in values]


def test_graphs_are_valid_static_and_named_as_the_page_expects(graphs: Path) -> None:
    step = onnx.load(graphs / "step.fp32.onnx")
    assert names(step.graph.input) == [
        *("state_frame", "state_sensors", "state_hidden", "action", "chance")
    ]
    assert names(step.graph.output) == [
        *("frame", "next_sensors", "next_hidden", "reward", "terminated")
    ]
    onnx.checker.check_model(step, full_check=True)
    shapes = export.shapes(step)
    assert all(out in shapes for node in step.graph.node for out in node.output if out)
    assert shapes["frame"] == (1, 1, 64, 64, 4)
    assert shapes["next_hidden"] == shapes["state_hidden"] == (1, 8, 16, 16)
    assert shapes["next_sensors"] == shapes["state_sensors"] == (1, 7)


def test_graphs_tell_what_made_them_and_nothing_of_the_machine(graphs: Path) -> None:
    for file in graphs.glob("*.onnx"):
        props = {p.key: p.value for p in onnx.load(file).metadata_props}
        assert props["sim"] == "5" * 64 and props["family"] == "object_laws"
        assert json.loads(props["config"])["channels"] == 16
        assert str(Path(export.__file__).parents[1]).encode() not in file.read_bytes()


def test_model_json_holds_what_the_manifest_asks_for(
    graphs: Path, untrained: tuple[Path, Recipe]
) -> None:
    told = json.loads((graphs / "model.json").read_text())
    model = manifest.Model.model_validate({**told, "metrics": {}, "provenance": {}})
    original = load_model(untrained[0])
    assert model.parameters == sum(p.numel() for p in original.parameters())
    assert model.history == 4
    assert [(s.input, s.output, s.observed) for s in model.state] == [
        ("state_frame", "frame", True),
        ("state_sensors", "next_sensors", True),
        ("state_hidden", "next_hidden", False),
    ]
    frame = torch.zeros(1, 1, 64, 64, 4, dtype=torch.uint8)
    state = original.initial({"frame": frame, "sensors": torch.zeros(1, 7)})
    with FlopCounterMode(display=False) as counter:
        original.step(state, torch.zeros(1, 3), torch.zeros(1, 1))
    assert 2 * model.variants[0].macs == counter.get_total_flops()


@pytest.mark.slow
def test_a_world_without_chance_has_no_empty_input(tmp_path: Path) -> None:
    model = Model(Config(PALETTE, actions=2, chance=0, channels=8, blocks=0, history=2)).eval()
    path = export.export(model, tmp_path, {})
    told = export.describe(model, path)
    assert [t["name"] for t in told["inputs"]] == ["state_frame", "state_hidden", "action"]
    assert names(onnx.load(path).graph.input) == [t["name"] for t in told["inputs"]]


class Odd(nn.Module):
    """A model whose step uses what the page's runtimes lack."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.config = Config(PALETTE, actions=1, chance=0, height=4, width=4, history=1)

    def blank(self) -> dict[str, torch.Tensor]:
        return {"frame": torch.zeros(1, 1, 4, 4, 4, dtype=torch.uint8)}

    def initial(self, shown: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return dict(shown)

    def step(self, state: Any, action: torch.Tensor, chance: torch.Tensor) -> Any:
        frame = self.part(state["frame"][..., 0].float()).clamp(0, 255).to(torch.uint8)
        frame = frame[..., :4, :4, None].expand(1, 1, 4, 4, 4)
        heads = {"reward": action[:, 0], "terminated": action[:, 0]}
        return frame, {**state, "frame": frame}, heads


@pytest.mark.slow
def test_an_operator_that_the_page_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="step graph uses ONNX ConvTranspose") as caught:
        export.export(Odd(nn.ConvTranspose2d(1, 1, 3)), tmp_path, {})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
