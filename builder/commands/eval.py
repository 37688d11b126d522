"""`wmsite eval`: measure a world's models against their sim, and find regressions."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from builder import extras
from builder.commands.train import entries
from builder.project import steps, weights
from builder.project.entries import Entry
from builder.project.playable import playable
from builder.terminal import Terminal
from sims.errors import UserError


def run(
    root: Path,
    name: str,
    terminal: Terminal,
    *,
    family: str | None = None,
    checking: bool = False,
    wait: bool = False,
) -> None:
    """Evaluate and print the table; store it beside the weights, unless `checking`.

    `checking` compares with the committed metrics.json and raises UserError for any figure that is
    worse than its committed interval.
    """
    for entry in entries(root, name, family, terminal):
        with entry.lock(wait):
            _measure(entry, terminal, checking)


def _measure(entry: Entry, terminal: Terminal, checking: bool) -> None:
    if not entry.trained or not weights.whole(entry.weights / weights.WEIGHTS):
        what = "its weights are damaged" if entry.trained else "it has no weights to measure"
        raise UserError(f"model {entry.name}: {what}. Run: wmsite train {entry.world.name}")
    if entry.made.get("sim") != entry.keys["sim"]:
        raise UserError(
            f"model {entry.name}: its weights are not of what {entry.world.file} tells. "
            f"Run: wmsite train {entry.world.name}"
        )
    before = weights.metrics(entry.weights) if checking else {}
    if checking and not before:
        raise UserError(
            f"model {entry.name}: no metrics.json to compare with. Run: wmsite eval "
            f"{entry.world.name}"
        )
    missing = [m for m in steps.NEEDED if importlib.util.find_spec(m) is None]
    if missing:
        raise UserError(
            f"model {entry.name}: {missing[0]} is needed to evaluate and is not installed. "
            f"Run: {extras.install('train')}",
            exit_code=3,
        )
    if not checking:
        weights.refuse(entry.weights)
    work = entry.home / "evaluate" / entry.stem
    shutil.rmtree(work, ignore_errors=True)
    weights.copy(entry.weights, work)
    metrics = steps.measure(entry, work)
    terminal.say(table(metrics))
    terminal.say(playable(metrics, entry.name, entry.world.spec.rate))
    if checking:
        worse = regressions(before, metrics)
        shutil.rmtree(work, ignore_errors=True)
        if worse:
            raise UserError(
                f"model {entry.name}: {len(worse)} figures are worse than the committed ones: "
                f"{'; '.join(worse[:4])}. Run: wmsite train {entry.world.name}, or wmsite eval "
                f"{entry.world.name} to accept them"
            )
        terminal.say(f"model {entry.name}: no figure is worse than the committed ones.")
    else:
        weights.stamp(work, {"evaluate": entry.keys["evaluate"]})
        weights.publish(work, entry.weights)
        shutil.rmtree(work, ignore_errors=True)


def tables(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every table of the metrics: by horizon with the single figures, and the others."""
    checks = {key: value for key, value in metrics.get("checks", {}).items() if "mean" in value}
    columns = [*metrics["columns"], *({"key": key, **value} for key, value in checks.items())]
    model, *others = metrics["rows"]
    rows = [{**model, "values": model["values"] | checks}, *others]
    return [{"columns": columns, "rows": rows}, *weights.tables(metrics)[1:]]


def table(metrics: dict[str, Any]) -> str:
    """Return the metrics as text: one line for each measure, one column for each player."""
    return "\n\n".join(_drawn(part["columns"], part["rows"]) for part in tables(metrics))


def _drawn(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    lines = [["", *(row["name"] for row in rows)]]
    for column in columns:
        name = _named(column, ", step {}")
        cells = [f"{name} ({column['unit']})" if column["unit"] else name]
        for row in rows:
            value = row["values"].get(column["key"])
            cells.append(f"{value['mean']:.2f}" if value else "-")
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _named(column: dict[str, Any], step: str) -> str:
    return str(column["label"]) + (step.format(column["step"]) if "step" in column else "")


def regressions(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words each figure that is now worse than its committed interval.

    Only the model's own row counts (the first): the others are baselines.
    """
    found = []
    new = {key: value for part in tables(now) for key, value in part["rows"][0]["values"].items()}
    for part in tables(before):
        old = part["rows"][0]["values"]
        for column in part["columns"]:
            was, value = old.get(column["key"]), new.get(column["key"])
            if not was:
                continue
            name = _named(column, " at step {}")
            if not value:
                found.append(f"{name} is gone")
                continue
            lower = column.get("better") == "high" and value["mean"] < was["low"] - 1e-6
            higher = column.get("better") == "low" and value["mean"] > was["high"] + 1e-6
            if lower or higher:
                told = f"{name} {value['mean']:.3g}, was {was['mean']:.3g} {column['unit']}"
                found.append(told.rstrip())
    return found
