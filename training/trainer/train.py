"""Train a world model from a dataset and its sim: the whole training loop, to read top to bottom.

Training starts with teacher forcing on single recorded steps, many of them shortly before an event.
Then the model dreams: in a part of the games it continues from its own frames and sensors for more
and more steps, while the sim follows it and gives the targets (on-policy data as in DAgger, Ross et
al., 2011, arXiv:1011.0686; see `adopt` in `sims.detector`). The saved weights are an average of the
weights (Polyak and Juditsky, 1992, doi:10.1137/0330046).
"""

from __future__ import annotations

import copy
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
from sims.detector import detector_of
from sims.errors import UserError
from training import families
from training.data.dataset import Arrays, Dataset
from training.progress import Progress
from training.recipe import Recipe, Train, to_json
from training.trainer.checkpoints import build, fit, reads_rgb, start_from
from training.trainer.divergence import EASED, MOST, Watch
from training.trainer.muon import Muon
from training.trainer.ranks import Ranks, device, launch
from training.trainer.streams import Both
from training.trainer.validation import validate, wholeness

CHECKPOINT = "checkpoint.pt"
MOVED = "moving pixels right"
# Of few rollouts, chance alone makes one figure half as high again as another. Where that is all,
# later weights are better.
AS_GOOD = 0.5
KINDS = ("image", "scan", "path", "field", "vector")  # of observations, in the bar
# (arrays, sim class, recipe, games, seed, model) -> the source of the recorded steps
Source = Callable[..., Any]


