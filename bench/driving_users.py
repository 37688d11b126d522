"""Whether a driving model's pictures show other road users, where they are.

The sim draws a picture twice: with a road user, and without. Where both differ, the user is seen. A
model's picture shows the user if some place at most `NEAR` pixels away is more like the first than
this place is like the second, and clearly so: a grey haze shows nobody. The sim's own pictures are
read by the same rule, and so are pictures without the user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.table import ROOT, Figure
from builder.project.entries import Entry
from builder.project.worlds import Project
from sims.contract import Array, Sim
from sims.driving.sight import CAR, USERS, VAN
from training.evaluation import players
from training.evaluation.starts import Scene, make_scene
from training.trainer.checkpoints import load_model

WORLD = "driving"
SEED, ROLLOUTS, STEPS = 9900, 64, 60  # a seed far from those of other figures
HORIZONS = {20: 90.0, 60: 70.0}  # steps, and what is asked of the car ahead, in %
LEAVES = 70.0  # what is asked of users who leave a view, in %
NEAR = 3  # pixels
SEEN = 12  # pixels of a user: fewer are not looked for
DIFFERS = 8  # levels by which a pixel shows a user
CLEAR = 1 / 3  # of how far the two pictures are apart: a user who is half faded is not seen
AHEAD, ASIDE = 30.0, 1.75  # metres: the nearest in this part of the lane is the car ahead
FAR = 40.0  # metres: who is farther leaves no view
LATE = 3  # steps after which a user may come into the next view
BEFORE = 10  # steps in which it was in another view
FRONT = 0

Seen = tuple[bool, bool, bool]  # in the model's picture, the sim's, and the sim's without the user


@dataclass
class Truth:
    """What the sim draws in T steps of N drives: uint8 [N, T, cameras, H, W, 3]; and its states."""

    frames: Array
    states: list[dict[str, Array]]
    sim_class: type[Sim]

    def without(self, t: int, user: int, drives: Array) -> Array:
        """Draw step `t` of some drives without a road user."""
        state = {name: value[drives] for name, value in self.states[t].items()}
        state["user_kind"] = state["user_kind"].copy()
        state["user_kind"][:, user] = 0
        sim = self.sim_class(len(drives))
        sim.restore(state)
        out: Array = np.zeros_like(self.frames[drives, t])
        sim.render(out)
        return out

    def shown(self, made: Array, drive: int, t: int, user: int, camera: int) -> Seen:
        """Return whether a model's picture shows a user, the sim's, and the sim's without it."""
        real = self.frames[drive, t, camera]
        empty = self.without(t, user, np.array([drive]))[0, camera]
        return (
            shows(made[drive, t, camera], real, empty),
            shows(real, real, empty),
            shows(empty, real, empty),
        )


def figures(family: str) -> list[Figure]:
    """Measure the committed weights of a family on held-out drives under recorded controls."""
    entry = Entry(Project.open(ROOT).world(WORLD), family)
    model = load_model(entry.weights)
    sim_class = entry.world.load()
    scene = make_scene(sim_class, entry.recipe, SEED, model.config.history, STEPS, ROLLOUTS)
    truth = _truth(scene, sim_class)
    made = players.perform(players.Model(model), scene)[0][..., :3]
    return [*_car_ahead(family, made, truth, scene), _leaving(family, made, truth, scene)]


def shows(picture: Array, with_user: Array, without: Array) -> bool:
    """Return whether a picture shows the user whom two others, uint8 [H, W, 3], tell apart."""
    seen = where(with_user, without)
    rows, columns = np.nonzero(seen)
    wanted, behind = (part[seen].astype(np.int64) for part in (with_user, without))
    apart = np.abs(wanted - behind).mean()
    padded = np.pad(picture.astype(np.int64), ((NEAR, NEAR), (NEAR, NEAR), (0, 0)), mode="edge")
    nobody = np.abs(picture[seen].astype(np.int64) - behind).mean()
    best = np.inf
    for down in range(-NEAR, NEAR + 1):
        for right in range(-NEAR, NEAR + 1):
            if down * down + right * right > NEAR * NEAR:
                continue
            there = padded[rows + NEAR + down, columns + NEAR + right]
            best = min(best, float(np.abs(there - wanted).mean()))
    return bool(best < min(nobody, CLEAR * apart))


