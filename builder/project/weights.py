"""A weights folder, and the working folder that becomes one: check it, copy it, put it in place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.project import aside, cache, own
from sims.contract import Spec
from sims.errors import UserError
from training import contained

WEIGHTS = "weights.safetensors"
ATTACKS = "attacks.json"
PRODUCTS = (WEIGHTS, "provenance.json", "curve.json", "metrics.json", ATTACKS)
FOLDERS = ("figures", "graphs")
GRAPHS = (".onnx",)
FIGURES = (".png", ".bin")  # kinds of files that a page may show; other kinds could run there


def whole(file: Path) -> bool:
    """Return whether a safetensors file exists and has all the bytes that its header announces."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, 100_000_000)))
        header.pop("__metadata__", None)
        end = max(tensor["data_offsets"][1] for tensor in header.values())
        return file.stat().st_size == 8 + length + int(end)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def publish(work: Path, weights: Path) -> None:
    """Replace a weights folder as a whole by the content of a working folder."""
    refuse(weights)
    with aside.beside(weights) as stage:
        copy(work, stage)
        seal(stage)
        cache.swap(stage, weights)


def refuse(weights: Path) -> None:
    """Raise UserError if a weights folder holds foreign files, which would be destroyed."""
    mine = (*PRODUCTS, *(f"{name}/" for name in FOLDERS))
    own.refuse(weights, "weights", mine, "move it elsewhere, then the same command again")


def copy(source: Path, target: Path) -> None:
    """Copy a weights folder's products, and no other files; UserError for a link."""
    contained.files(source, f"weights {source}")
    target.mkdir(parents=True, exist_ok=True)
    for name in PRODUCTS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    for name in FOLDERS:
        shutil.rmtree(target / name, ignore_errors=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)


def seal(weights: Path) -> None:
    """Store in a folder's provenance the hashes of its weights and graphs."""
    told = cache.read_json(weights / "provenance.json")
    files = [weights / WEIGHTS, *sorted((weights / "graphs").glob("*.onnx"))]
    told["files"] = {
        file.relative_to(weights).as_posix(): cache.sha256_file(file)
        for file in files
        if file.is_file()
    }
    cache.write_json(weights / "provenance.json", told)


def broken(weights: Path, provenance: Mapping[str, Any]) -> str | None:
    """Return the first file whose hash differs from its provenance."""
    files = provenance.get("files")
    if not isinstance(files, dict):
        return None
    for name, wanted in files.items():
        path = contained.inside(weights, name, f"weights {weights}")
        if not path.is_file() or cache.sha256_file(path) != wanted:
            return str(name)
    return None


def metrics(weights: Path) -> dict[str, Any]:
    """Return the metrics; {} without any. UserError for a file that holds no metrics."""
    file = weights / "metrics.json"
    if not file.is_file():
        return {}
    found = cache.read_json(file)
    try:
        json.dumps(found, allow_nan=False)
        if isinstance(found, dict):
            return found
        why = "it holds no table"
    except ValueError:
        why = "it holds numbers that are none (NaN, Infinity)"
    raise UserError(
        f"weights {weights}: metrics.json can't be used: {why}. "
        "Run: wmsite train, after deleting that file, to measure again"
    )


def tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every table of metrics.json: by horizon, heads, events, play alone, and measures."""
    some = [metrics.get(name) for name in ("heads", "events", "autonomy")]
    return [part for part in (metrics, *some, *metrics.get("measures", {}).values()) if part]


def key(work: Path, step: str) -> str | None:
    """Return the key of a step that was done in a working folder; None if it was not done."""
    told = cache.read_json(work / "provenance.json", dict[str, Any]) or {}
    keys = told.get("keys")
    found = keys.get(step) if isinstance(keys, dict) else None
    return str(found) if found else None


def stamp(work: Path, keys: dict[str, str]) -> None:
    """Store in a working folder's provenance the keys of steps that are done."""
    told = cache.read_json(work / "provenance.json")
    told["keys"] |= keys
    cache.write_json(work / "provenance.json", told)


def describe(work: Path, spec: Spec, environment: Mapping[str, Any] | None = None) -> None:
    """Store in a working folder's provenance the spec of a world that no sim describes.

    A site can then be built where the recording, or its `environment`, is not.
    """
    told = cache.read_json(work / "provenance.json") | {"spec": spec.to_json()}
    if environment is not None:
        told["environment"] = dict(environment)
    cache.write_json(work / "provenance.json", told)
