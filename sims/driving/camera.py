"""Cameras: draw what the car's three cameras see, into one buffer.

The image is made of numbers first (see `palette.py`), column by column: pixels of a column lie
beside each other, because all that stands upright is drawn in columns. First comes the sky, from a
panorama; then the ground, for each pixel the point where its ray meets the plane; then what stands
on it, from the farthest to the nearest. The last step looks up colours and turns columns to rows.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import boxes, ground, palette, scenery, sprites
from sims.driving.boxes import Fan, Hits
from sims.driving.palette import BANDS, MATERIALS
from sims.driving.rig import CAMERAS
from sims.driving.sprites import EYE, FOCAL, HORIZON, ROWS
from sims.driving.town import TILE

VIEWS, COLUMNS = len(CAMERAS), CAMERAS[0].width
BLOCK = 16  # Worlds drawn at once: as many as a core's cache holds.
REACH = 110.0  # Metres; what is farther is not drawn.
TURN = 6.283185307179586


def _slopes() -> Array:
    """Return how far left each column looks for each metre ahead, float32 [COLUMNS]."""
    return ((COLUMNS / 2 - 0.5 - np.arange(COLUMNS)) / FOCAL).astype(np.float32)


def _directions() -> tuple[tuple[float, float], ...]:
    yaws = np.array([camera.yaw / TURN for camera in CAMERAS])
    return tuple(zip(exact.cosine(yaws).tolist(), exact.sine(yaws).tolist(), strict=True))


FAN = Fan(CAMERAS[0].place[:2], _directions(), _slopes(), REACH)

# Where the rays of each row meet the ground, in metres ahead; the row at the horizon is cut off.
AHEAD = np.minimum(EYE * FOCAL / (np.arange(ROWS - HORIZON) + 0.5), 85.0)
_UNIT = 65536 / TILE  # A tile is 2**16 units east, and 2**20 north (see `_draw_ground`).


def _row_texture() -> Array:
    """Return where the textures begin that are as fine as a pixel of each row, int32 [rows, 1]."""
    across, along = AHEAD / FOCAL, AHEAD * AHEAD / (FOCAL * EYE)
    pixel = np.sqrt(across * along) / (TILE / ground.TEXELS)
    level = (pixel > 2.2).astype(np.int64) + (pixel > 5) + (pixel > 12)
    return (level * ground.LEVEL_STRIDE).astype(np.int32)[:, None]


ROW_TEXTURE = _row_texture()
ROW_BAND = (palette.band(AHEAD) * MATERIALS).astype(np.uint16)

# The panorama: for each of so many directions all around, the sky above the horizon.
AROUND = 512


def _panorama() -> Array:
    """Return the sky in every direction, uint16 [AROUND, HORIZON]: hills and clouds."""
    i = np.arange(AROUND) / AROUND
    wave = exact.sine
    hills = 1.6 + wave(3 * i) + 0.8 * wave(7 * i + 0.3) + 0.5 * wave(17 * i + 0.1)
    ridge = 2.6 + wave(2 * i + 0.6) + 1.2 * wave(5 * i + 0.2) + 0.4 * wave(23 * i)
    row = np.arange(HORIZON)[None, :]
    sky = np.zeros((AROUND, HORIZON), dtype=np.int64) + palette.SKY + row
    for middle, size, at, long in ((8, 2.4, 0.05, 17), (13, 1.7, 0.4, 29), (19, 1.3, 0.7, 41)):
        puff = wave(i * long + at) + 0.7 * wave(i * (long // 2) + 2 * at) + 0.4 * wave(3 * long * i)
        thick = (size * (puff - 0.35))[:, None]
        cloud = (row <= middle) & (row > middle - 1.5 * thick) & (thick > 0)
        cloud |= (row > middle) & (row < middle + 0.6 * thick)
        sky[cloud] += palette.CLOUD - palette.SKY
    sky[row >= HORIZON - np.floor(ridge)[:, None]] = palette.FAR_HILL
    sky[row >= HORIZON - np.floor(hills)[:, None]] = palette.HILL
    return sky.astype(np.uint16)


PANORAMA = _panorama()


def _bearings() -> Array:
    """Return in which of the AROUND directions each column looks, int64 [VIEWS * COLUMNS]."""
    # The angle whose slope it is: the last one in the table of sines that is not steeper.
    turns = (np.arange(AROUND // 2) - AROUND // 4 + 0.5) / AROUND
    steepness = exact.sine(turns) / exact.cosine(turns)
    bearing = np.searchsorted(steepness, FAN.slopes.astype(np.float64)) - AROUND // 4
    yaw = [int(np.floor(camera.yaw / TURN * AROUND + 0.5)) for camera in CAMERAS]
    return (np.array(yaw)[:, None] + bearing).reshape(-1)


BEARINGS = _bearings()


def render(state: dict[str, Array], out: Array) -> None:
    """Draw every camera of every world into `out`, uint8 [N, 3, 64, 96, 3]."""
    n = len(out)
    for start in range(0, n, BLOCK):
        part = slice(start, min(start + BLOCK, n))
        _render({name: value[part] for name, value in state.items()}, out[part])


def _render(state: dict[str, Array], out: Array) -> None:
    """Draw one block of worlds."""
    ego = state["ego"]
    n = len(ego)
    turns = ego[:, 2] * (1 / TURN)
    cos, sin = exact.cosine(turns), exact.sine(turns)
    image = np.empty((n, VIEWS * COLUMNS, ROWS), dtype=np.uint16)
    east = np.floor(turns * AROUND).astype(np.int64)[:, None]
    image[:, :, :HORIZON] = PANORAMA[(BEARINGS + east) & (AROUND - 1)]

    x, y = np.clip(ego[:, 0], -60.0, 380.0), np.clip(ego[:, 1], -60.0, 380.0)
    x32, y32, cos32, sin32 = (value.astype(np.float32) for value in (x, y, cos, sin))
    _draw_ground(image, state, x32, y32, cos32, sin32)
    batch = scenery.near(state, x + cos * 45.0, y + sin * 45.0, 5)
    hits = boxes.cast(batch, x32, y32, cos32, sin32, FAN)
    _draw_boxes(image.reshape(-1, ROWS), batch.reshape(-1), hits)
    rain = np.flatnonzero(state["condition"] == 1)
    if len(rain):
        _draw_rain(image, rain, state["seed"], state["tick"])
    _colour(image, state["condition"], out)


def _draw_ground(
    image: Array, state: dict[str, Array], x: Array, y: Array, cos: Array, sin: Array
) -> None:
    """Draw the rows below the horizon: the material where each pixel's ray meets the ground."""
    n = len(x)
    # Each view's direction, and from it each column's: metres east and north a metre ahead.
    yaw = np.array(FAN.yaw, dtype=np.float32)
    view_x = cos[:, None] * yaw[:, 0] - sin[:, None] * yaw[:, 1]
    view_y = sin[:, None] * yaw[:, 0] + cos[:, None] * yaw[:, 1]
    ray_x = (view_x[:, :, None] - view_y[:, :, None] * FAN.slopes).reshape(n, 1, -1)
    ray_y = (view_y[:, :, None] + view_x[:, :, None] * FAN.slopes).reshape(n, 1, -1)
    forward, left = (np.float32(metres) for metres in FAN.place)
    border = np.float32(ground.BORDER * TILE)
    eye_x = (x + (cos * forward - sin * left) + border)[:, None, None]
    eye_y = (y + (sin * forward + cos * left) + border)[:, None, None]
    # In whole units, so that shifts and masks take the tile and the texel apart: x holds a tile
    # in bits 16 to 19 and a texel in bits 8 to 15, y a tile in 20 to 23 and a texel in 12 to 19.
    unit = np.float32(_UNIT)
    ahead = AHEAD.astype(np.float32)[:, None]
    east = ((ahead * unit) * ray_x + eye_x * unit).astype(np.int32)
    north = ((ahead * (16 * unit)) * ray_y + eye_y * (16 * unit)).astype(np.int32)
    cell = ((north >> 16) & 0xF0) | (east >> 16)
    cell += (np.arange(n, dtype=np.int32) * (ground.SPAN * ground.SPAN))[:, None, None]
    texel = ((north >> 4) & 0xFF00) | ((east >> 8) & 0xFF)
    texel += ROW_TEXTURE
    texel += ground.tile_map(state["links"], state["roundabout"]).reshape(-1).take(cell, mode="clip")
    material = ground.FLAT.take(texel, mode="clip")
    np.add(material.transpose(0, 2, 1), ROW_BAND, out=image[:, :, HORIZON:], dtype=np.uint16)


