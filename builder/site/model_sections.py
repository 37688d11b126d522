"""Write the evaluation of a model as sections of the world's page: tables, curves and intervals."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.project import cache
from builder.project.weights import tables as every_table
from builder.site import manifest, tables
from builder.site.charts import Line, chart
from builder.terminal import size

ABSENT = '<p class="wm-absent">{what}</p>'
TIME = "Milliseconds a frame, onnxruntime-web on one thread, where it was made"
BROKEN = 1.0  # percent of steps; the page names a rule that a model breaks more often
MANY = 60  # figures; with more of them a reader first sees one horizon
NO_DETECTOR = "Not measured: nothing reads this world's objects from its frames yet."


def evaluation(model: manifest.Model, weights: Path, home: str) -> str:
    """Compare the model with its baselines by horizon, under the sim's own actions and chance."""
    metrics = cache.read_json(weights / "metrics.json")
    if not metrics:
        return ABSENT.format(what="Not evaluated yet.")
    columns, rows = metrics["columns"], metrics["rows"]
    steps = sorted({column["step"] for column in columns})
    # A reader compares three horizons; the others are folded below.
    told = {steps[0], steps[len(steps) // 2], steps[-1]} if steps else set()
    if len(columns) > MANY:
        told = {steps[len(steps) // 2]}
    some = [column for column in columns if column["step"] in told]
    checks = metrics.get("checks", {})
    single = {key: value for key, value in checks.items() if "mean" in value}
    first = {**rows[0], "values": rows[0]["values"] | single} if rows else {}
    shown = [{"key": key, **value} for key, value in single.items()]
    parts = [tables.figures([*some, *shown], [first, *rows[1:]] if rows else [])]
    if len(some) < len(columns):
        whole = tables.figures(columns, rows)
        parts.append(tables.fold("Every step measured", whole))
    parts.append(_heads(metrics, "recorded" if recorded(weights) else "sim's"))
    setup = metrics.get("setup", {})
    if setup:
        few = setup.get("baseline_rollouts", setup.get("rollouts"))
        where, most = f"over {setup.get('seeds')} seeds that were never recorded", ""
        if recorded(weights):
            where, most = "cut from held-out episodes of the recording", "at most "
        parts.append(
            f"<p>{setup.get('rollouts')} rollouts {where} ({few} of them for the baselines), "
            f"each {most}{setup.get('steps')} steps after {setup.get('history')} frames seen; "
            "below each mean its interval "
            f"({html.escape(str(setup.get('interval', '')))}).</p>"
        )
    return cannot(model, metrics) + "".join(parts) + curves(metrics.get("curves", {}))


def curves(told: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw metrics.json's curves: the first share in full, the others folded."""
    shares = [key for key, one in told.items() if one["unit"] == "%"]
    first = next(iter(shares or told), None)
    drawn = {key: curve(one, "steps played alone") for key, one in told.items()}
    rest = "".join(drawn[key] for key in drawn if key != first)
    return drawn.get(first or "", "") + (tables.fold("The other curves", rest) if rest else "")


def cannot(model: manifest.Model, metrics: Mapping[str, Any]) -> str:
    """Return a paragraph that says what a model cannot do on the page, or "".

    It covers rewards, the end of a game, and each of the world's rules.
    """
    alone = metrics.get("autonomy", {})
    rules, broken = alone.get("rules", {}), alone.get("broken", {}).get(model.family, {})
    worst = sorted((share, rule) for rule, share in broken.items() if share >= BROKEN)[::-1]
    said = [
        f"in {share:.0f} % of the steps that it plays alone it breaks this rule: {rules[rule]}"
        for share, rule in worst[:3]
    ]
    if not model.variants[0].ends:
        row = next((r for r in metrics.get("heads", {}).get("rows", [])), None)
        found = (row or {"values": {}})["values"].get("end_recall")
        told = f" (it tells {found['mean']:.0f} % of the ends)" if found else ""
        said.insert(0, f"it does not know when a game ends{told}, so a game of its own never does")
    if not model.variants[0].scores:
        said.insert(0, "it does not tell what a step is worth, so a game of its own has no score")
    if not said:
        return ""
    return f"<p><strong>What {html.escape(model.family)} cannot do:</strong> " + (
        html.escape("; ".join(said)) + ".</p>"
    )


def recorded(weights: Path) -> bool:
    """Return whether a model's world has no sim: its weights then hold the spec."""
    return "spec" in (cache.read_json(weights / "provenance.json") or {})


def _heads(metrics: Mapping[str, Any], whose: str) -> str:
    """Say whether the model predicts rewards and ends as they were; `whose`: the true game."""
    told = metrics.get("heads")
    if not told or not told["rows"]:
        return ""
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>Rewards and ends over {told['steps']} steps, until the {whose} game ends; "
        f"{told['ends']} games do. An end counts as told if it is within {told['within']} steps of "
        f"the {whose} end.</p>"
    )


def curve(told: Mapping[str, Any], x_label: str) -> str:
    """Draw one curve of metrics.json for every player, with the interval of the first player."""
    lines = []
    for index, (player, points) in enumerate(told["series"].items()):
        known = [(s, p) for s, p in zip(told["steps"], points, strict=False) if p]
        band = [(s, p["low"], p["high"]) for s, p in known]
        lines.append(Line(player, [(s, p["mean"]) for s, p in known], [] if index else band))
    return chart(told["label"], x_label, lines, told["unit"])


def comparison(models: Sequence[tuple[manifest.Model, Path]]) -> str:
    """Compare all models of a world: fidelity, arithmetic, bytes and time."""
    rows: list[dict[str, Any]] = []
    lines: list[list[str]] = [["Parameters"], ["Million multiplications a frame"], ["Size"], [TIME]]
    columns: list[dict[str, dict[str, Any]]] = []  # by key, one value for each model
    series: dict[str, dict[str, Any]] = {}
    limits: list[str] = []
    for model, weights in models:
        metrics = cache.read_json(weights / "metrics.json") or {}
        tables_of = every_table(metrics)
        limits.append(cannot(model, metrics))
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
                    points = zip(one["steps"], one["series"][name], strict=False)
                    drawn["series"][shown] = dict(points)
    for one in series.values():  # Each model was measured at its own steps.
        one["steps"] = sorted({step for points in one["series"].values() for step in points})
        for shown, points in one["series"].items():
            one["series"][shown] = [points.get(step) for step in one["steps"]]
    names = [html.escape(row["name"]) for row in rows]
    # Metrics that all models have, at three of the horizons.
    shared = [c for key, c in columns[0].items() if all(key in other for other in columns)]
    steps = sorted({c["step"] for c in shared if "step" in c})
    some = {None, *(steps[i] for i in (0, len(steps) // 2, -1) if steps)}
    many = [c for c in shared if c.get("step") in some]
    # One horizon is enough here. F1 is high only where precision and recall are high.
    parts = ("precision_", "recall_")
    few = [c for c in many if c.get("step") in {None, *steps[len(steps) // 2 :][:1]}]
    few = [c for c in few if not c["key"].startswith(parts)]
    return (
        "".join(limits)
        + tables.figures(few, rows)
        + (
            tables.fold("All figures that they share", tables.figures(many, rows))
            if few != many
            else ""
        )
        + tables.table(["Cost", *names], lines, "wm-figures")
        + curves(series)
    )


def events(model: manifest.Model, weights: Path, home: str) -> str:
    """Compare the model's events with the sim's events, and their times."""
    told = (cache.read_json(weights / "metrics.json") or {}).get("events")
    if not told:
        return ABSENT.format(what=NO_DETECTOR)
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>Over {told['steps']} steps; an event counts as found if the model has it within "
        f"{told['within']} steps of the sim.</p>"
    )


def autonomy(model: manifest.Model, weights: Path, home: str) -> str:
    """Show how long the model keeps the rules when it plays alone, and how it plays."""
    told = (cache.read_json(weights / "metrics.json") or {}).get("autonomy")
    if not told:
        return ABSENT.format(what=NO_DETECTOR)
    counts = told["culprits"]
    players = [name for name in counts if counts[name]]
    often = told.get("broken", {})
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
        + (_broken(told["rules"], often) if often else "")
    )


def measures(model: manifest.Model, weights: Path, home: str) -> str:
    """Show the tables that the recipe asks for by name."""
    told = (cache.read_json(weights / "metrics.json") or {}).get("measures")
    if not told:
        what = "the recipe's <code>evaluate.measures</code> names nothing that this world has"
        return ABSENT.format(what=what)
    return "".join(
        f"<h4>{html.escape(table['title'])}</h4>"
        + tables.figures(table["columns"], table["rows"], turn=True)
        + f"<p>{html.escape(table['note'])}</p>"
        + (curve(table["curve"], "steps played alone") if table["curve"] else "")
        for table in told.values()
    )


def _broken(rules: Mapping[str, str], often: Mapping[str, Mapping[str, float]]) -> str:
    """Show in which share of its steps each player breaks each rule."""
    head = ["Steps that break a rule, %", *map(html.escape, often)]
    rows = [
        [html.escape(said), *(f"{shares.get(rule, 0.0):.1f}" for shares in often.values())]
        for rule, said in rules.items()
    ]
    return tables.table(head, rows, "wm-figures")


def variants(model: manifest.Model, weights: Path, home: str) -> str:
    """Show each precision's own figures: of games that it played, or of the parity gate."""
    parity = cache.read_json(weights / "graphs" / "parity.json") or {}
    told, fewer = parity.get("sample"), parity.get("browser_sample")
    if not told:
        return _gate(parity.get("variants", []))
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


GATE = {
    "pixels": "pixels unlike PyTorch's after one step, %",
    "psnr grounded": "PSNR of a step from a true frame, dB",
    "psnr free": "PSNR of a rollout, dB",
    "end_recall free": "ends of games told in a rollout, %",
    "end_precision free": "told ends that are true, %",
    "reward_error free": "error of the reward in a rollout, %",
    "ms": TIME,
}


def _gate(variants: Sequence[Mapping[str, Any]]) -> str:
    """Show by what each precision passed the parity gate, or why it failed."""
    if not variants:
        return ABSENT.format(what="Not measured: no graph was made.")
    measured = [
        one["figures"]["onnxruntime"] | {"ms": one["figures"].get("wasm", {}).get("ms")}
        for one in variants
    ]
    lines = [
        [label, *(f"{one[key]:.4g}" if one.get(key) is not None else "–" for one in measured)]
        for key, label in GATE.items()
        if any(one.get(key) is not None for one in measured)
    ]
    failed = "".join(
        f"<p>{html.escape(one['variant'])} does not ship: "
        f"{html.escape(next(iter(one['failures'].values())))}.</p>"
        for one in variants
        if not one["backends"]
    )
    names = [
        html.escape(one["variant"]) + ("" if one["backends"] else ", not shipped")
        for one in variants
    ]
    return (
        tables.table(["At the parity gate", *names], lines, "wm-figures")
        + "<p>Held-out games, replayed by the graphs in onnxruntime. Only the time is that of "
        "onnxruntime-web.</p>" + failed
    )


def in_browser(told: dict[str, Any]) -> str:
    """Show the same figures for fewer rollouts, in onnxruntime-web too."""
    return (
        tables.figures(told["columns"], told["rows"])
        + f"<p>The same in onnxruntime and in onnxruntime-web in Chromium, for {told['rollouts']} "
        f"rollouts of {told['steps']} steps.</p>"
    )
