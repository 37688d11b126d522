"""The graphs that a model ships as: exported, quantized, judged by the parity gate, and listed.

A model that may be played with several samplers has a graph of each, in each precision.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from builder import cache, export, manifest, quantize, rehearsal, runtimes
from builder.parity import Gate, Variant, Verdict, in_chromium, tolerances
from builder.replay import Array, head, reference
from sims.contract import Sim
from sims.errors import UserError
from training.dataset import Arrays, Dataset
from training.evaluate import Sample
from training.progress import Progress
from training.recipe import Recipe
from training.scenes import recorded
from training.weights import load_model

VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "int8")

STEPS = 100  # of the recorded rollouts that a variant replays
SAMPLE = 300  # steps of the held-out rollouts that each variant's play is measured in
SAMPLE_IN_CHROMIUM = 100  # steps of a quarter of them, to measure it in Chromium too


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
    wanted, allowed = variants(recipe), tolerances(recipe)
    model = load_model(weights_dir)
    told = json.loads((weights_dir / "provenance.json").read_text())
    metadata = {"sim": str(told["keys"].get("sim", "")), "family": recipe.family}
    dataset = Dataset.open(dataset_dir)
    history, games, replays = model.config.history, recipe.export.rollouts, recipe.export.replays
    played = model.offered()
    stage = out.with_name(f".{out.name}.wmsite-new")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        total = len(played) * (2 + 3 * len(wanted)) + len(wanted)
        with Progress(f"export {name}", total, "graphs") as bar:
            scene = recorded(_held_out(dataset, history), replays, STEPS, history, recipe.seed)
            states = max(8, recipe.export.calibration)
            calibration = scene
            if "int8" in wanted:
                arrays, some = dataset.load("train"), max(4, states // 16)
                calibration = recorded(arrays, some, STEPS, history, recipe.seed + 1)
            verdicts: list[Verdict] = []
            for one in played:
                full = export.export(one, stage, metadata)
                # As many evaluations each: the more a frame takes, the fewer rollouts.
                part = head(scene, max(1, replays // one.evaluations))
                gate = Gate.make(one, full, part, allowed, recipe.world)
                bar.update(1)
                for variant in wanted:
                    graph = full.with_name(full.name.replace("fp32", variant))
                    if variant == "fp16":
                        quantize.to_half(full, graph)
                    elif variant == "int8":
                        # From what the model itself reaches in training recordings.
                        reached = reference(one, calibration, states).states
                        quantize.to_int8(full, graph, _rows(reached, full))
                    verdicts.append(Verdict(variant, graph, gate))
                bar.update(1)
            native = runtimes.Native()
            for verdict in verdicts:
                verdict.judge("onnxruntime", native, len(verdict.gate.scene.actions))
                bar.update(1)
            sample = Sample.make(sim_class, recipe, history, games, SAMPLE)
            # With more evaluations it is the same network again: compared step by step, and in
            # 100 of them, but not played at length, which would take most of an hour.
            own = [v for v in verdicts if v.gate.evaluations == model.evaluations]
            for verdict in own:
                if sample and not verdict.failures:
                    verdict.rehearse(sample, own[0], verdict.player(native))
                bar.update(1)
            few = Sample.make(sim_class, recipe, history, games // 4, SAMPLE_IN_CHROMIUM)
            seen = in_chromium(verdicts, few, recipe.export.webgpu, warn, lambda: bar.update(1))
        _refuse(name, verdicts, warn)
        _write(stage, recipe, [v for v in verdicts if v.passes], seen)
        _tell(stage, verdicts, sample, few)
        cache.swap(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


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


def _rows(values: Mapping[str, Array], graph: Path) -> Iterator[dict[str, Array]]:
    """Yield one run's inputs of a graph after another, from values [M, 1, ...] by name."""
    names = [i.name for i in runtimes.open_session(graph).get_inputs()]
    for i in range(len(values[names[0]])):
        yield {name: values[name][i, 0] for name in names}


def _tell(stage: Path, verdicts: list[Verdict], sample: Sample | None, few: Sample | None) -> None:
    """Write parity.json: all that was measured."""
    first = verdicts[0].gate
    measured = ("backends", "figures", "failures")
    cache.write_json(
        stage / "parity.json",
        {
            "pytorch": first.wanted(len(first.scene.actions)),
            "variants": [
                {"variant": v.name} | {name: getattr(v, name) for name in measured}
                for v in verdicts
            ],
            "sample": rehearsal.table(sample, {v.name: v.sample for v in verdicts}),
            "browser_sample": rehearsal.table(
                few, {f"{v.name}, {k}": f for v in verdicts for k, f in v.samples.items()}
            ),
        },
    )


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


def _write(stage: Path, recipe: Recipe, passed: list[Verdict], seen: bool) -> None:
    """Write model.json, and drop the graphs of what did not pass."""
    shipped = []
    for verdict in passed:
        path = verdict.graph
        measured = verdict.figures["wasm" if seen else "onnxruntime"]
        shipped.append(
            manifest.Variant(
                name=verdict.variant,
                evaluations=verdict.gate.evaluations,
                macs=verdict.gate.macs,
                backends=verdict.backends,
                parity={**measured, "chromium": float(seen)},
                step=manifest.File(
                    url=path.name, sha256=cache.sha256_file(path), bytes=path.stat().st_size
                ),
            )
        )
    described = passed[0].gate.told
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
