"""Find the command that adds an extra (`train`, `check`) to the installed wmsite."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHECKOUT = Path(__file__).parents[1]


def install(extra: str) -> str:
    """Return the command that installs an extra into the current environment.

    A wmsite that was installed from a folder or a wheel is on no index: pip has noted its source
    (`direct_url.json`, PEP 610).
    """
    python = shlex.quote(sys.executable)
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"{python} -m pip install --editable {shlex.quote(f'{CHECKOUT}[{extra}]')}"
    return f"{python} -m pip install {shlex.quote(_from(extra))}"


def _from(extra: str) -> str:
    try:
        told = importlib.metadata.distribution("wmsite").read_text("direct_url.json")
        address = str(json.loads(told or "{}")["url"])
    except (importlib.metadata.PackageNotFoundError, KeyError, TypeError, ValueError):
        return f"wmsite[{extra}]"
    if address.startswith("file:"):
        return f"{unquote(urlsplit(address).path)}[{extra}]"
    return f"wmsite[{extra}] @ {address}"
