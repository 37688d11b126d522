"""The card of a world's recording, as sections of its page: counts, distributions, samples.

A card is the folder `data-cards/<world>` that `wmsite data card` and `wmsite data rates` wrote,
committed. It is of the sim that it was made on; a build warns of one that is of another.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import cache
from builder.charts import histogram
from builder.tables import table
from builder.terminal import Terminal, size

if TYPE_CHECKING:
    from builder.plugin import Shown
    from builder.project import World

Told = Mapping[str, Any]

ABSENT = '<p class="wm-absent">{what}</p>'
NONE = "Nothing of this world is recorded yet. Run: wmsite data record, and wmsite data card."
FOLDER = "card"  # within the world's folder of the site
FILES = ("*.webp", "sample-*.json")  # that a page loads
FORMATS = {"card.json": 1, "rates.json": 1}
MAKERS = {
    "card.json": "wmsite data record {world}, then wmsite data card {world}",
    "rates.json": "wmsite data rates {world}",
}
FIRST = ("speed", "steering")  # Distributions that are seen at once; the others are folded.


def check(world: World, terminal: Terminal) -> None:
    """Warn of a card that is of another sim than the one that is here, or can't be read."""
    for name, format_ in FORMATS.items():
        file = world.card / name
        if not file.is_file():
            continue
        told = cache.read_json(file)
        if not isinstance(told, dict) or told.get("format") != format_:
            what = "can't be read, and is left out"
        elif told.get("sim") != world.hash:
            what = f"is of another sim ({str(told.get('sim'))[:12]}; it is now {world.hash[:12]})"
        else:
            continue
        run = MAKERS[name].format(world=world.name)
        terminal.warn(f"world {world.name}: {file.parent.name}/{name} {what}. Run: {run}")


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """Return card.json or rates.json of a card's folder; None where there is none of ours."""
    told = cache.read_json(folder / name)
    good = isinstance(told, dict) and told.get("format") == FORMATS[name]
    return told if good else None


def of(shown: Shown) -> dict[str, Any] | None:
    """Return a world's card, if it has one."""
    return read(shown.card, "card.json")


def rates_of(shown: Shown) -> dict[str, Any] | None:
    """Return a world's rates, if they were measured."""
    return read(shown.card, "rates.json")


def files(folder: Path) -> list[Path]:
    """Return the files of a card that a page loads."""
    return sorted(path for pattern in FILES for path in folder.glob(pattern))


def scene(about: Told) -> str:
    """Say in words where a sample or a still comes from."""
    words = [about["scenario"], about.get("condition"), f"driver {about['behaviour']}"]
    return html.escape(", ".join(dict.fromkeys(str(word) for word in words if word)))


def counts(shown: Shown, home: str) -> str:
    """Count steps by scenario and behaviour, by what else there is, and events."""
    told = of(shown)
    if not told:
        return ABSENT.format(what=NONE)
    parts = [
        f"<p>{told['steps']:,} steps in {told['episodes']:,} episodes, "
        f"{told['seconds'] / 60:.0f} minutes at {told['rate']:g} steps a second, "
        f"{size(told['bytes'])}. Steps by scenario and driver:</p>",
        _cross(told["by"], shown.manifest.spec),
    ]
    small = [
        _small(
            title, [[r["name"], f"{r['steps']:,}", f"{r['episodes']:,}"] for r in told["counts"][n]]
        )
        for n, title in (("condition", "Condition"), ("split", "Split"), ("ended", "How it ended"))
        if n in told["counts"]
    ]
    happened = [[e["name"], f"{e['count']:,}", f"{e['episodes']:,}"] for e in told["events"]]
    small.append(_small("Event", happened))
    return "".join(parts) + f'<div class="wm-smalls">{"".join(small)}</div>'


