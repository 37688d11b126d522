"""Find code in a world's sources that gives other bytes in another Python, by the table of hazards.

Names are followed through imports, aliases, attributes and the world's own modules. Code that
reading cannot decide is noted (`suspects`): it is the likely cause if two Pythons then play
differently.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from sims import hazards
from sims.errors import UserError
from sims.resolve import Names, Source, base_of, plain, text
from sims.values import exact_square, is_set, is_single, largest

# Modules whose functions are judged by name: code that passes a whole module on hides the calls.
TRACKED = frozenset({"numpy", "math", "os", "sys", "builtins", "operator", "statistics"})
NARROW = frozenset({"int", "uint", "intp", "uintp", "long", "ulong", "l", "L", "p", "P"})
LARGEST = 2**31 - 1  # The largest number in the browser's default integer.
ABSENT = (
    "which the browser does not have: there is Python's standard library, and NumPy. Write its "
    "rules with these alone, or, if it is a Gymnasium environment, let a model learn its frames. "
    "Run: wmsite new DIR --gym ID"
)
IMPORTERS = ("builtins.__import__", "importlib.import_module")
# Functions that read a set in its order.
THROUGH = frozenset(
    ("list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "reversed", "sum")
)


@dataclass(frozen=True)
class Finding:
    """One place in a source: its code, and the hazard."""

    path: Path
    line: int
    written: str
    hazard: hazards.Hazard

    def __str__(self) -> str:
        """Return the hazard, and what to use instead."""
        hazard = self.hazard
        return f"{self.path}:{self.line}: `{self.written}` {hazard.why}; use {hazard.instead}."


def check(world: str, sources: list[Source]) -> None:
    """Raise UserError at the first line that is known to differ, or that the browser can't run."""
    defined = {
        node.name
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
    }
    for source in sources:
        reader = _read(source, defined)
        if reader.absent:
            line, name = min(reader.absent)
            raise UserError(f"world '{world}': {source.path}:{line}: it imports {name}, {ABSENT}")
        if found := sorted(reader.findings, key=lambda f: f.line):
            first, more = found[0], sorted({f.line for f in found} - {found[0].line})
            others = f" See lines {', '.join(map(str, more[:8]))} too." if more else ""
            raise UserError(f"world '{world}': {first}{others}")


def suspects(sources: list[Source]) -> list[Finding]:
    """Return code that may differ, by the data: casts, squares of numbers, sets and so on."""
    return [s for source in sources for s in _read(source, set()).suspects]


def _read(source: Source, defined: set[str]) -> _Reader:
    reader = _Reader(source, defined)
    try:
        reader.visit(source.tree)
    except RecursionError:
        raise UserError(
            f"{source.path}:1: nested too deeply to be checked. "
            "Run: split its longest expression, then build again"
        ) from None
    return reader


