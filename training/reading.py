"""Read a dataset's files into NumPy arrays: what a file holds, whatever its manifest says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sims.contract import Array

DAMAGE = (OSError, ValueError, KeyError, IndexError, pa.ArrowException)


@dataclass(frozen=True)
class Layout:
    """What a data file holds: its columns, and for each episode its row group and rows."""

    columns: frozenset[str]
    episodes: dict[int, tuple[int, int]]


def layout(path: Path) -> Layout:
    """Read a data file's footer. Raises one of `DAMAGE` for a file that can't be read."""
    footer = pq.read_metadata(path)
    schema = footer.schema.to_arrow_schema()
    found = {}
    if "episode_index" in schema.names:
        names = [footer.schema.column(i).path for i in range(len(footer.schema))]
        place = names.index("episode_index")
        for group in range(footer.num_row_groups):
            told = footer.row_group(group).column(place).statistics
            if told is not None and told.has_min_max and told.min == told.max:
                found[int(told.min)] = (group, footer.row_group(group).num_rows)
    return Layout(frozenset(schema.names), found)


def to_numpy(column: Any) -> Array:
    """Turn an Arrow column into a NumPy array, lists into one flat array."""
    array = column.combine_chunks()
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    if pa.types.is_string(array.type):
        return np.array(array.to_pylist(), np.object_)
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def to_arrays(table: Any, features: Mapping[str, Any], names: Iterable[str]) -> dict[str, Array]:
    """Return columns [T, *shape] of a table; a shape of [1] is none. ValueError for other sizes."""
    found = {}
    for name in names:
        shape = features[name]["shape"]
        values = to_numpy(table.column(name))
        try:
            found[name] = values.reshape(len(table), *(shape if shape != [1] else []))
        except ValueError:
            raise ValueError(f"{name} lacks values, or has too many") from None
    return found
