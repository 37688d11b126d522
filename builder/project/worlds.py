"""A project folder: its worlds, the sources that each world's sim needs, and their hashes."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sims
from builder.project import cache, environment, recorded
from builder.project.environment import Played
from builder.project.recorded import Recorded
from sims.contract import Spec
from sims.errors import UserError
from sims.source import UNREADABLE, fault, parse
from training import attacks, families
from training.evaluation import measures

PACKAGES = Path(__file__).parents[2]
SIMS = Path(sims.__file__ or "").parent
TEMPLATE = PACKAGES / "site_template"
WORLD = re.compile(r"^class\s+\w+\s*\([^)\n]*\bSim\b", re.MULTILINE)
# The modules that the page's Python needs beside the sim's own closure.
PAGE_MODULES = ("sims.host",)


@dataclass(frozen=True)
class Module:
    """One Python file that a sim imports: dotted name, its file, and its place in the page."""

    name: str
    file: Path
    path: str


class World:
    """One world of a project: a sim or a recording, and the models of its recipes or weights.

    `file` is the sim's source. A world without a simulator has `recorded`, and its `file` is the
    recipe that names the recording.
    """

    def __init__(
        self, project: Project, name: str, file: Path, recorded: Recorded | None = None
    ) -> None:
        self.project = project
        self.name = name
        self.file = file
        self.recorded = recorded
        self._sim: type[Any] | None = None

    @cached_property
    def closure(self) -> list[Module]:
        """All modules of `sims` that the world imports, itself included, by name."""
        return [] if self.recorded else self.project.closure([f"sims.{self.name}"])

    @property
    def page_modules(self) -> list[Module]:
        """The closure, and the modules that the page's worker imports."""
        if self.recorded:
            files = self.played.page.files if self.played and self.played.page else {}
            return [Module(_dotted(path), file, path) for path, file in files.items()]
        return self._sim_modules

    @cached_property
    def _sim_modules(self) -> list[Module]:
        return self.project.closure([f"sims.{self.name}", *PAGE_MODULES])

    @cached_property
    def hash(self) -> str:
        """The hash of the sim's code, its whole closure without prose; or of the recording."""
        return self.recorded.hash if self.recorded else _hash(self.closure)

    @property
    def page_hash(self) -> str:
        """The hash of the code of the page's sim; empty without one."""
        if self.recorded:
            return _hash(self.page_modules) if self.page_modules else ""
        return self.hash

    @property
    def sim(self) -> type[Any] | None:
        """The sim class; None for a world without a simulator."""
        return None if self.recorded else self.load()

    @property
    def played(self) -> Played | None:
        """The environment that the world is recorded from; None for any other world."""
        return self.recorded if isinstance(self.recorded, Played) else None

    @property
    def spec(self) -> Spec:
        """The spec of the sim, or of the recording."""
        if self.recorded:
            return self.recorded.spec
        spec: Spec = self.load().spec
        return spec

    @cached_property
    def detector(self) -> str:
        """The hash of the code that reads and judges the world's frames; empty without any."""
        name = f"sims.{self.name}.detector"
        return _hash(self.project.closure([name])) if self.project.find(name) else ""

    @property
    def families(self) -> list[str]:
        """The names of the model families with a recipe, in order."""
        # Not what editors keep beside a file, which begins with a dot.
        recipes = (self.project.root / "recipes" / self.name).glob("[!.]*.toml")
        return sorted(p.stem for p in recipes if p != self.data_recipe)

    def recipe(self, family: str) -> Path:
        """Return the recipe's file."""
        return self.project.root / "recipes" / self.name / f"{family}.toml"

    @property
    def data_recipe(self) -> Path:
        """The recipe that says what to record and trains nothing; it may be absent."""
        return self.project.root / "recipes" / self.name / "data.toml"

    @property
    def card(self) -> Path:
        """The folder of the committed dataset card of the world; it may be absent."""
        return self.project.root / "data-cards" / self.name

    def weights(self, family: str) -> Path:
        """Return the committed weights folder, which may be absent."""
        return self.project.root / "weights" / self.name / family

    def editable(self, module: Module) -> bool:
        """Return whether the page's editor may change a module: the world's own files."""
        if self.played:
            return module.path in self.played.own
        own = self.file.parent if self.file.name == "__init__.py" else self.file
        return module.file == own or own in module.file.parents

    def forget(self) -> None:
        """Unload own modules and delete their .pyc, which Python matches by size and seconds."""
        for name in [n for n in sys.modules if n.startswith(f"sims.{self.name}.")]:
            del sys.modules[name]  # The detector too: it holds imported parts of the sim.
        for module in self.closure:
            if self.editable(module):
                sys.modules.pop(module.name, None)
                Path(importlib.util.cache_from_source(str(module.file))).unlink(missing_ok=True)

    def load(self) -> type[Any]:
        """Import the sim class; UserError with file and line if that fails, or without a sim."""
        if self._sim is not None:
            return self._sim
        if self.recorded:
            only = f"the recording {self.recorded.path}"
            if self.played:
                only = f"the environment {self.played.gym.id}"
            raise UserError(
                f"world {self.name!r}: it has no simulator, only {only}, and this needs one. "
                f"Run: wmsite data show {self.name}, to see what is recorded",
                exit_code=2,
            )
        self.project.activate()
        self.forget()
        host = importlib.import_module("sims.host")
        try:
            sim: type[Any] = host.load_sim(f"sims.{self.name}")
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"world {self.name!r}: {where(error, self.project)}: "
                f"{type(error).__name__}: {error}. Run: mend that line, then build again"
            ) from error
        if sim.spec.name != self.name:
            raise UserError(
                f"world {self.name!r}: {self.file}: its spec is named {sim.spec.name!r}; the file "
                "and the spec must agree. Run: rename either, then build again"
            )
        self._sim = sim
        return sim


