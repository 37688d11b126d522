"""Maze, seen through a window of 9 by 9 tiles: what lies outside must be remembered.

A maze of 8 by 8 rooms is another one in every game. The player walks one tile a step and stays in
the middle of the window, so that the maze scrolls. A gem lies in one of the rooms. Who reaches it
gets a point, and the next gem lies in a room that chance decides. The game is over at three points,
which are drawn at the top.

A frame does not tell what is behind its edges. What comes into view was either seen before, or it
is new: then any maze is as good as another.
"""

from __future__ import annotations

import numpy as np

from sims import exact
from sims.contract import Action, Array, Camera, HudField, Sim, Spec

ROOMS = 8  # On each side.
SIDE = 2 * ROOMS + 1  # Tiles on each side, the walls between rooms included.
TILE, VIEW = 4, 9  # Pixels of a tile, and tiles of the window, on each side.
BAR = TILE  # The rows above the window, for the points.
POINTS = 3
FAR = SIDE * SIDE  # A distance that no way has.
LOOPS = 0.12  # The share of walls between rooms that are left out, so that there are loops.

DARK, WALL, EDGE, FLOOR = (20, 18, 32), (96, 84, 124), (132, 118, 160), (44, 40, 60)
GEM, YOU, POINT = (88, 232, 190), (255, 196, 84), (88, 232, 190)
# Rows and columns of a step, by action: none, up, down, left, right.
MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], dtype=np.int64)


