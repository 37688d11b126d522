"""Make the graphs of a model: export, quantize, judge by the parity gate, and list.

A model with several samplers has one graph for each sampler in each precision.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from builder.export import export, graph_player, quantize, runtimes
from builder.export.parity import Gate, Variant, Verdict, in_chromium, tolerances
from builder.export.replay import Array, at_ends, head, reference
from builder.project import cache
from builder.site import manifest
from sims.contract import Sim
from sims.errors import UserError
from training.data.components import observations
from training.data.dataset import Dataset
from training.evaluation.evaluate import Sample
from training.evaluation.heads import values_of
from training.evaluation.starts import closing, held_out, recorded
from training.progress import Progress
from training.recipe import Recipe
from training.trainer.checkpoints import load_model, reads_rgb

VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "int8")

STEPS = 100  # recorded rollouts that a variant replays
RARE = 24  # the fewest recorded ends for the calibration of int8
ENDING = 8  # in rollouts of games that end with their last step
SAMPLE = 300  # steps of the held-out rollouts that measure each variant's play
SAMPLE_IN_CHROMIUM = 100  # steps of a quarter of these rollouts, to measure it in Chromium too


def make_graphs(
    weights_dir: Path,
    dataset_dir: Path,
    sim_class: type[Sim] | None,
    recipe: Recipe,
    out: Path,
    warn: Callable[[str], None] = lambda text: print(f"warning: {text}"),
) -> None:
    """Export a trained model, gate its variants, and put `out` in place as a whole.

    `out` then holds model.json (manifest.Model without metrics and provenance), parity.json (all
    measurements) and the graph of each variant that passed; `warn` gets each variant that failed.
    Raises UserError if fp32 itself does not compute the same as PyTorch.
    """
    name = f"{recipe.world}/{recipe.family}"
    wanted, model, dataset = variants(recipe), load_model(weights_dir), Dataset.open(dataset_dir)
    seen_alone = [] if model.palette_frames else observations(dataset.spec)
    sensors = [o for o in seen_alone if o.kind != "image"]
    allowed = tolerances(recipe, sensors)
    told = json.loads((weights_dir / "provenance.json").read_text(encoding="utf-8"))
    metadata = {"sim": str(told["keys"].get("sim", "")), "family": recipe.family}
    history, games, replays = model.config.history, recipe.export.rollouts, recipe.export.replays
    played = model.offered()
    stage = out.with_name(f".{out.name}.wmsite-new")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        total = len(played) * (2 + 3 * len(wanted)) + len(wanted)
        with Progress(f"export {name}", total, "graphs") as bar:
            rgb = reads_rgb(recipe)
            unseen, taught = held_out(dataset, history, rgb), dataset.load("train", rgb=rgb)
            scene = recorded(unseen, replays, STEPS, history, recipe.seed)
            ending = closing(unseen, 2 * replays, ENDING, history, recipe.seed)
            rewards = values_of(taught.rewards)
            states = max(8, recipe.export.calibration)
            calibration, rare = scene, ending
            if "int8" in wanted:
                some, seed = max(4, states // 16), recipe.seed + 1
                calibration = recorded(taught, some, STEPS, history, seed)
                # A network's activations at an end are far larger than elsewhere.
                rare = closing(taught, max(RARE, some), 1, history, seed)
            verdicts: list[Verdict] = []
            for one in played:
                full = export.export(one, stage, metadata)
                # The same number of evaluations for each: the more a frame takes, the fewer
                # rollouts.
                count = max(1, replays // one.evaluations)
                last = head(ending, 2 * count) if ending else None
                part = head(scene, count)
                gate = Gate.make(
                    one, full, part, allowed, recipe.world, last, rewards,
                    sim_class is not None, sensors,
                )  # fmt: skip
                bar.update(1)
                for variant in wanted:
                    graph = full.with_name(full.name.replace("fp32", variant))
                    if variant == "fp16":
                        quantize.to_half(full, graph)
                    elif variant == "int8":
                        # Inputs that the model itself reaches in training recordings.
                        reached = [reference(one, calibration, states)]
                        reached += [at_ends(one, rare)] if rare else []
                        rows = chain.from_iterable(_rows(r.states, full) for r in reached)
                        quantize.to_int8(full, graph, rows)
                    verdicts.append(Verdict(variant, graph, gate))
                bar.update(1)
            native = runtimes.Native()
            for verdict in verdicts:
                verdict.judge("onnxruntime", native, len(verdict.gate.scene.actions))
                bar.update(1)
            sample = Sample.make(sim_class, recipe, history, games, SAMPLE)
            # With more evaluations, it is the same network several times: the gate compares it step
            # by step and
            # over 100 steps, but does not play it at length, which would take most of an hour.
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
    """Return the recipe's variants, always with fp32; UserError for an unknown one."""
    for name in recipe.export.variants:
        if name not in VARIANTS:
            raise UserError(
                f"recipe {recipe.world}/{recipe.family}: unknown variant {name!r} in "
                f"export.variants. Known: {', '.join(VARIANTS)}"
            )
    return [v for v in VARIANTS if v == "fp32" or v in recipe.export.variants]


def _rows(values: Mapping[str, Array], graph: Path) -> Iterator[dict[str, Array]]:
    """Yield the inputs of a graph, one run after another, from values [M, 1, ...] by name."""
    names = [i.name for i in runtimes.open_session(graph).get_inputs()]
    for i in range(len(values[names[0]])):
        yield {name: values[name][i, 0] for name in names}


def _tell(stage: Path, verdicts: list[Verdict], sample: Sample | None, few: Sample | None) -> None:
    """Write parity.json with all measurements."""
    first = verdicts[0].gate
    measured = ("backends", "figures", "failures")
    cache.write_json(
        stage / "parity.json",
        {
            "pytorch": first.wanted(len(first.scene.actions)),
            "ends": first.ends(len(first.scene.actions)),
            "variants": [
                {"variant": v.name} | {name: getattr(v, name) for name in measured}
                for v in verdicts
            ],
            "sample": graph_player.table(sample, {v.name: v.sample for v in verdicts}),
            "browser_sample": graph_player.table(
                few, {f"{v.name}, {k}": f for v in verdicts for k, f in v.samples.items()}
            ),
        },
    )


def _refuse(name: str, verdicts: list[Verdict], warn: Callable[[str], None]) -> None:
    """Warn of every variant that does not ship; UserError if that is fp32."""
    for verdict in verdicts:
        if verdict.passes:
            continue
        where, why = next(iter(verdict.failures.items()))
        line = f"model {name}: {verdict.name} fails the parity gate in {where}: {why}"
        if verdict.variant == "fp32":
            raise UserError(f"{line}. Run: mend its export; nothing was changed")
        warn(f"{line}; it is not shipped")


def _write(stage: Path, recipe: Recipe, passed: list[Verdict], seen: bool) -> None:
    """Write model.json, and delete the graphs of variants that failed."""
    shipped = []
    for verdict in passed:
        path = verdict.graph
        measured = verdict.figures["wasm" if seen else "onnxruntime"]
        shipped.append(
            manifest.Variant(
                name=verdict.variant,
                evaluations=verdict.gate.evaluations,
                macs=verdict.gate.macs,
                ends=verdict.tells_ends,
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
        rewards=list(passed[0].gate.rewards),
        **described,
    )
    told = model.model_dump(exclude={"metrics", "provenance"})
    cache.write_json(stage / "model.json", told)
    kept = {variant.step.url for variant in shipped}
    for graph in stage.glob("*.onnx"):
        if graph.name not in kept:
            graph.unlink()
