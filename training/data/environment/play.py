"""Play whole games of an environment, and return each as an episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sims.contract import Array, Spec
from training.data import episodes
from training.data.environment.controls import Held
from training.data.environment.observations import Broken
from training.data.environment.opened import Opened, Seen, one_line
from training.data.environment.person import Played
from training.data.environment.policies import RANDOM, policy
from training.data.images import encode_png
from training.data.palette import MOST_COLOURS, colour_codes


@dataclass(frozen=True)
class Ask:
    """One game to play: by whom, and the most steps of it; or one of a person, to play again."""

    seed: int
    behaviour: str
    steps: int
    again: Played | None = None


@dataclass(frozen=True)
class Game:
    """A played game, and the colours of its frames as numbers (None: too many)."""

    episode: episodes.Episode
    colours: list[int] | None


class Colours:
    """The colours of the frames of a game, while they are few."""

    def __init__(self) -> None:
        self.seen = np.zeros(1 << 24, np.bool_)
        self.found: list[int] = []

    def begin(self) -> None:
        """Forget those of the game before."""
        self.seen[self.found] = False
        self.found = []

    def see(self, frame: Array) -> None:
        """Add the colours of a frame."""
        if len(self.found) <= MOST_COLOURS:
            codes = colour_codes(frame)
            new = np.unique(codes[~self.seen[codes]])
            self.seen[new] = True
            self.found += new.tolist()

    @property
    def few(self) -> list[int] | None:
        """The colours by their numbers, or None."""
        return sorted(self.found) if len(self.found) <= MOST_COLOURS else None


def play(
    opened: Opened, spec: Spec, ask: Ask, colours: Colours, told: Callable[[], None] = lambda: None
) -> Game:
    """Play one game; Broken if the environment fails in it, UserError if it always would.

    `told` is called after each step.
    """
    random = np.random.default_rng(ask.seed)
    colours.begin()
    seen = opened.reset(ask.seed)
    noise = np.random.default_rng([ask.seed, 1])
    act = _player(opened, spec, ask, random)
    room = episodes.columns(spec, (ask.steps + 1,))
    images: list[bytes] = []
    shades = np.zeros((1, 3, 256), np.int64)

    def store(row: int, action: Array, reward: float, done: bool) -> None:
        nonlocal shades
        colours.see(seen.frame)
        images.extend(encode_png(seen.frame[None]))
        if row % episodes.SAMPLE == 0:
            shades += episodes.shades(seen.frame[None], spec)
        for name, values in seen.sensors.items():
            room[f"observation.{name}"][row] = values
        room["action"][row] = action
        room["chance"][row] = noise.random(len(spec.chance), np.float32)
        room["next.reward"][row], room["next.done"][row] = reward, done

    row, terminated, truncated = 0, False, False
    while row < ask.steps and not (terminated or truncated):
        action = act(seen)
        after, reward, terminated, truncated = opened.step(action)
        store(row, action, reward, terminated)
        seen, row = after, row + 1
        told()
    if terminated:  # The frame after the end, with a step that changes nothing.
        store(row, act(seen), 0.0, True)
        row += 1
    earned = float(room["next.reward"][:row].sum())
    if ask.again and row >= len(ask.again.actions) and not np.isclose(earned, ask.again.earned):
        raise Broken(
            f"the person's game of seed {ask.seed} earns {earned:g} now, and earned "
            f"{ask.again.earned:g}: the environment does not repeat itself"
        )
    columns = episodes.with_state(spec, {name: values[:row] for name, values in room.items()})
    camera = spec.cameras[0].name
    episode = episodes.Episode(
        columns, {camera: images}, shades, [], ask.seed, ask.behaviour, "default", "",
        "terminated" if terminated else "truncated",
    )  # fmt: skip
    return Game(episode, colours.few)


def _player(
    opened: Opened, spec: Spec, ask: Ask, random: np.random.Generator
) -> Callable[[Seen], Array]:
    """Return who chooses the row of `action` for what is seen."""
    if ask.behaviour == RANDOM:
        held = Held(opened.controls, spec.rate, random)
        return lambda seen: held.act()
    if ask.again:  # The step after the end has an action, too.
        actions = iter([*ask.again.actions, ask.again.actions[-1]])
        return lambda seen: opened.controls.told(next(actions))
    choose = policy(ask.behaviour, opened.root, opened.where, opened.env)

    def act(seen: Seen) -> Array:
        try:
            return opened.controls.told(choose(seen.observation, opened.env, random))
        except Exception as error:
            raise Broken(f"{ask.behaviour} fails; {one_line(error)}") from error

    return act
