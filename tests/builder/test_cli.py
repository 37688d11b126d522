from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from builder import cli
from builder.commands import new
from builder.terminal import Terminal, size, tree
from sims.errors import UserError

VERBS = ("new", "build", "serve", "train", "eval", "data", "check", "info", "clean")


def wmsite(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "builder.cli", *arguments], cwd=cwd, capture_output=True, text=True
    )


def test_help_shows_verbs_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} ", said, re.MULTILINE) for verb in VERBS)
    assert "Exit codes: 0 done" in said
    for verb in VERBS:
        with pytest.raises(SystemExit):
            cli.main([verb, "--help"])
        said = capsys.readouterr().out
        assert f"Usage: wmsite {verb}" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["biuld"], "No such command 'biuld'"),
        (["build", "--train", "maybe"], "maybe"),
        (["build", "--bsae", "/x/"], "--bsae"),
        (["-C", "builder", "build"], "no mkdocs.yml"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    plain = wmsite("info", cwd=tmp_path)
    debug = wmsite("--debug", "info", cwd=tmp_path)
    assert plain.returncode == debug.returncode == 2
    assert "Traceback" not in plain.stderr and "Traceback" in debug.stderr
    assert debug.stderr.endswith(plain.stderr)


def test_unknown_world_and_absent_recipe(starter_site: Path, tmp_path: Path) -> None:
    unknown = wmsite("-C", str(starter_site), "build", "--only", "pong", "--train", "never")
    assert unknown.returncode == 2 and "Known: catcher" in unknown.stderr
    family = wmsite("-C", str(starter_site), "train", "catcher", "--family", "rssm")
    assert family.returncode == 2 and "it has pixels" in family.stderr
    weights = wmsite("-C", str(starter_site), "eval", "catcher", "--check")
    assert weights.returncode == 1 and "no weights to measure" in weights.stderr


def test_new_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="nothing was touched"):
        new.run(tmp_path, Terminal(quiet=True))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError):
        new.run(tmp_path / "mine.txt", Terminal(quiet=True))


def test_new_fills_an_empty_folder(tmp_path: Path) -> None:
    made = new.run(tmp_path, Terminal(quiet=True))
    assert {p.name for p in made.iterdir()} == {
        ".gitignore",
        "docs",
        "mkdocs.yml",
        "recipes",
        "sims",
    }
    assert f'site_name: "{tmp_path.name}"' in (made / "mkdocs.yml").read_text()


def test_info_says_what_is_due_and_why(starter_site: Path) -> None:
    said = wmsite("-C", str(starter_site), "info")
    assert said.returncode == 0
    assert "model pixels  due: data -> train -> evaluate -> graphs" in said.stdout
    assert "it has no weights yet), does not ship" in said.stdout
    assert "numpy 2.4.3" in said.stdout


def test_clean_keeps_sources_and_what_is_dear(starter_site: Path, tmp_path: Path) -> None:
    import shutil

    project = tmp_path / "project"
    shutil.copytree(starter_site, project)
    (project / "weights").mkdir()
    assert wmsite("-C", str(project), "clean").returncode == 0
    assert not (project / "site").exists()
    assert (project / ".wmsite" / "vendor").is_dir() and (project / "sims").is_dir()
    (project / "site").mkdir()
    (project / "site" / "mine.txt").write_text("not made by wmsite")
    assert wmsite("-C", str(project), "clean", "--all").returncode == 0
    assert (project / "site" / "mine.txt").is_file() and (project / "weights").is_dir()
    assert not (project / ".wmsite" / "vendor").exists()


def test_sizes_and_trees() -> None:
    assert [size(n) for n in (12, 4096, 250_000, 16_800_000)] == [
        "12 B",
        "4.1 kB",
        "250 kB",
        "16.8 MB",
    ]
    files = {"a/b/c/d.txt": 10, "a/b/e.txt": 20, "z.txt": 5, **{f"many/{i}": 1 for i in range(20)}}
    drawn = tree(files, "site", rows=5)
    assert drawn.splitlines()[0].split() == ["site", "55", "B", "23", "files"]
    assert re.search(r"└─ \.\.\. 16 more +16 B +16 files", drawn)
    assert re.search(r"│  └─ b/ +30 B +2 files", drawn)
