"""CONTRIBUTING names paths that exist, every folder of the rooms, and tests that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`|\]\(([\w./-]+)\)", TEXT))
ROOMS = ("sims", "training", "builder", "site_template", "tests")


def test_paths_that_contributing_names_exist() -> None:
    paths = {one or other for one, other in NAMED}
    assert len(paths) > 20
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_contributing_names_each_folder_of_the_rooms() -> None:
    listed = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    deep = {"site_template/player": 3}  # A room of its own; elsewhere one level is named.
    folders = set()
    for path in map(PurePosixPath, listed):
        depth = max((n for home, n in deep.items() if path.is_relative_to(home)), default=2)
        folders |= {parent.as_posix() for parent in path.parents if len(parent.parts) == depth}
    missing = [folder for folder in sorted(folders) if f"`{folder}/`" not in TEXT]
    assert not missing, "name these folders in CONTRIBUTING.md"


def test_contributing_runs_tests_that_there_are() -> None:
    commands = re.findall(r"^pytest (\S+)(?: -k (\w+))?$", TEXT, re.MULTILINE)
    assert commands
    for path, words in commands:
        assert re.search(rf"^def test_\w*{words}", (ROOT / path).read_text(), re.MULTILINE), path
