"""Draw what a vehicle senses as inline SVG: its rig, a range image, a picture with a path.

The figures show the spec and one recorded row (a still of the dataset card). Colours come from the
page's CSS, so the same figure serves light and dark.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sims.contract import Array

Told = Mapping[str, Any]

REACH = 32.0  # Metres from the middle to the edge of the view from above.
RINGS = (10, 20, 30)
GROUND = 0.3  # Metres: a point that is higher above the ground is no ground.
VEHICLE = (4.2, 1.8)
HALF = 0.7  # Width in metres of the lane that is drawn along a path.
NEAR = 0.5  # Metres: points nearer to a camera are cut off.
SHADES, CLOSE = 12, 3.0  # Metres in a range image: nearer points have full strength.


def shown(spec: Told, show: str) -> Told | None:
    """Return the sensor with this `show`, if there is one."""
    return next((s for s in spec["sensors"] if s["show"] == show), None)


def ranges(sensor: Told, still: Told) -> Array:
    """Return a still's range image in metres, float64 [rings, columns]; 0 without a return."""
    data = base64.b64decode(still["scans"][sensor["name"]])
    counted = np.frombuffer(data, np.uint8).reshape(sensor["shape"])
    return np.asarray(counted * (sensor["high"] / 255))


def points(sensor: Told, still: Told) -> Array:
    """Return a still's path in metres, float64 [n, 2]: forward, left."""
    return np.reshape(still["paths"][sensor["name"]][0], (-1, 2)) / 100


def field_of_view(camera: Told) -> float:
    """Return the angle that a pinhole camera sees from its left edge to its right, in radians."""
    return 2 * math.atan(camera["width"] / 2 / camera["focal"])


def range_image(sensor: Told, found: Array) -> str:
    """Draw a range image: near is strong, far is faint, empty without a return.

    Shades are even in the logarithm of the range, because near points matter more.
    """
    rings, columns = found.shape
    far = math.log(sensor["high"] / CLOSE)
    share = np.log(np.maximum(found, CLOSE) / CLOSE) / far * SHADES
    level = np.where(found > 0, np.clip(share, 0, SHADES - 1).astype(int), -1)
    parts = []
    for shade in range(SHADES):
        path = "".join(
            f"M{x},{y}h{run}v1h{-run}z" for y in range(rings) for x, run in _runs(level[y] == shade)
        )
        if path:
            parts.append(f'<path class="wm-ink" fill-opacity="{_ink(shade):.2f}" d="{path}"/>')
    back = 100 * float((found > 0).mean())
    near = float(found[found > 0].min()) if back else 0.0
    said = (
        f"Range image of {sensor['name']}: {rings} rings by {columns} columns, straight ahead in "
        f"the middle. {back:.0f} % of the beams came back, the nearest from {near:.1f} m"
    )
    key = "".join(f'<i style="opacity: {_ink(shade):.2f}"></i>' for shade in range(SHADES))
    return (
        f'<svg class="wm-range" viewBox="0 0 {columns} {rings}" preserveAspectRatio="none" '
        f'shape-rendering="crispEdges" role="img" aria-label="{html.escape(said)}">'
        f"{''.join(parts)}</svg>"
        '<p class="wm-ends"><span>behind</span><span>left</span><span>ahead</span>'
        "<span>right</span><span>behind</span></p>"
        f'<p class="wm-key"><span>{CLOSE:g} m</span>{key}<span>{sensor["high"]:g} m</span>'
        "<span>empty: nothing came back</span></p>"
    )


def _ink(shade: int) -> float:
    """Return the opacity of a shade; the nearest shade is 0."""
    return 1 - 0.9 * shade / (SHADES - 1)


def _runs(mask: Array) -> list[tuple[int, int]]:
    """Return (first, length) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def from_above(spec: Told, still: Told | None) -> str:
    """Draw the vehicle from above: each camera's view, the returns, and the points ahead."""
    edge = 2 * REACH
    parts = []
    pinholes = [c for c in spec["cameras"] if c["focal"] > 0]
    for i, camera in enumerate(pinholes):
        half, (x, y, _) = field_of_view(camera) / 2, camera["place"]
        ends = [camera["yaw"] + half, camera["yaw"] - half]
        far = [(x + 2 * edge * math.cos(a), y + 2 * edge * math.sin(a)) for a in ends]
        corners = " ".join(f"{REACH - b:.1f},{REACH - a:.1f}" for a, b in [(x, y), *far])
        parts.append(f'<polygon class="wm-view wm-view-{i}" points="{corners}"/>')
    for ring in RINGS:
        parts.append(f'<circle class="wm-grid" cx="{REACH}" cy="{REACH}" r="{ring}"/>')
    scan, path = shown(spec, "scan"), shown(spec, "path")
    if scan and still:
        parts += _returns(scan, ranges(scan, still))
    if path and still:
        line = " ".join(f"{REACH - b:.1f},{REACH - a:.1f}" for a, b in points(path, still))
        parts.append(f'<polyline class="wm-path" points="{REACH},{REACH} {line}"/>')
        parts += [
            f'<circle class="wm-point" cx="{REACH - b:.1f}" cy="{REACH - a:.1f}" r="0.7"/>'
            for a, b in points(path, still)
        ]
    long, wide = VEHICLE
    parts.append(
        f'<rect class="wm-vehicle" x="{REACH - wide / 2}" y="{REACH - long / 2}" width="{wide}" '
        f'height="{long}" rx="0.4"/>'
    )
    for ring in RINGS:
        parts.append(
            f'<text class="wm-tick" x="{REACH + 0.5}" y="{REACH + ring - 0.7}">{ring} m</text>'
        )
    for camera in pinholes:
        turn = camera["yaw"] + 0.15  # Beside the line, if the line is straight.
        x, y = REACH - 26 * math.sin(turn), REACH - 26 * math.cos(turn)
        parts.append(
            f'<text class="wm-name" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">'
            f"{html.escape(camera['name'])}</text>"
        )
    views = ", ".join(
        f"{c['name']} {math.degrees(field_of_view(c)):.0f} degrees wide" for c in pinholes
    )
    said = f"From above, ahead is up, rings in metres. Cameras: {views}."
    said += " Squares: where beams came back" if scan and still else ""
    said += "; the line: the points ahead." if path and still else ""
    return (
        f'<svg class="wm-above" viewBox="0 0 {edge:g} {edge:g}" role="img" '
        f'aria-label="{html.escape(said)}">{"".join(parts)}</svg>'
    )


