"""Read other people's Python: a source that can't be parsed gives one line, with its place."""

from __future__ import annotations

import ast
import warnings

# For code that is nested too deep, Python's parser raises one of the last two.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
DEEPEST = 1000  # Levels of a tree. Python's own limit differs between processes.


def parse(source: bytes | str) -> ast.Module:
    """Return a source's tree; raises one of `UNREADABLE`, which `fault` explains."""
    with warnings.catch_warnings(action="ignore"):  # Warnings about odd escapes are no faults.
        tree = ast.parse(source)
    if max(map(len, source.splitlines()), default=0) < DEEPEST:
        return tree  # A tree so deep needs a line so long, and counting takes time.
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise RecursionError


def fault(error: BaseException) -> tuple[int, str]:
    """Return the line and the reason of one of `UNREADABLE`."""
    if isinstance(error, RecursionError | MemoryError):
        return 1, "nested too deeply for Python to read"
    return getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or str(error)