class _Reader(Names):
    """The visitor of one file; `findings` are refused, `absent` is missing in the browser."""

    def __init__(self, source: Source, defined: set[str]) -> None:
        super().__init__(source)
        self.defined = defined
        self.findings: list[Finding] = []
        self.suspects: list[Finding] = []
        self.absent: list[tuple[int, str]] = []
        self.guarded = 0  # Within `try: import ...`: the sim expects a missing module.

    # --- What is found ----------------------------------------------------------------------

    def found(self, node: ast.AST, key: hazards.Hazard | str, written: str = "") -> None:
        """Note a place, once for each line."""
        hazard = hazards.BY_KEY[key] if isinstance(key, str) else key
        line = getattr(node, "lineno", 1)
        places = self.findings if hazard.seen else self.suspects
        if any(place.line == line and hazard in (place.hazard, key) for place in places):
            return
        written = " ".join((written or self.source.text(node)).split())
        shown = written if len(written) <= 60 else f"{written[:57]}..."
        places.append(Finding(self.source.path, line, shown, hazard))

    def module(self, node: ast.Import | ast.ImportFrom | ast.Call, name: str, written: str) -> None:
        """Judge one imported module, or a name from one."""
        if hazard := hazards.find(plain(name)):
            return self.found(node, hazard, written)
        top = name.split(".")[0]
        there = top in sys.stdlib_module_names - hazards.LEFT_OUT or top in ("numpy", "sims")
        if top and not there and not self.guarded:
            self.absent.append((node.lineno, top))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.module(node, alias.name, f"import {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = base_of(self.source, node)
        for alias in node.names:
            written = f"from {'.' * node.level}{node.module or ''} import {alias.name}"
            if hazards.NAMED.get(f"import {base}"):
                written = f"import {base}"
            if alias.name == "*" and base in TRACKED:
                self.found(node, "hidden", written)
            ties = f"{base}.{alias.name}" == "numpy.argsort"  # Judged at its call.
            self.module(node, base if ties else f"{base}.{alias.name}", written)

    def visit_Try(self, node: ast.Try) -> None:
        caught = {"ImportError", "ModuleNotFoundError", "Exception"}
        expects = any(
            handler.type is None
            or caught & {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
            for handler in node.handlers
        )
        self.guarded += expects
        for child in node.body:
            self.visit(child)
        self.guarded -= expects
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def visit_If(self, node: ast.If) -> None:
        if self.resolve(node.test) == "typing.TYPE_CHECKING":
            return
        left = node.test.left if isinstance(node.test, ast.Compare) else None
        if isinstance(left, ast.Name) and left.id == "__name__":
            return  # Code that runs only as a program is no part of the world.
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.within(node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        given = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
        for part in (*getattr(node, "decorator_list", ()), *given):
            if not self._is_module(part):
                self.visit(part)
        if isinstance(node, ast.Lambda):
            self.within([ast.Expr(node.body)], node.args)
        else:
            self.within(node.body, node.args)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and not self._is_module(node.value):
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.visit(target)
        if not self._is_module(node.value):
            self.visit(node.value)

    def _is_module(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name | ast.Attribute) and self.resolve(node) in TRACKED

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            return
        name = self.resolve(node)
        if name in TRACKED:
            self.found(node, "hidden")
        elif name and (hazard := hazards.find(name)) and not _ties(name):
            self.found(node, hazard)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self.resolve(node) if isinstance(node.ctx, ast.Load) else None
        if name and (hazard := hazards.find(name)):
            if not _ties(name):
                self.found(node, hazard)
            return
        if name in TRACKED or node.attr in ("__dict__", "__getattribute__", "__builtins__"):
            self.found(node, "hidden")
            return
        if isinstance(node.ctx, ast.Load) and (not name or name.startswith("numpy.ndarray.")):
            self._method(node, node.attr)
        if not self._is_module(node.value):
            self.visit(node.value)

    def _method(self, node: ast.AST, attribute: str) -> None:
        """Refuse a method of arrays, unless the world itself defines one of that name."""
        own = attribute in self.defined and not attribute.startswith("__")
        if not own and not _ties(f".{attribute}") and (m := hazards.NAMED.get(f".{attribute}")):
            self.found(node, m)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, complex):
            self.found(node, "complex")

    def visit_Call(self, node: ast.Call) -> None:
        name = self.resolve(node.func)
        last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        rest: list[ast.AST] = [*node.args, *node.keywords]
        if name in ("builtins.getattr", "builtins.hasattr", *IMPORTERS) and node.args:
            if name != "builtins.hasattr":
                self._by_text(node, name)
            rest = [part for part in rest if not self._is_module(part)]
        if _ties(name or f".{last}"):
            if not self._orderly(node, last or "argsort"):
                self.found(node, "ties")
        else:
            self._integers(node, name or "", last)
            self._sets(node, name or "", last)
        self.visit(node.func)
        for part in rest:
            self.visit(part)

    def _by_text(self, node: ast.Call, name: str) -> None:
        """Judge a name that a string looks up or imports."""
        meant = self.resolve(node)
        if meant and name in IMPORTERS:
            self.module(node, meant, self.source.text(node))
        elif meant and (hazard := hazards.find(meant)):
            self.found(node, hazard)
        elif not meant and (name in IMPORTERS or self._is_module(node.args[0])):
            self.found(node, "hidden")
        elif not meant and len(node.args) > 1:
            self._method(node, text(node.args[1]) or "")

    def _orderly(self, node: ast.Call, name: str) -> bool:
        """Return whether a sorting call says what happens to equal values."""
        if name == "partition":  # For a string it is another method.
            return not node.args or self.fold(node.args[0]) is None
        for keyword in node.keywords:
            if keyword.arg == "kind":
                return text(keyword.value) in ("stable", "mergesort")
            if keyword.arg == "stable":
                return isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        return False

    # --- Integers and powers ----------------------------------------------------------------

    def _integers(self, node: ast.Call, name: str, last: str) -> None:
        """Refuse `int` as a type, and note what casts and what makes default integers."""
        numpy = name.startswith("numpy.")
        types = [k.value for k in node.keywords if k.arg == "dtype"]
        types += node.args[:1] if last in ("astype", "view") else []
        types += node.args[1:] if numpy and last in ("array", "asarray", "zeros", "ones") else []
        types += node.args[1:] if numpy and last in ("empty", "full", "arange", "dtype") else []
        types += node.args[:1] if name == "numpy.dtype" else []
        for kind in types:
            if self.resolve(kind) == "builtins.int" or text(kind) in NARROW:
                self.found(node, "integers")
        if last == "astype" and node.args:
            named = self.resolve(node.args[0]) or ""
            whole = text(node.args[0]) or named.rpartition(".")[2]
            if re.match(r"u?int(8|16|32|64|p)$|[<>=|]?[iu][1248]$", whole):
                self.found(node, "casts")
        if name == "builtins.sum":
            self.found(node, "sums")
        if name in ("numpy.sort", "numpy.unique") or last == "sort":
            self.found(node, "zeros")
        typed = bool(types)
        listed = isinstance(node.args[0], ast.List | ast.Tuple) if node.args else False
        made = name in ("numpy.arange", "numpy.full")
        if not typed and (made or (listed and name in ("numpy.array", "numpy.asarray"))):
            self.found(node, "narrow")
        if last in ("sum", "prod", "cumsum", "cumprod") and not typed:
            self.found(node, "narrow")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._operator(node, node.op, node.left, node.right)
        large = largest(self, node)
        if large is not None and LARGEST < large < math.inf:
            self.found(node, "integers")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._operator(node, node.op, node.target, node.value)
        self.generic_visit(node)

    def _operator(self, node: ast.AST, op: ast.operator, left: ast.expr, right: ast.expr) -> None:
        """Refuse `@`, and `**` except for an array's square or square root."""
        if isinstance(op, ast.MatMult):
            self.found(node, "products")
        if not isinstance(op, ast.Pow):
            return
        base, power = self.fold(left), self.fold(right)
        if base is not None and power is not None:
            whole = isinstance(base, int) and isinstance(power, int) and power >= 0
            twos = base > 0 and math.frexp(base)[0] == 0.5 and isinstance(power, int)
            if not whole and not twos and not (power == 2 and exact_square(float(base))):
                self.found(node, "single powers" if power in (2, 0.5) else "powers")
        elif power not in (2, 0.5):
            self.found(node, "powers")
        elif is_single(self, left):
            self.found(node, "single powers")
        else:
            self.found(node, "scalars")

    # --- Sets -------------------------------------------------------------------------------

    def _sets(self, node: ast.Call, name: str, last: str) -> None:
        """Refuse calls that read a set in its order, and note where a set is made."""
        if name in ("builtins.set", "builtins.frozenset"):
            self.found(node, "set order")
        own = name.removeprefix("builtins.")
        through = own in THROUGH or name.startswith("numpy.") or last in ("join", "fromkeys")
        if through and any(is_set(self, argument) for argument in node.args):
            self.found(node, "sets")
        popped = node.func.value if isinstance(node.func, ast.Attribute) else node
        if last == "pop" and not node.args and is_set(self, popped):
            self.found(node, "sets")

    def visit_For(self, node: ast.For) -> None:
        self._through(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._through(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._through(node.value)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self.found(node, "set order")
        self.generic_visit(node)

    def _through(self, through: ast.AST) -> None:
        if is_set(self, through):
            self.found(through, "sets")


def _ties(name: str) -> bool:
    """Return whether a function is judged by its arguments, at its call."""
    return name in ("numpy.argsort", ".argsort", ".partition")
