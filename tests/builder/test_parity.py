from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from builder.export import graphs as exported
from builder.export import parity, quantize, runtimes
from builder.export.graph_player import Graph, outside
from builder.export.replay import MODES, Played, figures, labels_of, mingled, said
from builder.site import manifest
from sims.breakout import Breakout
from sims.errors import UserError
from training.data.components import Observation
from training.data.dataset import Dataset
from training.evaluation import players
from training.evaluation.evaluate import Sample
from training.evaluation.heads import Heads
from training.evaluation.players import play
from training.evaluation.starts import make_scene, recorded
from training.recipe import Recipe
from training.trainer.checkpoints import load_model
from training.trainer.train import train


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"STEPS": 20, "SAMPLE": 10, "SAMPLE_IN_CHROMIUM": 10}
    for name, count in counts.items():
        monkeypatch.setattr(exported, name, count)
    monkeypatch.setattr(parity, "STATES", 8)


def test_three_runtimes_agree_for_one_step_and_for_100(graphs: Path) -> None:
    told = json.loads((graphs / "parity.json").read_text())
    verdicts = {v["variant"]: v for v in told["variants"]}
    assert set(verdicts) == {"fp32", "fp16", "int8"}
    for name, verdict in verdicts.items():
        # WebGPU is there as a software adapter, which has no 16-bit floats.
        assert set(verdict["failures"]) <= {"webgpu"}, verdict
        assert verdict["backends"] == (["wasm", "webgpu"] if name == "fp32" else ["wasm"])
        for where in ("onnxruntime", "wasm"):
            measured = verdict["figures"][where]
            assert measured["pixels"] <= (0.01 if name == "fp32" else 1.0)
            # In px, where sensors are carried: a half at 64 has steps of 1/32.
            assert measured["ends"] == 0
            assert measured["hidden"] <= {"fp32": 1e-4, "fp16": 2 / 32, "int8": 0.2}[name]
            assert {f"psnr {mode}" for mode in MODES} <= set(measured)
    assert verdicts["int8"]["figures"]["onnxruntime"]["hidden"] > 1e-4
    exact = verdicts["fp32"]["figures"]["onnxruntime"]
    assert exact["psnr free"] == pytest.approx(told["pytorch"]["free"]["psnr"], abs=0.5)
    # A model that leaves the picture as it was would agree anywhere.
    assert told["pytorch"]["free"]["psnr"] < 30
    # Of 6 short rollouts each ends a game; a random network doesn't know it.
    assert told["ends"] >= 6
    assert not any(v["ends"] for v in json.loads((graphs / "model.json").read_text())["variants"])


def test_states_of_two_kinds_take_turns_also_where_a_world_has_no_chance() -> None:
    some = {"action": np.array([[0.0], [2.0], [4.0]]), "chance": np.zeros((3, 1, 0))}
    others = {"action": np.array([[1.0], [3.0]]), "chance": np.zeros((2, 1, 0))}
    both = mingled(some, others)
    assert both["action"].ravel().tolist() == [0, 1, 2, 3, 4]
    assert both["chance"].shape == (5, 1, 0)


def test_what_ships_is_what_was_measured(graphs: Path) -> None:
    told = json.loads((graphs / "model.json").read_text())
    listed = {v["step"]["url"] for v in told["variants"]}
    assert listed == {file.name for file in graphs.glob("*.onnx")}
    assert all(v["parity"]["chromium"] == 1.0 for v in told["variants"])