def where(with_user: Array, without: Array) -> Array:
    """Return where two pictures [..., H, W, 3] tell that a user is seen, bool [..., H, W]."""
    apart = np.abs(with_user.astype(np.int16) - without)
    seen: Array = apart.max(-1) > DIFFERS
    return seen


def _truth(scene: Scene, sim_class: type[Sim]) -> Truth:
    """Play the scene again, and keep every state."""
    sim = sim_class(len(scene.actions))
    sim.restore(scene.start)
    states = []
    for t in range(scene.actions.shape[1]):
        sim.step(scene.actions[:, t], scene.chances[:, t])
        states.append(sim.snapshot())
    return Truth(scene.frames[..., :3], states, sim_class)


def _places(state: dict[str, Array]) -> tuple[Array, Array]:
    """Return how far ahead and to the left of the car each user is, in metres [N, users]."""
    car, users = state["ego"], state["users"]
    x, y = users[..., 0] - car[:, None, 0], users[..., 1] - car[:, None, 1]
    cosine, sine = np.cos(car[:, None, 2]), np.sin(car[:, None, 2])
    return cosine * x + sine * y, cosine * y - sine * x


def _car_ahead(family: str, made: Array, truth: Truth, scene: Scene) -> list[Figure]:
    """Return in how many pictures the car ahead is seen, where it is."""
    found = []
    for step, asked in HORIZONS.items():
        state, t = truth.states[step - 1], step - 1
        ahead, left = _places(state)
        kind = np.isin(state["user_kind"], (CAR, VAN))
        inside = kind & (ahead > 0) & (ahead < AHEAD) & (np.abs(left) < ASIDE)
        user = np.where(inside, ahead, np.inf).argmin(1)
        told: list[Seen] = []
        for n in np.nonzero(inside.any(1) & scene.alive[:, t])[0]:
            empty = truth.without(t, user[n], np.array([n]))[0, FRONT]
            if where(truth.frames[n, t, FRONT], empty).sum() >= SEEN:
                told.append(truth.shown(made, n, t, user[n], FRONT))
        seconds = step / truth.sim_class.spec.rate
        said = f"{WORLD}/{family}, car ahead in view and within {NEAR} px at {seconds:g} s"
        found.append(_figure(said, told, asked))
    return found


def _leaving(family: str, made: Array, truth: Truth, scene: Scene) -> Figure:
    """Return how many users who come from one view into the next are seen there soon."""
    drives, steps, cameras = truth.frames.shape[:3]
    pixels = np.zeros((steps, drives, USERS, cameras), np.int64)
    for t, state in enumerate(truth.states):
        ahead, left = _places(state)
        near = (state["user_kind"] > 0) & (np.hypot(ahead, left) < FAR) & scene.alive[:, t, None]
        for user in range(USERS):
            some = np.nonzero(near[:, user])[0]
            if len(some):
                empty = truth.without(t, user, some)
                pixels[t, some, user] = where(truth.frames[some, t], empty).sum((-2, -1))
    seen = pixels >= SEEN
    told: list[Seen] = []
    for t in range(1, steps - LATE):
        came = seen[t] & ~seen[max(0, t - BEFORE) : t].any(0)
        for n, user, view in np.argwhere(came):
            others = np.delete(np.arange(cameras), view)
            if not seen[max(0, t - BEFORE) : t, n, user][:, others].any():
                continue
            now = [k for k in range(t, t + LATE + 1) if seen[k, n, user, view]]
            each = zip(*(truth.shown(made, n, k, user, view) for k in now), strict=True)
            mine, own, none = (any(part) for part in each)
            told.append((mine, own, none))
    said = f"{WORLD}/{family}, what leaves one view is in the next within {LATE} steps"
    return _figure(said, told, LEAVES)


def _figure(said: str, told: list[Seen], asked: float) -> Figure:
    """Return in how many of some cases a user is seen, and in the pictures that tell the rule."""
    if not told:
        return Figure(said, None, "%", at_least=asked, note="nobody was there")
    value, own, none = 100 * np.mean(told, 0)
    note = f"{len(told)} cases; the sim's pictures {own:.0f} %, without the user {none:.0f} %"
    return Figure(said, float(value), "%", at_least=asked, note=note)
