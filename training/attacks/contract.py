"""What an attack is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sims.contract import Array, Spec
from sims.incidents import Happen
from training.families.base import State, WorldModel


@dataclass(frozen=True)
class Attack:
    """What disturbs a model before each of its steps, at a strength of 0 (not at all) or more.

    disturb: (state, the names of its observations, strength, random) -> state. act: (action vectors
    float32 [N, A], spec, strength, random) -> action vectors that the world takes, too. aim: as
    disturb, for what depends on the model and its inputs: (model, state, action, chance, strength,
    random) -> state. happen: what happens in N sims, which the model then watches for a moment
    before it goes on alone (`sims.incidents`).
    """

    title: str
    says: str  # what is done, in a sentence
    unit: str  # of the strength
    strengths: tuple[float, ...]  # that are tried, from weak to strong
    most: float  # the strongest that makes sense
    disturb: Callable[[State, tuple[str, ...], float, torch.Generator], State] | None = None
    act: Callable[[Array, Spec, float, np.random.Generator], Array] | None = None
    aim: Callable[[WorldModel, State, Tensor, Tensor, float, torch.Generator], State] | None = None
    happen: Happen | None = None
