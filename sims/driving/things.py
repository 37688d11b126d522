"""Things: everything that stands on the ground, and its look from each side.

A thing is a box with a drawing (see `drawings.py`) on each of its four faces, and a set of
materials (see `palette.py`) for the drawing's letters. The set is chosen separately, so that one
drawing serves cars of all paints.
"""

from __future__ import annotations

from dataclasses import dataclass

from sims.driving import drawings, palette


@dataclass(frozen=True)
class Drawing:
    """Rows of letters from the top down, `height` metres in total; the feet are at 0.

    `column` is a column's width in metres if the drawing repeats, or 0 if it is stretched.
    """

    art: str
    height: float
    materials: dict[str, palette.Material]
    column: float = 0.0


@dataclass(frozen=True)
class Thing:
    """A kind of thing: its drawings and its shape for the LiDAR.

    `faces` are front, back, left and right (one: all the same). `paint` is the first of its
    `paints` sets of materials. A `solid` thing has no holes, and its back and right faces are in
    shade. `size` is its length and width, if they are always the same. The LiDAR hits it up to
    `height` metres, and a tree only at its trunk below `crown`.
    """

    name: str
    faces: tuple[Drawing, ...]
    paint: int
    paints: int = 1
    solid: bool = False
    size: tuple[float, float] = (0.0, 0.0)
    height: float = 0.0
    crown: float = 0.0


_VEHICLE = palette.vehicle(*palette.PAINTS[0])
_PERSON = palette.person(*palette.CLOTHES[0])
_PLANT = palette.plant(palette.LEAVES[0])
_BUILDING = palette.building(*palette.WALLS[0])


def _head(red: str, amber: str, green: str) -> str:
    """Return the drawing of a traffic light with these letters as lamps."""
    return drawings.LIGHT.replace("1", red).replace("2", amber).replace("3", green)


def _all(materials: dict[str, palette.Material], height: float, *arts: str) -> tuple[Drawing, ...]:
    return tuple(Drawing(art, height, materials) for art in arts)


def _sign(name: str, art: str) -> Thing:
    faces = _all(palette.SIGN, 3.0, art, drawings.SIGN_BACK, drawings.POLE, drawings.POLE)
    return Thing(name, faces, palette.SIGN_SET, size=(0.12, 1.1), height=3.0)


def _light(name: str, *lamps: str) -> Thing:
    faces = _all(palette.SIGNAL, 5.2, _head(*lamps), _head("k", "k", "k"))
    side = _all(palette.SIGNAL, 5.2, _head("k", "k", "k"))
    return Thing(name, faces + side + side, palette.SIGNAL_SET, size=(0.3, 1.0), height=5.2)


def _walls(name: str, art: str, height: float) -> Thing:
    face = Drawing(art, height, _BUILDING, column=0.8)
    return Thing(name, (face,), palette.BUILDING_SET, len(palette.WALLS), solid=True, height=height)


def _vehicle(name: str, side: str, front: str, back: str, height: float) -> Thing:
    faces = _all(_VEHICLE, height, front, back, side, side)
    return Thing(name, faces, palette.VEHICLE_SET, len(palette.PAINTS), height=height)


def _person(name: str, height: float, *arts: str) -> Thing:
    faces = _all(_PERSON, height, *arts)
    return Thing(name, faces, palette.PERSON_SET, len(palette.CLOTHES), height=height)


def _plant(name: str, art: str, height: float, width: float, crown: float) -> Thing:
    faces, paints, size = _all(_PLANT, height, art), len(palette.LEAVES), (0.2, width)
    return Thing(name, faces, palette.PLANT_SET, paints, False, size, height, crown)


_BICYCLE = (drawings.CYCLIST_FRONT, drawings.CYCLIST_BACK)
THINGS = (
    Thing("nothing", (Drawing(".", 1.0, {}),), 0),
    _vehicle("car", drawings.CAR_SIDE, drawings.CAR_FRONT, drawings.CAR_BACK, 1.5),
    _vehicle("braking car", drawings.CAR_SIDE, drawings.CAR_FRONT, drawings.CAR_BRAKING, 1.5),
    _vehicle("van", drawings.VAN_SIDE, drawings.VAN_FRONT, drawings.VAN_BACK, 2.6),
    _vehicle("braking van", drawings.VAN_SIDE, drawings.VAN_FRONT, drawings.VAN_BRAKING, 2.6),
    _person("cyclist", 1.75, *_BICYCLE, *[drawings.CYCLIST_SIDE] * 2),
    _person("cyclist, pedal down", 1.75, *_BICYCLE, *[drawings.CYCLIST_SIDE_2] * 2),
    _person("walker", 1.75, drawings.WALKER),
    _person("walker, feet together", 1.75, drawings.WALKER_2),
    _walls("house", drawings.HOUSE, 7.0),
    _walls("flats", drawings.FLATS, 10.5),
    _walls("office", drawings.OFFICE, 15.0),
    _plant("tree", drawings.TREE, 6.4, 4.6, 1.8),
    _plant("pine", drawings.PINE, 7.5, 3.6, 1.1),
    _plant("bush", drawings.BUSH, 1.1, 1.8, 0.0),
    _sign("stop", drawings.STOP),
    _sign("roundabout ahead", drawings.ROUND),
    _sign("speed 50", drawings.SPEED_50),
    _sign("speed 30", drawings.SPEED_30),
    _light("light from aside", "o", "o", "o"),
    _light("red", "r", "o", "o"),
    _light("amber", "o", "a", "o"),
    _light("green", "o", "o", "v"),
)
NUMBER = {thing.name: i for i, thing in enumerate(THINGS)}
