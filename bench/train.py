"""The steps of play that training takes a second, by batch and by ranks, in one run."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from bench.table import ROOT, Figure, median
from builder.project.worlds import Project
from training.data.dataset import Dataset
from training.data.record import record
from training.families.object_laws.loss import loss as chunk_loss
from training.families.object_laws.options import Training
from training.recipe import Recipe, load
from training.trainer.checkpoints import build
from training.trainer.ranks import Ranks, launch
from training.trainer.streams import Both
from training.trainer.train import Run

WORLD, FAMILY = "breakout", "object_laws"
CASES = ((1, 32), (1, 96), (2, 32), (2, 96))  # (ranks, batch size over all of them)
WARM, STEPS = 3, 12
RECORDED = 20_000


def measure() -> list[Figure]:
    """Train the shipped recipe's model for some steps in each case, taught and dreaming."""
    recipe = load(ROOT / "recipes" / WORLD / f"{FAMILY}.toml")
    sim_class = Project.open(ROOT).world(WORLD).load()
    found: dict[tuple[int, int, int], float] = {}
    with tempfile.TemporaryDirectory(prefix="wmsite-bench-") as folder:
        short = replace(recipe, data=replace(recipe.data, steps=RECORDED, episode_steps=120))
        dataset = Dataset.open(record(sim_class, short, Path(folder), "bench"))
        dataset.load("train")  # decoded once, for all cases
        for ranks, batch in CASES:
            for horizon in (0, recipe.train.dream):

                def work(ranks: Ranks, batch: int = batch, horizon: int = horizon) -> None:
                    times = _time(recipe, dataset, sim_class, Path(folder), ranks, batch, horizon)
                    if ranks.rank == 0:
                        found[ranks.size, batch, horizon] = median(times[WARM:])

                launch(ranks, work)
    first = found[1, CASES[0][1], 0]
    return [
        Figure(
            f"training, {'dreaming' if horizon else 'taught'}: batch {batch}, "
            # A single rank uses all cores; several ranks have one thread each.
            + (f"{ranks} ranks" if ranks > 1 else f"1 rank of {torch.get_num_threads()} threads"),
            batch * recipe.train.unroll / seconds,
            "steps/s",
            note=f"{first / seconds * batch / CASES[0][1]:.2f} times one rank's at batch "
            f"{CASES[0][1]}, taught",
        )
        for (ranks, batch, horizon), seconds in found.items()
    ]


def _time(
    recipe: Recipe, dataset: Dataset, sim_class: type, out: Path, ranks: Ranks, batch: int,
    horizon: int,
) -> list[float]:  # fmt: skip
    torch.manual_seed(0)
    arrays = dataset.load("train")
    model = build(recipe, arrays, dataset.spec)
    run, plan = Run(model, recipe, out), recipe.train
    assert isinstance(plan, Training)
    games = ranks.share(batch)
    source = Both(arrays, sim_class, recipe, games, ranks.rank)
    source.horizon = horizon
    carried = None
    times = []
    for _ in range(WARM + STEPS):
        start = time.perf_counter()
        loss, _, carried = chunk_loss(model, source, carried, plan, 0.0)
        run.update(loss, 0.1, ranks, 0.0)
        times.append(time.perf_counter() - start)
    return times
