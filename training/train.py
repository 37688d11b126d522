"""Train a world model from a recorded dataset: read top to bottom, it is the whole loop.

Windows of the data are watched for `burn_in` steps and then played for `unroll` steps, in a
growing share on the model's own frames (scheduled sampling, Bengio et al., 2015,
arXiv:1506.03099; on-policy data as in DAgger, Ross et al., 2011, arXiv:1011.0686). A sample
whose own frame has gone too far from the truth is given the true frame again, so that no target
contradicts what the model was shown.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from training.dataset import Dataset
from training.muon import Muon
from training.objective import Probe, Windows, choose, rollout_loss
from training.progress import Progress
from training.recipe import Recipe, Train, to_json
from training.weights import build, start_from

CHECKPOINT = "checkpoint.pt"


class Run:
    """One training run on disk: what must survive a kill, and the curve so far."""

    def __init__(self, model: Any, probe: Probe, plan: Train, out: Path) -> None:
        self.model, self.probe, self.plan, self.out = model, probe, plan, out
        kernels = [p for m in model.modules() if isinstance(m, nn.Conv2d) for p in (m.weight,)]
        ids = {id(p) for p in kernels}
        rest = [p for p in [*model.parameters(), *probe.parameters()] if id(p) not in ids]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(kernels, plan.kernel_rate, decay=plan.weight_decay),  # type: ignore[arg-type]
            torch.optim.AdamW(rest, plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
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

    def update(self, loss: Tensor, share: float) -> None:
        """Take one optimiser step at a share 0..1 of the full learning rates."""
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rate * share
        loss.backward()  # type: ignore[no-untyped-call]
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
                "probe": self.probe.state_dict(),
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
        self.probe.load_state_dict(saved["probe"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.average = saved["average"]
        self.step, self.minutes, self.curve = saved["step"], saved["minutes"], saved["curve"]
        return True


def schedule(plan: Train, progress: float) -> tuple[float, float, int]:
    """Return (share of the learning rates, self-fed share, window length) at `progress` 0..1.

    The rates warm up and fall as a cosine; the model's own frames and the length of the play
    grow from `teacher_share` of the budget on, over half of it.
    """
    warm = min(1.0, progress / 0.01)
    rate = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
    grown = min(1.0, max(0.0, (progress - plan.teacher_share) / 0.5))
    unroll = plan.unroll_first + (plan.unroll - plan.unroll_first) * grown
    # A few lengths only, so that each has its index of windows made once.
    return rate, plan.self_fed * grown, plan.burn_in + max(4, round(unroll) // 4 * 4)


@torch.no_grad()
def validate(run: Run, windows: Windows, samples: int = 64) -> dict[str, float]:
    """Play held-out windows open loop on the averaged weights; shares of right pixels."""
    model = run.model
    live = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(run.average)
    windows.rng = np.random.default_rng(0)  # the same windows every time
    batch = windows.draw(samples, next(model.parameters()).device)
    hidden = torch.zeros(samples, model.config.channels, *model.grid, device=batch.action.device)
    seen = model.pack(batch.index[:, 0])
    whole = moved_right = moved = 0.0
    steps = 0
    for t in range(batch.action.shape[1]):
        logits, hidden, _ = model.advance(
            model.one_hot(seen), hidden, batch.action[:, t], batch.chance[:, t]
        )
        before, target = model.pack(batch.index[:, t]), model.pack(batch.index[:, t + 1])
        guess = choose(logits, model.colours)
        if t >= run.plan.burn_in:
            changed = (target != before) | (guess != before)
            moved_right += float((changed & (guess == target)).sum())
            moved += float(changed.sum())
            whole += float((guess == target).flatten(1).all(1).float().mean())
            steps += 1
            seen = guess
        else:
            seen = target
    model.load_state_dict(live)
    return {"val_moved_right": moved_right / max(1.0, moved), "val_whole_frames": whole / steps}


def train(
    recipe: Recipe,
    dataset_dir: Path,
    out: Path,
    *,
    keys: dict[str, str],
    init: Path | None = None,
) -> None:
    """Train the recipe's model on a dataset; write weights, provenance and curve into `out`.

    Goes on from the checkpoint of a killed run in `out`. `init` is a weights folder to fine-tune
    from, with the recipe's [finetune] budget. `keys` (sim, data and train hashes) go into the
    provenance as they are. Raises UserError for a recipe or dataset that can't be used.
    """
    plan = recipe.finetune if init is not None and recipe.finetune else recipe.train
    torch.manual_seed(recipe.seed)
    if "OMP_NUM_THREADS" not in os.environ:  # torch leaves half of two virtual cores idle
        torch.set_num_threads(os.cpu_count() or 1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(dataset_dir)
    arrays = dataset.load("train")
    model = build(recipe, arrays).to(device)
    probe = Probe(model.config.channels, model.grid, arrays.sensor_matrix().shape[1]).to(device)
    if init is not None:
        start_from(model, init)
    run = Run(model, probe, plan, out)
    resumed = run.resume()

    windows: dict[int, Windows] = {}
    held_out = Windows(dataset.load("val"), plan.burn_in + 30, plan, 0)
    board = SummaryWriter(str(out / "tensorboard"))
    title = f"train {recipe.world}/{recipe.family}" + (" (resumed)" if resumed else "")
    saved_at = validated_at = run.minutes
    with Progress(title, total=100.0, unit="%") as bar:
        bar.resume(100 * run.progress)
        clock = time.monotonic()
        while run.progress < 1.0:
            rate, self_fed, length = schedule(plan, run.progress)
            if length not in windows:
                windows[length] = Windows(arrays, length, plan, recipe.seed + 7919 * run.step)
            batch = windows[length].draw(plan.batch, device)
            loss, figures = rollout_loss(model, probe, batch, plan, self_fed)
            run.update(loss, rate)
            before, now = run.progress, time.monotonic()
            run.minutes += (now - clock) / 60
            clock = now
            if run.step % 20 == 0:
                for name, value in figures.items():
                    board.add_scalar(name, value, run.step)
            if run.minutes - validated_at >= plan.validate_minutes or run.progress >= 1.0:
                validated_at = run.minutes
                point = {"step": float(run.step), "minutes": run.minutes, **figures}
                run.curve.append(point | validate(run, held_out))
                for name in ("val_moved_right", "val_whole_frames"):
                    board.add_scalar(name, run.curve[-1][name], run.step)
            last = run.curve[-1] if run.curve else {}
            bar.update(
                100 * (run.progress - before),
                loss=figures["frame_loss"],
                moved=figures["moved_right"],
                **{k[4:]: v for k, v in last.items() if k.startswith("val_")},
            )
            if run.minutes - saved_at >= plan.checkpoint_minutes:
                saved_at = run.minutes
                run.save()
    board.close()
    finish(run, recipe, keys, init)


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
