from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import sims

BREAKOUT = Path(sims.__file__ or "").parent / "breakout" / "__init__.py"


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an edited Breakout as <name>.py and returns its folder."""

    def write(name: str, *changes: tuple[str, str]) -> Path:
        source = BREAKOUT.read_text().replace('name="breakout"', f'name="{name}"')
        for old, new in changes:
            assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in it"
            source = source.replace(old, new)
        (tmp_path / f"{name}.py").write_text(source)
        return tmp_path

    return write
