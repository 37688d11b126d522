"""The parity gate: a variant ships only if it plays as the trained model does, in each runtime.

Each variant replays recorded starts, actions and chance in onnxruntime and in onnxruntime-web (in
Chromium, if it is installed): one step beside PyTorch's step, 100 steps from the sim's own frames
(as in the page's overlay mode), and 100 steps from its own frames (as in neural mode). In closed
loop, any rounding can lead to another game, so there the figures against the sim count, not the
pixels: of the frames, and of each predicted sensor in its own unit. Recorded games that end are
replayed to their end: a variant must predict ends and rewards as PyTorch does, and only a variant
that predicts ends may end a game on the page. If the world has a detector, a variant must also
follow the sim, obey, and keep the rules alone as well as fp32 does, with the same number of
evaluations: within the interval of fp32's own figures, in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from builder.export import export, graph_player, runtimes
from builder.export.replay import (
    MODES,
    Mode,
    Played,
    Reference,
    at_ends,
    figures,
    head,
    labels_of,
    mingled,
    one_step,
    play,
    reference,
    said,
)
from builder.site import manifest
from sims.detector import Label
from sims.errors import UserError
from training.data.components import Observation
from training.evaluation import observed
from training.evaluation.evaluate import Sample
from training.evaluation.players import Player
from training.evaluation.starts import Scene
from training.families.base import WorldModel
from training.recipe import Recipe

Variant = Literal["fp32", "fp16", "int8"]

IN_CHROMIUM = 3  # one of so many recorded rollouts is replayed in Chromium too
STATES = 64  # states that are compared step by step
ON_WEBGPU = 6  # of those on WebGPU, which may run in slow software
# The tolerance of each metric, in its own unit. "pixels": percent of pixels that differ from
# PyTorch's in one step from the same state, by more than two levels if the model has no palette;
# "sensors": percent of its predicted sensors' values that differ by more than a percent of their
# range; "ends", "rewards": percent of such steps with another end or reward. A recipe's
# [export.tolerance] changes and adds tolerances.
ONE_STEP = {"pixels": 0.1, "sensors": 1.0, "ends": 1.0, "rewards": 2.0}
TOLERANCE = {"psnr": 1.0, "end_recall": 5.0, "end_precision": 5.0, "reward_error": 5.0} | ONE_STEP
# Of a predicted sensor over rollouts: in percent of its range, and of a scan's rays.
SENSED = 1.0
# fp32 is the same arithmetic in another order.
EXACT = {"pixels": 0.01, "hidden": 1e-3}
# In closed loop a model may play another game, with other rewards: there they are only reported.
UNGATED: dict[Mode, set[str]] = {"grounded": set(), "free": {graph_player.UNGATED}}
# The recall and the precision, in percent, that a variant needs for ends, from its own frames, and
# from the sim's where the page has one; otherwise it ends no game on the page.
TELLS_ENDS = 90.0


def tolerances(recipe: Recipe, sensors: Sequence[Observation] = ()) -> dict[str, float]:
    """Return the tolerance of each metric; UserError for an unknown metric.

    `sensors` are those that the model predicts and that are compared by themselves.
    """
    ours = {
        key: SENSED / 100 * o.high if o.kind == "scan" and key.endswith(".error") else SENSED
        for o in sensors
        for key, (_, unit, _) in observed.labels([o]).items()
        if unit == "%" or o.kind == "scan"
    }
    known = {*labels_of(recipe.world, sensors), *ONE_STEP}
    for name in recipe.export.tolerance:
        if name not in known:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown key export.tolerance.{name}. "
                f"Known keys: {', '.join(sorted(known))}"
            )
    return TOLERANCE | ours | recipe.export.tolerance


def lost(
    found: Mapping[str, float],
    wanted: Mapping[str, float],
    allowed: Mapping[str, float],
    labels: Mapping[str, Label],
) -> str:
    """Return which metric is worse than the reference by more than its tolerance, or ""."""
    for name, most in allowed.items():
        if name in ONE_STEP or name not in wanted:
            continue
        label, unit, better = labels[name]
        loss = (wanted[name] - found.get(name, np.nan)) * (1 if better == "high" else -1)
        if not loss <= most:
            return f"{label} {found.get(name, np.nan):.2f} {unit}, fp32 has {wanted[name]:.2f}"
    return ""


@dataclass
class Gate:
    """The standard for the variants of one model, on recorded starts, with one sampler.

    `closing`: twice as many short rollouts, each of a game that ends with its last step; None if no
    such game was recorded. `rewards`: the values that the world's rewards take. `sensors`: those
    that are compared by themselves. `simulated`: the world has a sim.
    """

    told: Mapping[str, Any]
    evaluations: int  # evaluations of the network for a frame
    macs: int  # multiply-accumulates of a frame
    scene: Scene
    truth: Reference
    allowed: Mapping[str, float]
    world: str
    closing: Scene | None = None
    ending: dict[Mode, Played] = field(default_factory=dict)  # PyTorch's play of `closing`
    rewards: Sequence[float] = ()
    simulated: bool = True
    sensors: Sequence[Observation] = ()
    known: dict[int, dict[Mode, dict[str, float]]] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        model: WorldModel,
        graph: Path,
        scene: Scene,
        allowed: Mapping[str, float],
        world: str,
        closing: Scene | None,
        rewards: Sequence[float],
        simulated: bool,
        sensors: Sequence[Observation],
    ) -> Gate:
        """Play scenes with a model in PyTorch, as the reference for variants of its `graph`."""
        told, macs = export.describe(model, graph), export.count_macs(onnx.load(graph))
        truth, ending = reference(model, scene, STATES), {}
        if closing:
            ends = at_ends(model, closing)
            ending = ends.played
            truth.states = mingled(truth.states, ends.states)
            truth.after = mingled(truth.after, ends.after)
        return cls(
            told, model.evaluations, macs, scene, truth, allowed, world, closing, ending, rewards,
            simulated, sensors,
        )  # fmt: skip

    def scenes(self, rollouts: int) -> list[Scene]:
        """Return the first rollouts, and twice as many of games that end."""
        closing = [head(self.closing, 2 * rollouts)] if self.closing else []
        return [head(self.scene, rollouts), *closing]

    def ends(self, rollouts: int) -> int:
        """Return the number of games that end in so many rollouts."""
        return sum(int(scene.ends.sum()) for scene in self.scenes(rollouts))

    def measure(self, scenes: list[Scene], played: list[Played], mode: Mode) -> dict[str, float]:
        """Return the figures of a player's frames for `scenes`, against the sim."""
        found = figures(scenes[0], played[0], self.world, self.sensors)
        return found | said(list(zip(scenes, played, strict=True)), self.rewards, mode)

    def wanted(self, rollouts: int) -> dict[Mode, dict[str, float]]:
        """Return PyTorch's figures against the sim, by mode, over the first rollouts."""
        if rollouts not in self.known:
            scenes = self.scenes(rollouts)
            plays = [self.truth.played, self.ending][: len(scenes)]
            self.known[rollouts] = {
                mode: self.measure(
                    scenes,
                    [p[mode].head(len(s.ends)) for p, s in zip(plays, scenes, strict=True)],
                    mode,
                )
                for mode in MODES
            }
        return self.known[rollouts]


