"""The parity gate: a variant ships only if it plays as the trained model does, where it runs.

Each variant replays recorded starts, actions and chance in onnxruntime and in onnxruntime-web
(in Chromium, where there is one): one step beside PyTorch's, 100 steps from the sim's own frames
(what the page's overlay does), and 100 steps from its own frames (what its neural mode does). Own
frames may part ways after any rounding, so there the figures against the sim count, not pixels.
Where the world has a detector, a variant must also follow the sim, obey, and keep the rules alone
as well as fp32 does, with as many evaluations as it was evaluated with: within the interval of
fp32's own figures, in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from builder import export, manifest, rehearsal, runtimes
from builder.replay import (
    MODES,
    Mode,
    Reference,
    figures,
    head,
    labels_of,
    one_step,
    play,
    reference,
)
from sims.errors import UserError
from training.evaluate import Sample
from training.models import WorldModel
from training.players import Player
from training.recipe import Recipe
from training.scenes import Scene

Variant = Literal["fp32", "fp16", "int8"]

IN_CHROMIUM = 3  # of so many recorded rollouts one is replayed in Chromium too
STATES = 64  # compared step by step
ON_WEBGPU = 6  # of those on WebGPU, which may be a slow software one
# What a variant may lose, in each metric's own unit. "pixels": percent of pixels that differ
# from PyTorch's in one step from the same state. A recipe's [export.tolerance] changes and adds.
TOLERANCE = {"psnr": 1.0, "pixels": 0.1}
# fp32 is the same arithmetic in another order.
EXACT = {"pixels": 0.01, "hidden": 1e-3}


def tolerances(recipe: Recipe) -> dict[str, float]:
    """Return what a variant may lose, by metric; UserError for a metric that there isn't."""
    known = {*labels_of(recipe.world), "pixels"}
    for name in recipe.export.tolerance:
        if name not in known:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown key export.tolerance.{name}. "
                f"Known keys: {', '.join(sorted(known))}"
            )
    return TOLERANCE | recipe.export.tolerance


def lost(
    found: Mapping[str, float],
    wanted: Mapping[str, float],
    allowed: Mapping[str, float],
    world: str,
) -> str:
    """Say which metric is worse than wanted by more than allowed, or ""."""
    labels = labels_of(world)
    for name, most in allowed.items():
        if name == "pixels" or name not in wanted:
            continue
        label, unit, better = labels[name]
        loss = (wanted[name] - found.get(name, np.nan)) * (1 if better == "high" else -1)
        if not loss <= most:
            return f"{label} {found.get(name, np.nan):.2f} {unit}, fp32 has {wanted[name]:.2f}"
    return ""


@dataclass
class Gate:
    """What the variants of one model are judged by, on recorded starts, with one sampler."""

    told: Mapping[str, Any]
    evaluations: int  # of the network for a frame
    macs: int  # of a frame
    scene: Scene
    truth: Reference
    allowed: Mapping[str, float]
    world: str
    known: dict[int, dict[Mode, dict[str, float]]] = field(default_factory=dict)

    @classmethod
    def make(
        cls, model: WorldModel, graph: Path, scene: Scene, allowed: Mapping[str, float], world: str
    ) -> Gate:
        """Play a scene with a model in PyTorch, for the variants of its fp32 `graph` to be like."""
        told, macs = export.describe(model, graph), export.count_macs(onnx.load(graph))
        truth = reference(model, scene, STATES)
        return cls(told, model.evaluations, macs, scene, truth, allowed, world)

    def wanted(self, rollouts: int) -> dict[Mode, dict[str, float]]:
        """Return PyTorch's figures against the sim, by mode, over the first rollouts."""
        if rollouts not in self.known:
            part, frames = head(self.scene, rollouts), self.truth.frames
            self.known[rollouts] = {
                mode: figures(part, frames[mode][:rollouts], self.world) for mode in MODES
            }
        return self.known[rollouts]


@dataclass
class Verdict:
    """Whether a variant ships, the backends it passed on, its figures, and why not."""

    variant: Variant
    graph: Path
    gate: Gate
    backends: list[runtimes.Backend] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)  # its play, as `Sample.measure`
    # and of fewer rollouts, by runtime
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return manifest.titled(self.variant, self.gate.evaluations)

    @property
    def passes(self) -> bool:
        """Whether it passed everywhere it must: where wasm failed, nothing ships."""
        return bool(self.backends) and not {"onnxruntime", "wasm"} & self.failures.keys()

    def judge(self, where: str, runtime: runtimes.Runtime, rollouts: int) -> None:
        """Measure it in one runtime; note its figures, and why it fails where it does."""
        gate = self.gate
        allowed = dict(gate.allowed)
        count = STATES if rollouts else ON_WEBGPU
        try:
            found = one_step(runtime, self.graph, gate.told, gate.truth, count)
            why = ""
            if self.variant == "fp32" and rollouts:
                allowed["pixels"] = EXACT["pixels"]
                if not found["hidden"] <= EXACT["hidden"]:
                    why = f"the carried state is off by {found['hidden']:.2g} after one step"
            if not found["pixels"] <= allowed["pixels"]:
                why = f"{found['pixels']:.3g} % of pixels are not PyTorch's after one step"
            if rollouts:
                part, wanted = head(gate.scene, rollouts), gate.wanted(rollouts)
                for mode, frames in play(runtime, self.graph, gate.told, part).items():
                    mine = figures(part, frames, gate.world)
                    found |= {f"{k} {mode}": mine[k] for k in gate.allowed if k in mine}
                    worse = lost(mine, wanted[mode], gate.allowed, gate.world)
                    why = why or (worse and f"{mode} rollouts: {worse}")
        except UserError as error:
            found, why = {}, str(error)
        self.figures[where] = {k: float(f"{v:.4g}") for k, v in found.items()}
        if why:
            self.failures[where] = why

    def time(self, where: str, runtime: runtimes.Runtime) -> None:
        """Take its time anew, of a runtime that is warm."""
        found = one_step(runtime, self.graph, self.gate.told, self.gate.truth, STATES)
        self.figures[where]["ms"] = float(f"{found['ms']:.4g}")

    def player(self, runtime: runtimes.Runtime) -> rehearsal.Graph:
        """Return it as a player, in a runtime."""
        return rehearsal.Graph(runtime, self.graph, self.gate.told)

    def rehearse(self, sample: Sample, full: Verdict, player: Player) -> None:
        """Measure its play, and fail it where fp32's is better beyond its interval."""
        self.sample = sample.measure(player)
        if worse := rehearsal.outside(self.sample, full.sample, sample.columns):
            self.failures["onnxruntime"] = worse


def in_chromium(
    verdicts: list[Verdict],
    sample: Sample | None,
    webgpu: bool,
    warn: Callable[[str], None],
    done: Callable[[], None],
) -> bool:
    """Judge in onnxruntime-web what passed so far; False where there is no Chromium.

    `webgpu`: on WebGPU too, which takes minutes where it is a software one. `done` is told twice
    of each verdict, where there is a Chromium: on wasm, and on WebGPU.
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
                if worse := rehearsal.outside(found, wanted, sample.columns):
                    verdict.failures["wasm"] = worse
            verdict.backends = [] if verdict.failures else ["wasm"]
        # V8 compiles what runs often once more, so the first to be judged looks slow.
        for verdict in (v for v in verdicts if v.backends):
            verdict.time("wasm", wasm)
    for verdict in verdicts:
        done()
        # int8 has given wrong results there, and fp16 is what it is fast in.
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