def test_a_variant_that_fails_is_not_shipped_and_said_so(
    untrained: tuple[Path, Recipe],
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few(monkeypatch)
    # As where nobody has a browser.
    monkeypatch.setenv("WMSITE_CHROMIUM", str(tmp_path / "none"))
    weights, recipe = untrained
    # What is calibrated well is off by a tenth of a percent, as this one is by one.
    asked = dataclasses.replace(
        recipe.export, variants=["int8"], tolerance={"pixels": 0.5}, rollouts=0
    )
    calibrate = quantize.to_int8

    def badly(source: Path, out: Path, feeds: Any) -> None:
        calibrate(source, out, ({k: v * 0 for k, v in feed.items()} for feed in feeds))

    monkeypatch.setattr(quantize, "to_int8", badly)
    out = tmp_path / "graphs"
    said: list[str] = []
    exported.make_graphs(
        weights,
        tiny_dataset,
        Breakout,
        dataclasses.replace(recipe, export=asked),
        out,
        said.append,
    )
    assert {file.name for file in out.iterdir()} == {
        "model.json", "parity.json", "step.fp32.onnx",
    }  # fmt: skip
    told = json.loads((out / "model.json").read_text())
    assert [(v["name"], v["backends"]) for v in told["variants"]] == [("fp32", ["wasm"])]
    assert told["variants"][0]["parity"]["chromium"] == 0.0
    assert any("int8 fails the parity gate in onnxruntime" in line for line in said), said
    assert any("measured in onnxruntime alone: Chromium not found" in line for line in said)
    assert [p.name for p in tmp_path.iterdir()] == ["graphs"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tolerance": {"sharpness": 1.0}}, r"export\.tolerance\.sharpness.*ball_error.*pixels"),
        ({"variants": ["int4"]}, r"unknown variant 'int4'.*Known: fp32, fp16, int8"),
    ],
)
def test_a_recipe_that_asks_for_what_there_is_not(
    untrained: tuple[Path, Recipe], tiny_dataset: Path, tmp_path: Path, changes: Any, said: str
) -> None:
    weights, recipe = untrained
    broken = dataclasses.replace(recipe, export=dataclasses.replace(recipe.export, **changes))
    out = tmp_path / "graphs"
    out.mkdir()
    (out / "model.json").write_text("old")
    with pytest.raises(UserError, match=said):
        exported.make_graphs(weights, tiny_dataset, Breakout, broken, out)
    assert (out / "model.json").read_text() == "old"


def test_a_truncated_graph_is_one_clear_line(graphs: Path, tmp_path: Path) -> None:
    cut = tmp_path / "step.onnx"
    cut.write_bytes((graphs / "step.fp32.onnx").read_bytes()[:30_000])
    with pytest.raises(UserError, match=r"step\.onnx: onnxruntime can't load it") as caught:
        runtimes.Native().run(cut, {"action": np.zeros((1, 1, 1, 3), np.float32)}, {}, [])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_recorded_starts_are_the_recording(tiny_dataset: Path) -> None:
    arrays = Dataset.open(tiny_dataset).load("val")
    scene = recorded(arrays, 5, 100, 4, seed=0)
    n, steps = scene.actions.shape[:2]
    assert n == 5 and 0 < steps <= 100
    assert scene.history.shape == (5, 4, 1, 64, 64, 4)
    assert scene.frames.shape == (5, steps, 1, 64, 64, 4)
    whole = np.concatenate([scene.history, scene.frames], 1)[0, :, 0, :, :, :3]
    found = [
        t
        for t in arrays.windows(3 + steps)
        if np.array_equal(arrays.palette[arrays.frames[t : t + 4 + steps, 0]], whole)
    ]
    actions = np.concatenate([scene.history_actions, scene.actions], 1)[0]
    assert any(np.array_equal(arrays.actions[t : t + 3 + steps], actions) for t in found)
    # The sim against itself is beyond reproach.
    told = Heads(scene.rewards, scene.ends)
    perfect = figures(scene, Played(scene.frames, told), "breakout")
    assert perfect["psnr"] == 60 and perfect["exact"] == 100 and perfect["ball_error"] == 0


def test_every_variant_plays_the_sample_and_the_page_can_tell(graphs: Path) -> None:
    sample = json.loads((graphs / "parity.json").read_text())["sample"]
    assert [row["name"] for row in sample["rows"]] == ["fp32", "fp16", "int8"]
    keys = [column["key"] for column in sample["columns"]]
    heads = ["end_recall", "end_precision", "reward_error"]
    assert keys == ["ball_held@30", "ball_held@40", "controllability", "f1_all", *heads, "survived"]
    for row in sample["rows"]:
        assert list(row["values"]) == keys
        assert row["values"]["survived"]["mean"] == 0, "an untrained model keeps no rule"


