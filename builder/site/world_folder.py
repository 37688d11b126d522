"""Write a world's folder: world.json, the sim's sources, the model's graphs, a poster."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from builder.project import acceptance, cache, code, facts, in_page, kept, weights
from builder.project.entries import Entry
from builder.project.worlds import World
from builder.site import camera_layout, hud, manifest, png, recording_sections, starts
from sims.errors import UserError
from training import contained

# Fastest first (measured in onnxruntime-web); fp16 before fp32, because its download is half as
# large.
VARIANTS = ("int8", "fp16", "fp32")
# A model has no score of its own if its rewards, predicted from the sim's own frames, differ from
# the sim's rewards by more than this share, in percent.
SCORES = 10.0


@dataclass(frozen=True)
class Built:
    """One world's folder in the output: `folder` is relative to the site's root."""

    manifest: manifest.World
    folder: str
    files: dict[str, str]
    icons: dict[int, bytes]


def model(entry: Entry) -> tuple[manifest.Model, Path]:
    """Return a model's part of the manifest, and the folder that its URLs are relative to.

    Raises UserError where graphs/model.json is not a file that our export wrote.
    """
    folder = entry.weights / "graphs"
    told = cache.read_json(folder / "model.json", dict[str, Any]) or {}
    metrics = weights.metrics(entry.weights)
    made = entry.provenance
    kept = ("keys", "files", "seed", "steps", "minutes", "device", "versions", "finetuned_from")
    told |= {
        # The model's own row and its provenance; the world's page shows the rest.
        "metrics": {
            key: value["mean"]
            for part in weights.tables(metrics)
            for key, value in (part.get("rows") or [{}])[0].get("values", {}).items()
            if value
        },
        "provenance": {key: made[key] for key in kept if key in made},
        "older": acceptance.older(entry),
    }
    try:
        described = manifest.Model.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"model {entry.name}: {folder / 'model.json'} can't be used: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}. "
            f"Run: wmsite train {entry.world.name}"
        ) from None
    if described.family != entry.family:
        raise UserError(
            f"model {entry.name}: {folder / 'model.json'} says family {described.family!r}, "
            f"and its place says {entry.family!r}. Run: wmsite train {entry.world.name}"
        )
    return described, folder


def _hud(world: World) -> dict[str, str]:
    """Return the HUD fields' sources (`hud.sources`), from the cache if the sim has not changed."""
    made_by = code.code_hash(["builder.site.hud"])[:8]
    folder = world.project.cache / "facts" / f"{world.name}-{world.hash[:16]}-hud-{made_by}"
    kept.kept(folder, lambda made: cache.write_json(made / "hud.json", hud.sources(world.load())))
    found: dict[str, str] = cache.read_json(folder / "hud.json")
    return found


def fidelity(model: manifest.Model) -> float:
    """Return how near a model's pictures are to the true ones; 0 if nobody measured it.

    That is the share of moved pixels that it has right, in percent, and in a world of many colours
    the mean of its cameras' PSNR in dB; each at the first horizon of its recipe.
    """
    for what in ("moved", "psnr"):
        found: dict[int, list[float]] = {}
        for key, value in model.metrics.items():
            name, _, step = key.partition("@")
            if name.rpartition(".")[2] == what:
                found.setdefault(int(step), []).append(value)
        if found:
            return fmean(found[min(found)])
    return 0.0


def assemble(world: World, out: Path, models: list[tuple[manifest.Model, Path]]) -> Built:
    """Write the world's folder under `out` and name it by the hash of its content.

    `models` pairs each model's part of the manifest with the folder that its URLs are relative to.
    """
    told = recorded_facts(world, models) if world.recorded else facts.facts(world)
    stage = out / f".{world.name}"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    sources = []
    for module in world.page_modules:
        data = module.file.read_bytes()
        _put(stage / module.path, data)
        sources.append(
            manifest.Source(
                url=module.path,
                sha256=cache.sha256(data),
                bytes=len(data),
                path=module.path,
                editable=world.editable(module),
            )
        )
    poster = None
    if told.poster:
        _put(stage / "poster.png", told.poster)
        poster = manifest.File(
            url="poster.png", sha256=cache.sha256(told.poster), bytes=len(told.poster)
        )
    shipped = [_ship(model, folder, stage) for model, folder in models]
    for file in recording_sections.files(world.card):
        _put(stage / recording_sections.FOLDER / file.name, file.read_bytes())
    described = manifest.World(
        name=world.name,
        title=told.spec["title"],
        spec=told.spec,
        hud=_hud(world) if models and not world.recorded else {},
        sim=manifest.SimSource(
            hash=world.page_hash, module=f"sims.{world.name}", sources=sources, opening=told.opening
        )
        if sources
        else None,
        models=shipped,
        poster=poster,
        starts=starts.told(models) if not sources and models else None,
    )
    _put(stage / "world.json", described.model_dump_json(indent=1).encode())
    files = {
        file.relative_to(stage).as_posix(): cache.sha256_file(file)
        for file in cache.files_of(stage)
    }
    name = f"{world.name}-{cache.hashed(files)}"
    stage.rename(out / name)
    return Built(described, f"wm/worlds/{name}/", files, told.icons)


def recorded_facts(world: World, models: list[tuple[manifest.Model, Path]]) -> facts.Facts:
    """Return what a page shows of a recorded world: its first moment as the poster."""
    page = world.played.page if world.played else None
    opening = page.opening if page else []
    told = in_page.page_spec(world.spec) if page else world.spec
    spec: dict[str, Any] = json.loads(json.dumps(told.to_json()))
    if page:
        last = page.poster
    elif models:
        _, file = starts.of(models)
        last = starts.unpack(file.read_bytes(), spec)[0, -1]
    else:
        return facts.Facts(spec, b"", opening, {})
    cameras = spec["cameras"]
    poster = png.encode(camera_layout.compose(last, cameras))
    return facts.Facts(spec, poster, opening, facts.icons(last, cameras))


def _ship(model: manifest.Model, folder: Path, stage: Path) -> manifest.Model:
    """Copy a model's graphs into <family>/ of the world's folder; return its part with those URLs.

    The variants are in the order in which the page tries them.
    """
    variants = []
    for variant in sorted(model.variants, key=lambda v: VARIANTS.index(v.name)):
        file = variant.step
        source = contained.inside(folder, file.url, f"weights {folder}", weights.GRAPHS)
        url = f"{model.family}/{file.url}"
        if not source.is_file() or cache.sha256_file(source) != file.sha256:
            raise UserError(
                f"weights {folder}: {file.url} is not the file that passed the parity gate "
                "(absent, truncated or changed). "
                f"Run: wmsite train {folder.parent.parent.name}, to make the graphs again"
            )
        _put(stage / url, source.read_bytes())
        scores = variant.parity.get("reward_error grounded", 100.0) <= SCORES
        step = file.model_copy(update={"url": url})
        variants.append(variant.model_copy(update={"step": step, "scores": scores}))
    figures = folder.parent / "figures"
    for figure in contained.files(figures, f"weights {folder.parent}"):
        name = figure.relative_to(figures).as_posix()
        contained.inside(figures, name, f"weights {folder.parent}", weights.FIGURES)
        _put(stage / model.family / "figures" / name, figure.read_bytes())
    return model.model_copy(update={"variants": variants})


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
