"""The ground: a texture for each kind of tile, and the map of tiles.

A tile's ground depends only on its roads (bits N=1 E=2 S=4 W=8) and on whether it is a roundabout.
So there are only a few kinds, and each has one texture of TEXELS x TEXELS materials (see
`palette.py`) that all worlds share. Two look-ups find the material at a point of the world: point
-> tile -> kind, and point in the tile -> material.

Far away a pixel covers many texels, so each kind also has coarser textures. Their texels are the
mean of the fine ones, in the closest material. All textures have the same number of texels (the
coarse ones repeat theirs), so that the same formula finds a texel in each of them.

Inside a tile, x goes east and y north from its middle, from -20 to 20 metres.
"""

from __future__ import annotations

import numpy as np

from sims.contract import Array
from sims.driving.palette import GROUND
from sims.driving.town import BOX, CURB, GRID, ISLAND, LANE, PAVEMENT, RIM, TILE

NORTH, EAST, SOUTH, WEST = 1, 2, 4, 8  # Bits of `links`.

# Metres from the middle of a junction, out along an arm.
STOP_LINE = (BOX, BOX + 0.5)
ZEBRA = (BOX - 3.2, BOX - 0.5)  # A zebra crossing on every arm.
LAWN = ISLAND - 1.0  # The green part of a roundabout's island; cobbles surround it.

TEXELS = 256
COARSER = 4  # Textures of a kind; each is half as fine as the one before.
BORDER = 4  # Tiles of grass around the town, so that the look-up needs no bounds check.
SPAN = 16  # Tiles along each side of the map with its border.

_NAMES = {name: i for i, name in enumerate(GROUND)}

# A kind's number is its bits, plus 16 for a roundabout.
KINDS = tuple(bits for bits in range(16) if bits == 0 or bin(bits).count("1") >= 2) + tuple(
    16 + bits for bits in range(16) if bin(bits).count("1") >= 3
)
KIND_OF = np.zeros(32, dtype=np.int64)
KIND_OF[list(KINDS)] = np.arange(len(KINDS))


def _axis() -> Array:
    """Return the middles of the texels along a side, float64 [TEXELS]."""
    return (np.arange(TEXELS) + 0.5) * (TILE / TEXELS) - TILE / 2


X = _axis()[None, :] + np.zeros((TEXELS, 1))
Y = _axis()[:, None] + np.zeros((1, TEXELS))