def test_fewer_rollouts_are_played_in_chromium_too(graphs: Path) -> None:
    sample = json.loads((graphs / "parity.json").read_text())["browser_sample"]
    rows = {row["name"]: row["values"] for row in sample["rows"]}
    assert list(rows) == [
        f"{variant}, {where}"
        for variant in ("fp32", "fp16", "int8")
        for where in ("onnxruntime", "Chromium")
    ]
    # The same graph on the same rollouts: what an untrained one gets right is the same by chance.
    assert rows["fp32, Chromium"] == rows["fp32, onnxruntime"]


def test_the_graphs_play_as_the_model_does(
    graphs: Path, untrained: tuple[Path, Recipe], tiny_recipe: Recipe
) -> None:
    told = json.loads((graphs / "model.json").read_text())
    scene = make_scene(Breakout, tiny_recipe, 5, history=4, steps=6, rollouts=3)
    mine, theirs = (
        Graph(runtimes.Native(), graphs / "step.fp32.onnx", told),
        players.Model(load_model(untrained[0])),
    )
    assert (play(mine, scene) == play(theirs, scene)).mean() > 0.999
    # Some rollouts begin again while the others go on.
    rows, again = np.array([2, 0]), scene.pick(np.array([1, 1]))
    for player in (mine, theirs):
        player.watch(again, rows)
    given = scene.actions[:, 0], scene.chances[:, 0]
    frames = mine.step(*given)
    assert (frames == theirs.step(*given)).mean() > 0.999
    both = scene.pick(np.array([1, 1]))
    mine.watch(both)
    assert np.array_equal(mine.step(given[0][[2, 0]], given[1][[2, 0]]), frames[[2, 0]])


def test_a_variant_must_lie_within_the_interval_of_fp32() -> None:
    columns = [
        {"key": "held@30", "label": "ball held", "unit": "%", "better": "high", "step": 30},
        {"key": "error", "label": "error", "unit": "px", "better": "low"},
    ]

    def said(held: float | None, error: float) -> str:
        wanted = {
            "held@30": {"mean": 90.0, "low": 80.0, "high": 95.0},
            "error": {"mean": 2.0, "low": 1.0, "high": 3.0},
        }
        found = {"held@30": held and {"mean": held}, "error": {"mean": error}}
        return outside(found, wanted, columns)

    assert said(80.0, 3.0) == said(100.0, 0.0) == ""
    assert said(79.9, 2.0) == "ball held at step 30 79.9 %, fp32 has 80 to 95"
    assert said(85.0, 3.1) == "error 3.1 px, fp32 has 1 to 3"
    assert said(None, 2.0) == "ball held at step 30 could not be measured"
    # Where fp32 itself may have none, or has other rewards because it plays another game.
    told = [{"key": k, "label": k, "unit": "%", "better": "high"} for k in ("end_precision",)]
    assert outside({}, {"end_precision": {"mean": 0.0, "low": 0.0, "high": 60.0}}, told) == ""
    more = [{"key": "reward_error", "label": "", "unit": "%", "better": "low"}]
    one = {"mean": 9.0, "low": 8.0, "high": 10.0}
    assert outside({"reward_error": {"mean": 90.0}}, {"reward_error": one}, more) == ""


def test_the_first_end_counts_of_who_plays_alone(tiny_dataset: Path) -> None:
    scene = recorded(Dataset.open(tiny_dataset).load("val"), 3, 40, 4, seed=0)
    scene.ends[:], scene.ends[0, 30] = False, True
    mine = np.zeros(scene.ends.shape, bool)
    mine[0, 29:36] = mine[1, 10:20] = True  # right, and then again and again; wrong
    played = [(scene, Played(scene.frames, Heads(scene.rewards, mine)))]
    alone, beside = (said(played, [], mode) for mode in ("free", "grounded"))
    assert (alone["end_recall"], beside["end_recall"]) == (100, 100)
    assert alone["end_precision"] == 50
    assert beside["end_precision"] < 10