class Run:
    """One training run on disk: everything that must survive a kill, and the curve so far."""

    def __init__(self, model: Any, recipe: Recipe, out: Path) -> None:
        self.model, self.recipe, self.plan, self.out = model, recipe, recipe.train, out
        plan = self.plan
        kernels = model.kernels()
        ids = {id(p) for p in kernels}
        rest = [p for p in model.parameters() if id(p) not in ids]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(kernels, plan.kernel_rate, decay=plan.weight_decay),
            torch.optim.AdamW(rest, plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.trained = [*kernels, *rest]
        self.rates = (plan.kernel_rate, plan.learning_rate)
        self.eased = 1.0  # the share of the rates that explosions have left
        self.watch = Watch()
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        # The averages that are kept, their step, and the most steps that any stayed whole; or {}.
        self.kept: dict[str, Any] = {}
        self.step = 0
        self.minutes = 0.0
        self.curve: list[dict[str, float]] = []

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, 0..1: by optimiser steps or by minutes."""
        return min(1.0, max(self.step / self.plan.steps, self.minutes / self.plan.minutes))

    def update_average(self) -> None:
        """Move the average of the weights (the saved weights) towards the weights."""
        keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)

    def update(self, loss: Tensor, share: float, ranks: Ranks, minutes: float) -> bool:
        """Take one optimiser step at a share 0..1 of the full learning rates, with all ranks.

        Returns whether all is well. If not, the loss has exploded: the weights are those of some
        updates ago again, and training goes on with new games. Raises UserError where that does not
        help.
        """
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rate * share * self.eased
        loss.backward()  # type: ignore[no-untyped-call]
        self.minutes, mean = ranks.average(self.trained, minutes, float(loss.detach()))
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        self.step += 1
        self.update_average()
        if self.watch.exploded(mean):
            self._go_back()
            return False
        if self.watch.keeps:
            self.watch.states.append(copy.deepcopy(self._state()))
        return True

    def _state(self) -> dict[str, Any]:
        """Return all that an update changes: weights, optimisers and the average."""
        return {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "average": self.average,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimiser, one in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(one)
        self.average = {name: value.clone() for name, value in state["average"].items()}

    def _go_back(self) -> None:
        state = self.watch.back()
        self.eased *= EASED
        if state is None or self.eased < EASED**MOST:
            world, family = self.recipe.world, self.recipe.family
            raise UserError(
                f"train {world}/{family}: the loss explodes again and again, even at "
                f"{100 * self.eased:.0f} % of the learning rates; lower 'learning_rate' and "
                f"'kernel_rate' in recipes/{world}/{family}.toml. Run: wmsite train {world}"
            )
        self._restore(copy.deepcopy(state))

    def save(self) -> None:
        """Write the checkpoint to a temporary file and swap it in as a whole."""
        aside = self.out / f"{CHECKPOINT}.{os.getpid()}"
        torch.save(
            {
                **self._state(),
                "step": self.step,
                "minutes": self.minutes,
                "eased": self.eased,
                "curve": self.curve,
                "kept": self.kept,
            },
            aside,
        )
        aside.replace(self.out / CHECKPOINT)

    def resume(self) -> bool:
        """Resume from a checkpoint of a killed run; False without one."""
        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        saved = torch.load(path, weights_only=True)
        self._restore(saved)
        self.step, self.minutes, self.curve = saved["step"], saved["minutes"], saved["curve"]
        self.eased = saved["eased"]
        self.kept = saved["kept"]
        return True

    def averaged(self) -> Any:
        """Return a model with the average of the weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model

    def choose(self, whole: float) -> None:
        """Keep the averages, unless others stayed whole for much longer; `whole` is in steps."""
        best = max(whole, self.kept.get("best", 0.0))
        if whole >= AS_GOOD * best:
            average = {name: value.clone() for name, value in self.average.items()}
            self.kept = {"average": average, "step": self.step}
        self.kept["best"] = best


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


def train(
    recipe: Recipe,
    dataset_dir: Path,
    out: Path,
    sim_class: type[Sim] | None,
    *,
    keys: dict[str, str],
    init: Path | None = None,
) -> None:
    """Train the recipe's model on a dataset; write weights, provenance and curve into `out`.

    `sim_class` is the recorded sim, if there is one. Resumes from the checkpoint of a killed run in
    `out`. `init` is a weights folder to start from; see `Recipe.tuned`. `keys` (sim, data and train
    hashes) go into the provenance unchanged. Raises UserError for a recipe or dataset that can't be
    used.
    """
    out.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(dataset_dir)
    # The data, and what the regression finds in them, are the same for all ranks.
    arrays = dataset.load("train", rgb=reads_rgb(recipe))
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
    sim_class: type[Sim] | None, ranks: Ranks,
) -> Run:  # fmt: skip
    """Be one of the ranks: all compute the same weights, and the first one reports them."""
    plan, first = recipe.train, ranks.rank == 0
    run = Run(model.to(device(ranks)), recipe, out)
    resumed = run.resume()

    games = ranks.share(plan.batch)
    part = families.part(recipe.family, "loss")
    source_of: Source = getattr(part, "source", Both.source)

    def begin() -> tuple[Any, Any]:
        """Return a source of games that begin here, and what is carried from step to step."""
        seed = recipe.seed + 7919 * run.step + 104_729 * ranks.rank
        torch.manual_seed(seed)
        return source_of(arrays, sim_class, recipe, games, seed, model), None

    source, carried = begin()
    learn = part.loss
    if not first:
        while run.progress < 1.0:
            rate, source.horizon = schedule(plan, run.progress)
            loss, _, carried = learn(model, source, carried, plan, run.progress)
            if not run.update(loss, rate, ranks, 0.0):
                source, carried = begin()
        return run
    held_out = dataset.load("val", rgb=reads_rgb(recipe))
    board = SummaryWriter(str(out / "tensorboard"))
    title = f"train {recipe.world}/{recipe.family}" + (" (resumed)" if resumed else "")
    begun = run.step, run.minutes
    saved_at = validated_at = run.minutes
    took = 0.0  # minutes of the last validation
    with Progress(title, total=100.0, unit="%") as bar:
        bar.resume(100 * run.progress)
        judge = wholeness(recipe, arrays, held_out, model.config.history)
        if plan.select == "whole" and judge is None:
            bar.say(
                'select = "whole": no held-out game is long enough, or the frames are too varied '
                "to tell; the last weights are kept"
            )
        clock = time.monotonic()
        while run.progress < 1.0:
            rate, source.horizon = schedule(plan, run.progress)
            loss, figures, carried = learn(model, source, carried, plan, run.progress)
            before, now = run.progress, time.monotonic()
            if not run.update(loss, rate, ranks, run.minutes + (now - clock) / 60):
                source, carried = begin()
                bar.say(
                    f"the loss exploded; back to the weights before it, at {100 * run.eased:.0f} % "
                    "of the learning rates"
                )
            clock = now
            if run.step % 20 == 0:
                for name, value in figures.items():
                    board.add_scalar(name, value, run.step)
            # On a busy machine, validation could use up the whole budget.
            rest = max(plan.validate_minutes, 5 * took)
            if run.minutes - validated_at >= rest or run.progress >= 1.0:
                validated_at = run.minutes
                point = {"step": float(run.step), "minutes": run.minutes, **figures}
                point["dream_steps"] = source.mean_dream()
                average = run.averaged()
                point |= validate(average, plan, held_out, recipe.world, dataset.spec)
                if judge:
                    point["val_whole"] = judge.median(average)
                    run.choose(point["val_whole"])
                run.curve.append(point)
                took = (time.monotonic() - clock) / 60
                for name, value in run.curve[-1].items():
                    if name.startswith("val_"):
                        board.add_scalar(name, value, run.step)
            last = run.curve[-1] if run.curve else {}
            frames = (run.step - begun[0]) * plan.batch * plan.unroll
            pace = frames / max(60 * (run.minutes - begun[1]), 1e-9)
            told = {"frames a second": f"{pace:,.0f}"} | _told(figures, last, recipe)
            bar.update(100 * (run.progress - before), **told)
            if run.minutes - saved_at >= plan.checkpoint_minutes:
                saved_at = run.minutes
                run.save()
    board.close()
    return run