def _noise(step: int) -> Array:
    """Return random whole numbers 0..255 [TEXELS, TEXELS], the same within squares of `step`."""
    i = np.arange(TEXELS, dtype=np.uint32) // np.uint32(step)
    z = i[None, :] * np.uint32(0x9E3779B1) ^ (i[:, None] * np.uint32(0x85EBCA77))
    z = (z ^ (z >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    z = (z ^ (z >> np.uint32(12))) * np.uint32(0x297A2D39)
    return np.asarray(z >> np.uint32(24)).astype(np.int64)


def _arms(bits: int) -> list[tuple[Array, Array]]:
    """Return, for each road, (metres out from the middle, metres to its right).

    Right is the direction when driving out; cars that drive in are on the other side.
    """
    turned = {NORTH: (Y, X), EAST: (X, -Y), SOUTH: (-Y, -X), WEST: (-X, Y)}
    return [turned[bit] for bit in turned if bits & bit]


class _Canvas:
    """A tile in the making: one material for each texel."""

    def __init__(self) -> None:
        fine, coarse = _noise(2), _noise(8)
        self.texels = np.full((TEXELS, TEXELS), _NAMES["grass"], dtype=np.uint8)
        self.paint("grass dark", fine < 76)
        self.paint("grass light", fine > 196)
        self.paint("meadow", (coarse > 200) & (fine > 128))
        self.speckle = _noise(1)

    def paint(self, name: str, where: Array) -> None:
        """Set a material where `where` (bool) is true."""
        self.texels[where] = _NAMES[name]

    def road(self, edge: Array, asphalt: str = "asphalt") -> None:
        """Lay pavement, kerb and asphalt; `edge` is metres from the road's edge, inside < 0."""
        self.paint("pavement", edge < PAVEMENT)
        joint = (edge < PAVEMENT) & (np.floor(X / 1.25) != np.floor((X - 0.16) / 1.25))
        joint |= (edge < PAVEMENT) & (np.floor(Y / 1.25) != np.floor((Y - 0.16) / 1.25))
        self.paint("pavement joint", joint)
        self.paint("kerb", edge < 0.24)
        self.paint(asphalt, edge < 0)
        self.paint("asphalt dark", (edge < 0) & (self.speckle < 40))
        self.paint("asphalt light", (edge < 0) & (self.speckle > 216))


def _straight_edge(bits: int) -> Array:
    """Return metres from the edge of the carriageways of the roads in `bits`."""
    edge = np.full((TEXELS, TEXELS), 99.0)
    for out, side in _arms(bits):
        beyond = np.where(out < -LANE, -LANE - out, 0)
        edge = np.minimum(edge, np.where(beyond > 0, 99.0, np.abs(side) - LANE))
    # Between two neighbouring roads, the kerb is a quarter of a circle.
    far = LANE + CURB
    for one, other in ((NORTH, EAST), (EAST, SOUTH), (SOUTH, WEST), (WEST, NORTH)):
        if bits & one and bits & other:
            x = X if EAST in (one, other) else -X
            y = Y if NORTH in (one, other) else -Y
            corner = CURB - np.sqrt((far - x) * (far - x) + (far - y) * (far - y))
            edge = np.where(
                (x > 0) & (y > 0) & (x < far) & (y < far), np.minimum(edge, corner), edge
            )
    return edge


def _lines(canvas: _Canvas, out: Array, side: Array, where: Array) -> None:
    """Paint the dashes and edge lines of a road: `out` is metres along it, `side` across."""
    dash = out / 5 - np.floor(out / 5)
    canvas.paint("white", where & (np.abs(side) < 0.11) & (dash > 0.2) & (dash < 0.8))
    canvas.paint("white", where & (np.abs(np.abs(side) - 3.12) < 0.14))


def _tile(kind: int) -> Array:
    """Return the material of each texel of a kind, uint8 [TEXELS, TEXELS] (row = y)."""
    bits, round_ = kind & 15, kind >= 16
    canvas = _Canvas()
    roads = bin(bits).count("1")
    if roads == 0:
        return canvas.texels
    if roads == 2 and bits not in (NORTH | SOUTH, EAST | WEST):
        # A curve: an arc around the corner between its two ends.
        cx = TILE / 2 if bits & EAST else -TILE / 2
        cy = TILE / 2 if bits & NORTH else -TILE / 2
        radius = np.sqrt((X - cx) * (X - cx) + (Y - cy) * (Y - cy))
        canvas.road(np.abs(radius - TILE / 2) - LANE)
        # Metres along the arc have no simple formula; the share of x in x + y is close enough.
        along = np.abs(X - cx) / (np.abs(X - cx) + np.abs(Y - cy)) * 30
        _lines(canvas, along, radius - TILE / 2, np.abs(radius - TILE / 2) < LANE)
        return canvas.texels
    if round_:
        return _roundabout(canvas, bits)
    edge = _straight_edge(bits)
    canvas.road(edge)
    if roads == 2:
        out, side = (Y, X) if bits & NORTH else (X, Y)
        _lines(canvas, out, side, np.abs(side) < LANE)
        return canvas.texels
    for out, side in _arms(bits):
        arm = (np.abs(side) < LANE) & (out > STOP_LINE[1])
        _lines(canvas, out, side, arm)
        # No overtaking near the junction: the last metres of the middle line have no gaps.
        canvas.paint("white", arm & (np.abs(side) < 0.11) & (out < 14))
        bars = side / 1.0 - np.floor(side / 1.0)
        zebra = (out > ZEBRA[0]) & (out < ZEBRA[1]) & (edge < -0.15)
        canvas.paint("white", zebra & (bars > 0.25) & (bars < 0.75))
        stop = (out > STOP_LINE[0]) & (out < STOP_LINE[1]) & (side < 0) & (side > -LANE)
        canvas.paint("white", stop)
    return canvas.texels


def _roundabout(canvas: _Canvas, bits: int) -> Array:
    """Paint a roundabout: an island, a ring of road, and the arms with their give-way lines."""
    radius = np.sqrt(X * X + Y * Y)
    edge = np.minimum(_straight_edge(bits), radius - RIM)
    canvas.road(edge)
    for out, side in _arms(bits):
        arm = (np.abs(side) < LANE) & (out > 0) & (radius > RIM + 0.6)
        _lines(canvas, out, side, arm)
        dash = side / 1.0 - np.floor(side / 1.0)
        give_way = (out > 0) & (side < 0) & (side > -LANE) & (np.abs(radius - RIM) < 0.3)
        canvas.paint("white", give_way & (dash < 0.6))
    canvas.paint("white", np.abs(radius - ISLAND - 0.4) < 0.1)
    canvas.paint("kerb", radius < ISLAND)
    canvas.paint("cobbles", radius < ISLAND - 0.25)
    canvas.paint("kerb", radius < LAWN + 0.2)
    canvas.paint("island", radius < LAWN)
    canvas.paint("flowers", (radius < LAWN - 1) & (_noise(4) > 190))
    return canvas.texels


def _halved(colours: Array) -> Array:
    """Return an image of half the size; each texel is the mean of four."""
    total = colours[::2, ::2] + colours[1::2, ::2] + colours[::2, 1::2] + colours[1::2, 1::2]
    return np.asarray(total >> 2)


def _nearest() -> Array:
    """Return the closest ground material to each of 16 x 16 x 16 colours, uint8 [4096]."""
    steps = np.arange(16) * 16 + 8
    best = np.zeros((16, 16, 16), dtype=np.uint8)
    least = np.full(best.shape, 1 << 30)
    for i, (r, g, b, _) in enumerate(GROUND.values()):
        red, green, blue = ((steps - value) * (steps - value) for value in (r, g, b))
        far = red[:, None, None] + green[None, :, None] + blue[None, None, :]
        best[far < least] = i
        least = np.minimum(far, least)
    return best.reshape(-1)


def _levels(texels: Array) -> Array:
    """Return a texture at all levels of detail, uint8 [COARSER, TEXELS, TEXELS]."""
    colours = np.array([material[:3] for material in GROUND.values()], dtype=np.uint16)
    image, levels = colours[texels], [texels]
    for level in range(1, COARSER):
        image = _halved(image)
        red, green, blue = (image >> 4).transpose(2, 0, 1)
        coarse = NEAREST[(red << 8) | (green << 4) | blue]
        levels.append(coarse.repeat(1 << level, axis=0).repeat(1 << level, axis=1))
    return np.stack(levels)


def _textures() -> Array:
    """Paint every kind at all levels of detail, uint8 [COARSER, kinds, TEXELS, TEXELS]."""
    made: dict[int, Array] = {}
    for kind in KINDS:
        if kind in made:
            continue
        levels = _levels(_tile(kind))
        for _ in range(4):  # Turned clockwise by a quarter, it is another kind.
            made.setdefault(kind, levels)
            kind = (kind & 16) | ((kind << 1) & 15) | ((kind & 15) >> 3)
            levels = levels.transpose(0, 2, 1)[:, ::-1]
    return np.stack([made[kind] for kind in KINDS], axis=1)


NEAREST = _nearest()
TEXTURES = _textures()
FLAT = TEXTURES.reshape(
    -1
)  # Texel (level, kind, y, x) stands at ((level*K + kind)*256 + y)*256 + x.
LEVEL_STRIDE = len(KINDS) * TEXELS * TEXELS


def tile_map(links: Array, roundabout: Array) -> Array:
    """Return the start in FLAT of each tile's texture, int32 [N, SPAN * SPAN].

    links int64 [N, GRID, GRID], roundabout bool [N, GRID, GRID]. The map has a border of grass:
    tile (row, column) of the town is (row + BORDER, column + BORDER) here.
    """
    whole = np.zeros((len(links), SPAN, SPAN), dtype=np.int32)
    kind = KIND_OF[links + 16 * roundabout]
    inner = slice(BORDER, BORDER + GRID)
    whole[:, inner, inner] = kind * (TEXELS * TEXELS)
    return whole.reshape(len(links), SPAN * SPAN)
