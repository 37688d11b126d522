"""The town: a grid of tiles with roads from a seed, and the test for points beside the road.

A tile is TILE metres wide and stores its roads as bits, one for each side with a road. Two opposite
bits are a straight, and two neighbouring bits a curve around the corner between them. Three are a T
junction, and four a crossroads. A junction may be a roundabout, or have traffic lights. Roads have
one lane each way, and traffic drives on the right.

A ring road runs around the town; its corners may be cut. Streets cross the town from side to side
and from bottom to top, and may change to the next row or column on their way. Each goes from the
ring to the ring, so that there are no dead ends and everything is connected.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Array
from sims.driving.rig import RATE

GRID, TILE = 8, 40.0
LANE = 3.5  # Metres; a road is two lanes wide.
CURB = 6.0  # Radius of the kerb at a junction's corners.
BOX = LANE + CURB  # The distance of a junction's edge from its middle; cars stop there.
ISLAND, RING, RIM = 6.0, 9.0, 12.0  # A roundabout: its island, its lane's middle, its outside.
PAVEMENT = 2.5  # Its width beside the road.

NORTH, EAST, SOUTH, WEST = 0, 1, 2, 3  # Sides; the bit of a side in `links` is 1 << side.
STEP_X = np.array([0, 1, 0, -1], dtype=np.int64)
STEP_Y = np.array([1, 0, -1, 0], dtype=np.int64)
BITS = np.array([1, 2, 4, 8], dtype=np.int64)
COUNT = np.array([bin(bits).count("1") for bits in range(16)], dtype=np.int64)

# Traffic lights: green for north and south, amber, green for east and west, amber.
DARK, GREEN_NS, AMBER_NS, GREEN_EW, AMBER_EW = 0, 1, 2, 3, 4
GREEN, AMBER = 8 * RATE, 2 * RATE  # Ticks.
CYCLE = 2 * (GREEN + AMBER)
_PHASE = np.repeat(
    np.array([GREEN_NS, AMBER_NS, GREEN_EW, AMBER_EW], dtype=np.int64), [GREEN, AMBER] * 2
)

STREAM = 10  # The source of random numbers for towns.
STREETS = (((2, 3), 1.0), ((4, 5), 0.8))  # Rows (and columns) of each, and its probability.

# The kinds of junctions, by their rank in a random order: of any eight, two are roundabouts and
# three have lights. So every town has both kinds.
_ROUND = np.array([True, False, False, False, True, False, False, False])
_LIT = np.array([False, True, False, True, False, False, True, False])


def build(seeds: Array) -> dict[str, Array]:
    """Build a town for each of int64 [N] seeds.

    Returns links int64, roundabout bool and light_offset int64 (ticks; -1: no traffic lights),
    each [N, GRID, GRID], indexed [row, column].
    """
    n = len(seeds)
    w = np.arange(n)
    u = exact.uniform(seeds, np.zeros(n, dtype=np.int64), STREAM, 24 + GRID * GRID).astype(
        np.float64
    )
    across = np.zeros((n, GRID, GRID), dtype=np.bool_)  # A road to the tile east of this one.
    up = np.zeros((n, GRID, GRID), dtype=np.bool_)  # A road to the tile north of this one.
    across[:, [0, -1], :-1] = True
    up[:, :-1, [0, -1]] = True
    for i, (y, x) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        _cut_corner(across, up, u[:, i] < 0.5, y, x)
    for i, (rows, chance) in enumerate(STREETS):
        _lay_street(across, up, u[:, 4 + 4 * i : 8 + 4 * i], rows, chance)
        _lay_street(
            up.transpose(0, 2, 1),
            across.transpose(0, 2, 1),
            u[:, 12 + 4 * i : 16 + 4 * i],
            rows,
            chance,
        )
    links = up * BITS[NORTH] + across * BITS[EAST]
    links[:, 1:] += up[:, :-1] * BITS[SOUTH]
    links[:, :, 1:] += across[:, :, :-1] * BITS[WEST]

    junction = (COUNT[links] >= 3).reshape(n, -1)
    order = np.where(junction, u[:, 24:], 2.0)
    rank = np.zeros((n, GRID * GRID), dtype=np.int64)
    rank[w[:, None], np.argsort(order, axis=1, kind="stable")] = np.arange(GRID * GRID)
    round_ = junction & _ROUND[rank % 8]
    lit = junction & _LIT[rank % 8]
    offset = (u[:, 24:] * 7919 * CYCLE).astype(np.int64) % CYCLE
    return {
        "links": links,
        "roundabout": round_.reshape(links.shape),
        "light_offset": np.where(lit, offset, -1).reshape(links.shape),
    }


def _cut_corner(across: Array, up: Array, cut: Array, y: int, x: int) -> None:
    """Cut the ring's corner at the (y, x) end of each axis, where `cut` (bool [N])."""
    edge_y, inner_y, between_y = (GRID - 1, GRID - 2, GRID - 2) if y else (0, 1, 0)
    edge_x, inner_x, between_x = (GRID - 1, GRID - 2, GRID - 2) if x else (0, 1, 0)
    across[:, edge_y, between_x] &= ~cut
    up[:, between_y, edge_x] &= ~cut
    across[:, inner_y, between_x] |= cut
    up[:, between_y, inner_x] |= cut