def _cross(by: Told, spec: Told) -> str:
    """Return the steps of each scenario and behaviour; the more, the more colour a cell has."""

    def order(what: str) -> list[int]:
        """Return places of names, those of the spec first and as it has them."""
        known = {name: i for i, name in enumerate(spec[what])}
        return sorted(range(len(by[what])), key=lambda i: known.get(by[what][i], len(known)))

    columns = order("behaviours")
    counted = [[by["steps"][s][b] for b in columns] for s in order("scenarios")]
    most = max((n for row in counted for n in row), default=0) or 1
    rows = []
    for place, row in zip(order("scenarios"), counted, strict=True):
        cells = [f'<span style="--wm-share: {n / most:.2f}">{n:,}</span>' for n in row]
        rows.append([html.escape(by["scenarios"][place]), *cells, f"{sum(row):,}"])
    sums = [f"{sum(column):,}" for column in zip(*counted, strict=True)]
    rows.append(["all", *sums, f"{sum(map(sum, counted)):,}"])
    head = ["Scenario", *(html.escape(by["behaviours"][b]) for b in columns), "all"]
    return table(head, rows, "wm-figures wm-tight wm-heat")


def _small(title: str, rows: Sequence[Sequence[str]]) -> str:
    cells = [[html.escape(cell.replace("_", " ")) for cell in row] for row in rows]
    return table([title, "Steps", "Episodes"], cells, "wm-figures wm-tight")


def distributions(shown: Shown, home: str) -> str:
    """Draw how often speed and steering had which value; the others are folded below."""
    told = of(shown)
    if not told:
        return ABSENT.format(what=NONE)
    drawn = {
        one["name"]: histogram(
            one["name"].replace("_", " ").capitalize(),
            one["unit"].replace("^2", "²"),
            one["edges"],
            one["counts"],
        )
        for one in told["histograms"]
    }
    first = [drawn[name] for name in FIRST if name in drawn] or list(drawn.values())[:2]
    rest = [one for one in drawn.values() if one not in first]
    more = "".join(rest)
    return f'<div class="wm-histograms">{"".join(first)}</div>' + (
        f'<details><summary>The other {len(rest)}</summary><div class="wm-histograms">{more}</div>'
        "</details>"
        if rest
        else ""
    )


def samples(shown: Shown, home: str) -> str:
    """Offer the sample windows: each a picture and a button, and what it loads when asked."""
    told = of(shown)
    if not told or not told["samples"]:
        return ABSENT.format(what=NONE)
    spec = shown.manifest.spec
    width = sum(camera["width"] for camera in spec["cameras"])
    height = max(camera["height"] for camera in spec["cameras"])
    parts = []
    for one in told["samples"]:
        title = scene(one)
        long = one["frames"] / one["rate"]
        parts.append(
            f'<wm-sample src="{home}{one["file"]}" strip="{home}{one["strip"]}" '
            f'label="{title}"><p><strong>{html.escape(one["scenario"])}</strong>, '
            f"{title.partition(', ')[2]}, {one['start']:g} to {one['start'] + long:g} s</p>"
            f'<div class="wm-sample-stage"><img src="{home}{one["poster"]}" width="{width}" '
            f'height="{height}" loading="lazy" alt="The cameras in the middle of it"></div>'
            f'<button type="button" class="wm-sample-load" disabled>Play '
            f'<span class="wm-size">({size(one["bytes"])})</span></button></wm-sample>'
        )
    return f'<div class="wm-samples">{"".join(parts)}</div>'


def recording(shown: Shown, home: str) -> str:
    """Say what the card is of: sim, recipe, seed, steps."""
    told = of(shown)
    if not told:
        return ABSENT.format(what=NONE)
    recipe = told["recipe"] or {}
    rows = [
        ["Sim", f"<code>{html.escape(told['sim'][:12])}</code>"],
        ["Seed of the recipe", html.escape(str(told["seed"]))],
        ["Steps", _steps(told, recipe)],
        ["Shares of drivers", _shares(recipe.get("behaviours"))],
        ["Shares of splits", _shares(recipe.get("splits"))],
        ["Dataset", f"<code>{html.escape(told['dataset'])}</code>"],
    ]
    return table([], [row for row in rows if row[1]])


def _steps(told: Told, recipe: Told) -> str:
    asked = recipe.get("steps", told["steps"])
    more = f" of the {asked:,} that the recipe asks for" if asked > told["steps"] else ""
    return f"{told['steps']:,}{more}"


def _shares(shares: Mapping[str, float] | None) -> str:
    return ", ".join(f"{html.escape(k)} {100 * v:g} %" for k, v in (shares or {}).items())
