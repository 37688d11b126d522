"""The keys of a recipe for `transition`; its `Config` holds the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sims.contract import Spec
from sims.errors import UserError
from training.families.latent import options as latent
from training.keys import Key

UNITS = {"speed": ("speed", "m/s"), "turn": ("yaw_rate", "rad/s")}
# A world may be without a route.
ROUTE = {
    "route": ("waypoints", "m"),
    "offset": ("lateral_offset", "m"),
    "heading": ("heading_error", "rad"),
}


@dataclass(frozen=True)
class Options(latent.Options):
    """Keys of `[model]`: those of `latent`, and how the vehicle moves."""

    speed: Annotated[str, Key("the sensor that tells how fast it drives ahead, in m/s")]
    turn: Annotated[str, Key("the sensor that tells how fast it turns to the left, in rad/s")]
    route: Annotated[
        str, Key("the path that tells the next points of its route, equally far apart")
    ]
    offset: Annotated[str, Key("the sensor that tells how far left of the route it is, in m")]
    heading: Annotated[str, Key("the sensor that tells its heading, left of the route's, in rad")]
    keep: Annotated[int, Key("steps for which pixels are fetched from one picture", 1, 1000)]


Training = latent.Training  # keys of `[train]`


def check(model: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Refuse a world whose motion or cameras are not known; UserError."""
    for key, (usual, unit) in UNITS.items():
        name = model.get(key, usual)
        if not any(s.name == name and s.unit == unit and s.shape == (1,) for s in spec.sensors):
            raise UserError(
                f"{where}: family 'transition' is told by a sensor how the vehicle moves, and "
                f"world '{spec.name}' has no sensor '{name}' of one number in {unit}. "
                f'Run: name it as {key} in [model], or write family = "latent"'
            )
    for key, (_, unit) in ROUTE.items():
        name = model.get(key)
        if name and not any(s.name == name and s.unit == unit for s in spec.sensors):
            raise UserError(
                f"{where}: {key} in [model] names '{name}', and world '{spec.name}' has no sensor "
                f"'{name}' in {unit}. Run: name another, or take the line out"
            )
    for camera in spec.cameras:
        if not camera.focal or not camera.place[2] > 0:
            raise UserError(
                f"{where}: family 'transition' needs to know where cameras look, and camera "
                f"'{camera.name}' of world '{spec.name}' has no focal length, or stands on the "
                'ground. Run: write family = "latent"'
            )
