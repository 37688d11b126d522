"""Break the signatures in the reference into lines, in the same way wherever the site is built.

mkdocstrings lets Black or Ruff do this, if one of them is installed. The bytes of a page would then
depend on installed packages.
"""

from __future__ import annotations

import io
import tokenize

INDENT = " " * 4


def install() -> None:
    """Make mkdocstrings break signatures with this module, whatever is installed."""
    from mkdocstrings_handlers.python._internal import rendering

    rendering._get_formatter = lambda: formatted  # type: ignore[assignment]


def formatted(code: str, length: int) -> str:
    """Return a line of code, broken at the commas of its outermost brackets if it is too long.

    The parts stand on one line between the brackets if they fit, otherwise each on its own line.
    """
    try:
        return _broken(code.strip(), length, "")
    except (tokenize.TokenError, SyntaxError):
        return code


def _broken(code: str, length: int, indent: str) -> str:
    if len(indent) + len(code) <= length or "\n" in code:
        return code
    groups = [group for group in _brackets(code) if group[-1] > group[0] + 1]
    if not groups:
        return code
    # For a function these are its parameters; otherwise the last brackets, which hold the value.
    places = next((g for g in groups if code[g[0]] == "("), groups[0])
    if not code.startswith("def "):
        places = groups[-1]
    open_, *commas, close = places
    ends = [*commas, close]
    items = [code[a + 1 : b].strip() for a, b in zip([open_, *commas], ends, strict=True)]
    inner = indent + INDENT
    together = ", ".join(filter(None, items))
    if len(inner) + len(together) <= length:
        lines = [together]
    else:
        # A comma after a single part would change its value.
        last = "," if len(items) > 1 or code.startswith("def ") else ""
        lines = [f"{_broken(item, length - 1, inner)}," for item in items if item]
        lines[-1] = lines[-1][:-1] + last
    body = "".join(f"{inner}{line}\n" for line in lines)
    return f"{code[: open_ + 1]}\n{body}{indent}{code[close:]}"


def _brackets(code: str) -> list[list[int]]:
    """Return for each outermost pair of brackets its opening, its own commas, and its closing."""
    found: list[list[int]] = []
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type != tokenize.OP:
            continue
        place = token.start[1]
        if token.string in "([{":
            depth += 1
            if depth == 1:
                found.append([place])
        elif token.string in ")]}":
            depth -= 1
            if depth == 0:
                found[-1].append(place)
        elif token.string == "," and depth == 1:
            found[-1].append(place)
    return found
