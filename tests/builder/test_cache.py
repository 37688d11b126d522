from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.project import cache
from builder.project.worlds import PACKAGES
from sims.errors import UserError

SOURCE = '''"""Prose of the module."""

import os  # a comment


class Thing:
    """Prose of the class."""

    text = """kept

    with its blank line and its # no comment
    """

    def method(self) -> str:
        """Prose of the method,

        in lines."""
        return f"{self.text}#"  # another
'''


def test_prose_changes_no_hash() -> None:
    plain = cache.normalise(SOURCE)
    prose = SOURCE.replace("Prose of", "Other words on").replace("# a comment", "# changed  ")
    prose = prose.replace("import os", "\n\n# a line\nimport os").replace(
        "in lines.", "in\n\nmore."
    )
    assert cache.normalise(prose) == plain
    assert "Prose" not in plain
    assert "comment\n" in plain and 'f"{self.text}#"' in plain


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import os", "import re"),
        ("kept\n\n", "kept\n"),
        ("# no comment", "# no  comment"),
        ("self.text}#", "self.text}##"),
        ("    text", "    texts"),
    ],
)
def test_code_changes_the_hash(old: str, new: str) -> None:
    assert old in SOURCE
    assert cache.normalise(SOURCE.replace(old, new)) != cache.normalise(SOURCE)


def test_docstring_beside_code_on_one_line() -> None:
    assert cache.normalise('def f(): "é prose"; return 1\n') == "def f():; return 1"
    assert cache.normalise('x = 1\n"""not a docstring"""\n') == 'x = 1\n"""not a docstring"""'


def test_normalised_package_still_has_all_its_code() -> None:
    # Of every file of ours: what is left, with the prose gone from both, is the same program.
    for file in sorted((PACKAGES / "sims").glob("*.py")):
        kept = cache.normalise(file.read_text())
        names = {n.id for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Name)}
        assert all(name in kept for name in names), file


def test_a_source_that_cannot_be_parsed_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("x = 1\ny = (\n")
    with pytest.raises(UserError, match=r"broken\.py:2"):
        cache.source_hash(file)


def test_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "file"
    cache.write(file, "old")
    with pytest.raises(TypeError):
        cache.write(file, 3)  # type: ignore[arg-type]
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("atomic", [True, False])
def test_swap_puts_a_folder_in_whole(
    tmp_path: Path, atomic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not atomic:
        monkeypatch.setattr(cache, "_exchange", lambda new, old: False)
    old, new = tmp_path / "site", tmp_path / "new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / text).write_text(text)
    cache.swap(new, old)
    assert [p.name for p in old.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_recover_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    site = tmp_path / "site"
    aside = tmp_path / ".site.wmsite-old"
    aside.mkdir()
    (aside / "page").write_text("old")
    cache.recover(site)
    assert (site / "page").read_text() == "old"
    assert not aside.exists()


def test_lock_names_its_holder_and_outlives_no_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from builder.project import cache\n"
        "with cache.lock(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=str(holder.pid)), cache.lock(tmp_path / "lock", "it"):
        pass
    holder.kill()
    holder.wait()
    with cache.lock(tmp_path / "lock", "it"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_lock_waits_when_asked(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from builder.project import cache\n"
        "with cache.lock(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(0.6)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        began = time.monotonic()
        with cache.lock(tmp_path / "lock", "it", wait=True):
            assert time.monotonic() - began > 0.2
