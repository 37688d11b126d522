"""Find out what only the running sim knows: its spec, a poster, icons, and a game's first ticks."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.project import cache, code, kept
from builder.project.worlds import World, where
from builder.site import camera_layout, png
from sims import canvas
from sims.errors import UserError

POSTER_STEPS = 300
POSTER_SEED = 7
EDGES = (192, 512)  # pixels of an icon


@dataclass(frozen=True)
class Facts:
    """A spec as JSON, PNG images, and the digests of a game's first ticks (`sims.host`)."""

    spec: dict[str, Any]
    poster: bytes
    opening: list[str]
    icons: dict[int, bytes]


def facts(world: World) -> Facts:
    """Return a sim's facts, from the cache if neither the sim nor this code has changed."""
    made_by = code.code_hash(["builder.project.facts", "sims.host"])[:8]
    folder = world.project.cache / "facts" / f"{world.name}-{world.hash[:16]}-{made_by}"

    def make(made: Path) -> None:
        spec, views, opening = _play(world)
        cache.write(made / "poster.png", png.encode(camera_layout.compose(views, spec["cameras"])))
        for edge, data in icons(views, spec["cameras"]).items():
            cache.write(made / f"icon-{edge}.png", data)
        cache.write_json(made / "opening.json", opening)
        cache.write_json(made / "spec.json", spec)

    kept.kept(folder, make)
    spec = cache.read_json(folder / "spec.json")
    found = {edge: (folder / f"icon-{edge}.png").read_bytes() for edge in EDGES}
    opening = cache.read_json(folder / "opening.json")
    return Facts(spec, (folder / "poster.png").read_bytes(), opening, found)


def icons(views: Any, cameras: camera_layout.Cameras) -> dict[int, bytes]:
    """Return icons as PNG by their edge in pixels, from what the camera ahead sees."""
    ahead = camera_layout.front(cameras)
    own = views[ahead][: cameras[ahead]["height"], : cameras[ahead]["width"]]
    square = _square(own)
    return {edge: png.encode(square, max(1, round(edge / len(square)))) for edge in EDGES}


def _play(world: World) -> tuple[dict[str, Any], Any, list[str]]:
    """Play the first behaviour; return the spec, the last views, and the first ticks' digests."""
    import numpy as np

    sim_class = world.load()
    spec = sim_class.spec
    frames = canvas.blank(spec, 1)
    try:
        sim = sim_class(1)
        sim.reset(np.array([POSTER_SEED], np.int64))
        for _ in range(POSTER_STEPS):
            before = sim.snapshot()
            try:
                actions = sim.act(spec.behaviours[0])
            except NotImplementedError:
                shape = (1,) if spec.actions else (1, len(spec.axes))
                actions = np.zeros(shape, np.int64 if spec.actions else np.float32)
            if sim.step(actions)[1].any():
                sim.restore(before)
                break
        sim.render(frames)
        host = importlib.import_module("sims.host").Host(f"sims.{world.name}")
        opening = list(host.opening())
    except Exception as error:
        raise UserError(
            f"world {world.name!r}: {where(error, world.project)}: {type(error).__name__}: "
            f"{error}. Run: mend that line, then build again"
        ) from error
    return spec.to_json(), frames[0], opening


def _square(frame: Any) -> Any:
    """Return a frame padded to a square, as icons are."""
    import numpy as np

    height, width, _ = frame.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pad = ((top, side - height - top), (left, side - width - left), (0, 0))
    return np.pad(frame, pad)