def _told(figures: dict[str, float], last: dict[str, float], recipe: Recipe) -> dict[str, str]:
    """Return the text of the bar: a step's figures and the last validation."""
    told = {"loss": f"{figures['frame_loss']:.3g}"} if "frame_loss" in figures else {}
    if "moved_right" in figures:
        told[MOVED] = f"{100 * figures['moved_right']:.0f} %"
    steps = recipe.train.validate_steps
    names = {"val_moved_right": f"the same in {steps} steps alone, held out"}
    if detector := detector_of(recipe.world):
        names[f"val_{detector.held}_30"] = f"{detector.labels[detector.held][0]} at step 30"
    names |= {f"val_{k}": f"{k}: error less than repeated" for k in KINDS}
    told |= {
        text: f"{100 * last[key]:.0f} %"
        for key, text in names.items()
        if not math.isnan(last.get(key, math.nan))
    }
    if "val_whole" in last:
        told["steps alone that look like recorded ones, median"] = f"{last['val_whole']:.0f}"
    return told


def finish(run: Run, recipe: Recipe, keys: dict[str, str], init: Path | None) -> None:
    """Write the chosen weights and their provenance, and delete the checkpoint."""
    chosen = run.kept.get("average", run.average)
    weights = {k: v.contiguous().cpu() for k, v in chosen.items()}
    provenance = {
        "keys": keys,
        "recipe": to_json(recipe),
        "seed": recipe.seed,
        "config": run.model.config.to_json(),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": run.step,
        "kept_step": run.kept.get("step", run.step),
        "minutes": round(run.minutes, 2),
        "device": str(next(run.model.parameters()).device),
        "finetuned_from": init.name if init else None,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    aside = run.out / f"weights.{os.getpid()}"
    save_file(weights, aside, metadata={"sim": keys.get("sim", "")})
    aside.replace(run.out / "weights.safetensors")
    (run.out / "curve.json").write_text(json.dumps(run.curve, indent=1), encoding="utf-8")
    (run.out / "provenance.json").write_text(json.dumps(provenance, indent=1), encoding="utf-8")
    (run.out / CHECKPOINT).unlink(missing_ok=True)
