"""Write tables as HTML: of any cells, and of measured figures."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

BETTER = {"high": "higher is better", "low": "lower is better", "": "best where the sim's is"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Return a table of cells, which are HTML; the first cell of a row is its header."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return (
        f'<div class="wm-scroll {kind}" tabindex="0"><table>{thead}<tbody>{body}</tbody></table>'
        "</div>"
    )


def figure(value: Mapping[str, float] | None, unit: str = "") -> str:
    """Return "mean" with its interval below, or a dash."""
    if not value or "mean" not in value:
        return "–"
    mean = _rounded(value["mean"], unit)
    if "low" not in value:
        return mean
    low, high = (_rounded(value[end], unit) for end in ("low", "high"))
    return f"{mean}<small>{low} to {high}</small>"


def _rounded(value: float, unit: str) -> str:
    if abs(value) >= 100 and value == round(value):
        return f"{value:.0f}"
    if abs(value) < 10 and not unit.startswith(("px", "%", "dB")):  # Metres, radians, shares of 1.
        return f"{value:.3g}"
    return f"{value:.{2 if unit.startswith('px') else 1}f}"


def measure(column: Mapping[str, Any]) -> str:
    """Return the name of a column of metrics.json: its label, unit and step."""
    told = [html.escape(column["unit"])] if column["unit"] else []
    told += [f"step {column['step']}"] if "step" in column else []
    said = BETTER[column.get("better", "")]
    name = f'<span title="{said}">{html.escape(column["label"])}</span>'
    return f"{name} <small>{', '.join(told)}</small>" if told else name


def figures(
    columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], turn: bool = False
) -> str:
    """Return a table of metrics.json with one line for each measure and one column for each player.

    `turn`: of more players than measures, each player has a line. The table leaves out a measure
    that no player has.
    """
    some = [c for c in columns if any(row["values"].get(c["key"]) for row in rows)]
    cells = [[figure(row["values"].get(c["key"]), c["unit"]) for row in rows] for c in some]
    measures, names = [measure(c) for c in some], [html.escape(row["name"]) for row in rows]
    if turn and len(names) > len(measures):
        turned = [[name, *(line[i] for line in cells)] for i, name in enumerate(names)]
        return table(["Case", *measures], turned, "wm-figures")
    lines = [[name, *line] for name, line in zip(measures, cells, strict=True)]
    return table(["Figure", *names], lines, "wm-figures")


def fold(summary: str, body: str) -> str:
    """Return content folded under a line that names it."""
    return f'<details class="wm-fold"><summary>{summary}</summary>{body}</details>'