@dataclass
class Verdict:
    """Whether a variant ships, the backends it passed on, its figures, and any failures."""

    variant: Variant
    graph: Path
    gate: Gate
    backends: list[runtimes.Backend] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)  # its play, as `Sample.measure`
    # and with fewer rollouts, by runtime
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return manifest.titled(self.variant, self.gate.evaluations)

    @property
    def passes(self) -> bool:
        """Whether it passed in every required runtime; one that fails on wasm does not ship."""
        return bool(self.backends) and not {"onnxruntime", "wasm"} & self.failures.keys()

    @property
    def tells_ends(self) -> bool:
        """Whether it predicts the end of a game, in every runtime that measured it."""
        found = [
            figures.get(f"{name} {mode}", 0.0)
            for where, figures in self.figures.items()
            if where != "webgpu"
            for name in ("end_recall", "end_precision")
            for mode in (MODES if self.gate.simulated else ("free",))
        ]
        return min(found, default=0.0) >= TELLS_ENDS

    def judge(self, where: str, runtime: runtimes.Runtime, rollouts: int) -> None:
        """Measure it in one runtime; store its figures, and the reason if it fails."""
        gate = self.gate
        allowed = dict(gate.allowed)
        count = STATES if rollouts else ON_WEBGPU
        try:
            found = one_step(runtime, self.graph, gate.told, gate.truth, count, gate.rewards)
            why = ""
            if self.variant == "fp32" and rollouts:
                allowed["pixels"] = EXACT["pixels"]
                if not found["hidden"] <= EXACT["hidden"]:
                    why = f"the carried state is off by {found['hidden']:.2g} after one step"
            for name, most in ONE_STEP.items():
                if name in found and not found[name] <= allowed.get(name, most):
                    part = name if name == "pixels" else f"steps' {name}"
                    why = f"{found[name]:.3g} % of {part} are not PyTorch's after one step"
            if rollouts:
                scenes, wanted = gate.scenes(rollouts), gate.wanted(rollouts)
                sensed = list(gate.truth.played["free"].shown)
                plays = [play(runtime, self.graph, gate.told, scene, sensed) for scene in scenes]
                labels = labels_of(gate.world, gate.sensors)
                for mode in MODES:
                    mine = gate.measure(scenes, [played[mode] for played in plays], mode)
                    found |= {f"{k} {mode}": mine[k] for k in gate.allowed if k in mine}
                    limits = {k: v for k, v in gate.allowed.items() if k not in UNGATED[mode]}
                    worse = lost(mine, wanted[mode], limits, labels)
                    why = why or (worse and f"{mode} rollouts: {worse}")
        except UserError as error:
            found, why = {}, str(error)
        self.figures[where] = {k: float(f"{v:.4g}") for k, v in found.items()}
        if why:
            self.failures[where] = why

    def time(self, where: str, runtime: runtimes.Runtime) -> None:
        """Measure its time again, in a warm runtime."""
        gate = self.gate
        found = one_step(runtime, self.graph, gate.told, gate.truth, STATES, gate.rewards)
        self.figures[where]["ms"] = float(f"{found['ms']:.4g}")

    def player(self, runtime: runtimes.Runtime) -> graph_player.Graph:
        """Return it as a player, in a runtime."""
        return graph_player.Graph(runtime, self.graph, self.gate.told)

    def rehearse(self, sample: Sample, full: Verdict, player: Player) -> None:
        """Measure its play, and fail it if it is worse than fp32's interval."""
        self.sample = sample.measure(player)
        if worse := graph_player.outside(self.sample, full.sample, sample.columns):
            self.failures["onnxruntime"] = worse


