"""Cameras: draw the images of the car's three cameras into one buffer.

The image first consists of numbers (see `palette.py`), column by column: the pixels of a column are
contiguous, because everything upright is drawn in columns. First comes the sky, from a panorama.
Then comes the ground: for each pixel, the point where its ray meets the plane. Then come the things
on it, from the farthest to the nearest. The last step looks up colours and turns columns into rows.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving import boxes, ground, palette, scenery, sprites
from sims.driving.boxes import Fan
from sims.driving.palette import MATERIALS
from sims.driving.rig import CAMERAS
from sims.driving.sprites import EYE, FOCAL, HORIZON, ROWS
from sims.driving.town import TILE

VIEWS, COLUMNS = len(CAMERAS), CAMERAS[0].width
WIDTH = VIEWS * COLUMNS
CAST, PAINT = 32, 16  # Worlds at once, for casting rays and for painting.
REACH = 110.0  # Metres; anything farther away is not drawn.
GATHER = 45.0  # Metres ahead of the car: the tiles around that point are drawn.
RAIN = palette.CONDITIONS.index("rain")
DROPS, DROP = 60, 3  # The number of drops in front of the lens, and their length in pixels.
TURN = 6.283185307179586


def _fan() -> Fan:
    """Return the columns of all cameras as rays."""
    yaws = np.array([camera.yaw / TURN for camera in CAMERAS])
    yaw = zip(exact.cosine(yaws).tolist(), exact.sine(yaws).tolist(), strict=True)
    slopes = (COLUMNS / 2 - 0.5 - np.arange(COLUMNS)) / FOCAL
    return Fan(CAMERAS[0].place[:2], tuple(yaw), slopes.astype(np.float32), REACH)


FAN = _fan()

# Where the rays of each row meet the ground, in metres ahead; far rows have a limit.
AHEAD = np.minimum(EYE * FOCAL / (np.arange(ROWS - HORIZON) + 0.5), 85.0)
# A tile is 2**16 units east, and 2**20 north (see `_draw_ground`).
EAST_UNIT, NORTH_UNIT = np.float32((1 << 16) / TILE), np.float32((1 << 20) / TILE)
ROW_EAST = AHEAD.astype(np.float32)[:, None] * EAST_UNIT
ROW_NORTH = AHEAD.astype(np.float32)[:, None] * NORTH_UNIT


def _row_texture() -> Array:
    """Return the start of the textures as fine as a pixel of each row, int32 [rows, 1]."""
    across, along = AHEAD / FOCAL, AHEAD * AHEAD / (FOCAL * EYE)
    pixel = np.sqrt(across * along) / (TILE / ground.TEXELS)
    level = np.searchsorted((1.8, 4.5, 12.0), pixel)
    return np.asarray(level * ground.LEVEL_STRIDE, dtype=np.int32)[:, None]


ROW_TEXTURE = _row_texture()
ROW_BAND = (palette.band(AHEAD) * MATERIALS).astype(np.int16)

# The panorama: the sky above the horizon in this many directions all around.
AROUND = 512


def _panorama() -> Array:
    """Return the sky in every direction and condition, int16 [conditions * AROUND, ROWS].

    There are hills and clouds. The part below the horizon is arbitrary: the ground covers it.
    """
    i = np.arange(AROUND) / AROUND
    wave = exact.sine
    hills = 1.6 + wave(3 * i) + 0.8 * wave(7 * i + 0.3) + 0.5 * wave(17 * i + 0.1)
    ridge = 2.6 + wave(2 * i + 0.6) + 1.2 * wave(5 * i + 0.2) + 0.4 * wave(23 * i)
    row = np.arange(ROWS)[None, :]
    sky = np.zeros((AROUND, ROWS), dtype=np.int64) + palette.SKY + row
    for middle, size, at, long in ((8, 2.4, 0.05, 17), (13, 1.7, 0.4, 29), (19, 1.3, 0.7, 41)):
        puff = wave(i * long + at) + 0.7 * wave(i * (long // 2) + 2 * at)
        puff += 0.4 * wave(3 * long * i)
        thick = (size * (puff - 0.35))[:, None]
        cloud = (row <= middle) & (row > middle - 1.5 * thick) & (thick > 0)
        cloud |= (row > middle) & (row < middle + 0.6 * thick)
        sky[cloud] += palette.CLOUD - palette.SKY
    sky[row >= HORIZON - np.floor(ridge)[:, None]] = palette.FAR_HILL
    sky[row >= HORIZON - np.floor(hills)[:, None]] = palette.HILL
    condition = np.arange(len(palette.CONDITIONS))[:, None, None] * palette.NUMBERS
    return (sky + condition).reshape(-1, ROWS).astype(np.int16)


PANORAMA = _panorama()


def _bearings() -> Array:
    """Return the index of each column's direction, one of AROUND, int64 [WIDTH]."""
    # The angle of this slope: the last one in the table of sines that is not steeper.
    turns = (np.arange(AROUND // 2) - AROUND // 4 + 0.5) / AROUND
    steepness = exact.sine(turns) / exact.cosine(turns)
    bearing = np.searchsorted(steepness, FAN.slopes.astype(np.float64)) - AROUND // 4
    yaw = [int(np.floor(camera.yaw / TURN * AROUND + 0.5)) for camera in CAMERAS]
    return np.asarray((np.array(yaw)[:, None] + bearing).reshape(-1).astype(np.int64))


BEARINGS = _bearings()


def render(state: dict[str, Array], out: Array) -> None:
    """Draw every camera of every world into `out`, uint8 [N, 3, 64, 96, 3]."""
    n = len(out)
    for start in range(0, n, CAST):
        part = slice(start, min(start + CAST, n))
        _render({name: state[name][part] for name in scenery.NEEDED if name in state}, out[part])


def _render(state: dict[str, Array], out: Array) -> None:
    """Draw some worlds: cast rays for all of them together, then paint a few at a time."""
    ego = state["ego"]
    n = len(ego)
    turns = ego[:, 2] * (1 / TURN)
    cos, sin = exact.cosine(turns), exact.sine(turns)
    x, y = np.clip(ego[:, 0], -60.0, 380.0), np.clip(ego[:, 1], -60.0, 380.0)
    pose = np.stack([x, y, cos, sin]).astype(np.float32)
    batch = scenery.near(state, x + cos * GATHER, y + sin * GATHER, 5)
    hits = boxes.cast(batch, pose, FAN)

    east = np.floor(turns * AROUND).astype(np.int64)[:, None]
    sky = ((BEARINGS + east) & (AROUND - 1)) + state["condition"][:, None] * AROUND
    # Each condition has its own colours, and therefore its own numbers.
    weather = (state["condition"] * palette.NUMBERS).astype(np.int16)
    layers = sprites.arrange(batch, hits, weather)
    map_ = ground.tile_map(state["links"], state["roundabout"])
    for start in range(0, n, PAINT):
        part = slice(start, min(start + PAINT, n))
        image = PANORAMA.take(sky[part], axis=0)
        _draw_ground(image, map_[part], pose[:, part], weather[part])
        sprites.draw(image.reshape(-1, ROWS), layers, start * WIDTH)
        rain = np.flatnonzero(state["condition"][part] == RAIN)
        if len(rain):
            _draw_rain(image, rain, state["seed"][part], state["tick"][part])
        _colour(image, out[part])


def _draw_ground(image: Array, map_: Array, pose: Array, weather: Array) -> None:
    """Draw the rows below the horizon: the material where each pixel's ray meets the ground.

    pose: float32 [4, N], metres east and north, cosine and sine of the heading. weather: int16
    [N], the first number of the condition.
    """
    n = len(image)
    eye_x, eye_y, view_x, view_y = boxes.views(pose, FAN)
    # Metres east and north of each column's ray for one metre ahead.
    ray_x = (view_x[:, :, None] - view_y[:, :, None] * FAN.slopes).reshape(n, 1, WIDTH)
    ray_y = (view_y[:, :, None] + view_x[:, :, None] * FAN.slopes).reshape(n, 1, WIDTH)
    border = np.float32(ground.BORDER * TILE)
    # Whole units, so that shifts and masks separate the tile and the texel: x has the tile in
    # bits 16 to 19 and the texel in bits 8 to 15, y the tile in 20 to 23 and the texel in 12 to 19.
    point = ROW_EAST * ray_x
    point += ((eye_x + border) * EAST_UNIT)[:, None, None]
    east = point.astype(np.int32)
    np.multiply(ROW_NORTH, ray_y, out=point)
    point += ((eye_y + border) * NORTH_UNIT)[:, None, None]
    north = point.astype(np.int32)
    cell = north >> 16
    cell &= 0xF0
    cell |= east >> 16
    cell += (np.arange(n, dtype=np.int32) * (ground.SPAN * ground.SPAN))[:, None, None]
    texel = map_.reshape(-1).take(cell, mode="clip")
    north >>= 4
    north &= 0xFF00
    east >>= 8
    east &= 0xFF
    texel += north
    texel += east
    texel += ROW_TEXTURE
    material = ground.FLAT.take(texel, mode="clip")
    band = weather[:, None, None] + ROW_BAND
    np.add(material.transpose(0, 2, 1), band, out=image[:, :, HORIZON:])


def _draw_rain(image: Array, worlds: Array, seed: Array, tick: Array) -> None:
    """Draw drops in front of the lens, at other places in every tick."""
    u = exact.uniform(seed[worlds], tick[worlds], scenery.STREAM + 1, 2 * DROPS)
    column = (u[:, :DROPS] * np.float32(WIDTH)).astype(np.int64)
    row = (u[:, DROPS:] * np.float32(ROWS - DROP)).astype(np.int64)
    for i in range(DROP):
        image[worlds[:, None], column, row + i] = RAIN * palette.NUMBERS + palette.STREAK


def _colour(image: Array, out: Array) -> None:
    """Turn numbers into colours, and columns into rows."""
    colours = palette.COLOURS.take(image, mode="clip").view(np.uint8)
    colours = colours.reshape(len(image), VIEWS, COLUMNS, ROWS, 4)
    for channel in range(3):
        out[..., channel] = colours[..., channel].transpose(0, 1, 3, 2)
