"""How long a model's own frames stay like recorded ones: no detector, no rules, no true game.

Where a model parts from the true game, a comparison pixel by pixel says little: what draws nothing
where it is unsure fares best. So this asks of each frame alone whether recordings have such frames.
It is broken if

- a square of pixels where something has just changed is in no recording: a thing is torn, smeared
  or where nothing can be;
- a colour covers a number of pixels as in no recording: a thing has vanished or doubled;
- nothing changes, or a colour stays away, for longer than in any recording: the world has died.

What is judged so, and how large the squares are, is chosen on other held-out games: recordings
themselves must pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sims.contract import Array
from training.data.dataset import Arrays
from training.evaluation import bootstrap, players
from training.evaluation.measures.contract import Subject, Table
from training.evaluation.players import Player
from training.evaluation.starts import Scene
from training.trainer.checkpoints import reads_rgb

CAUSES = {
    "shape": "a square of pixels is in no recording",
    "amount": "a colour covers more or less than in any recording",
    "still": "nothing changes, or a colour stays away, for longer than in any recording",
}
SIZES = (8, 4)  # pixels along one side of a square, the first that held-out games pass
COLOURS = 64  # with more colours, a shaded world, amounts are not judged
RECORDED = 60_000  # frames that say what recordings show
WRONG = 0.001  # of held-out frames that may look broken, by each thing that is judged
LONGER, MORE = 1.5, 10  # times the longest recorded, and steps beyond it
LENGTH = 300  # steps of the games that are played for it
TOGETHER = 64  # games that are played at once
MOST = 2_000_000  # squares; where there are more, no two frames are alike
CHUNK = 512  # frames that are read at a time
FIRST, JUDGED, STARTS, PLAYED = 2000, 3000, 3001, 3002  # seeds, far from those of other figures
LEAST = 300  # steps, after which a session ends in which no rollout is whole
MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number: 2 ** 64 over the golden ratio
ACROSS, DOWN = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # odd, so that no pixel is lost in a sum


class Recorded:
    """What recordings show: squares by size, amounts by colour, and the longest pauses."""

    def __init__(self) -> None:
        self.frames = self.longest = self.still = 0
        self.colours: Array = np.zeros(0, np.uint32)
        # Of each colour: whether each number of pixels was seen, and the longest time without it.
        self.amounts: Array = np.zeros((0, 0), np.bool_)
        self.away: Array = np.zeros(0, np.int64)
        self.squares: dict[int, Array] = {}
        self.size = 0
        self.shaded = False

    def see(self, game: Array) -> None:
        """Read one game, uint32 [T, cameras, H, W] as `coded` returns it."""
        if not self.frames:
            room = min(game.shape[2:])
            self.squares = {size: np.zeros(0, np.uint64) for size in SIZES if size <= room}
            self.amounts = np.zeros((0, 1 + game[0].size), np.bool_)
        for size in list(self.squares):
            for before, after in _pairs(game):
                _, found = _squares(after, before != after, size)
                self.squares[size] = np.union1d(self.squares[size], found)
            if len(self.squares[size]) > MOST:
                del self.squares[size]
        if not self.shaded:
            self._meet(np.setdiff1d(game, self.colours))
            counts = _amounts(game, self.colours)
            for colour in range(len(self.colours)):
                self.amounts[colour, counts[:, colour]] = True
                self.away[colour] = max(self.away[colour], _longest(counts[:, colour] == 0))
        same = (game[1:] == game[:-1]).reshape(len(game) - 1, game[0].size).all(1)
        self.still = max(self.still, _longest(same))
        self.frames, self.longest = self.frames + len(game), max(self.longest, len(game))

    def _meet(self, new: Array) -> None:
        """Add colours that no game before has shown."""
        if len(self.colours) + len(new) > COLOURS:
            self.shaded, new = True, new[:0]
            self.colours, self.amounts, self.away = (
                part[:0] for part in (self.colours, self.amounts, self.away)
            )
        amounts = np.zeros((len(new), self.amounts.shape[1]), np.bool_)
        amounts[:, 0] = self.frames > 0
        self.colours = np.concatenate([self.colours, new])
        self.amounts = np.concatenate([self.amounts, amounts])
        self.away = np.concatenate([self.away, np.full(len(new), self.longest)])

    def trust(self, games: list[Array]) -> None:
        """Keep what held-out games pass: the largest squares, and the amounts of some colours."""
        frames = max(1, sum(len(game) - 1 for game in games))
        some = [size for size, squares in self.squares.items() if len(squares)]
        fits = [size for size in some if self._wrong(games, size) <= WRONG * frames]
        self.size = max(fits, default=0)
        missed = np.zeros(len(self.colours), np.int64)
        every = np.arange(len(self.colours))
        for game in games:
            missed += (~self.amounts[every, _amounts(game, self.colours)]).sum(0)
        kept = missed <= WRONG * frames
        self.colours, self.amounts, self.away = (
            part[kept] for part in (self.colours, self.amounts, self.away)
        )

    def _wrong(self, games: list[Array], size: int) -> int:
        """Count the frames in which squares of a size are in no recording."""
        self.size = size
        pairs = (pair for game in games for pair in _pairs(game))
        return sum(int(self.strange(*pair).sum()) for pair in pairs)

    def strange(self, before: Array, after: Array) -> Array:
        """Return where a changed square of `after` is in no recording: bool [N]."""
        rows, squares = _squares(after, before != after, self.size)
        known = self.squares[self.size]
        place = np.minimum(np.searchsorted(known, squares), len(known) - 1)
        wrong = known[place] != squares
        return np.bincount(rows[wrong], minlength=len(after)) > 0


class Judge:
    """Judge N rollouts step by step."""

    def __init__(self, recorded: Recorded, frames: Array) -> None:
        self.recorded = recorded
        self.last = frames.copy()
        self.away = np.zeros((len(frames), len(recorded.colours)), np.int64)
        self.still = np.zeros(len(frames), np.int64)

    def restart(self, rows: Array, frames: Array) -> None:
        """Begin some of the rollouts anew at these frames."""
        self.last[rows], self.away[rows], self.still[rows] = frames, 0, 0

    def judge(self, frames: Array) -> Array:
        """Return which frames are broken, and by what: bool [N, 3] in the order of `CAUSES`."""
        known = self.recorded
        counts = _amounts(frames, known.colours)
        self.away = np.where(counts == 0, self.away + 1, 0)
        same = (frames == self.last).reshape(len(frames), -1).all(1)
        self.still = np.where(same, self.still + 1, 0)
        broken = np.zeros((len(frames), len(CAUSES)), np.bool_)
        if known.size:
            broken[:, 0] = known.strange(self.last, frames)
        broken[:, 1] = (~known.amounts[np.arange(len(known.colours)), counts]).any(1)
        broken[:, 2] = self.still > LONGER * known.still + MORE
        broken[:, 2] |= (self.away > LONGER * known.away + MORE).any(1)
        self.last = frames.copy()
        return broken


def measure(subject: Subject) -> Table | None:
    """Measure how long rollouts stay whole; None where frames are too varied to tell.

    The rollouts continue alone from held-out starts with the actions of other held-out games. One
    that the model ends goes on from another start, as on the page.
    """
    recorded = learned(subject)
    if not recorded.size and not len(recorded.colours):
        return None
    asked, family = subject.recipe.evaluate, subject.recipe.family
    steps, few = asked.play_steps, max(1, asked.games // 3)
    starts = subject.scene(STARTS, 1, 2 * asked.games)
    starts = starts.pick(np.flatnonzero(starts.alive[:, 0]))
    if not len(starts.history):
        return None
    inputs = subject.scene(PLAYED, LENGTH, asked.games)
    model = subject.model
    cast: dict[str, tuple[Player, int]] = {
        family: (players.Model(model), asked.games),
        **{name: (players.Model(other), few) for name, other in model.samplers().items()},
        "no carried state": (players.Model(model, carry=False), few),
        "last frame repeated": (players.Still(), few),
    }
    # A session goes on for longer where rollouts stay whole.
    subject.expect(sum(games for _, games in cast.values()) * min(steps, LEAST))
    found = {
        name: session(recorded, subject.counted(player), starts, inputs, games, steps)
        for name, (player, games) in cast.items()
    }
    truth = subject.scene(JUDGED + 10, min(steps, 2 * LENGTH), asked.games)
    real = "held-out games" if subject.sim_class is None else "the sim itself"
    found[real] = _watched(recorded, truth, steps)
    length = min(steps, truth.frames.shape[1])
    grid = sorted({round(steps * k / 50) for k in range(51)})
    return {
        "title": "How long its frames stay like recorded ones",
        "note": (
            f"{asked.games} rollouts of {steps} steps alone, under the actions of held-out games; "
            f"the others {few}, {real} {length} steps. "
            + (
                f"Judged in squares of {recorded.size} by {recorded.size} pixels"
                if recorded.size
                else "No squares of pixels are judged"
            )
            + f", and by the amounts of {len(recorded.colours)} colours."
        ),
        "columns": [
            {"key": "whole", "label": "steps until a frame is like no recorded one, median"}
            | {"unit": "", "better": "high"},
            {"key": "kept", "label": f"rollouts that stay so for {steps} steps"}
            | {"unit": "%", "better": "high"},
            *(
                {"key": f"first_{cause}", "label": f"first: {told}", "unit": "%", "better": ""}
                for cause, told in CAUSES.items()
            ),
        ],
        "rows": [{"name": name, "values": _figures(*one, steps)} for name, one in found.items()],
        "curve": {
            "label": "rollouts whose frames are all like recorded ones",
            "unit": "%",
            "steps": grid,
            "series": {
                name: [
                    bootstrap.mean(first > step, True) if step <= length or name != real else None
                    for step in grid
                ]
                for name, (first, _) in found.items()
            },
        },
    }


def learned(subject: Subject) -> Recorded:
    """Return what the training recordings show, or the sim plays, tried on held-out games."""
    return learned_from(_training(subject), _games(subject.scene(JUDGED, LENGTH, TOGETHER)))


def learned_from(games: Iterable[Array], held_out: Iterable[Array]) -> Recorded:
    """Return what games show, tried on others; each is uint32 [T, cameras, H, W], see `coded`."""
    recorded = Recorded()
    for game in games:
        recorded.see(game)
        if recorded.frames >= RECORDED:
            break
    recorded.trust(list(held_out))
    return recorded


def session(
    recorded: Recorded, player: Player, starts: Scene, inputs: Scene, games: int, steps: int
) -> tuple[Array, Array]:
    """Play alone; return each rollout's first broken step, `steps` + 1 for none, and its causes."""
    games = min(games, len(starts.history), len(inputs.actions))
    scene = starts.pick(slice(0, games))
    player.watch(scene)
    judge = Judge(recorded, coded(scene.history[:, -1]))
    first, causes = np.full(games, steps + 1), np.zeros((games, len(CAUSES)), np.bool_)
    begun, length = games, inputs.actions.shape[1]
    for t in range(steps):
        rows = (np.arange(games) + t // length) % len(inputs.actions)
        frames = player.step(inputs.actions[rows, t % length], inputs.chances[rows, t % length])
        broken = judge.judge(coded(frames))
        now = broken.any(1) & (first > steps)
        first[now], causes[now] = t + 1, broken[now]
        if t + 1 >= LEAST and (first <= steps).all():
            break
        over = np.flatnonzero(player.heads.ends) if player.heads else np.zeros(0, np.int64)
        if len(over):
            again = starts.pick((begun + np.arange(len(over))) % len(starts.history))
            begun += len(over)
            player.watch(again, over)
            judge.restart(over, coded(again.history[:, -1]))
    return first, causes


def coded(frames: Array) -> Array:
    """Return frames uint8 [..., 4] as one number a pixel, uint32 [...]."""
    return np.ascontiguousarray(frames).view(np.uint32)[..., 0]


def _training(subject: Subject) -> Iterator[Array]:
    """Yield games of which held-out figures are none."""
    if subject.dataset is None:
        for seed in range(FIRST, JUDGED):
            yield from _games(subject.scene(seed, LENGTH, TOGETHER))
        return
    yield from episodes(subject.dataset.load("train", rgb=reads_rgb(subject.recipe)))


def episodes(arrays: Arrays) -> Iterator[Array]:
    """Yield the frames of each recorded game, as `coded` returns them."""
    for first, stop in arrays.episodes:
        yield coded(arrays.rgba(np.arange(first, stop)))


def _games(scene: Scene) -> Iterator[Array]:
    """Yield each rollout's frames up to its end."""
    whole = coded(np.concatenate([scene.history, scene.frames], 1))
    lengths = scene.history.shape[1] + scene.alive.sum(1)
    for game, length in zip(whole, lengths, strict=True):
        yield game[:length]


def _watched(recorded: Recorded, scene: Scene, steps: int) -> tuple[Array, Array]:
    """Judge the truth's own frames; see `session`. A game that ended counts as whole."""
    judge = Judge(recorded, coded(scene.history[:, -1]))
    games = len(scene.frames)
    first, causes = np.full(games, steps + 1), np.zeros((games, len(CAUSES)), np.bool_)
    for t in range(scene.frames.shape[1]):
        broken = judge.judge(coded(scene.frames[:, t]))
        now = broken.any(1) & (first > steps) & scene.alive[:, t]
        first[now], causes[now] = t + 1, broken[now]
    return first, causes


def _figures(first: Array, causes: Array, steps: int) -> dict[str, bootstrap.Figure | None]:
    """Return the figures of a row; a rollout with several causes at once counts for the first."""
    values = {
        "whole": bootstrap.median(np.minimum(first, steps)),
        "kept": bootstrap.mean(first > steps, True),
    }
    cause = np.where(causes.any(1), causes.argmax(1), -1)
    for k, name in enumerate(CAUSES):
        values[f"first_{name}"] = bootstrap.mean(cause == k, True)
    return values


def _pairs(game: Array) -> Iterator[tuple[Array, Array]]:
    """Yield frames of a game and those that follow them, some at a time."""
    for k in range(0, len(game) - 1, CHUNK):
        after = game[k + 1 : k + 1 + CHUNK]
        yield game[k : k + len(after)], after


def _squares(frames: Array, changed: Array, size: int) -> tuple[Array, Array]:
    """Return the squares in which a pixel has changed: int64 frame and uint64 hash of each.

    The hash of a square is that of its halves, so it takes few sums; `size` is a power of 2.
    """
    n, cameras, height, width = frames.shape
    flat = frames.reshape(n * cameras, height, width)
    hashes = (flat.astype(np.uint64) + np.uint64(1)) * MIX
    hashes ^= hashes >> np.uint64(29)
    near = changed.reshape(flat.shape)
    half = 1
    while half < size:
        across, down = (np.uint64(pow(odd, half, 1 << 64)) for odd in (ACROSS, DOWN))
        hashes = hashes[:, :, :-half] + across * hashes[:, :, half:]
        hashes = hashes[:, :-half] + down * hashes[:, half:]
        near = near[:, :, :-half] | near[:, :, half:]
        near = near[:, :-half] | near[:, half:]
        half *= 2
    return np.nonzero(near)[0] // cameras, hashes[near]


def _amounts(frames: Array, colours: Array) -> Array:
    """Count the pixels of each colour in each frame, int64 [N, colours]."""
    flat = frames.reshape(len(frames), -1)
    counts = [np.count_nonzero(flat == colour, axis=1) for colour in colours]
    return np.stack(counts, 1) if counts else np.zeros((len(flat), 0), np.int64)


def _longest(some: Array) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], some.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