def in_chromium(
    verdicts: list[Verdict],
    sample: Sample | None,
    webgpu: bool,
    warn: Callable[[str], None],
    done: Callable[[], None],
) -> bool:
    """Judge in onnxruntime-web the variants that passed so far; False without Chromium.

    `webgpu`: on WebGPU too, which takes minutes if it runs in software. `done` is called twice for
    each verdict, if there is a Chromium: on wasm, and on WebGPU.
    """
    with ExitStack() as stack:
        try:
            wasm = stack.enter_context(runtimes.open_browser("wasm"))
        except UserError as error:
            warn(f"parity measured in onnxruntime alone: {error}")
            for verdict in verdicts:
                verdict.backends = [] if verdict.failures else ["wasm"]
            return False
        places: dict[str, runtimes.Runtime] = {"onnxruntime": runtimes.Native(), "Chromium": wasm}
        for verdict in verdicts:
            done()
            if verdict.failures:
                continue
            replays = len(verdict.gate.scene.actions)
            verdict.judge("wasm", wasm, max(1, replays // IN_CHROMIUM))
            if sample and verdict.sample and not verdict.failures:
                for where, runtime in places.items():
                    verdict.samples[where] = sample.measure(verdict.player(runtime))
                found, wanted = verdict.samples["Chromium"], verdict.samples["onnxruntime"]
                if worse := graph_player.outside(found, wanted, sample.columns):
                    verdict.failures["wasm"] = worse
            verdict.backends = [] if verdict.failures else ["wasm"]
        # V8 compiles frequent code a second time, so the first variant would look slow.
        for verdict in (v for v in verdicts if v.backends):
            verdict.time("wasm", wasm)
    for verdict in verdicts:
        done()
        # int8 has given wrong results there, and fp16 is the fast format there.
        if not webgpu or verdict.failures or verdict.variant == "int8":
            continue
        try:
            with runtimes.open_browser("webgpu", half=verdict.variant == "fp16") as browser:
                verdict.judge("webgpu", browser, 0)
                if "webgpu" not in verdict.failures:
                    verdict.backends.append("webgpu")
        except UserError as error:
            verdict.failures["webgpu"] = str(error)
    return True
