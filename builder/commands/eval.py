"""`wmsite eval`: measure a world's models against their sim, and find regressions."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder import extras
from builder.commands.train import entries
from builder.project import regressions, steps, weights
from builder.project.entries import Entry
from builder.project.playable import playable
from builder.project.regressions import Compared
from builder.terminal import Terminal, several
from sims.errors import UserError


def run(
    root: Path,
    name: str,
    terminal: Terminal,
    *,
    family: str | None = None,
    checking: bool = False,
    reports: Sequence[Path] = (),
    wait: bool = False,
) -> None:
    """Evaluate and print the table; store it beside the weights, unless `checking`.

    `checking` compares with the committed metrics.json of each model, writes the `reports`, and
    raises UserError for any figure that is worse than its committed interval.
    """
    if reports and not checking:
        raise UserError(
            f"--report {reports[0]}: is of what --check compares. Run: wmsite eval {name} --check "
            f"--report {reports[0]}",
            exit_code=2,
        )
    for file in reports:
        regressions.refuse(file)
    models: dict[str, list[Compared]] = {}
    for entry in entries(root, name, family, terminal):
        with entry.lock(wait):
            compared = _measure(entry, terminal, checking)
            if compared is not None:
                models[entry.name] = compared
    for file in reports:
        regressions.write(file, models)
    worse = {model: [str(one) for one in some if one.worse] for model, some in models.items()}
    if found := {model: lines for model, lines in worse.items() if lines}:
        told = "; ".join(
            f"model {model}: {several(len(lines), 'figure')} worse than the committed ones: "
            f"{'; '.join(lines[:4])}"
            for model, lines in found.items()
        )
        raise UserError(f"{told}. Run: wmsite train {name}, or wmsite eval {name} to accept them")
    for model in models:
        terminal.say(f"model {model}: no figure is worse than the committed ones.")


def _measure(entry: Entry, terminal: Terminal, checking: bool) -> list[Compared] | None:
    """Measure one model; return how its figures compare with the committed ones, if `checking`."""
    refuse(entry, steps.NEEDED)
    before = weights.metrics(entry.weights) if checking else {}
    if checking and not before:
        raise UserError(
            f"model {entry.name}: no metrics.json to compare with. Run: wmsite eval "
            f"{entry.world.name}"
        )
    if not checking:
        weights.refuse(entry.weights)
    work = entry.home / "evaluate" / entry.stem
    shutil.rmtree(work, ignore_errors=True)
    weights.copy(entry.weights, work)
    metrics = steps.measure(entry, work)
    terminal.say(table(metrics))
    terminal.say(playable(metrics, entry.name, entry.world.spec.rate))
    if not checking:
        weights.stamp(work, {"evaluate": entry.keys["evaluate"]})
        weights.publish(work, entry.weights)
    shutil.rmtree(work, ignore_errors=True)
    return regressions.compare(before, metrics) if checking else None


def refuse(entry: Entry, needed: Sequence[str]) -> None:
    """Raise UserError for a model that can't be played: its weights, or a module that is needed."""
    if not entry.trained or not weights.whole(entry.weights / weights.WEIGHTS):
        what = "its weights are damaged" if entry.trained else "it has no weights to measure"
        raise UserError(f"model {entry.name}: {what}. Run: {entry.train_command}")
    if entry.made.get("sim") != entry.keys["sim"]:
        raise UserError(
            f"model {entry.name}: its weights are not of what {entry.world.file} tells. "
            f"Run: {entry.train_command}"
        )
    if missing := [m for m in needed if importlib.util.find_spec(m) is None]:
        raise UserError(
            f"model {entry.name}: {missing[0]} is needed to measure it and is not installed. "
            f"Run: {extras.install('train')}",
            exit_code=3,
        )


def table(metrics: dict[str, Any]) -> str:
    """Return the metrics as text: one line for each measure, one column for each player."""
    return "\n\n".join(
        _drawn(part["columns"], part["rows"]) for part in regressions.tables(metrics).values()
    )


def _drawn(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    lines = [["", *(row["name"] for row in rows)]]
    for column in columns:
        name = regressions.named(column, ", step {}")
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
