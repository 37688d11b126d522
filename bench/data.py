"""Datasets: queries to a large manifest, and recording the world with the most sensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.table import ROOT, Figure, median
from sims.driving import Driving
from training.data.dataset import Dataset
from training.data.dataset_manifest import EVENTS, FORMAT, MANIFEST
from training.data.lerobot import VERSION, features, modalities, write_json, write_parquet
from training.data.record import record
from training.recipe import Data, DataRecipe

STEPS, LENGTH = 1_000_000, 200
EVERY = 10  # steps between two events: more events than drivers cause
RECORDED = 100_000  # steps of the figure; this many are recorded:
TRIAL = 20_000
CHILD = (
    "import resource, sys; from pathlib import Path; from bench.data import drive\n"
    "seconds = drive(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
    "both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN\n"
    "used = [t for who in both for t in resource.getrusage(who)[:2]]\n"
    "print(seconds, peak, sum(used))"
)


def large(folder: Path) -> None:
    """Write only the manifest of a million steps of driving."""
    spec = Driving.spec
    count = STEPS // LENGTH
    numbers = np.arange(count)

    def turn(names: tuple[str, ...], every: int = 1) -> pa.Array:
        return pa.array([names[i // every % len(names)] for i in range(count)])

    first = numbers * LENGTH
    split = pa.array(np.where(numbers < count * 9 // 10, "train", "val"))
    rows = {
        "episode_index": numbers, "split": split, "behaviour": turn(spec.behaviours),
        "scenario": turn(spec.scenarios, 5), "condition": turn(spec.conditions, 3),
        "seed": numbers + 10**6, "ended": turn(("truncated", "terminated"), 7),
        "length": np.full(count, LENGTH), "data/chunk_index": numbers // 100_000,
        "data/file_index": numbers // 100, "dataset_from_index": first,
        "dataset_to_index": first + LENGTH,
    }  # fmt: skip
    (folder / MANIFEST).mkdir(parents=True)
    write_parquet(folder / MANIFEST / "episodes.parquet", pa.table(rows))
    at = np.arange(0, STEPS, EVERY)
    names = [spec.events[i % len(spec.events)] for i in range(len(at))]
    happened = pa.table([names, at // LENGTH, at % LENGTH, at], schema=EVENTS)
    write_parquet(folder / MANIFEST / "events.parquet", happened)
    splits = {"train": f"0:{count * 9 // 10}", "val": f"{count * 9 // 10}:{count}"}
    write_json(
        folder / "meta/info.json",
        {
            "codebase_version": VERSION, "total_episodes": count, "total_frames": STEPS,
            "splits": splits, "features": features(spec), "fps": spec.rate,
        },
    )  # fmt: skip
    write_json(
        folder / MANIFEST / "recording.json",
        {
            "format": FORMAT, "world": spec.name, "spec": spec.to_json(), "frames": STEPS,
            "episodes": count, "modalities": modalities(spec), "files": {}, "palette": None,
        },
    )  # fmt: skip


def drive(out: Path, steps: int, shards: int, processes: int) -> float:
    """Record driving as its recipe does, except for the number of steps; return the seconds."""
    data = Data(steps, worlds=32, episode_steps=200, shards=shards)
    began = time.perf_counter()
    record(Driving, DataRecipe("driving", 1, data), out, str(steps), processes=processes)
    return time.perf_counter() - began


def _child(out: Path, steps: int, shards: int, processes: int) -> list[float]:
    command = [sys.executable, "-c", CHILD, str(out), str(steps), str(shards), str(processes)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=_environment()
    )
    return [float(value) for value in done.stdout.split()]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _asked(folder: Path) -> float:
    """Open the manifest and make one query; return milliseconds."""
    began = time.perf_counter()
    dataset = Dataset.open(folder)
    found = dataset.query(scenario="junction", condition="fog", event="red_light")
    assert len(found.rows)
    return 1000 * (time.perf_counter() - began)


def measure() -> list[Figure]:
    """Time queries in a warm process and as a command, then a short recording."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "large"
        large(folder)
        asked = median([_asked(folder) for _ in range(5)])
        command: list[Any] = [sys.executable, "-m", "builder.cli", "data", "query", folder]
        command += ["--scenario", "junction/fog", "--event", "red_light", "--json"]
        times = []
        for _ in range(3):
            began = time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            times.append(1000 * (time.perf_counter() - began))
            assert json.loads(done.stdout)["episodes"]
        note = f"opened and asked; {STEPS // LENGTH:,} episodes, {STEPS // EVERY:,} events"
        what = "data query over the manifest of 1,000,000 steps"
        figures.append(Figure(what, asked, "ms", at_most=200, note=note))
        figures.append(Figure("the same as a command, Python's start with it", min(times), "ms"))
        seconds, _, cpu = _child(Path(name) / "two", TRIAL, 4, 2)
        fold = RECORDED / TRIAL
        figures.append(
            Figure(
                "recording 100,000 steps of driving, all sensors, 2 processes",
                seconds * fold, "s", at_most=300,
                note=f"{TRIAL:,} steps, times {fold:g}; {cpu * fold:.0f} s of CPU",
            )
        )  # fmt: skip
        peaks = [_child(Path(name) / "one", n * 1000, n, 1)[1] for n in (3, 9)]
        told = f"{peaks[0]:.0f} MB for a third of the steps"
        figures.append(
            Figure(
                "memory of a recorder, at most",
                peaks[1],
                "MB",
                at_most=1.1 * peaks[0] + 20,
                note=told,
            )
        )
    return figures
