"""Find the code that decides a product: the modules that its entry imports, by their content.

The place and the name of a module do not count: moving or renaming a file repeats no work. Its
imports count: each name that it binds, and the code behind that name.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.project import cache
from builder.project.worlds import PACKAGES
from sims.source import parse
from training import attacks, families
from training.evaluation import measures

ROOMS = ("sims", "training", "builder")
# Modules that decide no number, and import none that does: they report, lock, run work side by
# side, check, describe, or write to the disk. A recipe's values are in the keys themselves, and so
# is the sim, with its own closure.
QUIET = {
    "builder.project.aside",
    "builder.project.cache",
    "builder.chromium",
    "builder.extras",
    "builder.project.kept",
    "builder.site.manifest",
    "builder.project.worlds",
    "builder.site.vendor",
    "sims.errors",
    "training.contained",
    "training.environment_recipe",
    "training.keys",
    "training.locks",
    "training.processes",
    "training.progress",
    "training.recipe",
    "training.data.environment.coverage",
    "training.data.environment.namespaces",
    "training.data.verify",
}


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds: `from module import name as bound`.

    `level` counts the dots before the module; `seen_from` takes them away.
    """

    module: str
    name: str  # Empty for `import module`.
    bound: str
    level: int = 0

    @property
    def whole(self) -> str:
        """The module that the import names, where it names one."""
        return f"{self.module}.{self.name}" if self.name else self.module

    def seen_from(self, module: str, file: Path) -> Import:
        """Return the import with its absolute module, where `module` in `file` imports it."""
        if not self.level:
            return self
        package = module.split(".")[: None if file.name == "__init__.py" else -1]
        above = package[: len(package) + 1 - self.level]
        whole = ".".join([*above, *filter(None, [self.module])])
        return Import(whole, self.name, self.bound)


def code_hash(entries: Iterable[str]) -> str:
    """Return the hash of the content of the named modules and of all our modules that they import.

    Raises UserError for a file that can't be parsed.
    """
    files = {name: file for name in closure(entries) if (file := find(name))}
    some = (_identity(name, file) for name, file in files.items() if any(_parts(file)))
    return cache.key(modules=sorted(some))


def closure(entries: Iterable[str]) -> list[str]:
    """Return by name the modules that decide the results of `entries`, themselves included."""
    found: set[str] = set()
    todo = list(entries)
    while todo:
        name = todo.pop()
        file = find(name)
        if name in found or name in QUIET or file is None:
            continue
        found.add(name)
        for one in _parts(file)[1]:
            seen = one.seen_from(name, file)
            todo += [seen.module, seen.whole]
        if "." in name:
            todo.append(name.rpartition(".")[0])
    return sorted(found)


def find(name: str) -> Path | None:
    """Return the file of a module of ours; None if we have no module of that name."""
    if name.split(".")[0] not in ROOMS:
        return None
    parts = name.split(".")
    stems = [PACKAGES.joinpath(*parts)]
    for package in (attacks, families, measures):  # A project may bring some of its own.
        if name.startswith(f"{package.__name__}."):
            below = parts[package.__name__.count(".") + 1 :]
            stems = [Path(folder, *below) for folder in package.__path__] + stems
    files = (file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def _identity(module: str, file: Path) -> str:
    does, imports = _parts(file)
    bound = sorted(_behind(one.seen_from(module, file)) for one in imports)
    return cache.key(does=does, bound=bound)


def _behind(one: Import) -> tuple[str, str, str]:
    """Return what a name is bound to: (the name, the code or the package behind it, its part)."""
    module = one.whole if find(one.whole) else one.module
    part = "" if module == one.whole else one.name
    file = find(module)
    if file is None:
        return one.bound, module, part
    return one.bound, "" if module in QUIET else _parts(file)[0], part


def _parts(file: Path) -> tuple[str, tuple[Import, ...]]:
    return cache.of_source(file, _parts_of)


@functools.lru_cache(maxsize=1024)
def _parts_of(source: str) -> tuple[str, tuple[Import, ...]]:
    """Return a source without its import statements, and the names that these bind."""
    tree = parse(source)
    text = cache.normalise(source, tree, imports=False)
    return text and cache.sha256(text.encode()), tuple(_bound(tree))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, without what is there for the check of types alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        typed = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        for one in child.orelse if typed else [child]:  # type: ignore[attr-defined]
            yield from _running(one)


def _bound(tree: ast.Module) -> Iterator[Import]:
    for node in _running(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                bound = alias.asname or alias.name
                yield Import(node.module or "", alias.name, bound, node.level)
