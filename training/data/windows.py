"""Read a window of one episode: every modality of some successive rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.contract import Array
from sims.errors import UserError
from training.data import verify
from training.data.dataset import Dataset
from training.data.files import DAMAGE, opened, pngs, to_arrays
from training.data.verify import Fault, file_of


@dataclass(frozen=True)
class Window:
    """Rows `first` to `first` + T of an episode.

    columns: [T, ...] by feature. images: T PNGs by camera. events: (row of the window, name).
    about: the episode's row of the manifest.
    """

    first: int
    columns: dict[str, Array]
    images: dict[str, list[bytes]]
    events: list[tuple[int, str]]
    about: dict[str, Any]


def read(dataset: Dataset, episode: int, first: int = 0, count: int | None = None) -> Window:
    """Read a window of a dataset. UserError if it doesn't exist, or is damaged."""
    table = dataset.episodes
    where = f"dataset '{dataset.path}'"
    if not 0 <= episode < len(dataset.bad):
        raise UserError(f"{where}: no episode {episode}; it has 0 to {len(dataset.bad) - 1}.")
    length = int(table["length"][episode])
    if dataset.bad[episode]:
        raise UserError(f"{where}: episode {episode} is spoilt. Run: wmsite data verify")
    if not 0 <= first < length:
        raise UserError(f"{where}: episode {episode} has rows 0 to {length - 1}, not {first}.")
    stop = length if count is None else min(first + max(1, count), length)
    faults, layouts = verify.of_files(dataset, np.array([episode]))
    dataset.refuse(faults)
    features, name = dataset.info["features"], file_of(table, episode)
    images = [n for n in dataset.expected if features[n]["dtype"] == "image"]
    numbers = [n for n in dataset.expected if n not in images]
    try:
        group, _ = layouts[name].episodes[episode]
        rows = opened(dataset.path / name).read_row_group(group, numbers + images)
        columns = to_arrays(rows, features, numbers)
        start = int(table["dataset_from_index"][episode])
        wrong = verify.of_rows(columns, episode, start, dataset.info["fps"])
        pictures = {
            n.removeprefix("observation.images."): pngs(rows.column(n))[first:stop] for n in images
        }
    except DAMAGE as error:
        wrong, columns, pictures = [f"episode {episode} can't be read ({error})"], {}, {}
    if wrong:
        dataset.refuse([Fault(name, what, (episode,)) for what in wrong])
        raise UserError(f"{where}: {wrong[0]}. Run: wmsite data verify")
    mine = dataset.events["episode_index"] == episode
    pairs = zip(dataset.events["frame_index"][mine], dataset.events["event"][mine], strict=True)
    return Window(
        first,
        {n: values[first:stop] for n, values in columns.items()},
        pictures,
        sorted((int(row) - first, str(event)) for row, event in pairs if first <= row < stop),
        {n: v[episode].item() if hasattr(v[episode], "item") else v[episode]
         for n, v in table.items()},
    )  # fmt: skip
