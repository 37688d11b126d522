"""Go on from the weights of another model: its colours and contents, in the order of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from training.families.base import State
from training.families.pixels.cells import read

if TYPE_CHECKING:
    from training.families.pixels.model import Config

# Weights with an axis of planes: pixel by pixel, one for each colour.
PLANES = {"read.weight": 1, "show.weight": 1, "write_pixels.weight": 1, "keep": 0}
# Weights with a row for staying, and one for each content.
CONTENTS = ("write.weight", "write.bias")


def inherited(mine: State, weights: State, config: Config, before: Config) -> State:
    """Return `weights` of a model of `before`, fitted to one of `config`, whose own are `mine`.

    What the other model had no colour or no content for stays this one's own.
    """
    if config.patch != before.patch:
        return weights
    colours = matched(config.palette, before.palette)
    pixels = config.patch**2
    found = weights | {"palette": mine["palette"]}
    for name, axis in PLANES.items():
        new, old = (_by_colour(part, axis, pixels) for part in (mine[name].clone(), weights[name]))
        if new.shape[1:] == old.shape[1:]:
            for k, at in enumerate(colours):
                new[k] = new[k] if at is None else old[at]
            found[name] = new.movedim(0, axis + 1).flatten(axis, axis + 1)
    known = {one.tobytes(): k for k, one in enumerate(read(before.contents))}
    for name in CONTENTS:
        new, old = mine[name].clone(), weights[name]
        if new.shape[1:] != old.shape[1:]:
            continue
        new[0] = old[0]
        for k, content in enumerate(read(config.contents)):
            told = [colours[colour] for colour in content]
            row = None if None in told else known.get(bytes(c for c in told if c is not None))
            new[1 + k] = new[1 + k] if row is None else old[1 + row]
        found[name] = new
    return found


def _by_colour(weight: Tensor, axis: int, pixels: int) -> Tensor:
    """Split an axis of planes into pixels and colours, and put the colours first."""
    shape = [*weight.shape[:axis], pixels, -1, *weight.shape[axis + 1 :]]
    return weight.reshape(shape).movedim(axis + 1, 0)


def matched(new: tuple[tuple[int, ...], ...], old: tuple[tuple[int, ...], ...]) -> list[int | None]:
    """Return for each colour the old one that it is, or that was edited into it; None for none.

    Colours of both palettes are the same; each of the others is the nearest old one that is left.
    """
    found: list[int | None] = [old.index(c) if c in old else None for c in new]
    left = [k for k in range(len(old)) if k not in found]
    for k, colour in enumerate(new):
        if found[k] is None and left:
            apart = torch.tensor([old[n] for n in left]) - torch.tensor(colour)
            found[k] = left.pop(int((apart**2).sum(1).argmin()))
    return found
