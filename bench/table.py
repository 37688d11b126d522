"""One figure of the bench, and the table of all of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUT = ROOT / "bench" / "out"


@dataclass(frozen=True)
class Figure:
    """One figure: name, value, and the bound that it must keep (None: only for comparison)."""

    what: str
    value: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the figure keeps its bound; None if there is no bound or no measurement."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


def number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def markdown(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| what | measured | must reach | | note |", "|---|---:|---:|---|---|"]
    for f in figures:
        told = "-" if f.value is None else f"{number(f.value)} {f.unit}"
        bound = ""
        if f.at_most is not None:
            bound = f"<= {number(f.at_most)} {f.unit}"
        elif f.at_least is not None:
            bound = f">= {number(f.at_least)} {f.unit}"
        mark = {True: "yes", False: "NO", None: ""}[f.kept]
        lines.append(f"| {f.what} | {told} | {bound} | {mark} | {f.note} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """Describe the machine of the measurement, and how busy it was."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = found[0].partition(":")[2].strip() if found else ""
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def save(name: str, figures: Sequence[Figure]) -> None:
    """Write one group's figures as JSON, beside those of the other groups."""
    OUT.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine(), "figures": [asdict(f) | {"kept": f.kept} for f in figures]}
    (OUT / f"{name}.json").write_text(json.dumps(told, indent=1))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
