"""Read a world's files, and find out what each name in them stands for.

Names are followed through imports, aliases, attributes and the world's own modules; no code runs. A
name with several assignments stands for all of them.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sims.errors import UserError
from sims.host import CORE
from sims.source import UNREADABLE, fault, parse

Origin = str | ast.expr | None  # A dotted name, an expression, or a name of the sim itself.


@dataclass
class Source:
    """One parsed file of a world; `module` is its dotted name."""

    module: str
    path: Path
    tree: ast.Module

    def text(self, node: ast.AST) -> str:
        """Return a node's source text."""
        source = self.path.read_bytes().decode(errors="replace")
        return ast.get_source_segment(source, node) or ast.unparse(node)


def read(world: str, folder: Path, files: list[Path]) -> list[Source]:
    """Parse a world's files, and the files of its project's `sims` folder that they import.

    UserError for one that can't be parsed.
    """
    sources: dict[Path, Source] = {}
    todo = list(files)
    while todo:
        path = todo.pop(0)
        if path in sources:
            continue
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(["sims", *(parts[:-1] if parts[-1] == "__init__" else parts)])
        source = sources[path] = Source(name, path, _parsed(world, path))
        for found in _imports(source):
            stem = folder.joinpath(*found.split(".")[1:])
            near = (stem.with_suffix(".py"), stem / "__init__.py")
            todo += [p for p in near if found != "sims" and p.is_file() and _own(p, folder)]
    return list(sources.values())


def _own(path: Path, folder: Path) -> bool:
    return path.parent != folder or path.stem not in CORE


def _parsed(world: str, path: Path) -> ast.Module:
    try:
        return parse(path.read_bytes())
    except UNREADABLE as error:
        line, message = fault(error)
    raise UserError(
        f"world '{world}': {path}:{line}: {message}. Run: mend that line, then build again"
    )


