"""Make the sim of a page out of an environment that is Python and NumPy alone."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.project import cache, code, kept
from sims.contract import Array, Spec
from sims.errors import UserError

if TYPE_CHECKING:
    from builder.project.environment import Played

PACKAGES = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("page_imports.py")
AS_SIM = "training.data.environment.as_sim"
TOLD = "told.json"
OURS = {"sims", "training"}
LIMIT = 180.0  # seconds for a moment of play
AGENTS = (".zip", ".json")  # files of players, which a page can't run
MODULE = '''"""The environment {id} as the sim of a page; `wmsite build` wrote this file."""

from sims.contract import Action, Axis, Camera, HudField, Sensor, Spec
from training.data.environment.as_sim import EnvironmentSim
from training.environment_recipe import Bound, Gym


class World(EnvironmentSim):
    """The environment."""

    gym = {gym}
    spec = {spec}
    rows_first = {rows_first}
'''


@dataclass(frozen=True)
class PageCode:
    """The Python files of a page's sim, by their place in the page; and a game's first ticks.

    `standard` names the modules of the standard library and of NumPy that it imports. `poster` is a
    frame, uint8 [cameras, H, W, 3].
    """

    files: dict[str, Path]
    standard: list[str]
    opening: list[str]
    poster: Array

    @property
    def packages(self) -> set[str]:
        """The names of the packages and single modules, but for wmsite's own."""
        return {path.partition("/")[0].removesuffix(".py") for path in self.files} - OURS


def page_spec(spec: Spec) -> Spec:
    """Return a world's spec as its page has it: without players that a page can't run."""
    some = tuple(name for name in spec.behaviours if not name.endswith(AGENTS)) or ("random",)
    return dataclasses.replace(spec, behaviours=some)


def made(played: Played) -> PageCode:
    """Return the code of an environment's sim, found anew if anything of it has changed.

    UserError where it can't be played here.
    """
    if played.missing:
        raise UserError(
            f"world {played.name!r}: gym.browser is true, and {played.missing} is not installed, "
            f"whose code goes into the page. Run: pip install {played.missing}, or take that line "
            f"out of {played.recipe}",
            exit_code=3,
        )
    spec, gym = page_spec(played.spec), played.gym
    key = cache.key(
        spec=spec.to_json(), gym=dataclasses.asdict(gym), rules=[cache.sha256_file(RUNNER), MODULE],
        code=code.code_hash([AS_SIM]), python=sys.version_info[:2],
        **played.sources(spec.behaviours),
    )  # fmt: skip
    folder = played.root / ".wmsite" / "environments" / f"{played.name}-{key[:12]}"

    def make(made: Path) -> None:
        text = MODULE.format(
            id=gym.id, gym=repr(gym), spec=repr(spec), rows_first=_rows_first(played, spec)
        )
        cache.write(made / "sims" / f"{played.name}.py", text.encode())
        told = _imported(played, made)
        del told["files"][f"sims/{played.name}.py"]  # It will lie elsewhere.
        cache.write_json(made / TOLD, {**told, "hashes": _hashes(told)})

    kept.kept(folder, make)
    if _hashes(told := _told(folder)) != told["hashes"]:  # A package was installed anew.
        shutil.rmtree(folder)
        told = _told(kept.kept(folder, make))
    here = {f"sims/{played.name}.py": folder / "sims" / f"{played.name}.py"}
    files = {path: Path(file) for path, file in told["files"].items()} | here
    poster = np.array(told["poster"], np.uint8)
    return PageCode(dict(sorted(files.items())), told["standard"], told["opening"], poster)


def _told(folder: Path) -> dict[str, Any]:
    return cache.read_json(folder / TOLD, dict[str, Any]) or {}


def _hashes(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of the imported files that are there."""
    files = ((path, Path(file)) for path, file in told["files"].items())
    return {path: cache.sha256_file(file) for path, file in files if file.is_file()}


def _rows_first(played: Played, spec: Spec) -> bool:
    from training.data.environment.scaling import rows_first

    whole = played.gym.crop[2:] or played.about.get("frame")
    size = spec.cameras[0].height, spec.cameras[0].width
    if played.gym.scaling != "area" or not whole or (there := (whole[0], whole[1])) == size:
        return False
    return rows_first(there, size)


def _imported(played: Played, folder: Path) -> dict[str, Any]:
    """Play the sim in processes of its own; return what it imports, and how a game begins.

    What has compiled code is taken away then, with all that only that imports; if the sim does not
    play without, what plays it in the browser says which import is missing there.
    """
    found = _played(played, folder, [])
    if "files" not in found:
        said = found.get("error") or "it ended without a word"
        mend = "" if "Run: " in said else f". Run: mend that, or take it out of {played.recipe}"
        raise UserError(
            f"world {played.name!r}: gym.browser is true, and environment '{played.gym.id}' can't "
            f"be played as a sim; {said}{mend}"
        )
    without = _played(played, folder, found["compiled"]) if found["compiled"] else {}
    return without if "files" in without else found


def _played(played: Played, folder: Path, blocked: list[str]) -> dict[str, Any]:
    """Play the sim without some packages; return what `page_imports` says."""
    from training.data.environment.process import QUIETLY

    path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))
    environment = os.environ | QUIETLY | {"PYTHONPATH": path}
    out = folder / "imports.json"
    command = [sys.executable, "-P", RUNNER, played.root, folder, played.name, out, *blocked]
    try:
        done = subprocess.run(
            [str(part) for part in command], env=environment, capture_output=True,
            encoding="utf-8", errors="replace", timeout=LIMIT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"it plays nothing within {LIMIT:.0f} s"}
    told = cache.read_json(out, dict[str, Any])
    out.unlink(missing_ok=True)
    return told or {"error": " ".join(done.stderr.strip().splitlines()[-1:])[:300]}