def _returns(sensor: Told, found: Array) -> list[str]:
    """Draw each return as a square: ground pale, objects dark."""
    rings, columns = found.shape
    up = np.array(sensor["elevations"] or [0.0] * rings)[:, None]
    turn = math.pi - 2 * math.pi * (np.arange(columns) + 0.5) / columns
    flat = found * np.cos(up)
    forward = sensor["place"][0] + flat * np.cos(turn)
    left = sensor["place"][1] + flat * np.sin(turn)
    height = sensor["place"][2] + found * np.sin(up)
    near = (found > 0) & (np.maximum(np.abs(forward), np.abs(left)) < REACH)
    parts = []
    for kind, mask in (("ground", near & (height < GROUND)), ("return", near & (height >= GROUND))):
        dots = "".join(
            f"M{REACH - b - 0.25:.1f},{REACH - a - 0.25:.1f}h.5v.5h-.5z"
            for a, b in zip(forward[mask], left[mask], strict=True)
        )
        parts.append(f'<path class="wm-{kind}" d="{dots}"/>')
    return parts


def views(spec: Told, still: Told, url: str, named: bool = True) -> str:
    """Show a still with the points ahead in each camera's view, and the cameras' names below."""
    cameras = sorted(spec["cameras"], key=lambda c: -c["yaw"])
    width, height = sum(c["width"] for c in cameras), max(c["height"] for c in cameras)
    path = shown(spec, "path")
    parts, x = [], 0
    for camera in cameras:
        if named and path and camera["focal"] > 0:
            corners = seen(camera, lane(points(path, still)))
            shape = f'<polygon class="wm-lane" points="{corners}"/>' if corners else ""
            parts.append(
                f'<svg x="{x}" width="{camera["width"]}" height="{camera["height"]}" '
                f'viewBox="0 0 {camera["width"]} {camera["height"]}">{shape}</svg>'
            )
        x += camera["width"]
    names = ", ".join(c["name"] for c in cameras)
    scene = ", ".join(str(still[n]) for n in ("scenario", "condition") if n in still)
    said = f"What the cameras {names} see: {scene}" + (", with the route's lane" if named else "")
    below = "".join(f"<span>{html.escape(c['name'])}</span>" for c in cameras)
    over = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}</svg>'
    return (
        f'<div class="wm-still"><img src="{url}" width="{width}" height="{height}" '
        f'loading="lazy" alt="{html.escape(said)}">{over if named else ""}</div>'
        + (f'<p class="wm-ends">{below}</p>' if named else "")
    )


def lane(path: Array) -> list[tuple[float, float]]:
    """Return the edges of a lane along a path, starting at the vehicle, as one polygon."""
    steps = np.diff(path, axis=0, prepend=np.zeros((1, 2)))
    length = np.hypot(steps[:, 0], steps[:, 1])
    path, steps, length = path[length > 0.01], steps[length > 0.01], length[length > 0.01]
    if not len(path):
        return []
    normal = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / length[:, None] * HALF
    middle, normal = np.vstack([[0, 0], path]), np.vstack([normal[:1], normal])
    both = np.vstack([middle + normal, (middle - normal)[::-1]])
    return [(float(a), float(b)) for a, b in both]


def seen(camera: Told, corners: Sequence[tuple[float, float]]) -> str:
    """Return a polygon on the ground as a pinhole camera sees it: SVG points, "" if out of view."""
    yaw, pitch, (px, py, pz) = camera["yaw"], camera["pitch"], camera["place"]
    found = []
    for forward, left in corners:
        x, y, z = forward - px, left - py, -pz
        ahead = x * math.cos(yaw) + y * math.sin(yaw)
        depth = ahead * math.cos(pitch) + z * math.sin(pitch)
        aside = y * math.cos(yaw) - x * math.sin(yaw)
        found.append((depth, aside, z * math.cos(pitch) - ahead * math.sin(pitch)))
    out = []
    for a, b in zip([found[-1], *found[:-1]], found, strict=True) if found else ():
        if (a[0] >= NEAR) != (b[0] >= NEAR):
            share = (NEAR - a[0]) / (b[0] - a[0])
            out.append((NEAR, *(p + share * (q - p) for p, q in zip(a[1:], b[1:], strict=True))))
        if b[0] >= NEAR:
            out.append(b)
    return " ".join(
        f"{camera['width'] / 2 - camera['focal'] * left / depth:.1f},"
        f"{camera['height'] / 2 - camera['focal'] * high / depth:.1f}"
        for depth, left, high in out
    )
