"""A weights folder, and the working folder that becomes one: whole or not, copied, put in place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from builder import cache

WEIGHTS = "weights.safetensors"
PRODUCTS = (WEIGHTS, "provenance.json", "curve.json", "metrics.json")
FOLDERS = ("figures", "graphs")


def whole(file: Path) -> bool:
    """Return whether a safetensors file is there and has all the bytes that its header tells."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, 100_000_000)))
        header.pop("__metadata__", None)
        end = max(tensor["data_offsets"][1] for tensor in header.values())
        return file.stat().st_size == 8 + length + int(end)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def publish(work: Path, weights: Path) -> None:
    """Put what a working folder made in the place of a weights folder, in whole."""
    stage = weights.with_name(f".{weights.name}.wmsite-new")
    shutil.rmtree(stage, ignore_errors=True)
    try:
        copy(work, stage)
        cache.swap(stage, weights)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def copy(source: Path, target: Path) -> None:
    """Copy a weights folder's products, and nothing else that lies there."""
    target.mkdir(parents=True, exist_ok=True)
    for name in PRODUCTS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    for name in FOLDERS:
        shutil.rmtree(target / name, ignore_errors=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)


def key(work: Path, step: str) -> str | None:
    """Return the key that a step was done with in a working folder; None if it wasn't."""
    told = cache.read_json(work / "provenance.json") or {}
    found = told.get("keys", {}).get(step)
    return str(found) if found else None


def stamp(work: Path, keys: dict[str, str]) -> None:
    """Note in a working folder's provenance with which keys steps were done."""
    told = cache.read_json(work / "provenance.json")
    told["keys"] |= keys
    cache.write_json(work / "provenance.json", told)
