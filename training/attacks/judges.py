"""Who says that a rollout is broken: a world's rules, its recordings, or its sim beside it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sims.contract import Array, Spec
from sims.detector import Detector, Objects, detector_of
from sims.errors import UserError
from training.evaluation.beside import Beside
from training.evaluation.heads import Heads
from training.evaluation.measures import whole
from training.evaluation.measures.contract import Subject
from training.evaluation.players import Player
from training.evaluation.starts import Scene


class Judge(Protocol):
    """Judge N rollouts step by step, by frames uint8 [N, cameras, H, W, 4]."""

    by: str  # in a sentence: what breaks a rollout
    causes: dict[str, str]  # by what, and in words

    def begin(self, scene: Scene) -> None:
        """Begin with rollouts that start where a scene's history ends."""
        ...

    def judge(self, given: Array, chances: Array, after: Array, player: Player) -> Array:
        """Return bool [N, causes]: what a step breaks of a player.

        It was taken by action vectors float32 [N, A] and chance float32 [N, C].
        """
        ...

    def over(self, heads: Heads | None) -> Array:
        """Return bool [N]: the game of the last frames is over."""
        ...


class Rules:
    """The rules of a world that has a detector."""

    by = "It is broken when it breaks a rule of the game."

    def __init__(self, detector: Detector, spec: Spec) -> None:
        self.detector, self.spec = detector, spec
        self.causes = detector.rules
        self.shown: Objects = {}

    def begin(self, scene: Scene) -> None:
        """Begin with rollouts; see `Judge`."""
        self.referee = self.detector.referee(len(scene.history))
        self.referee.watch(np.arange(len(scene.history)), scene.start)
        self.shown = self.detector.read(scene.history[:, -1, 0])

    def judge(self, given: Array, chances: Array, after: Array, player: Player) -> Array:
        """Judge a step; see `Judge`."""
        before, self.shown = self.shown, self.detector.read(after[:, 0])
        taken = given.argmax(1) if self.spec.actions else given
        return self.referee.judge(before, taken, self.shown)

    def over(self, heads: Heads | None) -> Array:
        """Read from the frames whether games are over; see `Judge`."""
        return self.detector.over(self.shown)


class Recordings:
    """What recordings show; see `training.evaluation.measures.whole`."""

    by = "It is broken when its frames are like no recorded ones."
    causes = whole.CAUSES

    def __init__(self, known: whole.Recorded) -> None:
        self.known = known

    def begin(self, scene: Scene) -> None:
        """Begin with rollouts; see `Judge`."""
        self.watching = whole.Judge(self.known, whole.coded(scene.history[:, -1]))

    def judge(self, given: Array, chances: Array, after: Array, player: Player) -> Array:
        """Judge a step; see `Judge`."""
        return self.watching.judge(whole.coded(after))

    def over(self, heads: Heads | None) -> Array:
        """Take the ends that the model says; see `Judge`."""
        assert heads is not None
        return heads.ends


def judge_of(subject: Subject, spec: Spec) -> Judge:
    """Return who judges a world's rollouts; UserError if nobody can."""
    if detector := detector_of(subject.recipe.world):
        return Rules(detector, spec)
    known = whole.learned(subject)
    if known.size or len(known.colours):
        return Recordings(known)
    if subject.sim_class and "sensors" in subject.model.observed and spec.sensors:
        return Beside(subject.sim_class)
    raise UserError(
        f"world '{spec.name}': nothing says when a rollout is broken: it has no detector, no "
        "sensors that its model predicts, and no two of its frames are alike. Run: write "
        f"sims/{spec.name}/detector.py, then the same again"
    )
