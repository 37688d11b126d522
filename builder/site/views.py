"""Views of sensors: a file each, in the page's folder of views or in a project's own `views/`.

A sensor whose `show` is "scan" is shown by `scan.js`. A view exports `fits` and `View`, as
`SensorView` of site_template/types.d.ts says; its imports are those of the page's folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.project.worlds import TEMPLATE
from sims.bindings import nearest
from sims.errors import UserError

FOLDER = TEMPLATE / "player" / "views"
FITS = re.compile(r"^export (?:const|function) fits\b", re.MULTILINE)
IMPORT = re.compile(r'^import \{ (.+) \} from "(\..+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async function|function|class|const) (\w+))", re.MULTILINE)


def own(root: Path) -> list[Path]:
    """Return the views that a project brings."""
    return sorted((root / "views").glob("*.js"))


def known(root: Path) -> dict[str, Path]:
    """Return all views that a project can have, by name; its own go before those that ship."""
    files = [*sorted(FOLDER.glob("*.js")), *own(root)]
    return {f.stem: f for f in files if FITS.search(f.read_text(encoding="utf-8"))}


def check(sensors: Iterable[Mapping[str, Any]], root: Path, where: str) -> None:
    """Raise UserError for a sensor that no view shows."""
    views = known(root)
    for sensor in sensors:
        if sensor["show"] and sensor["show"] not in views:
            raise UserError(
                f"{where}: sensor {sensor['name']!r} has show={sensor['show']!r}, which the page "
                f"can't draw; nearest is {nearest(sensor['show'], views)!r}. "
                f"Run: mend it, or add views/{sensor['show']}.js, then build again"
            )


def modules(shows: Iterable[str], axes: Sequence[Any]) -> list[str]:
    """Return the modules of views that registry.js loads, by name: also what they draw on."""
    shown = [show for show in dict.fromkeys(shows) if show]
    # Controls are the meters of gauges.
    return list(
        dict.fromkeys([*shown, *(["gauge"] if axes else []), *(["from-above"] if shown else [])])
    )


def script(entry: Path, wanted: Iterable[str], root: Path) -> str:
    """Return one script of a module and all that it imports, with some views.

    For a page that asks for no other file. Each module is a function that is called once and
    returns what it exports; at the end the entry's `play` is called.
    """
    names: dict[Path, str] = {}
    made: list[str] = []

    def add(place: Path, file: Path | None = None) -> str:
        if place not in names:
            names[place] = f"module{len(names)}"
            text = (file or place).read_text(encoding="utf-8")

            def needed(line: re.Match[str]) -> str:
                return f"const {{ {line[1]} }} = {add(_beside(place, line[2]))};\n"

            text = IMPORT.sub(needed, text)
            exports = ", ".join(found[2] for found in EXPORT.finditer(text))
            body = EXPORT.sub(r"\1", text) + f"\nreturn {{ {exports} }};"
            made.append(f"const {names[place]} = (() => {{\n{body}\n}})();\n")
        return names[place]

    registry = add(FOLDER / "registry.js")
    views = known(root)
    for name in wanted:
        view = add(FOLDER / f"{name}.js", views.get(name))
        made.append(f"{registry}.provide({json.dumps(name)}, {view});\n")
    made.append(f"{add(entry)}.play();\n")
    return "".join(made)


def _beside(file: Path, path: str) -> Path:
    return Path(os.path.normpath(file.parent / path))
