"""The parity gate: a variant ships only if it plays as the trained model does, where it runs.

Each variant replays recorded starts, actions and chance in onnxruntime and in onnxruntime-web
(in Chromium, where there is one): one step beside PyTorch's, 100 steps from the sim's own frames
(what the page's overlay does), and 100 steps from its own frames (what its neural mode does). Own
frames may part ways after any rounding, so there the figures against the sim count, not pixels.
Where the world has a detector, a variant must also follow the sim, obey, and keep the rules alone
as well as fp32 does: within the interval of fp32's own figures, in onnxruntime.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from builder import cache, export, manifest, quantize, rehearsal, runtimes
from builder.replay import (
    MODES,
    Array,
    Mode,
    Reference,
    figures,
    head,
    labels_of,
    one_step,
    play,
    reference,
)
from sims.contract import Sim
from sims.errors import UserError
from training.dataset import Arrays, Dataset
from training.evaluate import Sample
from training.players import Player
from training.progress import Progress
from training.recipe import Recipe
from training.scenes import Scene, recorded
from training.weights import load_model

Variant = Literal["fp32", "fp16", "int8"]
VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "int8")

STEPS = 100
ROLLOUTS = 24  # in onnxruntime
IN_CHROMIUM = 8  # of those, in Chromium too
STATES = 64  # compared step by step
SAMPLE = 300  # steps of the held-out rollouts that each variant's play is measured in
SAMPLE_IN_CHROMIUM = 100  # steps of a quarter of them, to measure it in Chromium too
ON_WEBGPU = 6  # of those on WebGPU, which may be a slow software one
# What a variant may lose, in each metric's own unit. "pixels": percent of pixels that differ
# from PyTorch's in one step from the same state. A recipe's [export.tolerance] changes and adds.
TOLERANCE = {"psnr": 1.0, "pixels": 0.1}
# fp32 is the same arithmetic in another order.
EXACT = {"pixels": 0.01, "hidden": 1e-3}


@dataclass
class Verdict:
    """Whether a variant ships, the backends it passed on, its figures, and why not."""

    variant: Variant
    evaluations: int = 1
    macs: int = 0  # of a frame
    backends: list[runtimes.Backend] = field(default_factory=list)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)  # its play, as `Sample.measure`
    # and of fewer rollouts, by runtime
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return (
            f"{self.variant}, {self.evaluations} evaluations"
            if self.evaluations > 1
            else self.variant
        )

    @property
    def passes(self) -> bool:
        """Whether it passed everywhere it must: where wasm failed, nothing ships."""
        return bool(self.backends) and not {"onnxruntime", "wasm"} & self.failures.keys()


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
    """Judge the variants of one model on recorded starts."""

    told: Mapping[str, Any]
    scene: Scene
    truth: Reference
    allowed: Mapping[str, float]
    world: str
    known: dict[int, dict[Mode, dict[str, float]]] = field(default_factory=dict)

    def wanted(self, rollouts: int) -> dict[Mode, dict[str, float]]:
        """Return PyTorch's figures against the sim, by mode, over the first rollouts."""
        if rollouts not in self.known:
            part, frames = head(self.scene, rollouts), self.truth.frames
            self.known[rollouts] = {
                mode: figures(part, frames[mode][:rollouts], self.world) for mode in MODES
            }
        return self.known[rollouts]

    def judge(
        self, verdict: Verdict, where: str, runtime: runtimes.Runtime, graph: Path, rollouts: int
    ) -> None:
        """Measure a variant in one runtime; note its figures, and why it fails where it does."""
        allowed = dict(self.allowed)
        count = STATES if rollouts else ON_WEBGPU
        try:
            found = one_step(runtime, graph, self.told, self.truth, count)
            why = ""
            if verdict.variant == "fp32" and rollouts:
                allowed["pixels"] = EXACT["pixels"]
                if not found["hidden"] <= EXACT["hidden"]:
                    why = f"the carried state is off by {found['hidden']:.2g} after one step"
            if not found["pixels"] <= allowed["pixels"]:
                why = f"{found['pixels']:.3g} % of pixels are not PyTorch's after one step"
            if rollouts:
                part, wanted = head(self.scene, rollouts), self.wanted(rollouts)
                for mode, frames in play(runtime, graph, self.told, part).items():
                    mine = figures(part, frames, self.world)
                    found |= {f"{k} {mode}": mine[k] for k in self.allowed if k in mine}
                    worse = lost(mine, wanted[mode], self.allowed, self.world)
                    why = why or (worse and f"{mode} rollouts: {worse}")
        except UserError as error:
            found, why = {}, str(error)
        verdict.figures[where] = {k: float(f"{v:.4g}") for k, v in found.items()}
        if why:
            verdict.failures[where] = why