class Maze(Sim):
    """N walks through N mazes."""

    spec = Spec(
        name="maze",
        title="Maze",
        rate=8,
        cameras=(Camera("screen", BAR + VIEW * TILE, VIEW * TILE),),
        actions=(
            Action("stay"),
            Action("up", ("ArrowUp", "KeyW"), "▲", ("dpad-up", "axis1-")),
            Action("down", ("ArrowDown", "KeyS"), "▼", ("dpad-down", "axis1+")),
            Action("left", ("ArrowLeft", "KeyA"), "◀", ("dpad-left", "axis0-")),
            Action("right", ("ArrowRight", "KeyD"), "▶", ("dpad-right", "axis0+")),
        ),
        chance=("row", "column"),
        hud=(HudField("points", "Points"),),
        events=("found",),
        behaviours=("seeker", "stray", "random"),
        max_steps=1500,
    )

    def __init__(self, worlds: int) -> None:
        super().__init__(worlds)
        names = ("seed", "tick", "row", "column", "gem_row", "gem_column", "points", "found")
        self.state = {name: np.zeros(worlds, dtype=np.int64) for name in names}
        self.state["wall"] = np.zeros((worlds, SIDE, SIDE), dtype=np.bool_)
        self.state["way"] = np.zeros((worlds, SIDE, SIDE), dtype=np.int64)  # steps to the gem
        self.reset(self.state["seed"])

    def reset(self, seeds: Array, scenario: str = "default", where: Array | None = None) -> None:
        """Start games anew; `where` (bool [N]) picks which."""
        w = np.ones(self.worlds, dtype=np.bool_) if where is None else where
        s = self.state
        for value in s.values():
            value[w] = 0
        s["seed"][w] = np.asarray(seeds, dtype=np.int64)[w]
        s["wall"] = np.where(w[:, None, None], _mazes(s["seed"]), s["wall"])
        places = exact.uniform(s["seed"], np.zeros_like(s["seed"]), 3, 4)
        s["row"], s["column"] = (np.where(w, _room(places[:, k]), s[n])
                                 for k, n in enumerate(("row", "column")))  # fmt: skip
        self._hide(w, places[:, 2:])

    def draw(self) -> Array:
        """Return the chance of the coming step, from (seed, tick) alone."""
        return exact.uniform(self.state["seed"], self.state["tick"], 0, 2)

    def step(self, actions: Array, chance: Array | None = None) -> tuple[Array, Array, Array]:
        """Advance one tick."""
        s = self.state
        chance = self.draw() if chance is None else chance
        alive = s["points"] < POINTS
        s["tick"] += alive
        row, column = (s[n] + MOVES[actions, k] for k, n in enumerate(("row", "column")))
        goes = alive & ~s["wall"][np.arange(self.worlds), row, column]
        s["row"], s["column"] = np.where(goes, row, s["row"]), np.where(goes, column, s["column"])
        found = alive & (s["row"] == s["gem_row"]) & (s["column"] == s["gem_column"])
        s["found"] = found.astype(np.int64)
        s["points"] += found
        self._hide(found, chance)
        terminated = s["points"] >= POINTS
        truncated = (s["tick"] >= self.spec.max_steps) & ~terminated
        return found.astype(np.float32), terminated, truncated

    def render(self, out: Array) -> None:
        """Draw the screen into `out`, uint8 [N, 1, 40, 36, 3]."""
        s, half = self.state, VIEW // 2
        out[:] = DARK
        colours = np.array([FLOOR, WALL, DARK], dtype=np.uint8)
        for n in range(self.worlds):
            screen = out[n, 0]
            for point in range(int(s["points"][n])):
                screen[1:3, 1 + 3 * point : 3 + 3 * point] = POINT
            row, column = int(s["row"][n]), int(s["column"][n])
            tiles = np.full((SIDE + 2 * half, SIDE + 2 * half), 2, dtype=np.int64)
            tiles[half : half + SIDE, half : half + SIDE] = s["wall"][n]
            seen = tiles[row : row + VIEW, column : column + VIEW]
            view = np.repeat(np.repeat(colours[seen], TILE, 0), TILE, 1)
            view[::TILE][np.repeat(seen == 1, TILE, 1)] = EDGE  # Light falls on walls from above.
            screen[BAR:] = view
            down, right = int(s["gem_row"][n]) - row + half, int(s["gem_column"][n]) - column + half
            if 0 <= down < VIEW and 0 <= right < VIEW:
                top, left = BAR + down * TILE, right * TILE
                screen[top + 1 : top + 3, left + 1 : left + 3] = GEM
            top, left = BAR + half * TILE, half * TILE
            screen[top : top + TILE, left + 1 : left + 3] = YOU
            screen[top + 1 : top + 3, left : left + TILE] = YOU

    def hud(self) -> dict[str, Array]:
        """Return the points."""
        return {"points": self.state["points"].copy()}

    def events(self) -> dict[str, Array]:
        """Return whether a gem was found in the last step."""
        return {"found": self.state["found"] > 0}

    def act(self, behaviour: str) -> Array:
        """Return the actions of a player: a seeker takes the shortest way, a stray often not."""
        s = self.state
        u = exact.uniform(s["seed"], s["tick"], 1, 2)
        held = exact.uniform(s["seed"], s["tick"] // 5, 2, 1)[:, 0]
        anywhere = (held * np.float32(5)).astype(np.int64)
        if behaviour == "random":
            return np.asarray(anywhere)
        n = np.arange(self.worlds)
        ways = [s["way"][n, s["row"] + down, s["column"] + right] for down, right in MOVES]
        best = np.argmin(np.stack(ways, 1), 1)
        strays = np.float32(0.1 if behaviour == "seeker" else 0.6)
        return np.asarray(np.where(u[:, 0] < strays, anywhere, best).astype(np.int64))

    def _hide(self, where: Array, chance: Array) -> None:
        """Put the gem into another room, and find the ways to it."""
        s = self.state
        if not where.any():
            return
        row, column = _room(chance[:, 0]), _room(chance[:, 1])
        # Never where the player stands: then in the room next to it.
        same = (row == s["row"]) & (column == s["column"])
        column = np.where(same, (column + 1) % (2 * ROOMS) + 1, column)
        s["gem_row"] = np.where(where, row, s["gem_row"])
        s["gem_column"] = np.where(where, column, s["gem_column"])
        ways = _ways(s["wall"][where], s["gem_row"][where], s["gem_column"][where])
        s["way"][where] = ways


def _room(share: Array) -> Array:
    """Return the tile of one of the rooms, along one side, for numbers in [0, 1)."""
    return np.asarray(1 + 2 * (share * np.float32(ROOMS)).astype(np.int64))


def _mazes(seeds: Array) -> Array:
    """Return walls bool [N, SIDE, SIDE]: each room opens up or to the left, and some do both.

    That is a binary tree, so every room can be reached (Buck, 2015, "Mazes for Programmers").
    """
    count = ROOMS * ROOMS
    u = exact.uniform(seeds, np.zeros_like(seeds), 4, 2 * count)
    up = (u[:, :count] < np.float32(0.5)).reshape(-1, ROOMS, ROOMS)
    both = (u[:, count:] < np.float32(LOOPS)).reshape(-1, ROOMS, ROOMS)
    up[:, 0], up[:, 1:, 0] = False, True
    left = ~up | both
    up |= both
    up[:, 0], left[:, :, 0] = False, False
    wall = np.ones((len(seeds), SIDE, SIDE), dtype=np.bool_)
    wall[:, 1::2, 1::2] = False
    wall[:, 0:-1:2, 1::2] &= ~up
    wall[:, 1::2, 0:-1:2] &= ~left
    return wall


def _ways(wall: Array, row: Array, column: Array) -> Array:
    """Return how many steps each tile is from a place, int64 [N, SIDE, SIDE]; `FAR` for walls."""
    way = np.full(wall.shape, FAR, dtype=np.int64)
    way[np.arange(len(wall)), row, column] = 0
    while True:
        near = way.copy()
        near[:, 1:] = np.minimum(near[:, 1:], way[:, :-1] + 1)
        near[:, :-1] = np.minimum(near[:, :-1], way[:, 1:] + 1)
        near[:, :, 1:] = np.minimum(near[:, :, 1:], way[:, :, :-1] + 1)
        near[:, :, :-1] = np.minimum(near[:, :, :-1], way[:, :, 1:] + 1)
        near[wall] = FAR
        if np.array_equal(near, way):
            return way
        way = near
