"""The time of `wmsite build` with nothing changed, and with one page changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import ROOT, Figure, median
from sims.errors import UserError

TIMES = 3
# Everything that a build reads of this project, and the files that were prepared once here.
PARTS = ("docs", "sims", "recipes", "weights", "mkdocs.yml")


def copy_project(folder: Path) -> None:
    """Copy this project, so that the original does not change."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy(source, folder / name)
    # Links in pages and in the reference lead here: these folders are only read.
    for name in ("training", "builder", "site_template", "README.md"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / ".wmsite").mkdir()
    vendor = ROOT / ".wmsite" / "vendor"
    if vendor.is_dir():
        shutil.copytree(vendor, folder / ".wmsite" / "vendor")


def build(folder: Path) -> float:
    """Build as a user does; return seconds of wall-clock time, including Python's start."""
    command = [sys.executable, "-m", "builder.cli", "-C", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "build", "--train", "never"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise UserError(f"build failed: {done.stderr.strip().splitlines()[-1]}")
    return seconds


def measure() -> list[Figure]:
    """Build a copy of this project several times."""
    with tempfile.TemporaryDirectory(prefix="wmsite-bench-") as name:
        folder = Path(name)
        copy_project(folder)
        first = build(folder)
        nothing = [build(folder) for _ in range(TIMES)]
        page = folder / "docs" / "index.md"
        changed = []
        for k in range(TIMES):
            page.write_text(f"{page.read_text()}\nOne more line: {k}.\n")
            changed.append(build(folder))
    return [
        Figure("wmsite build, nothing changed", median(nothing), "s", at_most=3.0),
        Figure("wmsite build, one page changed", median(changed), "s", at_most=6.0),
        Figure("wmsite build, the first, with committed weights", first, "s"),
    ]
