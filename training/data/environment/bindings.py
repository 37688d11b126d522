"""The names and keys that a recipe gives to the actions and axes of an environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sims.contract import Action, Axis, Spec
from sims.errors import UserError
from training.environment_recipe import Bound


def action_of(name: str, one: Bound) -> Action:
    """Return a discrete action as the recipe names it."""
    return Action(name, tuple(one.keys), one.touch or None, tuple(one.gamepad))


def bind_axes(axes: tuple[Axis, ...], bound: Mapping[str, Bound], where: str) -> tuple[Axis, ...]:
    """Return axes with the names, keys, and so on, that the recipe gives them."""
    made = list(axes)
    for name, one in bound.items() if axes else ():
        if not 0 <= one.value < len(axes):
            raise UserError(
                f"{where}: gym.actions.{name} names axis {one.value}; there are {len(axes)}, from "
                "0. Run: mend that file, then the same command again"
            )
        axis = made[one.value]
        lower, upper = (one.keys[:-1], one.keys[-1:]) if axis.low < axis.neutral else ([], one.keys)
        made[one.value] = dataclasses.replace(
            axis,
            name=name,
            decrease=tuple(lower) or axis.decrease,
            increase=tuple(upper) or axis.increase,
            gamepad=one.gamepad[0] if one.gamepad else axis.gamepad,
            touch=(one.touch,) if one.touch else axis.touch,
        )
    return tuple(made)


def bind(spec: Spec, bound: Mapping[str, Bound], where: str) -> Spec:
    """Return a spec that was made before, with the names and keys that the recipe now gives."""
    if spec.actions and bound:
        actions = tuple(action_of(name, one) for name, one in bound.items())
        return dataclasses.replace(spec, actions=actions)
    return dataclasses.replace(spec, axes=bind_axes(tuple(spec.axes), bound, where))
