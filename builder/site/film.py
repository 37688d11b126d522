"""Make a film of a model beside its sim, which a page shows before anybody presses Play.

wmsite plays the film with the shipped graph, in onnxruntime, whenever it makes graphs. The film
lies with the figures in the weights folder. It names the graph that it shows; a page does not show
a film of another graph.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.project import cache
from builder.site import camera_layout, png
from builder.terminal import Terminal
from sims.contract import Array
from sims.errors import UserError

if TYPE_CHECKING:
    from builder.project.entries import Entry

SECONDS = 6.0
LEAD = 2.0  # Seconds that the sim plays first: at its first frame a game stands still.
SEED = 11
LARGEST = 300_000  # Bytes of both films; larger ones get fewer frames a second, or are not made.
HELD = 2  # A pixel stays until it differs by more levels than that: nobody sees it, and it costs.
FOLDER = "figures"
FASTEST = ("int8", "fp16", "fp32")


@dataclass(frozen=True)
class Film:
    """Files in a weights folder: moving and still, with the halves side by side and stacked."""

    wide: str = f"{FOLDER}/film.png"
    tall: str = f"{FOLDER}/film-tall.png"
    still: str = f"{FOLDER}/film-still.png"
    still_tall: str = f"{FOLDER}/film-still-tall.png"


FILM = Film()


def shown(weights: Path) -> str | None:
    """Return the sha256 of the graph that a weights folder's film shows; None without a film."""
    file = weights / FILM.wide
    if file.is_symlink() or not file.is_file():
        return None
    return png.texts(file.read_bytes()).get("graph", "")


def filmed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variant that the film shows: the variant that a page with wasm plays."""
    fewest = min(v.get("evaluations", 1) for v in told["variants"])
    some = [v for v in told["variants"] if v.get("evaluations", 1) == fewest]
    return dict(min(some, key=lambda v: FASTEST.index(v["name"])))


def current(weights: Path) -> bool:
    """Return whether the film of a weights folder shows the graph that ships."""
    told = cache.read_json(weights / "graphs" / "model.json")
    return bool(told) and shown(weights) == filmed(told)["step"]["sha256"]


def renew(entry: Entry, terminal: Terminal) -> None:
    """Make a model's film again, unless it shows the shipped graphs or onnxruntime is missing."""
    if entry.world.recorded:  # A film shows the model beside its sim.
        return
    if current(entry.weights) or importlib.util.find_spec("onnxruntime") is None:
        return
    entry.world.load()
    try:
        make(entry.weights, f"sims.{entry.world.name}")
    except Exception as error:
        # The model is complete without a film, and an error here must not lose it.
        terminal.warn(f"model {entry.name}: no film of it was made: {error}")


