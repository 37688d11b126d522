"""A game of a sim as a link that the page replays; see site_template/player/replay/link.js."""

from __future__ import annotations

import base64
from itertools import groupby
from urllib.parse import urlencode

import numpy as np

from sims.contract import Array, Sim
from sims.host import digest

NO_ACTIONS = "0"


def fragment(
    sim_class: type[Sim], sim: str, seed: int, scenario: str, actions: Array, model: str, mode: str
) -> str:
    """Return the fragment (without the #) of a game: action vectors [T, A] from a seed.

    `sim` is the hash of the world's sim. The page plays it in `mode`, with the model of the family
    `model`.
    """
    from training.attacks.search import AXIS_STEPS  # It needs torch.

    spec = sim_class.spec
    taken = actions.argmax(1) if spec.actions else actions
    played = sim_class(1)
    played.reset(np.array([seed]), scenario)
    for action in taken:
        played.step(np.asarray(action)[None], played.draw())
    if spec.actions:
        rows: list[tuple[int, ...]] = [(int(action),) for action in taken]
    else:
        low, high = (np.array([getattr(a, end) for a in spec.axes]) for end in ("low", "high"))
        steps = np.round((actions - low) / (high - low) * AXIS_STEPS).astype(int)
        rows = [tuple(int(v) for v in row) for row in steps]
    out = bytearray()
    for row, run in groupby(rows):
        out += bytes(row)
        left = len(list(run))  # as a little-endian base-128 number
        while left >= 128:
            out.append(left % 128 + 128)
            left //= 128
        out.append(left)
    told = base64.urlsafe_b64encode(bytes(out)).decode().rstrip("=") or NO_ACTIONS
    return urlencode({
        "replay": spec.name, "sim": sim[:16], "seed": str(seed), "scenario": scenario,
        "actions": told, "model": model,
        "mode": mode, "end": digest(played.snapshot()),
    })  # fmt: skip
