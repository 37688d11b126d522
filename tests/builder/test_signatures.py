"""A reference's signatures are broken into lines alike, whatever else is installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from building import Lines, copy_of

from builder.commands import build
from builder.project.worlds import PACKAGES
from builder.site import signatures

LONG = (
    "def many(first: int = 1, *others: tuple[str, ...], sure: bool = True, word: str = ', )') -> "
)
LONG += "dict[str, list[int]]"


@pytest.mark.parametrize("length", [20, 60, 80, 200])
@pytest.mark.parametrize(
    "code",
    [
        f"{LONG}: pass",
        "def one(a): pass",
        "def none() -> dict[str, dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]]]: pass",
        "def generic[T](a: T, b: list[T], c: dict[str, T], d: tuple[T, ...], e: int) -> T: pass",
        "NAMES: tuple[str, ...] = ('a', 'b, (', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l')",
        "X = (('only, one, in brackets, that is no tuple, and much too long for a line ' * 2))",
        "Y = frozenset({'a long name', 'another long name', 'a third, a longer one', 'a fourth'})",
        "Z: dict[str, int] = {}",
    ],
)
def test_broken_code_says_the_same(code: str, length: int) -> None:
    broken = signatures.formatted(code, length)
    if sys.version_info >= (3, 12) or "[T]" not in code:
        assert ast.unparse(ast.parse(broken)) == ast.unparse(ast.parse(code))
    assert (broken == code) or "\n" in broken


def test_what_it_looks_like() -> None:
    assert signatures.formatted(f"{LONG}: pass", 60).splitlines() == [
        "def many(",
        "    first: int = 1,",
        "    *others: tuple[str, ...],",
        "    sure: bool = True,",
        "    word: str = ', )',",
        ") -> dict[str, list[int]]: pass",
    ]
    assert signatures.formatted("def f(a: int, b: str) -> None: pass", 30).splitlines() == [
        "def f(",
        "    a: int, b: str",
        ") -> None: pass",
    ]
    for code in ("def f(", "x = '", "a ) b " * 20, "é" * 100):
        assert signatures.formatted(code, 10) == code


def test_help_in_the_docs_does_not_tell_who_builds_them() -> None:
    """`wmsite build` and `wmsite serve` had another line for --help each."""
    code = (
        "import runpy; hooks = runpy.run_path('docs/hooks.py')\n"
        "print(*(hooks['on_page_markdown'](f'{{{{ help{verb} }}}}') for verb in ('', ' build')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGES, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("-h, --help") == 2 == done.stdout.count("--help ")


def test_a_page_is_the_same_with_ruff_and_without(
    starter_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkdocstrings_handlers.python._internal import rendering

    project = copy_of(starter_site, tmp_path / "project")
    (project / "long.py").write_text(f'{LONG}:\n    """Do much."""\n')
    config = project / "mkdocs.yml"
    handler = "{paths: [.], options: {separate_signature: true, show_signature_annotations: true}}"
    config.write_text(
        config.read_text().replace(
            "  - wmsite\n",
            f"  - wmsite\n  - mkdocstrings:\n      handlers:\n        python: {handler}\n",
        )
    )
    (project / "docs" / "reference.md").write_text("# Reference\n\n::: long.many\n")
    found = rendering._get_formatter

    def page(out: str) -> bytes:
        # As a process that has just begun finds what is installed.
        found.cache_clear()
        monkeypatch.setattr(rendering, "_get_formatter", found)
        options = build.Options(root=project, train="never", site_dir=project / out)
        return (build.run(options, Lines()) / "reference" / "index.html").read_bytes()

    with_ruff = page("one")
    monkeypatch.setitem(sys.modules, "ruff", None)
    monkeypatch.setitem(sys.modules, "black", None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert page("two") == with_ruff
    assert b"first" in with_ruff and with_ruff.count(b"sure") >= 1
