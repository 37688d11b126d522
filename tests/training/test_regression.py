from __future__ import annotations

import numpy as np
import torch

from training.families.object_laws.regression import regress


def mixed(rows: int, share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs [R, 4], targets [R, 2], and where the first of two laws holds, bool [R]."""
    rng = np.random.default_rng(1)
    inputs = torch.from_numpy(rng.uniform(-1, 1, (rows, 4)))
    first = torch.from_numpy(rng.random(rows) < share)
    one = torch.stack([0.5 * inputs[:, 0] - 0.25 * inputs[:, 1] + 0.1, inputs[:, 2]], 1)
    other = torch.stack([-0.3 * inputs[:, 0] + 0.7, 0.2 - inputs[:, 3]], 1)
    return inputs, torch.where(first[:, None], one, other), first


def test_the_law_of_most_rows_is_found_exactly_among_rows_of_another() -> None:
    inputs, targets, first = mixed(3000, 0.6)
    law = regress(inputs, targets)
    made = inputs @ law[:-1] + law[-1]
    assert float((made - targets)[first].abs().max()) < 1e-5
    # Least squares would have mixed the two.
    x = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    mean = torch.linalg.lstsq(x, targets).solution
    assert float((x @ mean - targets)[first].abs().max()) > 0.1
    # And in what is left, the other.
    rest = regress(inputs[~first], targets[~first])
    made = inputs[~first] @ rest[:-1] + rest[-1]
    assert float((made - targets[~first]).abs().max()) < 1e-6


def test_a_target_that_is_not_asked_for_bends_nothing() -> None:
    inputs, targets, first = mixed(2000, 0.6)
    asked = torch.ones_like(targets, dtype=torch.bool)
    spoilt = targets.clone()
    rows = torch.arange(0, len(targets), 3)
    asked[rows, 1] = False
    spoilt[rows, 1] = 9.0
    made = inputs @ regress(inputs, spoilt, asked)[:-1] + regress(inputs, spoilt, asked)[-1]
    assert float((made - targets)[first].abs().max()) < 1e-5
    nothing = regress(inputs, targets, torch.zeros_like(asked))
    assert not nothing.any()


def test_inputs_that_say_the_same_do_no_harm() -> None:
    inputs, targets, first = mixed(2000, 0.7)
    twice = torch.cat([inputs, inputs, torch.zeros(len(inputs), 2)], 1)
    law = regress(twice, targets)
    assert float((twice @ law[:-1] + law[-1] - targets)[first].abs().max()) < 1e-5
