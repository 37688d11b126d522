"""Record an environment: many of them side by side, each in a process, as shards of a dataset.

A shard is played game after game, by one process at a time, so that the dataset is the same
whatever the number of processes, as far as the environment repeats itself. Finished shards survive
a kill. A game in which the environment fails is dropped and counted; another seed takes its place.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from sims.contract import Spec
from sims.errors import UserError
from training import processes
from training.data.dataset_manifest import Book, recording_of
from training.data.environment import coverage, person
from training.data.environment.play import Ask, Game
from training.data.environment.policies import RANDOM
from training.data.environment.process import Dropped, Keeper
from training.data.episodes import Episode
from training.data.lerobot import Writer
from training.data.merge import merge
from training.data.palette import MOST_COLOURS
from training.data.record import episode_seed, note, parts, set_aside, shard_folder, whole
from training.environment_recipe import Gym
from training.locks import lock
from training.progress import Progress
from training.recipe import Data, DataRecipe, Recipe

SHARD = 2000  # steps of a shard, about, where the recipe does not say how many there are
IN_A_ROW = 5  # games of a shard that fail, one after the other, before the recording stops
LEAST = 8  # steps that are worth a game of their own, at the end of a shard
WATCHED = 0.25  # seconds between two looks at processes that may hang


@dataclass(frozen=True)
class Environment:
    """What is recorded: the recipe's table, the project's folder, and what was found of it."""

    gym: Gym
    root: Path
    spec: Spec
    about: dict[str, Any] = field(default_factory=dict)


def record(
    what: Environment,
    recipe: Recipe | DataRecipe,
    out: Path,
    name: str,
    *,
    processes: int | None = None,
    wait: bool = True,
) -> Path:
    """Record the recipe's data as the folder `out`/`name`, and return that folder.

    `processes` play at once (by default one for each core, at most `data.worlds`). Finished shards
    are kept, and so is a complete dataset. Raises UserError in one line if the environment can't be
    recorded; the shards that are finished stay.
    """
    folder = out / name
    if whole(folder):
        return folder
    data = shared_out(recipe.data)
    count = min(processes or os.cpu_count() or 1, data.worlds, data.shards)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with lock(out / f".{name}.lock", f"dataset '{folder}'", wait, keep=False):
            if not whole(folder):
                _record(what, recipe.seed, data, folder, count)
                _join(what, recipe, data, folder)
                for line in [*coverage.lines(folder), *_dropped_lines(folder)]:
                    print(f"  {line}", file=sys.stderr)
    except OSError as error:
        raise UserError(
            f"dataset of world '{what.spec.name}': can't be written to {out}; "
            f"{error.strerror or error}. Run: make room there, then the same command again"
        ) from error
    return folder


def shared_out(data: Data) -> Data:
    """Return what to record in shards: as many as the recipe says, or about 2000 steps in each."""
    if data.shards > 1:
        return data
    steps = max(SHARD, data.episode_steps)
    return replace(data, shards=max(1, min(1000, data.steps // steps)))


def behaviours(data: Data) -> tuple[str, ...]:
    """Return the names of who plays, those with a share."""
    return tuple(name for name, share in data.behaviours.items() if share > 0) or (RANDOM,)


def _record(what: Environment, seed: int, data: Data, folder: Path, count: int) -> None:
    """Record the shards that are missing."""
    home = folder.with_name(f"{folder.name}.shards")
    home.mkdir(exist_ok=True)
    missing = [k for k in range(data.shards) if not whole(shard_folder(folder, k))]
    waiting = iter(missing)
    steps = processes.SPAWN.Value("q", 0)
    log = home / "printed.log"
    log.unlink(missing_ok=True)
    done = dropped = shown = 0
    with ExitStack() as stack:
        bar = Progress(f"record {what.spec.name}", float(data.steps))
        bar.resume(float(data.steps * (data.shards - len(missing)) / data.shards))
        stack.enter_context(bar)
        hands = [_Hand(what, seed, data, folder, Keeper(what.gym, what.root, log, steps))
                 for _ in range(max(1, min(count, len(missing))))]  # fmt: skip
        for hand in hands:
            stack.callback(hand.close)
            hand.next(waiting)
        while busy := [hand for hand in hands if hand.keeper.busy]:
            links = {h.keeper.connection: h for h in busy if h.keeper.connection}
            ready = connection.wait(list(links), WATCHED)
            late = [h for h in busy if h.keeper.late > 0 and h.keeper.connection not in ready]
            for hand in [*(links[link] for link in ready), *late]:  # type: ignore[index]
                kept = hand.take(waiting)
                done, dropped = done + kept, dropped + (not kept)
            now = int(steps.value)
            more = {"dropped": dropped} if dropped else {}
            bar.update(now - shown, games=done, **more)
            shown = now
    if log.is_file() and log.stat().st_size:
        text = log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = next((" ".join(line.split()) for line in reversed(text) if line.strip()), "")
        print(f"  it printed {len(text):,} lines; the last: {last[:120]}", file=sys.stderr)


class _Hand:
    """One process, and the shard that it plays.

    A game is written while the process plays the next one.
    """

    def __init__(
        self, what: Environment, seed: int, data: Data, folder: Path, keeper: Keeper
    ) -> None:
        self.what, self.seed, self.data, self.folder = what, seed, data, folder
        self.keeper = keeper
        self.shard: Shard | None = None

    def next(self, waiting: Iterator[int]) -> None:
        """Begin the next shard that is missing, if there is one."""
        for number in waiting:
            self.shard = _shard(self.what, self.seed, self.data, self.folder, number)
            if (asked := next(self.shard, None)) is not None:
                self._ask(*asked)
                return
        self.shard = None

    def take(self, waiting: Iterator[int]) -> bool:
        """Take the game that was played, or note that it failed; ask for the next one."""
        assert self.shard
        game = self.keeper.answer()
        assert isinstance(game, Game | Dropped)
        try:
            self._ask(*self.shard.send(game))
        except StopIteration:
            self.next(waiting)
        return isinstance(game, Game)

    def _ask(self, ask: Ask, write: Callable[[], None]) -> None:
        self.keeper.ask((ask, self.what.spec))
        write()

    def close(self) -> None:
        """End the process, and remove an unfinished shard."""
        self.keeper.close()
        if self.shard:
            self.shard.close()


# A game to play, and what writes the one before it.
Shard = Generator[tuple[Ask, Callable[[], None]], Game | Dropped, None]


def _shard(what: Environment, seed: int, data: Data, folder: Path, shard: int) -> Shard:
    """Yield the games of one shard, and what writes those that come back."""
    shares = _shares(data)
    played = {name: person.read(what.root / name)
              for name in shares if name.endswith(person.SUFFIX)}  # fmt: skip
    dropped: list[str] = []
    colours: set[int] | None = set()
    unwritten: list[tuple[Episode, str]] = []  # the last game that came back

    def write() -> None:
        if unwritten:
            note(*unwritten.pop(), writer, book)

    room = 10**6 // data.shards
    with set_aside(shard_folder(folder, shard)) as aside:
        writer, book = Writer(aside, what.spec), Book(what.spec)
        at_step = data.steps * shard / data.shards
        for number, split, steps in parts(data, shard):
            seeds = iter(range(shard * room, (shard + 1) * room))
            left, failed = max(1, round(steps)), 0
            span = at_step / data.steps, (at_step + steps) / data.steps
            games = {name: person.between(some, *span) for name, some in played.items()}
            at_step += steps
            had = dict.fromkeys(shares, 0)
            while left > 0:
                who = {name: part for name, part in shares.items() if games.get(name, True)}
                if not who:  # A person has played fewer games than were asked for.
                    break
                behaviour = _neediest(who, had, min(data.episode_steps, left))
                most = min(data.episode_steps, left)
                most += left - most if left - most < LEAST else 0
                again = games[behaviour].pop(0) if behaviour in games else None
                if again:
                    most = min(most, len(again.actions))
                at = next(seeds, None)
                if at is None:
                    raise UserError(
                        f"environment '{what.gym.id}': its games are so short that there are no "
                        "more seeds. Run: ask for fewer data.steps, or fewer data.shards"
                    )
                from_seed = again.seed if again else episode_seed(seed, number, at)
                game = yield Ask(from_seed, behaviour, most, again), write
                if isinstance(game, Dropped):
                    dropped.append(game.why)
                    failed += 1
                    if failed == IN_A_ROW:
                        raise UserError(_stopped(what, folder, game.why))
                    continue
                failed = 0
                unwritten.append((game.episode, split))
                length = len(game.episode.columns["action"])
                had[behaviour] += length
                left -= length
                if colours is not None:
                    colours = None if game.colours is None else colours | set(game.colours)
        write()
        part = {"shard": [shard, data.shards]} if data.shards > 1 else {}
        book.finish(writer, seed, asdict(data), palette=_palette(colours), dropped=dropped, **part)


def _stopped(what: Environment, folder: Path, why: str) -> str:
    kept = len([*folder.with_name(f"{folder.name}.shards").glob("[0-9]*/meta/wmsite")])
    return (
        f"environment '{what.gym.id}': {IN_A_ROW} games failed one after the other; the last: "
        f"{why}. The {kept} shards that are finished stay. Run: mend it, then the same again"
    )


def _shares(data: Data) -> dict[str, float]:
    shares = {name: data.behaviours.get(name, 1.0) for name in behaviours(data)}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _neediest(shares: dict[str, float], had: dict[str, int], more: int) -> str:
    """Return the behaviour whose share of the steps would be the furthest behind."""
    total = sum(had.values()) + more
    return max(shares, key=lambda name: shares[name] * total - had[name])


def _palette(colours: set[int] | None) -> list[list[int]] | None:
    if colours is None or len(colours) > MOST_COLOURS:
        return None
    return sorted([c & 255, c >> 8 & 255, c >> 16] for c in colours)


def _join(what: Environment, recipe: Recipe | DataRecipe, data: Data, folder: Path) -> None:
    """Make the dataset of its shards, which are all there."""
    shards = [shard_folder(folder, k) for k in range(data.shards)]
    dropped = [why for shard in shards for why in recording_of(shard).get("dropped", [])]
    with (
        Progress(f"join {len(shards)} shards", float(data.steps)) as bar,
        set_aside(folder) as aside,
    ):
        merge(
            shards, what.spec, aside, recipe.seed, asdict(recipe.data), told=bar.update,
            environment=what.about, dropped=dropped,
        )  # fmt: skip
    shutil.rmtree(shards[0].parent, ignore_errors=True)


def _dropped_lines(folder: Path) -> list[str]:
    dropped = recording_of(folder).get("dropped", [])
    if not dropped:
        return []
    why = ", ".join(f"{n} times: {w}" for w, n in Counter(dropped).most_common(3))
    return [f"{len(dropped):,} games were dropped; {why}"]