_LAYERS = 8  # Boxes drawn in one column, the nearest.
_KEY = 1 << 20


def _draw_boxes(image: Array, batch: Array, hits: Hits) -> None:
    """Draw what rays hit into the columns, uint16 [N * VIEWS * COLUMNS, ROWS]."""
    # By column, from the nearest to the farthest: one whole number sorts by both, and says which.
    total = len(hits.column)
    far = (hits.depth * np.float32(32)).astype(np.int64)
    order = np.sort((hits.column * 4096 + np.minimum(far, 4095)) * _KEY + np.arange(total))
    order &= _KEY - 1
    column = hits.column[order]
    new = np.empty(total, dtype=np.bool_)
    new[:1] = True
    np.not_equal(column[1:], column[:-1], out=new[1:])
    place = np.arange(total)
    layer = place - np.maximum.accumulate(place * new)

    thing = batch[hits.box + boxes.THING * boxes.SLOTS].astype(np.int64)
    face = thing * 4 + np.where(hits.front, 0, 2) + ~hits.plus
    across = hits.along * _density(batch, hits, face)
    strip = sprites.FIRST.reshape(-1)[face]
    strip += across.astype(np.int64) % sprites.COLUMNS.reshape(-1)[face]
    step = (np.float32(EYE * FOCAL * sprites.SCALE) / hits.depth).astype(np.int64)
    level = sprites.LEVEL[np.minimum(step, sprites.STEPS - 1)]
    strip = strip * sprites.LEVELS + level
    paint = batch[hits.box + boxes.PAINT * boxes.SLOTS].astype(np.int64)
    paint += sprites.LEVEL_BAND[level] * MATERIALS + SHADE.reshape(-1)[face]
    strip, paint = strip[order], paint[order].astype(np.uint16)
    for depth in range(min(_LAYERS, int(layer.max(initial=-1)) + 1) - 1, -1, -1):
        here = np.flatnonzero(layer == depth)
        texels = STRIPS.take(strip[here], axis=0)
        columns = column[here]
        under = image.take(columns, axis=0)
        np.copyto(under, texels + paint[here][:, None], where=texels > 0)
        image[columns] = under


