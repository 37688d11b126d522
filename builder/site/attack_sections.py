"""Write what `wmsite attack` found as a section of the world's page: figures, and games to play."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from builder.project import cache
from builder.project import weights as kept
from builder.site import manifest
from builder.site.tables import figure, fold, table

ABSENT = '<p class="wm-absent">{what}</p>'


def attacks(model: manifest.Model, weights: Path, home: str) -> str:
    """Show how many games break at each strength of each attack, and games that break the model."""
    told = cache.read_json(weights / kept.ATTACKS, dict[str, Any])
    made = cache.read_json(weights / "provenance.json", dict[str, Any]) or {}
    files, keys = (part if isinstance(part, dict) else {}
                   for part in (made.get("files"), made.get("keys")))  # fmt: skip
    if not told or told["weights"] != files.get(kept.WEIGHTS):
        return ABSENT.format(
            what="Not attacked yet. Run: <code>wmsite attack WORLD</code>, then build again"
        )
    rows = [["no attack", "", *_figures(told["none"])]]
    rows += [
        [html.escape(one["title"]), f"{tried['strength']:g} {one['unit']}", *_figures(tried)]
        for one in told["attacks"]
        for tried in one["tries"]
    ]
    head = ["attack", "strength", "broken games, %", "steps until then, median"]
    says = "".join(
        f"<li><strong>{html.escape(one['title'])}.</strong> {html.escape(one['says'])}</li>"
        for one in told["attacks"]
    )
    played = (
        f"<p>{told['games']} games of {told['steps']} steps, played alone until they are over. "
        f"{html.escape(told['by'])} Below each figure its 95 % interval.</p>"
    )
    does = fold("What each attack does", f"<ul>{says}</ul>")
    cases = _cases(told, str(keys.get("sim")))
    return table(head, rows) + played + does + cases + _coverage(told, kept.metrics(weights))


def _figures(tried: dict[str, Any]) -> list[str]:
    return [figure(tried["broken"], "%"), figure(tried["step"])]


def _coverage(told: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Show of each scenario how often it is recorded, reproduced, and broken by an attack."""
    if not (cover := told.get("coverage")):
        return ""
    measured = (metrics.get("measures") or {}).get("scenarios") or {"rows": []}
    known = {row["name"]: row["values"] for row in measured["rows"]}
    rows = [
        [
            html.escape(row["name"]),
            *(figure(known[row["name"]][key], "%") if row["name"] in known else ""
              for key in ("recorded", "kept")),
            figure(row["alone"], "%"),
            figure(row["broken"], "%"),
        ]
        for row in cover["rows"]
    ]  # fmt: skip
    broken = sum(row["broken"]["mean"] > 0 for row in cover["rows"])
    head = ["scenario", "share of the recorded games", "reproduced", "breaks by itself",
            "broken by an attack"]  # fmt: skip
    says = (
        f"<p>Each scenario is played {cover['games']} times for {cover['seconds']:g} seconds, "
        f"by itself and under each of the {cover['attacks']} attacks at its middle strength. "
        f"Attacks break games that hold by themselves in {broken} of {len(rows)} scenarios.</p>"
    )
    return fold("Each scenario", says + table(head, rows))


def _cases(told: dict[str, Any], sim: str) -> str:
    """List the games that break the model, each as a link that the page plays."""
    if not told.get("searched"):
        return ""
    if any(f"sim={sim[:16]}&" not in case["link"] for case in told["cases"]):
        return (
            "<p>The games that broke it are of the sim before its last edit, and are not shown. "
            "Run: <code>wmsite attack WORLD</code>, then build again</p>"
        )
    if not told["cases"]:
        graph = ", and none of them breaks the graph that this page plays" if told["found"] else ""
        return (
            f"<p>In {told['searched']} games, {told['generations']} generations of a search found "
            f"actions that break the model within {told['steps']} steps in {told['found']}"
            f"{graph}.</p>"
        )
    items = "".join(
        f'<li><a href="#{html.escape(case["link"])}">Watch it break at step {case["step"]}</a>: '
        f"{html.escape(told['causes'][case['cause']])}</li>"
        for case in told["cases"]
    )
    return (
        f"<p>A search for actions broke the model in {told['found']} of {told['searched']} games. "
        "What is not needed was taken out, and each breaks the graph that this page plays. Beside "
        "each stands the rule that is broken, or what no recording shows:</p>"
        f"<ol>{items}</ol>"
    )
