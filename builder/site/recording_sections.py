"""Write a world's dataset card as sections of its page: counts, distributions, sample windows.

A dataset card is the committed folder `data-cards/<world>`, written by `wmsite data card` and
`wmsite data rates`. It belongs to the sim that it was made with. A build warns of a card of another
sim.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.project import cache, own
from builder.site.charts import histogram
from builder.site.tables import table
from builder.terminal import Terminal, size
from training import contained

if TYPE_CHECKING:
    from builder.project.worlds import World
    from builder.site.plugin import Shown

Told = Mapping[str, Any]

ABSENT = '<p class="wm-absent">{what}</p>'
NONE = "Nothing of this world is recorded yet. Run: wmsite data record, and wmsite data card."
FOLDER = "card"  # within the world's folder of the site
NAMED = {"file": (".webp", ".json"), "strip": (".webp",), "poster": (".webp",)}  # that it loads
MADE = re.compile(r"(sample|still|poster)-\d+\.(json|webp)")  # the names of its files
FORMATS = {"card.json": 1, "rates.json": 1}
MAKERS = {
    "card.json": "wmsite data record {world}, then wmsite data card {world}",
    "rates.json": "wmsite data rates {world}",
}
FIRST = ("speed", "steering")  # Distributions that the page shows at once; the others are folded.


def check(world: World, terminal: Terminal) -> None:
    """Warn of a dataset card of another sim than the current one, or one that cannot be read."""
    for name in FORMATS:
        file = world.card / name
        if not file.is_file():
            continue
        told = read(world.card, name)
        if told is None:
            what = "can't be read, and is left out"
        elif told.get("sim") != world.hash:
            kind = "recording" if world.recorded else "sim"
            what = (
                f"is of another {kind} ({str(told.get('sim'))[:12]}; it is now {world.hash[:12]})"
            )
        else:
            continue
        run = MAKERS[name].format(world=world.name)
        if world.recorded:
            run = f"wmsite data card {world.name}"
        terminal.warn(f"world {world.name}: {file.parent.name}/{name} {what}. Run: {run}")


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """Return card.json or rates.json of a card's folder; None where there is no such file of ours.

    Raises UserError for a link, and for a name that is not a plain file in the folder.
    """
    told = cache.read_json(contained.inside(folder, name, f"card {folder}"))
    if not isinstance(told, dict) or told.get("format") != FORMATS[name]:
        return None
    if not all(isinstance(part, dict) for part in _parts(told)):
        return None
    _named(folder, told)
    return told


def of(shown: Shown) -> dict[str, Any] | None:
    """Return a world's dataset card, or None."""
    return read(shown.card, "card.json")


def rates_of(shown: Shown) -> dict[str, Any] | None:
    """Return a world's rates, or None if nobody has measured them."""
    return read(shown.card, "rates.json")


def files(folder: Path) -> list[Path]:
    """Return the files of a card that a page loads: files that it names and that exist."""
    return [path for path in _named(folder, read(folder, "card.json") or {}) if path.is_file()]


def refuse(folder: Path) -> None:
    """Raise UserError for a folder with files and no card: a card must not replace it."""
    if not any(read(folder, name) for name in FORMATS):
        there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        mine = [*FORMATS, *filter(MADE.fullmatch, there)]
        own.refuse(folder, "card", mine, "give --out a folder of its own")


def _named(folder: Path, told: Told) -> list[Path]:
    """Return the files that a card names; UserError for any but a plain file in its folder."""
    return [
        contained.inside(folder, part[key], f"card {folder}", endings)
        for part in _parts(told)
        for key, endings in NAMED.items()
        if key in part
    ]


def _parts(told: Told) -> list[Any]:
    lists = (told.get(kind, []) for kind in ("samples", "stills"))
    return [part for some in lists for part in (some if isinstance(some, list) else [None])]


def scene(about: Told) -> str:
    """Return the source of a sample window or a still in words."""
    words = [about["scenario"], about.get("condition"), f"driver {about['behaviour']}"]
    return html.escape(", ".join(dict.fromkeys(str(word) for word in words if word)))


def counts(shown: Shown, home: str) -> str:
    """Count steps by scenario and behaviour, by the other properties, and events."""
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
    """Return the steps of each scenario and behaviour; a larger count gives a cell more colour."""

    def order(what: str) -> list[int]:
        """Return the places of names: first those of the spec in its order, then the others."""
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
    """Draw how often speed and steering had each value; the others are folded below."""
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
    """Show the sample windows: for each one a picture, a button, and the size of its files."""
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
    """Show the provenance of the card: sim, recipe, seed, steps."""
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
