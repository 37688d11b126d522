"""Draw line charts and block diagrams as inline SVG; colours come from the page's CSS."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

# A chart's size. Two charts fit side by side, or one on a phone, with its text at the size given
# here.
WIDTH = 360
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 220, 44, 12, 8, 36
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 5")


@dataclass(frozen=True)
class Line:
    """One line: points (x, y), and optionally a band (x, low, high) behind it."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


def chart(title: str, x_label: str, lines: Sequence[Line], unit: str = "") -> str:
    """Return a chart as SVG; each line has its own dashes, and its name below the chart."""
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    ys += [v for line in lines for _, low, high in line.band for v in (low, high)]
    x_ticks, y_ticks = ticks(min(xs), max(xs), 6), ticks(min(ys), max(ys), 5)
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-9)
    y_low, y_high = y_ticks[0], max(y_ticks[-1], y_ticks[0] + 1e-9)

    def at(x: float, y: float) -> str:
        px = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        py = HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return f"{px:.1f},{py:.1f}"

    parts = []
    for value in y_ticks:
        start, _, level = at(x_low, value).partition(",")
        end = at(x_high, value).partition(",")[0]
        parts.append(
            f'<path class="wm-grid" d="M{start},{level}H{end}"/>'
            f'<text class="wm-tick" x="{LEFT - 8}" y="{level}" dy="4" text-anchor="end">'
            f"{number(value)}</text>"
        )
    for value in x_ticks:
        if x_low <= value <= x_high:
            place = at(value, y_low).partition(",")[0]
            parts.append(
                f'<text class="wm-tick" x="{place}" y="{HEIGHT - BOTTOM + 16}" '
                f'text-anchor="middle">{number(value)}</text>'
            )
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(
        f'<text class="wm-axis" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(x_label)}</text>"
    )
    for index, line in enumerate(lines):
        style = f"wm-line wm-line-{index % 5}"
        if line.band:
            high = [at(x, top) for x, _, top in line.band]
            low = [at(x, bottom) for x, bottom, _ in reversed(line.band)]
            parts.append(f'<polygon class="wm-band {style}" points="{" ".join(high + low)}"/>')
        points = " ".join(at(x, y) for x, y in line.points)
        parts.append(
            f'<polyline class="{style}" stroke-dasharray="{DASHES[index % 5]}" points="{points}"/>'
        )
        if len(line.points) == 1:
            x, _, y = points.partition(",")
            parts.append(f'<circle class="wm-dot wm-line-{index % 5}" cx="{x}" cy="{y}" r="3"/>')
    said = html.escape(f"{title}{f' ({unit})' if unit else ''} by {x_label}")
    return (
        f'<figure class="wm-chart"><figcaption>{html.escape(title)}'
        f"{f' ({html.escape(unit)})' if unit else ''}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{''.join(parts)}</svg>{_legend(lines)}</figure>"
    )


def _legend(lines: Sequence[Line]) -> str:
    """Name each line beside a piece of it, as page text, so that small charts stay legible."""
    named = "".join(
        '<span><svg viewBox="0 0 34 8" aria-hidden="true">'
        f'<path class="wm-line wm-line-{index % 5}" stroke-dasharray="{DASHES[index % 5]}" '
        f'd="M0,4H34"/></svg> {html.escape(line.name)}</span> '
        for index, line in enumerate(lines)
    )
    return f'<p class="wm-legend">{named.strip()}</p>' if len(lines) > 1 else ""


LOW = 190  # The height of a histogram.