def _lay_street(across: Array, up: Array, u: Array, rows: tuple[int, int], chance: float) -> None:
    """Lay one street through the whole town, in one of two rows, or from one to the other."""
    w = np.arange(len(u))
    there = u[:, 0] < chance
    first = rows[0] + (u[:, 1] < 0.5)
    last = rows[0] + (u[:, 2] < 0.5)
    jog = 2 + (u[:, 3] * 4).astype(np.int64)
    for x in range(GRID - 1):
        across[w, np.where(x < jog, first, last), x] |= there
    up[w, rows[0], jog] |= there & (first != last)


def signals(light_offset: Array, tick: Array) -> Array:
    """Return each tile's traffic light phase at `tick` (int64 [N]): int64 [N, GRID, GRID]."""
    phase = _PHASE[(light_offset + tick[:, None, None]) % CYCLE]
    return np.where(light_offset >= 0, phase, DARK)


def off_road(links: Array, roundabout: Array, x: Array, y: Array) -> Array:
    """Return each point's (float64 [N]) metres beside the road; on the road: 0 or less.

    Only the point's own tile counts; without a road, the distance is a tile.
    """
    column = np.clip(np.floor(x / TILE), 0, GRID - 1).astype(np.int64)
    row = np.clip(np.floor(y / TILE), 0, GRID - 1).astype(np.int64)
    w = np.arange(len(x))
    bits, round_ = links[w, row, column], roundabout[w, row, column]
    has = (bits[:, None] & BITS) > 0
    # From the tile's middle: the distance along each arm, and beside it.
    x, y = x - (column + 0.5) * TILE, y - (row + 0.5) * TILE
    along = np.stack([y, x, -y, -x], axis=1)
    beside = np.stack([x, -y, -x, y], axis=1)  # To the right when driving outwards.
    arm = np.maximum(np.abs(beside) - LANE, -along - LANE)
    distance = np.where(has, arm, TILE).min(axis=1)
    # In the corner between an arm and the next one clockwise: a curve, or a junction's kerb.
    both = has & np.roll(has, -1, axis=1)
    curve = (COUNT[bits] == 2) & both.any(axis=1)
    corner_x, corner_y = TILE / 2 - along, TILE / 2 - beside
    radius = np.sqrt(corner_x * corner_x + corner_y * corner_y)
    bend = np.where(both, np.abs(radius - TILE / 2) - LANE, TILE).min(axis=1)
    corner_x, corner_y = along - BOX, beside - BOX
    inside = both & (corner_x < 0) & (corner_y < 0) & (along > 0) & (beside > 0)
    kerb = CURB - np.sqrt(corner_x * corner_x + corner_y * corner_y)
    kerb = np.where(inside, kerb, TILE).min(axis=1)
    distance = np.where(curve, bend, np.minimum(distance, kerb))
    middle = np.sqrt(x * x + y * y)
    ring = np.minimum(distance, middle - RIM)
    return np.asarray(np.where(round_, np.maximum(ring, ISLAND - middle), distance))
