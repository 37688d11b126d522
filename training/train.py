"""Train a world model from a recorded dataset and its sim: read top to bottom, the whole loop.

First the model is taught single steps of recorded games, many of them shortly before something
happens. Then it dreams: in a part of the games it goes on from its own frames and sensors, longer
and longer, while the sim follows it and says what should come next (on-policy data as in DAgger,
Ross et al., 2011, arXiv:1011.0686; see `training.breakout_relabel`). What is saved is an average
of the weights (Polyak and Juditsky, 1992, doi:10.1137/0330046).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from sims.contract import Sim
from training import players
from training.agreement import pixel_figures
from training.dataset import Arrays, Dataset
from training.denoising import denoising_loss
from training.detectors import DETECTORS
from training.muon import Muon
from training.objective import chunk_loss
from training.progress import Progress
from training.ranks import Ranks, device, launch
from training.recipe import Recipe, Train, to_json
from training.scenes import recorded
from training.streams import Both
from training.weights import build, fit, start_from

CHECKPOINT = "checkpoint.pt"
TOLD = {"loss": "frame_loss", "moved": "moved_right"}  # of a step's figures, by the bar
# By family: (model, source, what was carried or None, plan, progress) -> (loss, figures, carried).
LOSSES: dict[str, Callable[..., tuple[Tensor, dict[str, float], Any]]] = {
    "recurrent": chunk_loss,
    "denoiser": denoising_loss,
}


class Run:
    """One training run on disk: what must survive a kill, and the curve so far."""

    def __init__(self, model: Any, plan: Train, out: Path) -> None:
        self.model, self.plan, self.out = model, plan, out
        kernels = model.kernels()
        ids = {id(p) for p in kernels}
        rest = [p for p in model.parameters() if id(p) not in ids]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(kernels, plan.kernel_rate, decay=plan.weight_decay),
            torch.optim.AdamW(rest, plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.trained = [*kernels, *rest]
        self.rates = (plan.kernel_rate, plan.learning_rate)
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step = 0
        self.minutes = 0.0
        self.curve: list[dict[str, float]] = []

    @property
    def progress(self) -> float:
        """How much of the budget is spent, 0..1: by optimiser steps or by minutes."""
        return min(1.0, max(self.step / self.plan.steps, self.minutes / self.plan.minutes))

    def update_average(self) -> None:
        """Move the average of the weights (what is saved) towards the weights."""
        keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)

    def update(self, loss: Tensor, share: float, ranks: Ranks, minutes: float) -> None:
        """Take one optimiser step at a share 0..1 of the full learning rates, with all ranks."""
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rate * share
        loss.backward()  # type: ignore[no-untyped-call]
        self.minutes = ranks.average(self.trained, minutes)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        self.step += 1
        self.update_average()

    def save(self) -> None:
        """Write the checkpoint aside and swap it in whole."""
        aside = self.out / f"{CHECKPOINT}.{os.getpid()}"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "average": self.average,
                "step": self.step,
                "minutes": self.minutes,
                "curve": self.curve,
            },
            aside,
        )
        aside.replace(self.out / CHECKPOINT)

    def resume(self) -> bool:
        """Go on from a checkpoint of a killed run; False when there is none."""
        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.average = saved["average"]
        self.step, self.minutes, self.curve = saved["step"], saved["minutes"], saved["curve"]
        return True


def schedule(plan: Train, progress: float) -> tuple[float, int]:
    """Return (share of the learning rates, longest dream in steps) at `progress` 0..1.

    The rates warm up and fall as a cosine; dreams begin after `teacher_share` of the budget and
    grow for half of it.
    """
    warm = min(1.0, progress / 0.01)
    rate = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
    if progress < plan.teacher_share:
        return rate, 0
    grown = min(1.0, (progress - plan.teacher_share) / 0.5)
    return rate, round(8 * (max(8, plan.dream) / 8) ** grown)


def validate(run: Run, arrays: Arrays, world: str) -> dict[str, float]:
    """Play held-out windows open loop on the averaged weights; shares 0..1 of what is right.

    They are `validate_steps` long, or less where no held-out game is as long; {} without any.
    `val_moved_right` counts pixels that have moved, over all steps; with a detector, its figures
    of shares follow, at steps 30 and 100 (`val_ball_held_30`).
    """
    model, plan, history = run.model, run.plan, run.model.config.history
    longest = int((arrays.episodes[:, 1] - arrays.episodes[:, 0]).max(initial=0))
    if longest <= history:  # The recording holds nothing out.
        return {}
    scene = recorded(arrays, plan.validate_games, plan.validate_steps, history, 0)
    live = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(run.average)
    frames = players.play(players.Model(model), scene)
    model.load_state_dict(live)
    out = {"val_moved_right": float(np.nanmean(pixel_figures(scene, frames)["moved"]))}
    if world in DETECTORS:
        detector = DETECTORS[world]
        for after in (30, 100):
            if after > frames.shape[1]:
                break
            mine, true = (detector.read(part[:, after - 1, 0]) for part in (frames, scene.frames))
            for name, values in detector.compare(mine, true).items():
                if detector.labels[name][1] == "%":
                    out[f"val_{name}_{after}"] = float(np.nanmean(values))
    return out


def train(
    recipe: Recipe,
    dataset_dir: Path,
    out: Path,
    sim_class: type[Sim],
    *,
    keys: dict[str, str],
    init: Path | None = None,
) -> None:
    """Train the recipe's model on a dataset; write weights, provenance and curve into `out`.

    `sim_class` is the sim that was recorded. Goes on from the checkpoint of a killed run in `out`.
    `init` is a weights folder to start from; see `Recipe.tuned`. `keys` (sim, data and train
    hashes) go into the provenance as they are. Raises UserError for a recipe or dataset that can't
    be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(dataset_dir)
    # What the data are, and what is found in them, is the same for all ranks.
    arrays = dataset.load("train")
    torch.manual_seed(recipe.seed)
    model = build(recipe, arrays, dataset.spec, init)
    arrays = fit(model, arrays)
    if init is not None:
        start_from(model, init, arrays)

    def work(ranks: Ranks) -> None:
        run = _train(recipe, dataset, arrays, model, out, sim_class, ranks)
        if ranks.rank == 0:
            finish(run, recipe, keys, init)

    launch(recipe.train.ranks, work)


