"""Compare measured figures with committed ones, and report that as JUnit XML or JSON.

A figure is worse where it leaves its committed interval on the wrong side. Only the model's own row
counts (the first of each table): the others are baselines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from builder.project import cache
from sims.errors import UserError

REPORTS = (".xml", ".json")


@dataclass(frozen=True)
class Compared:
    """One figure with a better end: its committed value, the bound that it must keep, and now.

    `better` is "high" or "low"; `value` is None for a figure that is no longer measured.
    """

    name: str
    unit: str
    better: str
    was: float
    bound: float
    value: float | None

    @property
    def worse(self) -> bool:
        """Whether it is gone, or beyond its bound."""
        if self.value is None:
            return True
        past = self.bound - self.value if self.better == "high" else self.value - self.bound
        return past > 1e-6

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name} is gone"
        told = f"{self.name} {self.value:.3g}, was {self.was:.3g} {self.unit}".rstrip()
        return f"{told} (at {'least' if self.better == 'high' else 'most'} {self.bound:.3g})"


def tables(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every table of the metrics by name; "" is by horizon, with the single figures."""
    checks = {key: value for key, value in metrics.get("checks", {}).items() if "mean" in value}
    columns = [*metrics["columns"], *({"key": key, **value} for key, value in checks.items())]
    model, *baselines = metrics["rows"]
    rows = [{**model, "values": model["values"] | checks}, *baselines]
    others = {name: metrics.get(name) for name in ("heads", "events", "autonomy")}
    others |= metrics.get("measures", {})
    some = {name: part for name, part in others.items() if part}
    return {"": {"columns": columns, "rows": rows}, **some}


def named(column: dict[str, Any], step: str) -> str:
    """Return what a column measures, and at which step."""
    return str(column["label"]) + (step.format(column["step"]) if "step" in column else "")


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[Compared]:
    """Return each committed figure that has a better end, beside what it is now."""
    new = {place: value for place, _, value in _figures(now)}
    return [
        _one(column, was, new.get(place))
        for place, column, was in _figures(before)
        if column.get("better")
    ]


def _figures(
    metrics: dict[str, Any],
) -> Iterator[tuple[tuple[str, str], dict[str, Any], dict[str, float]]]:
    """Yield each figure that was measured: its table and key, its column, and the figure."""
    for name, part in tables(metrics).items():
        values = part["rows"][0]["values"]
        for column in part["columns"]:
            if told := values.get(column["key"]):
                # Two measures may have columns of the same key.
                yield (name, column["key"]), column, told


def _one(column: dict[str, Any], was: dict[str, float], value: dict[str, float] | None) -> Compared:
    better = column["better"]
    return Compared(
        named(column, " at step {}"), column["unit"], better, was["mean"],
        was["low"] if better == "high" else was["high"], value["mean"] if value else None,
    )  # fmt: skip


def refuse(file: Path) -> None:
    """Raise UserError for a report that can't be written; nothing has been measured yet."""
    if file.suffix not in REPORTS:
        raise UserError(
            f"--report {file}: neither {' nor '.join(REPORTS)}. Run: with report.xml, which is "
            "JUnit's, or report.json",
            exit_code=2,
        )


def write(file: Path, models: dict[str, list[Compared]]) -> None:
    """Write what was compared, by model, as JUnit XML or as JSON."""
    if file.suffix == ".json":
        told = {
            name: [dataclasses.asdict(one) | {"worse": one.worse} for one in compared]
            for name, compared in models.items()
        }
        cache.write_json(file, told)
        return
    suites = ElementTree.Element("testsuites")
    for name, compared in models.items():
        worse = sum(one.worse for one in compared)
        counts = {"tests": str(len(compared)), "failures": str(worse), "errors": "0"}
        suite = ElementTree.SubElement(suites, "testsuite", {"name": name, **counts})
        for one in compared:
            case = ElementTree.SubElement(suite, "testcase", classname=name, name=one.name)
            if one.worse:
                ElementTree.SubElement(case, "failure", message=str(one), type="regression")
    ElementTree.indent(suites)
    cache.write(file, ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True))
