"""Colours: each material, near and far, in each condition.

The cameras first draw an image of numbers, one for each pixel, that encode the visible material and
its distance. At the end, one look-up turns the numbers into colours. Weather therefore costs
nothing: rain, fog and dusk are other columns of the same table.

A number is `band * MATERIALS + material`. The material is a position in the list below. The band is
the distance, from 0 (at the bumper) to BANDS - 1 (at the horizon). Materials come in sets of 16: a
sprite (see `sprites.py`) uses the letters of its kind of set, and the set decides the colours. That
is why one drawing of a car serves eight paints.

To try
------
Another colour in `PAINTS`. Thicker fog: a smaller `haze` of "fog" in `WEATHERS`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.contract import Array

CONDITIONS = ("clear", "rain", "fog", "dusk")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Weather:
    """Light and air of a condition.

    `light` scales red, green and blue. `grey` removes colour (0 none, 1 all). At `haze` metres, a
    thing is half in the colour `air`. `lamps` is the brightness that the ego's head lights add to
    near things. The sky goes from `zenith` to `air`; `cloud` is the share of white in clouds.
    """

    light: tuple[float, float, float]
    grey: float
    air: Colour
    haze: float
    lamps: float
    zenith: Colour
    cloud: float


WEATHERS = {
    "clear": Weather((1.0, 1.0, 1.0), 0.0, (203, 222, 236), 150.0, 0.0, (72, 138, 214), 0.5),
    "rain": Weather((0.61, 0.64, 0.70), 0.35, (128, 136, 146), 62.0, 0.0, (82, 90, 103), 0.08),
    "fog": Weather((0.88, 0.90, 0.92), 0.25, (198, 203, 206), 21.0, 0.0, (186, 192, 197), 0.0),
    "dusk": Weather((0.29, 0.31, 0.46), 0.1, (128, 92, 118), 120.0, 0.36, (22, 28, 70), 0.07),
}

# The bands of distance: the middle of each, in metres.
BAND_METRES = (2.5, 5.5, 8.5, 12.0, 16.0, 21.0, 28.0, 37.0, 48.0, 62.0, 80.0, 110.0)
BANDS = len(BAND_METRES)

# Sets of materials: letter -> (red, green, blue, glow). With glow 1, a colour keeps its brightness
# in the dark. A letter's position in its set is its number; 0 is reserved for "nothing here".
Material = tuple[int, int, int, float]

GROUND: dict[str, Material] = {
    "grass": (104, 146, 70, 0),
    "grass dark": (94, 136, 64, 0),
    "grass light": (116, 157, 77, 0),
    "meadow": (134, 163, 82, 0),
    "asphalt": (88, 91, 97, 0),
    "asphalt dark": (82, 85, 91, 0),
    "asphalt light": (94, 97, 103, 0),
    "white": (238, 238, 232, 0.15),
    "white 3/4": (200, 201, 198, 0.12),
    "white 1/2": (163, 164, 164, 0.08),
    "white 1/4": (126, 128, 131, 0.05),
    "pavement": (178, 172, 162, 0),
    "pavement joint": (162, 156, 147, 0),
    "kerb": (206, 203, 196, 0),
    "kerb 1/2": (148, 148, 147, 0),
    "pavement asphalt": (133, 131, 129, 0),
    "pavement grass": (141, 159, 116, 0),
    "island": (120, 150, 62, 0),
    "flowers": (198, 104, 122, 0),
    "cobbles": (150, 118, 104, 0),
    "asphalt grass": (96, 118, 84, 0),
}


def vehicle(red: int, green: int, blue: int) -> dict[str, Material]:
    """Return the set of a vehicle painted in one colour."""
    return {
        "b": (min(255, red + 34), min(255, green + 34), min(255, blue + 34), 0),
        "B": (red, green, blue, 0),
        "d": (red * 5 // 8, green * 5 // 8, blue * 5 // 8, 0),
        "w": (38, 48, 62, 0),
        "W": (92, 112, 132, 0.1),
        "k": (26, 26, 30, 0),
        "g": (146, 150, 156, 0),
        "r": (138, 18, 24, 0.6),
        "R": (255, 36, 30, 1),
        "h": (255, 250, 226, 1),
        "c": (58, 60, 66, 0),
        "s": (44, 46, 50, 0),
    }


def building(wall: Colour, roof: Colour) -> dict[str, Material]:
    """Return the set of a building: letters 1 to 7 in the sun, 8 to 14 the same in shade."""
    sunny: dict[str, Material] = {
        "a": (*wall, 0),
        "t": (min(255, wall[0] + 22), min(255, wall[1] + 22), min(255, wall[2] + 22), 0),
        "w": (70, 92, 116, 0),
        "l": (96, 118, 140, 0),  # Lit at dusk.
        "o": (*roof, 0),
        "x": (wall[0] * 7 // 8, wall[1] * 7 // 8, wall[2] * 7 // 8, 0),
        "p": (92, 66, 52, 0),
    }
    shady: dict[str, Material] = {
        name.upper(): (r * 3 // 4, g * 3 // 4, b * 13 // 16, glow)
        for name, (r, g, b, glow) in sunny.items()
    }
    return sunny | shady


def plant(leaf: Colour) -> dict[str, Material]:
    """Return the set of a tree or bush."""
    r, g, b = leaf
    return {
        "y": (min(255, r + 30), min(255, g + 30), b + 14, 0),
        "m": (r, g, b, 0),
        "n": (r * 3 // 4, g * 3 // 4, b * 3 // 4, 0),
        "u": (104, 78, 56, 0),
        "v": (78, 58, 42, 0),
        "s": (52, 72, 40, 0),
    }


def person(coat: Colour, legs: Colour) -> dict[str, Material]:
    """Return the set of a pedestrian or a cyclist."""
    return {
        "f": (224, 178, 146, 0),
        "j": (64, 44, 32, 0),
        "B": (*coat, 0.1),
        "d": (coat[0] * 3 // 4, coat[1] * 3 // 4, coat[2] * 3 // 4, 0.1),
        "p": (*legs, 0),
        "k": (24, 24, 28, 0),
        "g": (150, 154, 160, 0),
        "r": (220, 30, 30, 1),
        "h": (255, 250, 226, 1),
        "e": (236, 236, 228, 0.2),
        "s": (52, 54, 56, 0),
    }


SIGN: dict[str, Material] = {
    "r": (214, 32, 40, 0.45),
    "w": (246, 246, 242, 0.45),
    "k": (22, 22, 26, 0.3),
    "u": (34, 92, 190, 0.45),
    "g": (148, 152, 156, 0),
    "G": (110, 114, 118, 0),
    "y": (250, 204, 40, 0.45),
    "s": (70, 76, 66, 0),
}
SIGNAL: dict[str, Material] = {
    "k": (34, 36, 40, 0),
    "g": (112, 116, 120, 0),
    "r": (255, 40, 36, 1),
    "R": (255, 140, 128, 1),
    "a": (255, 176, 24, 1),
    "A": (255, 220, 130, 1),
    "v": (24, 228, 112, 1),
    "V": (150, 255, 196, 1),
    "o": (64, 30, 30, 0),  # A lamp that is out.
    "w": (236, 238, 240, 0.3),
    "s": (70, 76, 66, 0),
}

PAINTS: tuple[Colour, ...] = (
    (158, 34, 46),
    (40, 92, 186),
    (222, 224, 226),
    (70, 76, 86),
    (228, 172, 44),
    (44, 128, 92),
    (148, 158, 170),
    (118, 60, 130),
)
WALLS: tuple[tuple[Colour, Colour], ...] = (
    ((206, 182, 146), (150, 76, 58)),
    ((188, 112, 88), (92, 80, 80)),
    ((218, 210, 196), (112, 92, 84)),
    ((160, 172, 182), (88, 96, 106)),
    ((226, 196, 120), (146, 82, 60)),
    ((150, 160, 140), (84, 84, 84)),
)
LEAVES: tuple[Colour, ...] = ((70, 124, 52), (92, 138, 58), (48, 100, 60), (142, 132, 50))
CLOTHES: tuple[tuple[Colour, Colour], ...] = (
    ((214, 56, 60), (48, 56, 84)),
    ((250, 190, 40), (58, 58, 62)),
    ((56, 132, 206), (70, 60, 54)),
    ((240, 240, 236), (52, 68, 100)),
    ((70, 160, 92), (44, 44, 50)),
    ((236, 110, 40), (60, 70, 90)),
)

SETS: list[dict[str, Material]] = [
    *(vehicle(*paint) for paint in PAINTS),
    *(building(wall, roof) for wall, roof in WALLS),
    *(plant(leaf) for leaf in LEAVES),
    *(person(coat, legs) for coat, legs in CLOTHES),
    SIGN,
    SIGNAL,
]
SET_SIZE = 16
SHADE = 7  # The offset in a set from a building's material to the same one in shade.
GROUND_SIZE = 32  # The ground's materials come first, then the sets.
MATERIALS = GROUND_SIZE + SET_SIZE * len(SETS)


def _first(place: int) -> int:
    """Return the number of the first material of the set at `place` in SETS."""
    return GROUND_SIZE + SET_SIZE * place


VEHICLE_SET = _first(0)
BUILDING_SET = _first(len(PAINTS))
PLANT_SET = BUILDING_SET + SET_SIZE * len(WALLS)
PERSON_SET = PLANT_SET + SET_SIZE * len(LEAVES)
SIGN_SET = PERSON_SET + SET_SIZE * len(CLOTHES)
SIGNAL_SET = SIGN_SET + SET_SIZE

# The sky has its own numbers, after all bands: one a row, the same with a cloud, and two hills.
SKY_ROWS = 32
SKY = BANDS * MATERIALS
CLOUD = SKY + SKY_ROWS
HILL = CLOUD + SKY_ROWS
FAR_HILL = HILL + 1
STREAK = HILL + 2  # A drop of rain in front of the lens.
NUMBERS = STREAK + 1

# The lights at dusk: some windows, and the tail lights of vehicles.
AT_DUSK: dict[str, Material] = {
    "l": (255, 206, 110, 1),
    "L": (255, 206, 110, 1),
    "r": (206, 24, 28, 1),
}


def letters(materials: dict[str, Material]) -> dict[str, int]:
    """Return the number in its set of each letter of a drawing; "." is nothing."""
    return {".": 0} | {letter: i + 1 for i, letter in enumerate(materials)}


def _listed() -> Array:
    """Return every material as float64 [MATERIALS, 4]: red, green, blue, glow."""
    table = np.zeros((MATERIALS, 4))
    for i, material in enumerate(GROUND.values()):
        table[i] = material
    for place, materials in enumerate(SETS):
        for i, material in enumerate(materials.values()):
            table[_first(place) + 1 + i] = material
    return table


def _palette(weather: Weather, dusk: bool) -> Array:
    """Return the colours of all numbers in one condition, uint8 [NUMBERS, 3]."""
    table = _listed()
    if dusk:
        for place, materials in enumerate(SETS[: len(PAINTS) + len(WALLS)]):
            for letter, material in AT_DUSK.items():
                if letter in materials:
                    table[_first(place) + letters(materials)[letter]] = material
    colour, glow = table[:, :3], table[:, 3:]
    mean = (colour[:, :1] + colour[:, 1:2] + colour[:, 2:]) / 3
    colour = colour + (mean - colour) * weather.grey * (1 - glow)
    air = np.array(weather.air, dtype=np.float64)
    zenith = np.array(weather.zenith, dtype=np.float64)
    rows = []
    for metres in BAND_METRES:
        near = 1 / (1 + metres * metres / 150)
        light = np.array(weather.light) + weather.lamps * near * np.array((1.0, 0.94, 0.8))
        seen = colour * (light + (1 - light) * glow)
        clear = 1 / (1 + metres * metres / (weather.haze * weather.haze))
        through = clear + (1 - clear) * 0.45 * glow  # Lights pierce the haze.
        rows.append(air + (seen - air) * through)
    height = (SKY_ROWS - 0.5 - np.arange(SKY_ROWS)[:, None]) / SKY_ROWS  # 0 at the horizon.
    sky = air + (zenith - air) * height * (2 - height)
    hill = np.array((86, 118, 92)) * weather.light
    far = 1 / (1 + 40000 / (weather.haze * weather.haze))
    hills = [air + (hill - air) * (far * 0.9), air + (hill - air) * (far * 0.5)]
    streak = air + (255 - air) * 0.25
    rows += [sky, sky + (255 - sky) * weather.cloud, *(h[None] for h in hills), streak[None]]
    return np.clip(np.floor(np.concatenate(rows) + 0.5), 0, 255).astype(np.uint8)


def _all() -> Array:
    """Return colours as uint32 [conditions * NUMBERS]: bytes red, green, blue, 0 in memory."""
    table = np.zeros((len(CONDITIONS), NUMBERS, 4), dtype=np.uint8)
    for i, name in enumerate(CONDITIONS):
        table[i, :, :3] = _palette(WEATHERS[name], name == "dusk")
    return table.reshape(-1, 4).view(np.uint32)[:, 0].copy()


COLOURS = _all()


def band(metres: Array) -> Array:
    """Return the band of distance, int64 of the shape of `metres`."""
    middle = np.array(BAND_METRES)
    return np.searchsorted((middle[1:] + middle[:-1]) / 2, metres).astype(np.int64)
