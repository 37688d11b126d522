"""The keys of a recipe for `first_person`; its `Config` holds the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sims.contract import Spec
from sims.errors import UserError
from training.data.components import state_names
from training.families.first_person.model import Config
from training.families.numbers import options as numbers
from training.keys import Key


@dataclass(frozen=True)
class Options(numbers.Options):
    """Keys of `[model]`: those of `numbers`, and how one sees."""

    place: Annotated[
        list[str],
        Key("the two numbers that tell where on the ground one stands", count=(2, 2)),
    ]
    look: Annotated[
        list[str],
        Key("the two numbers that tell which way one looks: the cosine and the sine of the angle "
            "from the direction in which the first number of `place` grows to that of the second",
            count=(2, 2)),
    ]  # fmt: skip
    view: Annotated[
        float,
        Key("degrees from the left edge of the picture to the right one; below 0 where that angle "
            "grows to the right", -175, 175),
    ]  # fmt: skip
    waves: Annotated[
        int,
        Key("how finely a place is told: each of so many waves is half as long as the one before, "
            "and the first is twice as long as the ground", 1, 16),
    ]  # fmt: skip


Training = numbers.Training  # keys of `[train]`


def check(model: Mapping[str, Any], spec: Spec, where: str) -> None:
    """Refuse what `numbers` refuses, and a world that does not tell where one looks; UserError."""
    numbers.check(model, spec, where)
    told = state_names(spec.to_json()["sensors"])
    for key in ("place", "look"):
        for name in model.get(key, getattr(Config, key)):
            if name not in told:
                raise UserError(
                    f"{where}: family 'first_person' is told where one stands and looks, "
                    f"and world '{spec.name}' has no number '{name}'; it has {', '.join(told)}. "
                    f'Run: name them as {key} in [model], or write family = "numbers"'
                )
