"""What was measured of a model, as sections of the world's page: tables, curves and intervals."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder import cache, manifest, tables
from builder.charts import Line, chart
from builder.terminal import size

ABSENT = '<p class="wm-absent">{what}</p>'
TIME = "Milliseconds a frame, onnxruntime-web on one thread, where it was made"
NO_DETECTOR = "Not measured: nothing reads this world's objects from its frames yet."


def evaluation(model: manifest.Model, weights: Path, home: str) -> str:
    """Under the sim's own actions and chance: the model beside its baselines, by horizon."""
    metrics = cache.read_json(weights / "metrics.json")
    if not metrics:
        return ABSENT.format(what="Not evaluated yet.")
    columns, rows = metrics["columns"], metrics["rows"]
    steps = sorted({column["step"] for column in columns})
    # A reader compares three horizons; the others stand folded below.
    told = {steps[0], steps[len(steps) // 2], steps[-1]} if steps else set()
    some = [column for column in columns if column["step"] in told]
    checks = metrics.get("checks", {})
    single = {key: value for key, value in checks.items() if "mean" in value}
    first = {**rows[0], "values": rows[0]["values"] | single} if rows else {}
    shown = [{"key": key, **value} for key, value in single.items()]
    parts = [tables.figures([*some, *shown], [first, *rows[1:]] if rows else [])]
    if len(some) < len(columns):
        whole = tables.figures(columns, rows)
        parts.append(f"<details><summary>Every step measured</summary>{whole}</details>")
    setup = metrics.get("setup", {})
    if setup:
        few = setup.get("baseline_rollouts", setup.get("rollouts"))
        parts.append(
            f"<p>{setup.get('rollouts')} rollouts over {setup.get('seeds')} seeds that were never "
            f"recorded ({few} of them for the baselines), each {setup.get('steps')} "
            f"steps after {setup.get('history')} frames seen; below each mean its interval "
            f"({html.escape(str(setup.get('interval', '')))}).</p>"
        )
    parts += [curve(one, "steps played alone") for one in metrics.get("curves", {}).values()]
    return "".join(parts)


def curve(told: Mapping[str, Any], x_label: str) -> str:
    """Draw one curve of metrics.json for every player, with the first one's interval."""
    lines = []
    for index, (player, points) in enumerate(told["series"].items()):
        known = [(s, p) for s, p in zip(told["steps"], points, strict=False) if p]
        band = [(s, p["low"], p["high"]) for s, p in known]
        lines.append(Line(player, [(s, p["mean"]) for s, p in known], [] if index else band))
    return chart(told["label"], x_label, lines, told["unit"])


def comparison(models: Sequence[tuple[manifest.Model, Path]]) -> str:
    """All models of a world side by side: fidelity, arithmetic, bytes and time."""
    rows: list[dict[str, Any]] = []
    lines: list[list[str]] = [["Parameters"], ["Million multiplications a frame"], ["Size"], [TIME]]
    columns: list[dict[str, dict[str, Any]]] = []  # of each model, by key
    series: dict[str, dict[str, Any]] = {}
    for model, weights in models:
        metrics = cache.read_json(weights / "metrics.json") or {}
        tables_of = [metrics, metrics.get("events", {}), metrics.get("autonomy", {})]
        checks = {k: v for k, v in metrics.get("checks", {}).items() if "mean" in v}
        columns.append({c["key"]: c for part in tables_of for c in part.get("columns", [])})
        columns[-1] |= {key: {"key": key, **value} for key, value in checks.items()}
        own_evaluations = {model.family: model.variants[0].evaluations}
        for name, evaluations in (own_evaluations | metrics.get("samplers", {})).items():
            own = name == model.family
            found = {
                key: value
                for part in tables_of
                for row in part.get("rows", [])
                if row["name"] == name
                for key, value in row["values"].items()
            }
            shown = name if own else f"{model.family}, {name}"
            rows.append({"name": shown, "values": found | (checks if own else {})})
            fast = next((v for v in model.variants if v.evaluations == evaluations), None)
            lines[0].append(f"{model.parameters:,}")
            lines[1].append(f"{fast.macs / 1e6:.1f}" if fast else "–")
            lines[2].append(f"{size(fast.step.bytes)} ({fast.name})" if fast else "–")
            lines[3].append(f"{fast.parity['ms']:.1f}" if fast and "ms" in fast.parity else "–")
            for key, one in metrics.get("curves", {}).items():
                if name in one["series"]:
                    drawn = series.setdefault(key, {**one, "series": {}})
                    drawn["series"][shown] = one["series"][name]
    names = [html.escape(row["name"]) for row in rows]
    # What was measured of all of them, at three of the steps.
    shared = [c for key, c in columns[0].items() if all(key in other for other in columns)]
    steps = sorted({c["step"] for c in shared if "step" in c})
    some = {None, *(steps[i] for i in (0, len(steps) // 2, -1) if steps)}
    return (
        tables.figures([c for c in shared if c.get("step") in some], rows)
        + tables.table(["Cost", *names], lines, "wm-figures")
        + "".join(curve(one, "steps played alone") for one in series.values())
    )


def events(model: manifest.Model, weights: Path, home: str) -> str:
    """Whether what happens in the sim happens in the model, and when."""
    told = (cache.read_json(weights / "metrics.json") or {}).get("events")
    if not told:
        return ABSENT.format(what=NO_DETECTOR)
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>Over {told['steps']} steps; an event counts as found if the model has it within "
        f"{told['within']} steps of the sim.</p>"
    )


def autonomy(model: manifest.Model, weights: Path, home: str) -> str:
    """How long the model keeps the rules when it plays alone, and what its play is like."""
    told = (cache.read_json(weights / "metrics.json") or {}).get("autonomy")
    if not told:
        return ABSENT.format(what=NO_DETECTOR)
    counts = told["culprits"]
    players = [name for name in counts if counts[name]]
    broke = [
        [html.escape(said), *(str(counts[name].get(rule, 0)) for name in players)]
        for rule, said in told["rules"].items()
    ]
    head = ["First rule broken, rollouts", *map(html.escape, players)]
    played = ", ".join(f"{html.escape(n)} {k}" for n, k in told["rollouts"].items())
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>Rollouts of {told['steps']} steps: {played}.</p>"
        + curve(told["curve"], "steps played alone")
        + (tables.table(head, broke, "wm-figures") if players else "")
    )


def variants(model: manifest.Model, weights: Path, home: str) -> str:
    """Each precision's own figures, in onnxruntime."""
    parity = cache.read_json(weights / "graphs" / "parity.json") or {}
    told, fewer = parity.get("sample"), parity.get("browser_sample")
    if not told:
        return ABSENT.format(what=NO_DETECTOR)
    shipped = {variant.title for variant in model.variants}
    rows = [
        row if row["name"] in shipped else {**row, "name": f"{row['name']}, not shipped"}
        for row in told["rows"]
    ]
    return (
        tables.figures(told["columns"], rows)
        + f"<p>The graphs as they are shipped, in onnxruntime: {told['rollouts']} rollouts of "
        f"{told['steps']} steps each under the sim's actions, and as many alone.</p>"
        + (in_browser(fewer) if fewer and fewer["rows"] else "")
    )


def in_browser(told: dict[str, Any]) -> str:
    """The same for fewer rollouts, in onnxruntime-web too."""
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>The same in onnxruntime and in onnxruntime-web in Chromium, for {told['rollouts']} "
        f"rollouts of {told['steps']} steps.</p>"
    )