def _train(
    recipe: Recipe, dataset: Dataset, arrays: Arrays, model: Any, out: Path,
    sim_class: type[Sim], ranks: Ranks,
) -> Run:  # fmt: skip
    """Be one of the ranks: all compute the same weights, and the first tells of it."""
    plan, first = recipe.train, ranks.rank == 0
    run = Run(model.to(device(ranks)), plan, out)
    resumed = run.resume()

    games = ranks.share(plan.batch)
    seed = recipe.seed + 7919 * run.step + 104_729 * ranks.rank
    torch.manual_seed(seed)
    source = Both(arrays, sim_class, recipe, games, seed, model.past)
    learn, carried = LOSSES[recipe.family], None
    if not first:
        while run.progress < 1.0:
            rate, source.live.horizon = schedule(plan, run.progress)
            loss, _, carried = learn(model, source, carried, plan, run.progress)
            run.update(loss, rate, ranks, 0.0)
        return run
    held_out = dataset.load("val")
    board = SummaryWriter(str(out / "tensorboard"))
    title = f"train {recipe.world}/{recipe.family}" + (" (resumed)" if resumed else "")
    saved_at = validated_at = run.minutes
    took = 0.0  # minutes that the last validation took
    with Progress(title, total=100.0, unit="%") as bar:
        bar.resume(100 * run.progress)
        clock = time.monotonic()
        while run.progress < 1.0:
            rate, source.live.horizon = schedule(plan, run.progress)
            loss, figures, carried = learn(model, source, carried, plan, run.progress)
            before, now = run.progress, time.monotonic()
            run.update(loss, rate, ranks, run.minutes + (now - clock) / 60)
            clock = now
            if run.step % 20 == 0:
                for name, value in figures.items():
                    board.add_scalar(name, value, run.step)
            # On a busy machine it would be all that the budget is spent on.
            rest = max(plan.validate_minutes, 5 * took)
            if run.minutes - validated_at >= rest or run.progress >= 1.0:
                validated_at = run.minutes
                point = {"step": float(run.step), "minutes": run.minutes, **figures}
                point["dream_steps"] = source.live.mean_dream()
                run.curve.append(point | validate(run, held_out, recipe.world))
                took = (time.monotonic() - clock) / 60
                for name, value in run.curve[-1].items():
                    if name.startswith("val_"):
                        board.add_scalar(name, value, run.step)
            last = run.curve[-1] if run.curve else {}
            bar.update(
                100 * (run.progress - before),
                **{name: figures[key] for name, key in TOLD.items() if key in figures},
                **{k[4:]: v for k, v in last.items() if k.startswith("val_")},
            )
            if run.minutes - saved_at >= plan.checkpoint_minutes:
                saved_at = run.minutes
                run.save()
    board.close()
    return run


def finish(run: Run, recipe: Recipe, keys: dict[str, str], init: Path | None) -> None:
    """Write the averaged weights with all that made them, and drop the checkpoint."""
    weights = {k: v.contiguous().cpu() for k, v in run.average.items()}
    provenance = {
        "keys": keys,
        "recipe": to_json(recipe),
        "seed": recipe.seed,
        "config": run.model.config.to_json(),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": run.step,
        "minutes": round(run.minutes, 2),
        "device": str(next(run.model.parameters()).device),
        "finetuned_from": init.name if init else None,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    aside = run.out / f"weights.{os.getpid()}"
    save_file(weights, aside, metadata={"sim": keys.get("sim", "")})
    aside.replace(run.out / "weights.safetensors")
    (run.out / "curve.json").write_text(json.dumps(run.curve, indent=1))
    (run.out / "provenance.json").write_text(json.dumps(provenance, indent=1))
    (run.out / CHECKPOINT).unlink(missing_ok=True)