def test_a_predicted_sensor_must_stay_as_near_to_the_truth(tiny_recipe: Recipe) -> None:
    sensors = [
        Observation("speed", "vector", (1,), "m/s", 0.0, 25.0),
        Observation("lidar", "scan", (8, 40), "m", 0.0, 60.0),
    ]
    allowed = parity.tolerances(tiny_recipe, sensors)
    told = {k: v for k, v in allowed.items() if "." in k}
    assert told == {"speed.range": 1.0, "lidar.error": pytest.approx(0.6), "lidar.hits": 1.0}
    labels = labels_of("breakout", sensors)
    wanted = {"speed.range": 2.0, "lidar.error": 1.0, "lidar.hits": 97.0}

    def said(**changes: float) -> str:
        found = wanted | {k.replace("_", "."): v for k, v in changes.items()}
        return parity.lost(found, wanted, allowed, labels)

    assert said(speed_range=2.9, lidar_error=1.5, lidar_hits=96.1) == ""
    assert said(speed_range=3.1) == "speed: error, of its range 3.10 %, fp32 has 2.00"
    assert said(lidar_error=1.7) == "lidar: error where it hits 1.70 m, fp32 has 1.00"
    assert said(lidar_hits=95.9) == "lidar: hit or miss right 95.90 %, fp32 has 97.00"


def test_a_variant_that_plays_worse_fails_the_gate(graphs: Path, tiny_recipe: Recipe) -> None:
    sample = Sample.make(Breakout, tiny_recipe, history=4, rollouts=2, steps=10)
    assert sample is not None
    # What is to be reached is what the sim itself does; a random network comes nowhere near.
    told = json.loads((graphs / "model.json").read_text())
    gate = parity.Gate(told, 1, 0, sample.scene, parity.Reference({}, {}, {}), {}, "breakout")
    full = parity.Verdict("fp32", graphs / "step.fp32.onnx", gate)
    full.rehearse(sample, full, players.Real(Breakout))
    assert full.sample["controllability"]["mean"] == 100 and not full.failures
    verdict = parity.Verdict("int8", graphs / "step.int8.onnx", gate, ["wasm"])
    verdict.rehearse(sample, full, verdict.player(runtimes.Native()))
    assert "fp32 has" in verdict.failures["onnxruntime"]
    assert not verdict.passes


@pytest.mark.slow
def test_a_denoiser_ships_with_every_number_of_evaluations(
    tiny_denoiser: Recipe, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    sizes = {"channels": 16, "blocks": 1, "offered": [1, 2]}
    # Hardly trained, it decides pixels by hair's breadths, which rounding turns.
    asked = dataclasses.replace(
        tiny_denoiser.export, tolerance={"pixels": 1.0}, rollouts=0, webgpu=False
    )
    plan = dataclasses.replace(tiny_denoiser.train, steps=20, dream_share=0.0)
    recipe = dataclasses.replace(tiny_denoiser, model=sizes, export=asked, train=plan)
    train(recipe, tiny_dataset, tmp_path, Breakout, keys={"sim": "s"})
    exported.make_graphs(tmp_path, tiny_dataset, Breakout, recipe, tmp_path / "graphs")
    told = json.loads((tmp_path / "graphs" / "model.json").read_text())
    model = manifest.Model.model_validate({**told, "metrics": {}, "provenance": {}})
    assert [(v.evaluations, v.step.url) for v in model.variants] == [
        (1, "step.fp32.onnx"),
        (2, "step.2.fp32.onnx"),
    ]
    assert all("wasm" in v.backends for v in model.variants)
    assert [(s.input, s.observed) for s in model.state] == [
        ("state_frame", True),
        ("state_past", False),
        ("state_given", False),
        ("state_turn", False),
    ]
    # What is worked out of the context alone stands in the graph once.
    one, two = (v.macs for v in model.variants)
    assert 1.8 * one < two < 2 * one
    bytes_of = [v.step.bytes for v in model.variants]
    assert bytes_of[1] < 1.2 * bytes_of[0]  # The weights stand in it once.


@pytest.mark.parametrize(
    ("simulated", "grounded", "free", "tells"),
    [(True, 80.0, 100.0, False), (False, 80.0, 100.0, True), (False, 100.0, 80.0, False)],
)
def test_ends_are_asked_of_the_frames_that_the_page_has(
    simulated: bool, grounded: float, free: float, tells: bool
) -> None:
    gate: Any = SimpleNamespace(simulated=simulated)
    shares = {"grounded": grounded, "free": free}
    told = {
        f"end_{name} {mode}": v for name in ("recall", "precision") for mode, v in shares.items()
    }
    verdict = parity.Verdict("fp32", Path("step.onnx"), gate, figures={"wasm": told})
    assert verdict.tells_ends is tells
