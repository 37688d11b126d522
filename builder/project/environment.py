"""A world that is recorded from a Gymnasium environment, which its recipes name in [gym].

The environment runs while it is looked at and recorded, in processes of its own. Nothing else needs
it: what a page and a build must know of it is in the committed weights.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import importlib.util
import re
from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import extras
from builder.project import cache
from builder.project.recorded import MISNAMED, NAME, Recorded, recipes_with, spec_of
from sims.contract import Spec
from sims.errors import UserError
from training import keys
from training.environment_recipe import SIDE, Gym
from training.recipe import NOTHING, Data, DataRecipe, Recipe

if TYPE_CHECKING:
    from builder.project.in_page import PageCode

LOOK = "training.data.environment.probe"
RECORD = "training.data.environment.record"
# Files of agents, and of games that a person played (`training.data.environment`).
PLAYERS = (".zip", ".json")
# The class of an environment, as an ID is registered: "module:Class".
ENTRY = re.compile(r"[A-Za-z_][\w.]*:\w+")


class Played(Recorded):
    """The environment of one world; `recipe` is the first file that names it."""

    def __init__(self, root: Path, name: str, recipe: Path, gym: Gym, data: Data) -> None:
        super().__init__(root, name, recipe, ".", SIDE)
        self.gym, self.data = gym, data

    @property
    def ours(self) -> bool:
        """Whether wmsite recorded it, so that it can be used as it is."""
        return True

    @property
    def spec(self) -> Spec:
        """The spec: from committed weights of this environment, or from a look at it."""
        return self._described[0]

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the environment: id, package, version, licence."""
        return self._described[1]

    @cached_property
    def _described(self) -> tuple[Spec, dict[str, Any]]:
        if self.fault:
            raise UserError(self.fault)
        told = self._committed()
        if told is None:
            return self._found()
        made = self._bound(spec_of(told["spec"], f"weights of world {self.name!r}"))
        about = told.get("environment")
        return made, dict(about) if isinstance(about, dict) else {}

    def _found(self) -> tuple[Spec, dict[str, Any]]:
        spec = spec_of(self.looked["spec"], f"environment '{self.gym.id}'")
        return self._bound(spec), dict(self.looked["about"])

    def _bound(self, spec: Spec) -> Spec:
        from training.data.environment import bindings

        return bindings.bind(spec, self.gym.actions, f"recipe {self.recipe}")

    def renew(self) -> None:
        """Let the spec be that of the installed environment, because it is recorded anew."""
        self._described = self._found()
        self.__dict__.pop("page", None)

    @cached_property
    def hash(self) -> str:
        """The hash of the recipe's table, without the names and keys of actions.

        What decides the recording beside it is in `key`.
        """
        if self.fault:
            raise UserError(self.fault)
        told = dataclasses.asdict(self.gym) | {
            "actions": [bound.value for bound in self.gym.actions.values()],
            "licence": "", "patience": 0,
        }  # fmt: skip
        del told["browser"]
        if not self.gym.names:  # As before there were names.
            del told["names"]
        return cache.key(gym=told)

    def key(self, data: Mapping[str, Any], seed: int) -> str:
        """Return the key of its dataset; where the environment isn't installed, the committed one.

        It contains the versions of its packages, and those of its modules that are the project's.
        """
        if self.missing and (told := self._committed()) is not None:
            return str(told["keys"].get("data"))
        from builder.project import code

        return cache.key(
            gym=self.hash, recipe=dict(data), seed=seed, code=code.code_hash([RECORD]),
            **self.sources(data["behaviours"]),
        )  # fmt: skip

    def sources(self, behaviours: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return what it is made of: versions of packages, and hashes of the project's files."""
        files = [name for name in behaviours if name.endswith(PLAYERS)]
        players = [name.partition(":")[0] for name in behaviours if ":" in name]
        own = own_sources(self.root, [*self.gym.imports, *module_of(self.gym.id), *players])
        own |= {name: cache.sha256(file.read_bytes()) for name in files
                if (file := self.root / name).is_file()}  # fmt: skip
        return {"versions": versions(self.gym, self.root), "own": own}

    @cached_property
    def own(self) -> dict[str, str]:
        """The files of the project that it or its players are, with their hashes."""
        return self.sources(self._players)["own"]

    @cached_property
    def missing(self) -> str:
        """The first package of it that isn't installed, or ''."""
        for name in ("gymnasium", *self.gym.imports, *module_of(self.gym.id)):
            top = name.partition(".")[0]
            there = own_file(self.root, top) or installed(top)
            if not there:
                return top
        return ""

    @cached_property
    def looked(self) -> dict[str, Any]:
        """What a look at it found, kept until anything of it changes."""
        if self.missing == "gymnasium":
            raise absent(f"world {self.name!r}")
        had = cache.read_json(self._kept, dict[str, Any]) or {}
        if had.get("key") != self._look_key:
            from training.data.environment import process

            self._kept.parent.mkdir(parents=True, exist_ok=True)
            log = self._kept.with_suffix(".log")
            log.unlink(missing_ok=True)
            found = process.looked(self.gym, self.root, log, self.name, self._players, self.sheet)
            had = dataclasses.asdict(found) | {"spec": found.spec.to_json()}
            self.keep(had)
        return had

    def keep(self, looked: Mapping[str, Any]) -> None:
        """Keep what a look at it found."""
        cache.write_json(self._kept, dict(looked) | {"key": self._look_key})

    @cached_property
    def page(self) -> PageCode | None:
        """The code of the page's sim, where the environment runs in the page, too."""
        from builder.project import in_page

        return in_page.made(self) if self.gym.browser else None

    @property
    def sheet(self) -> Path:
        """The picture of frames before and after scaling, once it was looked at."""
        return self._kept.with_suffix(".png")

    @property
    def _kept(self) -> Path:
        return self.root / ".wmsite" / "environments" / f"{self.name}.json"

    @property
    def _players(self) -> tuple[str, ...]:
        return tuple(sorted(self.data.behaviours)) or ("random",)

    @property
    def _look_key(self) -> str:
        from builder.project import code

        return cache.key(
            gym=dataclasses.asdict(self.gym), behaviours=self._players,
            code=code.code_hash([LOOK]), **self.sources(()),
        )  # fmt: skip

    def record(
        self, recipe: Recipe | DataRecipe, home: Path, name: str, processes: int | None = None,
        wait: bool = True,
    ) -> Path:  # fmt: skip
        """Return the dataset `home`/`name` that a recipe asks for, recorded if it is not there."""
        from training.data.record import whole

        if whole(home / name):
            return home / name
        from training.data.environment import record

        self.renew()
        what = record.Environment(self.gym, self.root, self.spec, self.about)
        return record.record(what, recipe, home, name, processes=processes, wait=wait)

    def _committed(self) -> dict[str, Any] | None:
        """Return the provenance of committed weights of this environment, if there is one."""
        made = (told for told in self._made() if told["keys"].get("sim") == self.hash)
        return next(made, None)


def find(root: Path, known: Container[str]) -> dict[str, Played]:
    """Return the environments of worlds with recipes that name one; `known` are other worlds."""
    found: dict[str, Played] = {}
    for name, file, told in recipes_with("gym", root, known):
        gym, data, fault = Gym(id=""), NOTHING, ""
        try:
            gym = keys.read(Gym, told["gym"], f"recipe '{file}'", "gym.")
            data = keys.read(Data, told.get("data", {}), f"recipe '{file}'", "data.")
        except UserError as error:
            fault = str(error)
        one = Played(root, name, file, gym, data)
        one.fault = fault
        other = found.setdefault(name, one)
        if other.fault:
            continue
        if not NAME.fullmatch(name):
            other.fault = MISNAMED.format(file=file, name=name)
        elif other.gym != gym:
            other.fault = (
                f"recipe {file}: its [gym] is another than that of {other.recipe.name} beside it; "
                "a world has one. Run: make them agree, then the same command again"
            )
    return found


def absent(where: str) -> UserError:
    """Return the error of an environment where Gymnasium is not installed."""
    return UserError(
        f"{where}: gymnasium is not installed. Run: {extras.install('gym')}, then the same command "
        "again",
        exit_code=3,
    )


def known_module(asked: str) -> str:
    """Return the module that registers an ID of a known namespace, if it is installed."""
    if not installed("gymnasium"):
        return ""
    from training.data.environment import namespaces

    package = namespaces.package_of(asked)
    return package[1] if package and installed(package[1].partition(".")[0]) else ""


def versions(gym: Gym, root: Path) -> dict[str, str]:
    """Return the version of each installed package that an environment is made of, as told."""
    by_module = importlib.metadata.packages_distributions()
    found: dict[str, str] = {}
    for name in ("gymnasium", *gym.imports, *module_of(gym.id)):
        top = name.partition(".")[0]
        for package in [] if own_file(root, top) else by_module.get(top, []):
            found[package] = importlib.metadata.version(package)
    return found


def own_sources(root: Path, modules: Iterable[str]) -> dict[str, str]:
    """Return the hash of each file of the project that some modules are, or import.

    Also those that a text names as "module:Class", as an ID is registered.
    """
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        module = todo.pop()
        parent = module.rpartition(".")[0]
        todo += [parent] if parent else []
        file = own_file(root, module)
        if file is None or (name := file.relative_to(root).as_posix()) in found:
            continue
        source = file.read_bytes()
        found[name] = cache.sha256(source)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            continue
        package = (module if file.name == "__init__.py" else parent).split(".")
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else []
                name = ".".join([*above, *filter(None, [node.module])])
                todo += [name, *(f"{name}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Constant) and ENTRY.fullmatch(str(node.value)):
                todo.append(str(node.value).partition(":")[0])
    return {name: found[name] for name in sorted(found)}


def own_file(root: Path, module: str) -> Path | None:
    """Return the file of a module that lies in the project."""
    stem = root.joinpath(*module.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def module_of(asked: str) -> list[str]:
    """Return the module that an ID names, as in "module:ID"."""
    module, colon, _ = asked.partition(":")
    return [module] if colon else []


def installed(module: str) -> bool:
    """Return whether a module of this name is there."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
