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


@dataclass(frozen=True)
class Options(latent.Options):
    """Keys of `[model]`: those of `latent`, and how the vehicle moves."""

    speed: Annotated[str, Key("the sensor that tells how fast it drives ahead, in m/s")]
    turn: Annotated[str, Key("the sensor that tells how fast it turns to the left, in rad/s")]
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
    for camera in spec.cameras:
        if not camera.focal or not camera.place[2] > 0:
            raise UserError(
                f"{where}: family 'transition' needs to know where cameras look, and camera "
                f"'{camera.name}' of world '{spec.name}' has no focal length, or stands on the "
                'ground. Run: write family = "latent"'
            )