def _imports(source: Source) -> Iterator[str]:
    """Yield the dotted names within `sims` that a file's imports may mean."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("sims."))
        elif isinstance(node, ast.ImportFrom):
            base = base_of(source, node)
            if base.split(".")[0] == "sims":
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def base_of(source: Source, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    package = source.module.split(".")
    up = node.level - (source.path.name == "__init__.py")
    return ".".join([*package[: len(package) - up], *filter(None, [node.module])])


@dataclass
class Scope:
    """The meaning of the names of a module, class or function."""

    outer: Scope | None = None
    of_class: bool = False  # Functions within do not see it.
    bound: dict[str, list[Origin]] = field(default_factory=dict)

    def bind(self, name: str, origin: Origin) -> None:
        """Add one assignment of a name."""
        self.bound.setdefault(name, []).append(origin)

    def find(self, name: str) -> Scope | None:
        """Return the innermost scope that sets a name; None if no scope does."""
        scope: Scope | None = self
        while scope and name not in scope.bound:
            scope = scope.outer
        return scope


class Names(ast.NodeVisitor):
    """The meaning of the names of one file at the visited place."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.attributes = Scope()  # For any object, by name: `self.xp = np`.
        self.scope = Scope()
        self._known: dict[tuple[int, str], str | None] = {}  # By scope and name.

    def resolve(self, node: ast.AST, depth: int = 0) -> str | None:
        """Return the dotted name that an expression stands for, if it comes from outside."""
        if depth > 16:
            return None
        if isinstance(node, ast.Name):
            scope = self.scope.find(node.id)
            if scope is None:
                return f"builtins.{node.id}" if hasattr(builtins, node.id) else None
            return self._first(scope, node.id, depth)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value, depth + 1)
            return plain(f"{base}.{node.attr}") if base else self._first(self.attributes, node.attr)
        if isinstance(node, ast.Call):
            called, names = self.resolve(node.func, depth + 1), [text(a) for a in node.args]
            if called == "builtins.getattr" and len(names) > 1 and names[1]:
                base = self.resolve(node.args[0], depth + 1)
                return f"{base}.{names[1]}" if base else None
            if called in ("builtins.__import__", "importlib.import_module") and names[:1] != [None]:
                return names[0] if names else None
        return None

    def _first(self, scope: Scope, name: str, depth: int = 0) -> str | None:
        """Return the first assignment of a name that comes from outside."""
        key = (id(scope), name)
        if key not in self._known:
            self._known[key] = None  # While the search runs: `x = x` says nothing.
            for origin in scope.bound.get(name, []):
                found = self.resolve(origin, depth + 1) if isinstance(origin, ast.expr) else origin
                if found:
                    self._known[key] = found
                    break
        return self._known[key]

    def only(self, node: ast.AST) -> ast.AST:
        """Return the value of a name that is set just once; otherwise the node itself."""
        for _ in range(8):
            scope = self.scope.find(node.id) if isinstance(node, ast.Name) else None
            origins = scope.bound[node.id] if scope and isinstance(node, ast.Name) else []
            if len(origins) != 1 or not isinstance(origins[0], ast.expr):
                break
            node = origins[0]
        return node

    def fold(self, node: ast.AST, depth: int = 0) -> int | float | None:
        """Return the number that a constant expression is, or None."""
        node = self.only(node)
        if isinstance(node, ast.Constant):
            value = node.value
            return value if isinstance(value, int | float) and type(value) is not bool else None
        if depth > 16:
            return None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.fold(node.operand, depth + 1)
            return None if value is None else -value
        if isinstance(node, ast.BinOp):
            a, b = self.fold(node.left, depth + 1), self.fold(node.right, depth + 1)
            if a is None or b is None:
                return None
            return _computed(node.op, a, b)
        return None

    def bind(self, body: list[ast.stmt], arguments: ast.arguments | None = None) -> None:
        """Note the assignments of a body, without functions and classes within it."""
        if arguments:
            given = [*arguments.posonlyargs, *arguments.args]
            defaults: list[ast.expr | None] = [None] * (len(given) - len(arguments.defaults))
            pairs = list(zip(given, [*defaults, *arguments.defaults], strict=True))
            pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            pairs += [(rest, None) for rest in (arguments.vararg, arguments.kwarg) if rest]
            for argument, default in pairs:
                self.scope.bind(argument.arg, None)
                self.scope.bind(argument.arg, default)
        todo: list[ast.AST] = list(body)
        while todo:
            node = todo.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.scope.bind(node.name, None)
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    whole = alias.asname is not None
                    name = alias.name if whole else alias.name.split(".")[0]
                    self.scope.bind(alias.asname or name, name)
            elif isinstance(node, ast.ImportFrom):
                base = base_of(self.source, node)
                for alias in node.names:
                    self.scope.bind(alias.asname or alias.name, plain(f"{base}.{alias.name}"))
            for target, value in assigned(node):
                if isinstance(target, ast.Name):
                    self.scope.bind(target.id, value)
                elif isinstance(target, ast.Tuple | ast.List):
                    for part in ast.walk(target):
                        if isinstance(part, ast.Name):
                            self.scope.bind(part.id, None)
            todo += ast.iter_child_nodes(node)

    def within(self, body: list[ast.stmt], arguments: ast.arguments | None = None) -> None:
        """Visit the body of a function, or (without arguments) of a class."""
        outside = self.scope
        outer = outside.outer if outside.of_class and arguments else outside
        self.scope = Scope(outer, of_class=arguments is None)
        self.bind(body, arguments)
        for child in body:
            self.visit(child)
        self.scope = outside

    def visit_Module(self, node: ast.Module) -> None:
        """Note the assignments of the file, and visit all of it."""
        for inner in ast.walk(node):  # `self.xp = np` counts in the whole file.
            body = inner.body if isinstance(inner, ast.ClassDef) else []
            for part in (inner, *body):
                for target, value in assigned(part):
                    named = isinstance(value, ast.Name)
                    if named and isinstance(target, ast.Attribute):
                        self.attributes.bind(target.attr, value)
                    elif named and part is not inner and isinstance(target, ast.Name):
                        self.attributes.bind(target.id, value)
        self.bind(node.body)
        for child in node.body:
            self.visit(child)


def _computed(op: ast.operator, a: float, b: float) -> int | float | None:
    try:
        match op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
            case ast.Div():
                return a / b
            case ast.FloorDiv():
                return a // b
            case ast.Pow() if abs(b) <= 64 and abs(a) <= 2**64:
                power: int | float | complex = a**b
                return None if isinstance(power, complex) else power
    except ArithmeticError:
        pass
    return None


def plain(name: str) -> str:
    """Return a dotted name without the world's own modules that only pass it on."""
    name = re.sub(r"^sims\.[\w.]+\.(?:np|numpy)\b", "numpy", name)
    return re.sub(r"^sims\.[\w.]+\.math\b", "math", name)


def text(node: ast.AST) -> str | None:
    """Return the string that a node is."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield the targets of one node, with their values if the source shows them."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple | ast.List):
                value = node.value
                same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(
                    target.elts
                )
                values = value.elts if same and isinstance(value, ast.Tuple | ast.List) else []
                for i, part in enumerate(target.elts):
                    yield part, values[i] if values else None
            else:
                yield target, node.value
    elif (isinstance(node, ast.AnnAssign) and node.value is not None) or isinstance(
        node, ast.NamedExpr
    ):
        yield node.target, node.value
    elif isinstance(node, ast.AugAssign):
        yield node.target, None
    elif isinstance(node, ast.For | ast.comprehension):
        yield from ((n, None) for n in ast.walk(node.target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, None
