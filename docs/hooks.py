"""Put what the code says into pages: `{{ help VERB }}` and so on.

The command's help, the recipe's keys, a world's rules and the walk-through's code are never
written down twice. A mark is a line of its own: help VERB, fields FILE CLASS, prose FILE,
source FILE NAME...
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^\{\{ (help|fields|prose|source) ?(.*?) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace every mark of one page."""
    makers = {"help": _help, "fields": _fields, "prose": _prose, "source": _source}
    return MARK.sub(lambda found: makers[found[1]](*found[2].split()), markdown)


def _help(*verbs: str) -> str:
    """Return what `wmsite VERB --help` prints, as a code block."""
    from builder.cli import cli

    context = click.Context(cli, info_name="wmsite", max_content_width=88, terminal_width=88)
    for verb in verbs:
        assert isinstance(context.command, click.Group)
        context = click.Context(context.command.commands[verb], context, verb)
    text = context.command.get_help(context)
    return f"```text\n{text}\n```"


def _fields(file: str, name: str) -> str:
    """Return the fields of a dataclass as a table; a field's meaning is the comment behind it."""
    source = (ROOT / file).read_text()
    (node,) = ast.parse(textwrap.dedent(_segment(source, name))).body
    assert isinstance(node, ast.ClassDef)
    lines = _segment(source, name).splitlines()
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in node.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        note = lines[field.lineno - 1].partition("  # ")[2]
        kind = ast.unparse(field.annotation).replace("|", "\\|")
        cells = [f"`{ast.unparse(field.target)}`", f"`{kind}`", _default(field.value), note]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _default(value: ast.expr | None) -> str:
    """Return a field's default in words."""
    if value is None:
        return "needed"
    if isinstance(value, ast.Call) and value.keywords:
        made = value.keywords[0].value
        return f"`{ast.unparse(made.body)}`" if isinstance(made, ast.Lambda) else "empty"
    return f"`{ast.unparse(value)}`"


def _prose(file: str) -> str:
    """Return a module's docstring as Markdown, without its first line."""
    text = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
    return text.partition("\n")[2]


def _source(file: str, *names: str) -> str:
    """Return parts of a Python file as a code block: `Class.method`, or a constant."""
    source = (ROOT / file).read_text()
    parts = [textwrap.dedent(_segment(source, name)) for name in names] or [source.rstrip()]
    text = parts[0]
    for before, part in itertools.pairwise(parts):
        text += ("\n\n" if "\n" in before + part else "\n") + part
    return f"```{'python' if file.endswith('.py') else 'toml'}\n{text}\n```"


def _segment(source: str, name: str) -> str:
    """Return the lines of a dotted class, function, or assignment at the top of a file."""
    lines = source.splitlines()
    body = ast.parse(source).body
    found: ast.AST | None = None
    for part in name.split("."):
        found = next((node for node in body if part in _names(node)), None)
        if found is None:
            raise LookupError(f"docs/hooks.py: no {name} there")
        body = getattr(found, "body", [])
    assert isinstance(found, ast.stmt)
    first = min([found.lineno, *(d.lineno for d in getattr(found, "decorator_list", []))])
    return "\n".join(lines[first - 1 : found.end_lineno])


def _names(node: ast.stmt) -> list[str]:
    """Return what a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)]
