from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from training.trainer.ranks import Ranks, launch


def test_ranks_take_the_steps_of_one_process_with_all_their_games(tmp_path: Path) -> None:
    games = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))

    def work(ranks: Ranks) -> None:
        torch.manual_seed(1)
        model = nn.Linear(5, 3)
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        share = ranks.share(len(games))
        mine = games[share * ranks.rank : share * (ranks.rank + 1)]
        for step in range(5):
            optimiser.zero_grad()
            (model(mine) ** 2).mean().backward()
            # What the first rank says is what all hear.
            told = ranks.average(
                list(model.parameters()), float(step - ranks.rank), float(ranks.rank)
            )
            assert told == (step, (ranks.size - 1) / 2)
            optimiser.step()
        torch.save(model.state_dict(), tmp_path / f"{ranks.size}-{ranks.rank}.pt")

    launch(1, work)
    launch(2, work)
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    for name, weight in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight)
