"""Join datasets of one world: the episodes of the first, of the second, and so on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from sims.contract import Spec
from sims.errors import UserError
from training.data.dataset_manifest import MANIFEST, Book, read_events, recording_of
from training.data.files import DAMAGE, opened, read
from training.data.lerobot import DATA_PATH, EPISODES_PATH, Writer
from training.data.palette import MOST_COLOURS


def merge(
    parts: list[Path],
    spec: Spec,
    out: Path,
    seed: int | None,
    data: Any,
    told: Callable[[int], None] = lambda _: None,
    **more: Any,
) -> None:
    """Join the complete datasets `parts` in the new folder `out`, one episode at a time.

    `told` gets the steps of each episode after it is written. Raises UserError for damaged parts,
    and if a split would have two places.
    """
    writer, book = Writer(out, spec), Book(spec)
    palettes: list[Any] = []
    imported: list[Any] = []
    for part in parts:
        try:
            recording = recording_of(part)
            if recording["spec"] != json.loads(json.dumps(spec.to_json())):
                raise UserError(f"dataset '{part}': recorded from another sim than the others.")
            imported += recording.get("imported", [])
            palettes.append(recording["palette"])
            events = read_events(part)
            for index, (row, listed, table) in enumerate(episodes_of(part)):
                place = writer.adopt(table, listed)
                book.note({"condition": ""} | row, events.get(index, []), place)
                told(len(table))
        except DAMAGE as error:
            raise UserError(
                f"dataset '{part}': damaged, so it can't be put together with others; {error}. "
                "Run: wmsite data verify to see what is wrong, or delete it and record it again"
            ) from error
    splits = [split for split, _, _ in book.splits]
    if len(set(splits)) < len(splits):
        raise UserError(f"datasets {', '.join(map(str, parts))}: their splits don't join up.")
    more |= {"palette": _together(palettes)}
    if imported:
        more["imported"] = imported
    book.finish(writer, seed, data, **more)


def _together(palettes: list[list[list[int]] | None]) -> list[list[int]] | None:
    """Return the colours of all palettes, in order; None for too many colours."""
    known = [palette for palette in palettes if palette is not None]
    colours = sorted({tuple(colour) for palette in known for colour in palette})
    few = len(known) == len(palettes) and len(colours) <= MOST_COLOURS
    return [list(colour) for colour in colours] if few else None


def episodes_of(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], pa.Table]]:
    """Yield each episode's row of the manifest, its row of the format's metadata, and its rows."""
    manifest = read(folder / MANIFEST / "episodes.parquet").to_batches(256)
    listed = opened(folder / EPISODES_PATH).iter_batches(256)
    rows = (row for batch in manifest for row in batch.to_pylist())
    open_file, group, file = "", 0, None
    for row, told in zip(rows, (x for batch in listed for x in batch.to_pylist()), strict=True):
        name = DATA_PATH.format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        if name != open_file:
            file, open_file, group = opened(folder / name), name, 0
        assert file is not None
        table = file.read_row_group(group)
        group += 1
        if len(table) != row["length"]:
            raise ValueError(f"{name} holds {len(table)} rows of an episode of {row['length']}")
        yield row, told, table