class Project:
    """A folder with mkdocs.yml, docs/, sims/, recipes/ and weights/."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @classmethod
    def open(cls, root: Path) -> Project:
        """Return the project at `root`; UserError where there is none."""
        if not (root / "mkdocs.yml").is_file():
            raise UserError(
                f"folder {root.resolve()}: no mkdocs.yml, so no wmsite project. "
                "Run: wmsite new DIR, or give --project DIR",
                exit_code=2,
            )
        return cls(root)

    @property
    def cache(self) -> Path:
        """The project's git-ignored cache folder."""
        return self.root / ".wmsite"

    def lock(self, wait: bool = False) -> AbstractContextManager[None]:
        """Lock what builds change: the site and the light caches. Training has its own locks."""
        return cache.lock(self.cache / "lock", f"project {self.root}", wait)

    @cached_property
    def worlds(self) -> dict[str, World]:
        """All worlds by name: files of sims/ with a class that derives from Sim, then others.

        A recording or an environment is a world where a recipe names it, and sims/ has none of that
        name.
        """
        found = {}
        for path in sorted((self.root / "sims").glob("*")):
            file = path / "__init__.py" if path.is_dir() else path
            if file.suffix != ".py" or not file.is_file() or path.name.startswith("_"):
                continue
            if WORLD.search(file.read_text(errors="replace", encoding="utf-8")):
                found[path.stem] = World(self, path.stem, file)
        simulated = set(found)
        for kind in (recorded, environment):
            for name, one in kind.find(self.root, simulated).items():
                found.setdefault(name, World(self, name, one.recipe, one))
        return found

    def world(self, name: str) -> World:
        """Return one world; UserError for an unknown name."""
        if name not in self.worlds:
            known = ", ".join(self.worlds) or "none"
            raise UserError(
                f"world {name!r}: there is no such world in {self.root / 'sims'}, and no recipe in "
                f"{self.root / 'recipes' / name} names a dataset or an environment. Known: {known}",
                exit_code=2,
            )
        return self.worlds[name]

    def find(self, name: str) -> Path | None:
        """Return the file of a `sims` module: the project's own first, then the package's."""
        parts = name.split(".")[1:]
        for base in dict.fromkeys((self.root / "sims", SIMS)):
            stem = base.joinpath(*parts)
            init = stem / "__init__.py"
            if parts and stem.with_suffix(".py").is_file():
                return stem.with_suffix(".py")
            # The package's own __init__ applies to all, even if a project has one there.
            if init.is_file() and (parts or base == SIMS):
                return init
        return None

    def closure(self, names: list[str]) -> list[Module]:
        """Return some modules, all modules of `sims` that they import, and their packages."""
        found: dict[str, Module] = {}
        todo = list(names)
        while todo:
            name = todo.pop()
            file = self.find(name)
            if name in found or file is None:
                continue
            base = name.replace(".", "/")
            path = f"{base}/__init__.py" if file.name == "__init__.py" else f"{base}.py"
            found[name] = Module(name, file, path)
            todo += imports(name, file)
            if "." in name:
                todo.append(name.rpartition(".")[0])
        return [found[name] for name in sorted(found)]

    def activate(self) -> None:
        """Make `import sims.<world>` find this project's worlds first; so with what it may add."""
        families.bring(self.root / "families")
        measures.bring(self.root / "measures")
        attacks.bring(self.root / "attacks")
        mine, package = str(self.root / "sims"), str(SIMS)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name == UserError.__module__:
                continue  # Another class of that name would not be caught.
            if name.startswith("sims.") and file and self.find(name) != Path(file):
                del sys.modules[name]
        sims.__path__[:] = list(dict.fromkeys((mine, package)))
        importlib.invalidate_caches()


def _dotted(path: str) -> str:
    """Return the name of the module that a file of the page is."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _hash(modules: list[Module]) -> str:
    return cache.key(**{m.name: cache.source_hash(m.file) for m in modules})


def imports(name: str, file: Path) -> list[str]:
    """Return the `sims` modules that a file's import statements may mean."""
    try:
        tree = parse(file.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        line, reason = fault(error)
        raise UserError(f"{file}:{line}: {reason}. Run: mend that line, then build again") from None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [n for n in found if n == "sims" or n.startswith("sims.")]


def where(error: BaseException, project: Project) -> str:
    """Return "file:line" of the innermost frame of an exception that lies in a sim."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    folders = (str(project.root / "sims"), str(SIMS))
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(folders)] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(project.root)