def make_graphs(
    weights_dir: Path,
    dataset_dir: Path,
    sim_class: type[Sim],
    recipe: Recipe,
    out: Path,
    warn: Callable[[str], None] = lambda text: print(f"warning: {text}"),
) -> None:
    """Export a trained model, gate its variants, and put `out` in place whole.

    `out` then holds model.json (manifest.Model without metrics and provenance), parity.json (all
    that was measured) and the graph of each variant that passed; `warn` is told of
    each that did not. Raises UserError if fp32 itself is not what PyTorch computes.
    """
    name = f"{recipe.world}/{recipe.family}"
    wanted = variants(recipe)
    allowed = tolerances(recipe)
    model = load_model(weights_dir)
    told = json.loads((weights_dir / "provenance.json").read_text())
    dataset = Dataset.open(dataset_dir)
    history, games = model.config.history, recipe.export.rollouts
    played = export.samplers(model)
    stage = out.with_name(f".{out.name}.wmsite-new")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        with Progress(f"export {name}", len(played) * (4 + 2 * len(wanted)), "graphs") as bar:
            metadata = {"sim": str(told["keys"].get("sim", "")), "family": recipe.family}
            scene = recorded(_held_out(dataset, history), ROLLOUTS, STEPS, history, recipe.seed)
            sample = Sample.make(sim_class, recipe, history, games, SAMPLE)
            few = Sample.make(sim_class, recipe, history, games // 4, SAMPLE_IN_CHROMIUM)
            gates: list[Gate] = []
            verdicts: list[Verdict] = []
            files: dict[str, Path] = {}
            seen = True
            for one in played:
                times = export.evaluations(one)
                full = export.export(one, stage, metadata)
                described = export.describe(one, full)
                bar.update(1)
                # As many evaluations each: the more a frame takes, the fewer rollouts.
                part = head(scene, max(1, ROLLOUTS // times))
                truth = reference(one, part, STATES)
                gate = Gate(described, part, truth, allowed, recipe.world)
                gates.append(gate)
                bar.update(1)
                macs = export.count_macs(onnx.load(full))
                judged = [Verdict(variant, times, macs) for variant in wanted]
                files |= _graphs(one, judged, full, dataset, recipe)
                bar.update(1)
                native = runtimes.Native()
                for verdict in judged:
                    gate.judge(
                        verdict, "onnxruntime", native, files[verdict.name], len(part.actions)
                    )
                    bar.update(1)
                for verdict in judged:
                    if sample and not verdict.failures:
                        player = rehearsal.Graph(native, files[verdict.name], described)
                        rehearse(sample, verdict, judged[0], player)
                    bar.update(1)
                seen &= _in_chromium(gate, judged, files, few, warn)
                bar.update(1)
                verdicts += judged
        _refuse(name, verdicts, warn)
        _write(stage, gates[0].told, recipe, [v for v in verdicts if v.passes], files, seen)
        cache.write_json(
            stage / "parity.json",
            {
                "pytorch": gates[0].wanted(len(gates[0].scene.actions)),
                "variants": [
                    {k: v for k, v in vars(one).items() if "sample" not in k} for one in verdicts
                ],
                "sample": rehearsal.table(sample, {v.name: v.sample for v in verdicts}),
                "browser_sample": rehearsal.table(
                    few, {f"{v.name}, {k}": f for v in verdicts for k, f in v.samples.items()}
                ),
            },
        )
        cache.swap(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _graphs(
    model: Any, verdicts: list[Verdict], full: Path, dataset: Dataset, recipe: Recipe
) -> dict[str, Path]:
    """Write the other precisions of an fp32 graph beside it; return all by their verdict's name."""
    files = {}
    for verdict in verdicts:
        file = full.with_name(full.name.replace("fp32", verdict.variant))
        if verdict.variant == "fp16":
            quantize.to_half(full, file)
        if verdict.variant == "int8":
            states = _calibration(model, dataset, recipe)
            quantize.to_int8(full, file, _rows(states, full))
        files[verdict.name] = file
    return files


def rehearse(sample: Sample, verdict: Verdict, full: Verdict, player: Player) -> None:
    """Measure a variant's play, and fail it where fp32's is better beyond its interval."""
    verdict.sample = sample.measure(player)
    if worse := rehearsal.outside(verdict.sample, full.sample, sample.columns):
        verdict.failures["onnxruntime"] = worse


def variants(recipe: Recipe) -> list[Variant]:
    """Return the recipe's variants, fp32 always among them; UserError for an unknown one."""
    for name in recipe.export.variants:
        if name not in VARIANTS:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown variant {name!r} in "
                f"export.variants. Known: {', '.join(VARIANTS)}"
            )
    return [v for v in VARIANTS if v == "fp32" or v in recipe.export.variants]


def _held_out(dataset: Dataset, history: int) -> Arrays:
    """Return recordings that training never saw, or those it saw where there are no others."""
    for split in ("test", "val"):
        if split in dataset.info["splits"]:
            arrays = dataset.load(split)
            if len(arrays.windows(history)):
                return arrays
    return dataset.load("train")


def _calibration(model: Any, dataset: Dataset, recipe: Recipe) -> dict[str, Array]:
    """Return inputs [M, 1, ...] that the model itself reaches from training recordings."""
    count = max(8, recipe.export.calibration)
    rollouts = max(4, count // 16)
    scene = recorded(dataset.load("train"), rollouts, STEPS, model.config.history, recipe.seed + 1)
    return reference(model, scene, count).states


def _rows(values: Mapping[str, Array], graph: Path) -> Iterator[dict[str, Array]]:
    """Yield one run's inputs of a graph after another, from values [M, 1, ...] by name."""
    names = [i.name for i in runtimes.open_session(graph).get_inputs()]
    for i in range(len(values[names[0]])):
        yield {name: values[name][i, 0] for name in names}


def _in_chromium(
    gate: Gate,
    verdicts: list[Verdict],
    files: Mapping[str, Path],
    sample: Sample | None,
    warn: Callable[[str], None],
) -> bool:
    """Judge in onnxruntime-web what passed so far; False where there is no Chromium."""
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
            if verdict.failures:
                continue
            graph = files[verdict.name]
            rollouts = max(1, IN_CHROMIUM // verdict.evaluations)
            gate.judge(verdict, "wasm", wasm, graph, rollouts)
            if sample and not verdict.failures:
                for where, runtime in places.items():
                    player = rehearsal.Graph(runtime, graph, gate.told)
                    verdict.samples[where] = sample.measure(player)
                found, wanted = verdict.samples["Chromium"], verdict.samples["onnxruntime"]
                if worse := rehearsal.outside(found, wanted, sample.columns):
                    verdict.failures["wasm"] = worse
            verdict.backends = [] if verdict.failures else ["wasm"]
    for verdict in verdicts:
        # int8 has given wrong results there, and fp16 is what it is fast in.
        if verdict.failures or verdict.variant == "int8":
            continue
        try:
            with runtimes.open_browser("webgpu", half=verdict.variant == "fp16") as webgpu:
                gate.judge(verdict, "webgpu", webgpu, files[verdict.name], 0)
                if "webgpu" not in verdict.failures:
                    verdict.backends.append("webgpu")
        except UserError as error:
            verdict.failures["webgpu"] = str(error)
    return True


def _refuse(name: str, verdicts: list[Verdict], warn: Callable[[str], None]) -> None:
    """Warn of every variant that is not shipped; UserError if that is fp32."""
    for verdict in verdicts:
        if verdict.passes:
            continue
        where, why = next(iter(verdict.failures.items()))
        line = f"model {name}: {verdict.name} fails the parity gate in {where}: {why}"
        if verdict.variant == "fp32":
            raise UserError(f"{line}. Run: mend its export; nothing was changed")
        warn(f"{line}; it is not shipped")


def _write(
    stage: Path,
    described: Mapping[str, Any],
    recipe: Recipe,
    passed: list[Verdict],
    files: Mapping[str, Path],
    seen: bool,
) -> None:
    """Write model.json, and drop the graphs of what did not pass."""
    shipped = []
    for verdict in passed:
        path = files[verdict.name]
        measured = verdict.figures["wasm" if seen else "onnxruntime"]
        shipped.append(
            manifest.Variant(
                name=verdict.variant,
                evaluations=verdict.evaluations,
                macs=verdict.macs,
                backends=verdict.backends,
                parity={**measured, "chromium": float(seen)},
                step=manifest.File(
                    url=path.name, sha256=cache.sha256_file(path), bytes=path.stat().st_size
                ),
            )
        )
    model = manifest.Model(
        family=recipe.family,
        label=f"{recipe.family}, {described['parameters'] / 1000:.0f} k parameters",
        variants=shipped,
        metrics={},
        provenance={},
        **described,
    )
    told = model.model_dump(exclude={"metrics", "provenance"})
    cache.write_json(stage / "model.json", told)
    kept = {variant.step.url for variant in shipped}
    for graph in stage.glob("*.onnx"):
        if graph.name not in kept:
            graph.unlink()