def histogram(title: str, unit: str, edges: Sequence[float], counts: Sequence[int]) -> str:
    """Return a histogram of a value as SVG, with shares on a logarithmic scale.

    The scale shows rare values beside common ones, such as turned wheels beside straight ones.
    """
    total = sum(counts)
    if not total:
        return ""
    left, right, top, bottom = 58, 10, 10, 36
    decades = max(1, math.ceil(math.log10(total / min(c for c in counts if c))))
    decades = min(decades, 5)
    wide, high = WIDTH - left - right, LOW - top - bottom

    def across(value: float) -> float:
        return left + (value - edges[0]) / (edges[-1] - edges[0]) * wide

    def up(share: float) -> float:
        return high * max(0.0, 1 + math.log10(share) / decades)

    floor = LOW - bottom
    parts = []
    for power in range(decades + 1):
        level = floor - up(10.0**-power)
        parts.append(
            f'<path class="wm-grid" d="M{left},{level:.1f}H{WIDTH - right}"/>'
            f'<text class="wm-tick" x="{left - 6}" y="{level:.1f}" dy="4" text-anchor="end">'
            f"{100 * 10.0**-power:g} %</text>"
        )
    for value in ticks(edges[0], edges[-1], 6):
        if edges[0] <= value <= edges[-1]:
            parts.append(
                f'<text class="wm-tick" x="{across(value):.1f}" y="{floor + 15}" '
                f'text-anchor="middle">{number(value)}</text>'
            )
    path = ""
    for low, upper, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            x, width = across(low) + 0.5, max(1.0, across(upper) - across(low) - 1)
            path += f"M{x:.1f},{floor}v{-max(1.0, up(count / total)):.1f}h{width:.1f}V{floor}z"
    parts.append(f'<path class="wm-bars" d="{path}"/>')
    label = f"{title}, {unit}" if unit else title
    parts.append(
        f'<text class="wm-axis" x="{left + wide / 2:.0f}" y="{LOW - 5}" text-anchor="middle">'
        f"{html.escape(unit)}</text>"
    )
    most = max(range(len(counts)), key=lambda i: counts[i])
    said = (
        f"{label}: from {edges[0]:.3g} to {edges[-1]:.3g}, most often "
        f"{edges[most]:.3g} to {edges[most + 1]:.3g} ({100 * counts[most] / total:.0f} % of steps)"
    )
    return (
        f'<figure class="wm-chart wm-histogram"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {LOW}" role="img" aria-label="{html.escape(said)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values that span low..high."""
    span = max(high - low, abs(high) * 1e-3, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= most:
            step *= factor
            break
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]


def number(value: float) -> str:
    """Return a number for people: 12000 as "12k", no trailing zeros."""
    if abs(value) >= 1000 and value == round(value):
        return f"{value / 1000:g}k"
    return f"{value:g}"


@dataclass(frozen=True)
class Box:
    """One block of a diagram: a heading and lines below; `row` and `column` place it."""

    name: str
    text: str
    column: int
    row: float
    kind: str = "layer"


def diagram(title: str, boxes: Sequence[Box], arrows: Sequence[tuple[int, int]]) -> str:
    """Return boxes and arrows between them (by index) as SVG, columns from left to right."""
    wide, high, gap_x, gap_y = 168, 50, 34, 16
    columns = max(box.column for box in boxes) + 1
    rows = max(box.row for box in boxes) + 1
    width = columns * wide + (columns - 1) * gap_x + 4
    height = int(rows * high + (rows - 1) * gap_y) + 4

    def corner(box: Box) -> tuple[float, float]:
        return 2 + box.column * (wide + gap_x), 2 + box.row * (high + gap_y)

    parts = [
        '<defs><marker id="wm-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="wm-tip" d="M0,0L8,4L0,8z"/></marker></defs>'
    ]
    for start, end in arrows:
        (x0, y0), (x1, y1) = corner(boxes[start]), corner(boxes[end])
        if boxes[start].column == boxes[end].column:
            down = y1 > y0
            a = (x0 + wide / 2, y0 + (high if down else 0))
            b = (x1 + wide / 2, y1 + (0 if down else high))
            path = f"M{a[0]:.0f},{a[1]:.0f}L{b[0]:.0f},{b[1]:.0f}"
        else:
            a, b = (x0 + wide, y0 + high / 2), (x1, y1 + high / 2)
            bend = (b[0] - a[0]) / 2
            path = (
                f"M{a[0]:.0f},{a[1]:.0f}C{a[0] + bend:.0f},{a[1]:.0f} "
                f"{b[0] - bend:.0f},{b[1]:.0f} {b[0]:.0f},{b[1]:.0f}"
            )
        parts.append(f'<path class="wm-arrow" d="{path}" marker-end="url(#wm-tip)"/>')
    for box in boxes:
        x, y = corner(box)
        parts.append(
            f'<rect class="wm-box wm-box-{box.kind}" x="{x:.0f}" y="{y:.0f}" width="{wide}" '
            f'height="{high}" rx="6"/>'
            f'<text class="wm-box-name" x="{x + 10:.0f}" y="{y + 21:.0f}">'
            f"{html.escape(box.name)}</text>"
            f'<text class="wm-box-text" x="{x + 10:.0f}" y="{y + 39:.0f}">'
            f"{html.escape(box.text)}</text>"
        )
    said = html.escape(f"{title}: " + ", ".join(f"{b.name} ({b.text})" for b in boxes))
    # Scroll the diagram where it does not fit: nobody could read it at a smaller size.
    return (
        f'<figure class="wm-diagram" tabindex="0"><svg viewBox="0 0 {width} {height}" role="img" '
        f'style="min-width: {0.92 * width:.0f}px" '
        f'aria-label="{said}">{"".join(parts)}</svg></figure>'
    )