def make(weights: Path, module: str) -> None:
    """Play sim and model side by side and write the film, with the file names of `Film`.

    None is written where even few frames a second are too large, as of shaded pictures.
    """
    told = json.loads((weights / "graphs" / "model.json").read_text(encoding="utf-8"))
    variant = filmed(told)
    pair, rate = play(weights / "graphs" / variant["step"]["url"], told, module)
    texts = {"graph": variant["step"]["sha256"], "precision": variant["name"]}
    height, width = pair.shape[2:4]
    files: dict[str, bytes] = {}
    # Write the file that names the graph last: a film that was cut short then counts as no film.
    for moving, still, across in (
        (FILM.tall, FILM.still_tall, False),
        (FILM.wide, FILM.still, width <= 1.5 * height),
    ):
        both = _joined(pair, across)
        for every in (1, 2, 3, 5):
            data = png.animate(_held(both[::every]), max(1, rate // every), texts)
            if 2 * len(data) <= LARGEST:
                break
        else:
            return
        files |= {still: png.encode(both[0], texts=texts), moving: data}
    (weights / FOLDER).mkdir(exist_ok=True)
    for name, data in files.items():
        cache.write(weights / name, data)


def _held(frames: Array) -> Array:
    """Return uint8 [N, H, W, 3] in which a pixel changes only by more than `HELD` levels."""
    held = frames.copy()
    for before, now in itertools.pairwise(held):
        still = (np.abs(now.astype(np.int16) - before) <= HELD).all(-1, keepdims=True)
        np.copyto(now, before, where=still)
    return held


def picture(home: str, title: str) -> str:
    """Return a film as HTML; `home` is the URL of its family's folder.

    Readers who do not want motion get stills. On a phone held upright, the halves are stacked.
    """
    upright, calm = (
        "(orientation: portrait) and (max-width: 37.5em)",
        "(prefers-reduced-motion: reduce)",
    )
    sources = "".join(
        f'<source media="{media}" srcset="{home}/{name}">'
        for media, name in (
            (f"{calm} and {upright}", FILM.still_tall),
            (calm, FILM.still),
            (upright, FILM.tall),
        )
    )
    return (
        f'<picture class="wm-film">{sources}<img class="wm-poster" src="{home}/{FILM.wide}" '
        f'alt="{title}: the simulator and, beside it, its model, which plays from its own frames">'
        "</picture>"
    )


def play(graph: Path, told: Mapping[str, Any], module: str) -> tuple[Array, int]:
    """Return (uint8 [N, 2, H, W, 3]: sim and model, frames a second).

    The first behaviour plays. The model steps through its history of frames, and then continues in
    closed loop.
    """
    from builder.export.runtimes import open_session
    from sims.host import Host

    host, session = Host(module), open_session(graph)
    spec = json.loads(host.spec())
    rate, names = spec["rate"], json.loads(host.layout)
    host.reset(SEED, spec["scenarios"][0])
    state = {s["input"]: np.zeros(s["shape"], s["dtype"]) for s in told["state"]}
    observed = {s["input"] for s in told["state"] if s["observed"]}
    inputs = {entry["name"]: entry for entry in told["inputs"]}
    outputs = [output.name for output in session.get_outputs()]
    lead, pairs = int(LEAD * rate), []
    for tick in range(lead + int(SECONDS * rate)):
        status = dict(zip(names, host.status, strict=True))
        if status["terminated"] or status["truncated"]:
            break
        if tick <= lead:
            sights = {"state_frame": host.frame, **_sensors(spec, status)}
            state |= {k: v.reshape(state[k].shape) for k, v in sights.items() if k in observed}
        chosen = host.act(spec["behaviours"][0])
        taken = np.eye(len(spec["actions"]))[int(chosen[0])] if spec["actions"] else chosen
        given = {
            "action": np.asarray(taken),
            "chance": np.array([v for k, v in status.items() if k.startswith("chance.")]),
        }
        feeds = state | {
            k: v.astype(np.float32).reshape(inputs[k]["shape"])
            for k, v in given.items()
            if k in inputs
        }
        made = dict(zip(outputs, session.run(None, feeds), strict=True))
        state = {s["input"]: made[s["output"]] for s in told["state"]}
        host.step(chosen)
        if tick >= lead:
            both = host.frame, made["frame"].reshape(host.frame.shape)
            views = [camera_layout.compose(view[..., :3], spec["cameras"]) for view in both]
            pairs.append(np.stack(views))
    if not pairs:
        raise UserError(f"world {spec['name']!r}: its game ends before a film of it begins")
    return np.stack(pairs), rate


def _sensors(spec: Mapping[str, Any], status: Mapping[str, float]) -> dict[str, Array]:
    """Return the sensors as the graphs read them: by the state that holds them (`StateTensor`)."""
    found: dict[str, list[float]] = {}
    for sensor in spec["sensors"]:
        name, shape = sensor["name"], sensor["shape"]
        state = f"state_{name}" if len(shape) > 1 else "state_sensors"
        values = [status[f"sensor.{name}.{i}"] for i in range(math.prod(shape))]
        found.setdefault(state, []).extend(values)
    return {state: np.array(values, np.float32) for state, values in found.items()}


def _joined(pair: Array, across: bool) -> Array:
    """Join the halves of [N, 2, H, W, 3] side by side or stacked, with a dark gap between them."""
    n, _, height, width, _ = pair.shape
    shape = (n, height, camera_layout.GAP, 3) if across else (n, camera_layout.GAP, width, 3)
    gap = np.broadcast_to(np.array(camera_layout.NIGHT, np.uint8), shape)
    return np.concatenate([pair[:, 0], gap, pair[:, 1]], axis=2 if across else 1)
