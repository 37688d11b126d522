from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sims

BREAKOUT = Path(sims.__file__ or "").parent / "breakout.py"


@pytest.fixture
def own_sims() -> Iterator[None]:
    """Let a test load and reload worlds; put back the modules that were there before it."""
    loaded = {name: m for name, m in sys.modules.items() if name.split(".")[0] == "sims"}
    paths = list(sims.__path__)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "sims"]:
        del sys.modules[name]
    sys.modules.update(loaded)
    sims.__path__[:] = paths
    for name, module in loaded.items():
        if "." in name:
            setattr(sims, name.split(".")[1], module)
    importlib.invalidate_caches()


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an edited Breakout as <name>.py and returns its folder."""

    def write(name: str, *changes: tuple[str, str]) -> Path:
        source = BREAKOUT.read_text().replace('name="breakout"', f'name="{name}"')
        for old, new in changes:
            assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in breakout.py"
            source = source.replace(old, new)
        (tmp_path / f"{name}.py").write_text(source)
        return tmp_path

    return write