STRIPS = sprites.STRIPS.reshape(-1, ROWS)
SHADE = np.zeros(sprites.FIRST.shape, dtype=np.int64)
for _number, _thing in enumerate(sprites.THINGS):
    if _thing.shade:
        SHADE[_number, [1, 3]] = palette.SHADE
_WIDTH = sprites.COLUMN_WIDTH.reshape(-1)
_STRETCH = sprites.COLUMNS.reshape(-1).astype(np.float32) * np.float32(0.9999 / 2)
_REPEAT = np.where(_WIDTH > 0, 1 / np.where(_WIDTH > 0, _WIDTH, 1), 0).astype(np.float32)


def _density(batch: Array, hits: Hits, face: Array) -> Array:
    """Return how many columns of its drawing a face has for each metre, float32."""
    half = np.where(hits.front, boxes.HALF_WIDTH, boxes.HALF_LENGTH)
    stretched = _STRETCH[face] / batch[hits.box + half * boxes.SLOTS]
    return np.where(_REPEAT[face] > 0, _REPEAT[face], stretched)


def _draw_rain(image: Array, worlds: Array, seed: Array, tick: Array) -> None:
    """Let drops fall past the lens, elsewhere in every tick."""
    u = exact.uniform(seed[worlds], tick[worlds], 21, 2 * 60)
    column = (u[:, :60] * np.float32(VIEWS * COLUMNS)).astype(np.int64)
    row = (u[:, 60:] * np.float32(ROWS - 3)).astype(np.int64)
    for i in range(3):
        image[worlds[:, None], column, row + i] = palette.STREAK


def _colour(image: Array, condition: Array, out: Array) -> None:
    """Turn numbers into colours, and columns into rows."""
    n = len(image)
    number = image + (condition * palette.NUMBERS)[:, None, None]
    colours = palette.COLOURS.take(number, mode="clip").view(np.uint8)
    colours = colours.reshape(n, VIEWS, COLUMNS, ROWS, 4)
    for channel in range(3):
        out[..., channel] = colours[..., channel].transpose(0, 1, 3, 2)


assert BANDS * MATERIALS < 65536
