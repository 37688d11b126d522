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
# Functions that read a set in its order, and methods that make a set from a set.
THROUGH = frozenset(
    ("list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "reversed", "sum")
)
SETS = frozenset(["union", "intersection", "difference", "symmetric_difference", "copy"])


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

    def largest(self, node: ast.AST, depth: int = 0) -> float | None:
        """Return the largest value of a default integer array; None for anything else."""
        node = self.only(node)
        if depth > 16:
            return None
        if isinstance(node, ast.Subscript):
            return self.largest(node.value, depth + 1)
        if isinstance(node, ast.UnaryOp):
            return self.largest(node.operand, depth + 1)
        if isinstance(node, ast.Call):
            name = self.resolve(node.func)
            if any(keyword.arg == "dtype" for keyword in node.keywords):
                return None
            if name == "numpy.arange" and 1 <= len(node.args) <= 3:
                values = [self.fold(argument) for argument in node.args]
                if any(isinstance(value, float) for value in values):
                    return None
                return math.inf if None in values else max(abs(v) for v in values if v is not None)
            if name in ("numpy.array", "numpy.asarray", "numpy.full") and node.args:
                listed = node.args[-1] if name == "numpy.full" else node.args[0]
                if len(node.args) > 1 + (name == "numpy.full"):
                    return None
                items = [n for n in ast.walk(listed) if isinstance(n, ast.Constant)]
                if items and all(type(item.value) is int for item in items):
                    return max(abs(item.value) for item in items if isinstance(item.value, int))
        if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Div):
            sides = [self.largest(side, depth + 1) for side in (node.left, node.right)]
            if sides == [None, None]:
                return None
            found = [
                self.fold(side) if size is None else size
                for side, size in zip((node.left, node.right), sides, strict=True)
            ]
            a, b = found
            if a is None or b is None or (isinstance(a, float) and not math.isinf(a)):
                return None
            if isinstance(b, float) and not math.isinf(b):
                return None
            return _grown(node.op, abs(a), abs(b))
        return None

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._operator(node, node.op, node.left, node.right)
        large = self.largest(node)
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
            if not whole and not twos and not (power == 2 and _exact_square(float(base))):
                self.found(node, "single powers" if power in (2, 0.5) else "powers")
        elif power not in (2, 0.5):
            self.found(node, "powers")
        elif self._single(left):
            self.found(node, "single powers")
        else:
            self.found(node, "scalars")

    def _single(self, node: ast.AST) -> bool:
        """Return whether an expression is certainly one Python float."""
        node = self.only(node)
        if isinstance(node, ast.BinOp):
            sides = (node.left, node.right)
            return all(self._single(s) or self.fold(s) is not None for s in sides)
        name = self.resolve(node.func) if isinstance(node, ast.Call) else None
        return name is not None and (name == "builtins.float" or name.startswith("math."))

    # --- Sets -------------------------------------------------------------------------------

    def is_set(self, node: ast.AST, depth: int = 0) -> bool:
        """Return whether an expression is certainly a set whose order may differ."""
        node = self.only(node)
        if depth > 8:
            return False
        if isinstance(node, ast.Set):
            whole = (isinstance(self.fold(item), int) for item in node.elts)
            return not all(whole)  # Small integers lie in the same order everywhere.
        if isinstance(node, ast.SetComp):
            return True
        if isinstance(node, ast.BinOp):
            ours = isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor | ast.Sub)
            return ours and any(self.is_set(s, depth + 1) for s in (node.left, node.right))
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in SETS:
                return self.is_set(node.func.value, depth + 1)
            return self.resolve(node.func) in ("builtins.set", "builtins.frozenset")
        return False

    def _sets(self, node: ast.Call, name: str, last: str) -> None:
        """Refuse calls that read a set in its order, and note where a set is made."""
        if name in ("builtins.set", "builtins.frozenset"):
            self.found(node, "set order")
        own = name.removeprefix("builtins.")
        through = own in THROUGH or name.startswith("numpy.") or last in ("join", "fromkeys")
        if through and any(self.is_set(argument) for argument in node.args):
            self.found(node, "sets")
        popped = node.func.value if isinstance(node.func, ast.Attribute) else node
        if last == "pop" and not node.args and self.is_set(popped):
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
        if self.is_set(through):
            self.found(through, "sets")


def _ties(name: str) -> bool:
    """Return whether a function is judged by its arguments, at its call."""
    return name in ("numpy.argsort", ".argsort", ".partition")


def _exact_square(value: float) -> bool:
    top, bottom = value.as_integer_ratio()
    square = value * value
    return math.isfinite(square) and square.as_integer_ratio() == (top * top, bottom * bottom)


def _grown(op: ast.operator, a: float, b: float) -> float:
    """Return how large the result of two whole numbers of that size can get."""
    if isinstance(op, ast.Mult):
        return a * b
    if isinstance(op, ast.Add | ast.Sub):
        return a + b
    if isinstance(op, ast.Pow | ast.LShift) and math.inf not in (a, b):
        if b > 64:
            return math.inf if a > 1 else a
        return math.pow(a, b) if isinstance(op, ast.Pow) else math.ldexp(a, int(b))
    return max(a, b) if math.inf not in (a, b) else math.inf
