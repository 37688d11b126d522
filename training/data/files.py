"""Read a dataset's files into NumPy arrays: their real content, whatever the manifest says."""

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
    """The content of a data file: its columns, and for each episode its row group and rows."""

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


def opened(path: Path) -> Any:
    """Open a Parquet file, and compare its pages with their checksums while reading."""
    return pq.ParquetFile(path, page_checksum_verification=True)


def read(path: Path, columns: list[str] | None = None) -> Any:
    """Read a small Parquet file whole: the library's own shortcut takes half a second to import."""
    return opened(path).read(columns)


def pngs(column: Any) -> list[bytes]:
    """Return the images of a column, still compressed."""
    return [png for chunk in column.chunks for png in chunk.field("bytes").to_pylist()]


def to_numpy(column: Any) -> Array:
    """Turn an Arrow column into a NumPy array, lists into one flat array."""
    array = column.combine_chunks()
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    if pa.types.is_string(array.type):
        told = array.dictionary_encode()  # Few names, each used often: each becomes one object.
        names = np.array([*told.dictionary.to_pylist(), None], np.object_)
        places: Array = told.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return names[places]
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def to_arrays(table: Any, features: Mapping[str, Any], names: Iterable[str]) -> dict[str, Array]:
    """Return columns [T, *shape] of a table; [1] adds no axis. ValueError for other sizes."""
    found = {}
    for name in names:
        shape = features[name]["shape"]
        values = to_numpy(table.column(name))
        try:
            found[name] = values.reshape(len(table), *(shape if shape != [1] else []))
        except ValueError:
            raise ValueError(f"{name} lacks values, or has too many") from None
    return found


def again(path: Path) -> str:
    """Return the advice for a damaged dataset."""
    return (
        f"Run: wmsite data verify {path} to see all of it; what is good is taken with --skip-bad, "
        "or move that folder away and record again"
    )
