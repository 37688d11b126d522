"""A world without a simulator: the recording that its recipes name, with its spec and its hash.

The recording is never changed. Models read a copy of it in the project's cache, as a dataset of
ours.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.project import cache
from sims.contract import Action, Axis, Camera, Sensor, Spec
from sims.errors import UserError
from training import contained
from training.environment_recipe import SIDE

if TYPE_CHECKING:
    from training.data.foreign.folder import Foreign

ROOMS = ("meta", "data", "videos")  # the folders of a recording that count
MANIFEST = "meta/wmsite"  # that a dataset of ours has
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
MISNAMED = (
    "recipe {file}: {name!r} can't name a world: letters, digits, '_' and '-' can. "
    "Run: rename that folder"
)


class Recorded:
    """The recording of one world; `recipe` is the file that names it."""

    def __init__(self, root: Path, name: str, recipe: Path, dataset: str, side: int) -> None:
        self.root, self.name, self.recipe, self.side = root, name, recipe, side
        self.path = root / dataset
        self.fault = ""  # why it can't be used, though a recipe names it

    @property
    def ours(self) -> bool:
        """Whether wmsite recorded it, so that it can be used as it is."""
        return (self.path / MANIFEST).is_dir()

    @cached_property
    def foreign(self) -> Foreign:
        """The folder of another tool, opened; UserError where it can't be used."""
        from training.data.foreign.folder import Foreign

        return Foreign(self.path, self.name, self.side)

    @cached_property
    def spec(self) -> Spec:
        """The spec: from committed weights of this recording, or from the recording itself."""
        wanted = self.hash
        for told in self._made():
            if told["keys"].get("sim") == wanted:
                return spec_of(told["spec"], f"weights of world {self.name!r}")
        if self.ours:
            from training.data.dataset_manifest import recording_of

            told = recording_of(self.path)["spec"] | {"name": self.name}
            return spec_of(told, f"dataset '{self.path}'")
        return self.foreign.spec

    @cached_property
    def hash(self) -> str:
        """The hash of the recording's files, and of the size at which they are read.

        Where the folder is not, as where a site is only built: that of the committed weights.
        """
        if self.fault:
            raise UserError(self.fault)
        if not self.path.is_dir():
            if made := self._made():
                return str(made[0]["keys"].get("sim"))
            raise UserError(
                f"world {self.name!r}: {self.recipe}: there is no folder {self.path}. Run: put the "
                "recording there, or name its place as `dataset` in that file",
                exit_code=2,
            )
        kept = self.root / ".wmsite" / "recordings" / f"{self.name}.json"
        had = cache.read_json(kept, dict[str, list[int | str]]) or {}
        now: dict[str, list[int | str]] = {}
        for room in ROOMS:
            place = contained.inside(self.path, f"{room}/x", f"dataset '{self.path}'").parent
            for file in contained.files(place, f"dataset '{self.path}'"):
                name, told = file.relative_to(self.path).as_posix(), file.stat()
                marks: list[int | str] = [told.st_size, told.st_mtime_ns]
                same = had.get(name, [])
                now[name] = same if same[:2] == marks else [*marks, cache.sha256_file(file)]
        if now != had:
            cache.write_json(kept, now)
        return cache.key(files={name: told[2] for name, told in now.items()}, side=self.side)

    def dataset(self, home: Path, key: str) -> Path:
        """Return the dataset that models read, made in the folder `home` if it is not there."""
        if self.ours:
            return self.path
        from training.data.foreign import convert

        return convert.convert(self.foreign, home, f"{self.name}-{key[:16]}")

    def _made(self) -> list[dict[str, Any]]:
        """Return the provenances of committed weights that hold the spec of their recording."""
        files = sorted((self.root / "weights" / self.name).glob("*/provenance.json"))
        found = [cache.read_json(file, dict[str, Any]) or {} for file in files]
        kinds = {"spec": dict, "keys": dict}
        return [one for one in found if all(isinstance(one.get(k), v) for k, v in kinds.items())]


def recipes_with(
    key: str, root: Path, known: Container[str]
) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yield the worlds that are not `known`, and their recipes that have a key: name, file, values.

    A recipe that can't be read is refused, with its reason, when it is used.
    """
    for file in sorted((root / "recipes").glob("*/[!.]*.toml")):
        try:
            told = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if key in told and file.parent.name not in known:
            yield file.parent.name, file, told


def find(root: Path, known: Container[str]) -> dict[str, Recorded]:
    """Return the recordings of worlds with recipes that name one; `known` are those with a sim."""
    found: dict[str, Recorded] = {}
    for name, file, told in recipes_with("dataset", root, known):
        dataset, side = told["dataset"], told.get("side", SIDE)
        if not isinstance(dataset, str) or not dataset:
            continue
        one = Recorded(root, name, file, dataset, side if isinstance(side, int) else SIDE)
        other = found.setdefault(name, one)
        if not NAME.fullmatch(name):
            other.fault = MISNAMED.format(file=file, name=name)
        elif (other.path, other.side) != (one.path, one.side):
            other.fault = (
                f"recipe {file}: names another dataset, or another side, than {other.recipe.name} "
                "beside it; a world has one. Run: make them agree, then the same command again"
            )
    return found


def spec_of(told: Mapping[str, Any], where: str) -> Spec:
    """Make a spec of its JSON form; UserError that begins with `where` if it is none."""

    def make(kind: Any, values: Mapping[str, Any]) -> Any:
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        )

    parts = {"cameras": Camera, "actions": Action, "axes": Axis, "sensors": Sensor}
    try:
        made = {name: [make(kind, one) for one in told[name]] for name, kind in parts.items()}
        spec: Spec = make(Spec, dict(told) | made | {"hud": []})  # Only a sim fills in a HUD.
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: its spec is damaged ({type(error).__name__}: {error}). "
            "Run: take that file from where you trust it"
        ) from error
    return spec
