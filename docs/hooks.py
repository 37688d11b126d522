"""Put what the code says into pages: `{{ help VERB }}` and so on.

The command's help, the recipe's keys, a world's rules and the walk-through's code are never
written down twice. A mark is a line of its own: help VERB, keys MODULE CLASS, names MODULE TABLE,
prose FILE, source FILE NAME..., exact.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import textwrap
from pathlib import Path
from typing import get_type_hints

import click

ROOT = Path(__file__).parents[1]
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".mjs": "js", ".cpp": "cpp"}
MARK = re.compile(r"^\{\{ (help|keys|names|prose|source|exact) ?(.*?) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace every mark of one page."""
    makers = {"help": _help, "keys": _keys, "names": _names_of, "prose": _prose, "source": _source}
    makers["exact"] = _exact
    return MARK.sub(lambda found: makers[found[1]](*found[2].split()), markdown)


def _help(*verbs: str) -> str:
    """Return what `wmsite VERB --help` prints, as a code block."""
    from builder.cli import cli

    # As the command itself begins: what it has said once in this process, click remembers.
    settings = {**cli.context_settings, "max_content_width": 88, "terminal_width": 88}
    context = click.Context(cli, info_name="wmsite", **settings)
    for verb in verbs:
        assert isinstance(context.command, click.Group)
        context = click.Context(context.command.commands[verb], context, verb)
    text = context.command.get_help(context)
    return f"```text\n{text}\n```"


def _exact() -> str:
    """Return what is exact and what is not, as the check of sims knows it."""
    from sims import hazards

    return hazards.tables()


def _keys(module: str, name: str, defaults: str = "") -> str:
    """Return the keys of a recipe's table: what each may be and means, as the check has it.

    `defaults` is the file of the class `Config` that has them, where the table itself has none.
    """
    from training.keys import Key, say

    told = importlib.import_module(module)
    table = getattr(told, name)
    file = defaults or f"{module.replace('.', '/')}.py"
    source = (ROOT / file).read_text(encoding="utf-8")
    (node,) = ast.parse(_segment(source, "Config" if defaults else name)).body
    assert isinstance(node, ast.ClassDef)
    had = {ast.unparse(f.target): f.value for f in node.body if isinstance(f, ast.AnnAssign)}
    optional = name == "Landmark"
    rows = ["| key | default | what it may be | meaning |", "|---|---|---|---|"]
    for key, hint in get_type_hints(table, include_extras=True).items():
        notes = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Key)]
        if not notes or key not in had:  # It is no key, or one of the table that this one extends.
            continue
        value = had[key]
        if isinstance(value, ast.Name) and f"\n{value.id} = " in source:
            value = ast.parse(_segment(source, value.id)).body[0].value  # type: ignore[attr-defined]
        elif isinstance(value, ast.Name):
            value = ast.parse(repr(getattr(told, value.id)), mode="eval").body
        default = "none" if optional else _default(value)
        rows.append(f"| `{key}` | {default} | {say(hint)} | {notes[0].meaning} |")
    return "\n".join(rows)


def _names_of(module: str, name: str) -> str:
    """Return a table of names by kind, as the check knows them."""
    table: dict[str, tuple[str, ...]] = getattr(importlib.import_module(module), name)
    rows = [f"| {kind} | {', '.join(f'`{n}`' for n in names)} |" for kind, names in table.items()]
    return "\n".join(["| kind | names |", "|---|---|", *rows])


def _default(value: ast.expr | None) -> str:
    """Return a field's default in words."""
    if value is None:
        return "needed"
    if isinstance(value, ast.Call) and value.keywords:
        made = value.keywords[0].value
        return f"`{ast.unparse(made.body)}`" if isinstance(made, ast.Lambda) else "empty"
    if isinstance(value, ast.Tuple):  # As a recipe has it.
        return f"`{json.dumps(ast.literal_eval(value))}`"
    return f"`{ast.unparse(value)}`"


def _prose(file: str) -> str:
    """Return a module's docstring as Markdown, without its first line."""
    text = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[2]


def _source(file: str, *names: str) -> str:
    """Return a file as a code block, or parts of a Python file: `Class.method`, or a constant."""
    source = (ROOT / file).read_text(encoding="utf-8")
    parts = [textwrap.dedent(_segment(source, name)) for name in names] or [source.rstrip()]
    text = parts[0]
    for before, part in itertools.pairwise(parts):
        text += ("\n\n" if "\n" in before + part else "\n") + part
    return f"```{LANGUAGES[Path(file).suffix]}\n{text}\n```"


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
