"""The keys of a recipe for `first_person`; its `Config` holds the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sims.contract import Spec
from sims.errors import UserError
from training.data.components import state_names
from training.families.numbers import options as numbers
from training.keys import Key

NARROWEST = 1.0  # degrees
# The defaults of the `Config`, which needs torch: a site is built without.
USUAL: dict[str, Any] = {
    "place": ("east", "north"), "look": ("looks_east", "looks_north"), "view": 90.0,
}  # fmt: skip


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
    """Refuse a world of several views, or one that does not tell where one looks; UserError."""
    other = 'or write family = "numbers"'
    if len(spec.cameras) != 1:
        raise UserError(
            f"{where}: family 'first_person' draws one view, and world '{spec.name}' has "
            f'{len(spec.cameras)} cameras. Run: write family = "numbers"'
        )
    told = state_names(spec.to_json()["sensors"])
    asked = USUAL | dict(model)
    names = [*asked["place"], *asked["look"]]
    for name in names:
        if name not in told:
            raise UserError(
                f"{where}: family 'first_person' is told where one stands and looks, and world "
                f"'{spec.name}' has no number '{name}', but {', '.join(told) or 'none at all'}. "
                f"Run: name them as place and look in [model], {other}"
            )
    if len({*names}) < len(names):
        raise UserError(
            f"{where}: place and look name {', '.join(names)}: four different numbers are needed. "
            f"Run: mend these keys of [model], {other}"
        )
    if abs(asked["view"]) < NARROWEST:
        raise UserError(
            f"{where}: model.view is {asked['view']:g} degrees, and nothing is seen in less than "
            f"{NARROWEST:g}. Run: mend it, {other}"
        )
    numbers.check(model, spec, where)
