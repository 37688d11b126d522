"""Files are UTF-8 whatever the machine's locale is: else a sim has another hash in another one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("sims", "training", "builder", "docs")
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def unnamed(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of calls that read or write text in whatever encoding the locale has."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        whole = ast.unparse(node.func)
        modes = [named.get("mode", ""), *(ast.unparse(a) for a in node.args[:2])]
        opened = (
            whole != "tarfile.open"
            and name == "open"
            and any(m.strip("'+") in ("r", "w", "a", "x") for m in modes)
        )
        text = name in ("read_text", "write_text") and "importlib.metadata" not in whole
        text |= opened or whole == "open"
        text |= "True" in (named.get("text"), named.get("universal_newlines"))
        if text and "encoding" not in named:
            yield node.lineno


def test_every_text_names_its_encoding() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        if file.name != "trim.py"  # Pyodide runs it, whose Python knows but UTF-8.
        for line in unnamed(ast.parse(file.read_bytes()))
    ]
    assert found == []
    wrong = "p.read_text(); p.write_text('x'); p.open('w'); open('x'); subprocess.run(x, text=True)"
    assert len(list(unnamed(ast.parse(wrong)))) == 5


@pytest.mark.parametrize("locale", [PLAIN, {**PLAIN, "LC_ALL": "en_US.ISO-8859-1"}])
def test_a_sim_is_the_same_in_every_locale(
    starter_site: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    def info(**more: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "builder.cli", "-C", str(starter_site), "info"]
        return subprocess.run(command, capture_output=True, env=os.environ | more, check=True)

    there, here = info(**locale), info(PYTHONUTF8="1")
    assert there.stdout == here.stdout.decode().encode("ascii", "replace")
    assert there.stderr == here.stderr == b""
