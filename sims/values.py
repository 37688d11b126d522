"""What an expression of a sim certainly is: an integer of some size, one Python float, a set."""

from __future__ import annotations

import ast
import math

from sims.resolve import Names

# Methods that make a set from a set.
SETS = frozenset(["union", "intersection", "difference", "symmetric_difference", "copy"])


def largest(names: Names, node: ast.AST, depth: int = 0) -> float | None:
    """Return the largest value of a default integer array; None for anything else."""
    node = names.only(node)
    if depth > 16:
        return None
    if isinstance(node, ast.Subscript):
        return largest(names, node.value, depth + 1)
    if isinstance(node, ast.UnaryOp):
        return largest(names, node.operand, depth + 1)
    if isinstance(node, ast.Call):
        name = names.resolve(node.func)
        if any(keyword.arg == "dtype" for keyword in node.keywords):
            return None
        if name == "numpy.arange" and 1 <= len(node.args) <= 3:
            values = [names.fold(argument) for argument in node.args]
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
        sides = [largest(names, side, depth + 1) for side in (node.left, node.right)]
        if sides == [None, None]:
            return None
        found = [
            names.fold(side) if size is None else size
            for side, size in zip((node.left, node.right), sides, strict=True)
        ]
        a, b = found
        if a is None or b is None or (isinstance(a, float) and not math.isinf(a)):
            return None
        if isinstance(b, float) and not math.isinf(b):
            return None
        return _grown(node.op, abs(a), abs(b))
    return None


def is_single(names: Names, node: ast.AST) -> bool:
    """Return whether an expression is certainly one Python float."""
    node = names.only(node)
    if isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        return all(is_single(names, s) or names.fold(s) is not None for s in sides)
    name = names.resolve(node.func) if isinstance(node, ast.Call) else None
    return name is not None and (name == "builtins.float" or name.startswith("math."))


def is_set(names: Names, node: ast.AST, depth: int = 0) -> bool:
    """Return whether an expression is certainly a set whose order may differ."""
    node = names.only(node)
    if depth > 8:
        return False
    if isinstance(node, ast.Set):
        whole = (isinstance(names.fold(item), int) for item in node.elts)
        return not all(whole)  # Small integers lie in the same order everywhere.
    if isinstance(node, ast.SetComp):
        return True
    if isinstance(node, ast.BinOp):
        ours = isinstance(node.op, ast.BitOr | ast.BitAnd | ast.BitXor | ast.Sub)
        return ours and any(is_set(names, s, depth + 1) for s in (node.left, node.right))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in SETS:
            return is_set(names, node.func.value, depth + 1)
        return names.resolve(node.func) in ("builtins.set", "builtins.frozenset")
    return False


def exact_square(value: float) -> bool:
    """Return whether the square of a number needs no rounding."""
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
