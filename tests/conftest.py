"""What several rooms' tests share: a small recipe for the real Breakout, and its recording."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sims
from builder import chromium
from training import attacks, families
from training.evaluation import measures
from training.recipe import Recipe, from_json

# Packages to which a project brings modules of its own.
BROUGHT = (sims, attacks, families, measures)
# Made once for many modules, in up to minutes.
SHARED = ("graphs", "trained", "whole_site", "glow")
# What trains, builds a site, opens a browser or loads much: `make quick` leaves out its tests.
SLOW = {*SHARED, "untrained", "starter_site", "site", "browser", "visit", "datasets"}


@pytest.hookimpl(tryfirst=True)  # xdist's own hook reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one process a module's tests, and those that share what takes long to make.

    Those that use what is slow are slow.
    """
    for item in items:
        used = getattr(item, "fixturenames", ())
        group = next((name for name in SHARED if name in used), item.path.stem)
        item.add_marker(pytest.mark.xdist_group(group))
        if SLOW.intersection(used):
            item.add_marker(pytest.mark.slow)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The longest first, so that the short ones fill what is left.
        items.sort(key=lambda item: not set(SHARED).intersection(getattr(item, "fixturenames", ())))


def put_back() -> Iterator[None]:
    """Let worlds be loaded anew meanwhile; then put back the modules that were there before."""
    loaded = {name: m for name, m in sys.modules.items() if name.split(".")[0] == "sims"}
    paths = [list(package.__path__) for package in BROUGHT]
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "sims"]:
        del sys.modules[name]
    sys.modules.update(loaded)
    for package, folders in zip(BROUGHT, paths, strict=True):
        package.__path__[:] = folders
    for name, module in loaded.items():
        if "." in name:
            setattr(sims, name.split(".")[1], module)
    importlib.invalidate_caches()


@pytest.fixture(scope="module", autouse=True)
def worlds_put_back() -> Iterator[None]:
    """Leave to the next module the classes that it imported: a class of two loads is no longer one.

    Building a project loads its worlds anew.
    """
    yield from put_back()


@pytest.fixture
def own_sims() -> Iterator[None]:
    """Let a test load and reload worlds; put back the modules that were there before it."""
    yield from put_back()


TINY: dict[str, Any] = {
    "world": "breakout",
    "family": "object_laws",
    "seed": 3,
    "data": {
        "steps": 3000,
        "worlds": 12,
        "episode_steps": 120,
        "splits": {"train": 0.6, "val": 0.2, "test": 0.2},
    },
    "train": {
        "minutes": 1.0,
        "steps": 6,
        "batch": 4,
        "unroll": 8,
        "learning_rate": 1e-3,
        "validate_games": 4,
        "validate_steps": 30,
    },
    "evaluate": {
        "seeds": 1,
        "rollouts": 2,
        "horizons": [1, 10],
        "steps": 20,
        "games": 2,
        "play_steps": 20,
    },
    "export": {"variants": ["fp32"], "tolerance": {}, "calibration": 8, "replays": 2},
}


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return from_json(TINY)


@pytest.fixture(scope="session")
def tiny_denoiser() -> Recipe:
    return from_json(TINY | {"family": "denoiser"})


@pytest.fixture(scope="session")
def tiny_dataset(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording to read only: copy it before changing it."""
    from sims.breakout import Breakout
    from training.data.record import record

    return record(Breakout, tiny_recipe, tmp_path_factory.mktemp("datasets"), "tiny")


@pytest.fixture(scope="session")
def starter_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `wmsite new` made, built without training: to read only (copy it first)."""
    from builder.commands import build, new
    from builder.terminal import Terminal

    # Each process has its own: copies share the folder of packages, and a build writes there.
    folder = new.run(tmp_path_factory.mktemp("projects") / "starter", Terminal(quiet=True))
    # Folders there are named by what made them: sharing them saves minutes and hides nothing.
    shared = Path(__file__).parents[1] / ".wmsite" / "vendor"
    if shared.is_dir():
        shutil.copytree(shared, folder / ".wmsite" / "vendor")
    build.run(build.Options(root=folder, train="never"), Terminal(quiet=True))
    return folder


@pytest.fixture(scope="session")
def datasets() -> ModuleType:
    """The package with which others read recordings: its import takes seconds."""
    return importlib.import_module("datasets")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium.browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def tiny_drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of driving with all its sensors, in two files: to read only."""
    from sims.driving import Driving
    from training.data import lerobot
    from training.data.record import record
    from training.recipe import Data, DataRecipe

    splits = {"train": 0.5, "val": 0.25, "test": 0.25}
    data = Data(steps=240, worlds=3, episode_steps=30, splits=splits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lerobot, "FILE_MB", 0.3)
        folder = tmp_path_factory.mktemp("drives")
        return record(Driving, DataRecipe("driving", 1, data), folder, "tiny")
