"""Put a world's folder together: world.json, the sim's sources, the model's graphs, a poster."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from builder import acceptance, cache, manifest, strip
from builder.pipeline import Entry
from builder.project import World
from sims.errors import UserError

POSTER_STEPS = 300
POSTER_SEED = 7
# Fastest first (measured in onnxruntime-web), fp16 before fp32 because it is half the download.
VARIANTS = ("int8", "fp16", "fp32")


@dataclass(frozen=True)
class Facts:
    """What only the running sim can tell, cached by its hash: its spec and a poster."""

    spec: dict[str, Any]
    poster: bytes
    icons: dict[int, bytes]


@dataclass(frozen=True)
class Built:
    """One world's folder in the output: `folder` is relative to the site's root."""

    manifest: manifest.World
    folder: str
    files: dict[str, str]


def facts(world: World) -> Facts:
    """Return the sim's spec and poster, from the cache where the sim has not changed."""
    folder = world.project.cache / "facts" / f"{world.name}-{world.hash[:16]}-{_code()[:8]}"
    spec = cache.read_json(folder / "spec.json")
    if spec is None:
        spec, views = _play(world)
        from builder import png

        cameras = spec["cameras"]
        square = _square(views[strip.front(cameras)])
        side = len(square)
        cache.write(folder / "poster.png", png.encode(strip.compose(views, cameras)))
        for edge in (192, 512):
            cache.write(folder / f"icon-{edge}.png", png.encode(square, max(1, round(edge / side))))
        cache.write_json(folder / "spec.json", spec)
    icons = {edge: (folder / f"icon-{edge}.png").read_bytes() for edge in (192, 512)}
    return Facts(spec, (folder / "poster.png").read_bytes(), icons)


def _code() -> str:
    return cache.code_hash([Path(__file__), *map(Path(__file__).with_name, ("png.py", "strip.py"))])


def _play(world: World) -> tuple[dict[str, Any], Any]:
    """Play the first scripted behaviour for a while; return the spec and the views then shown."""
    import numpy as np

    sim_class = world.load()
    spec = sim_class.spec
    height = max(c.height for c in spec.cameras)
    width = max(c.width for c in spec.cameras)
    frames = np.zeros((1, len(spec.cameras), height, width, 3), np.uint8)
    try:
        sim = sim_class(1)
        sim.reset(np.array([POSTER_SEED], np.int64))
        for _ in range(POSTER_STEPS):
            before = sim.snapshot()
            try:
                actions = sim.act(spec.behaviours[0])
            except NotImplementedError:
                shape = (1,) if spec.actions else (1, len(spec.axes))
                actions = np.zeros(shape, np.int64 if spec.actions else np.float32)
            if sim.step(actions)[1].any():
                sim.restore(before)
                break
        sim.render(frames)
    except Exception as error:
        from builder.project import where

        raise UserError(
            f"world {world.name!r}: {where(error, world.project)}: {type(error).__name__}: "
            f"{error}. Run: mend that line, then build again"
        ) from error
    return spec.to_json(), frames[0]


def _square(frame: Any) -> Any:
    """Return a frame padded to a square, as icons are."""
    import numpy as np

    height, width, _ = frame.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pad = ((top, side - height - top), (left, side - width - left), (0, 0))
    return np.pad(frame, pad)


def model(entry: Entry) -> tuple[manifest.Model, Path]:
    """Return a model's part of the manifest, and the folder that its URLs are relative to.

    Raises UserError where graphs/model.json is not what an export of ours wrote.
    """
    folder = entry.weights / "graphs"
    told = cache.read_json(folder / "model.json") or {}
    metrics = cache.read_json(entry.weights / "metrics.json") or {}
    made = entry.provenance
    kept = ("keys", "seed", "steps", "minutes", "device", "versions", "finetuned_from")
    told |= {
        # The model's own row, and what made it: the rest is on the world's page.
        "metrics": {
            key: value["mean"]
            for part in (metrics, metrics.get("events", {}), metrics.get("autonomy", {}))
            for key, value in (part.get("rows") or [{}])[0].get("values", {}).items()
            if value
        },
        "provenance": {key: made[key] for key in kept if key in made},
        "older": acceptance.older(entry),
    }
    try:
        return manifest.Model.model_validate(told), folder
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"model {entry.name}: {folder / 'model.json'} can't be used: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}. "
            f"Run: wmsite train {entry.world.name}"
        ) from None


def fidelity(model: manifest.Model) -> float:
    """Return how many of the moved pixels a model has right, in percent; 0 where nobody measured.

    That is at the first of the steps that its recipe has measured.
    """
    found = {
        int(k.partition("@")[2]): v for k, v in model.metrics.items() if k.startswith("moved@")
    }
    return float(found[min(found)]) if found else 0.0


def assemble(world: World, out: Path, models: list[tuple[manifest.Model, Path]]) -> Built:
    """Write the world's folder under `out` and name it by the hash of its content.

    `models` pairs each model's part of the manifest, its URLs relative to the folder that is
    given beside it, with that folder.
    """
    told = facts(world)
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
    _put(stage / "poster.png", told.poster)
    poster = manifest.File(
        url="poster.png", sha256=cache.sha256(told.poster), bytes=len(told.poster)
    )
    shipped = [_ship(model, folder, stage) for model, folder in models]
    described = manifest.World(
        name=world.name,
        title=told.spec["title"],
        spec=told.spec,
        sim=manifest.SimSource(hash=world.hash, module=f"sims.{world.name}", sources=sources),
        models=shipped,
        poster=poster,
    )
    _put(stage / "world.json", described.model_dump_json(indent=1).encode())
    files = {
        file.relative_to(stage).as_posix(): cache.sha256_file(file)
        for file in cache.files_of(stage)
    }
    name = f"{world.name}-{cache.hashed(files)}"
    stage.rename(out / name)
    return Built(described, f"wm/worlds/{name}/", files)


def _ship(model: manifest.Model, folder: Path, stage: Path) -> manifest.Model:
    """Copy a model's graphs into <family>/ of the world's folder; return it with those URLs.

    Its variants come out in the order in which the page tries them.
    """
    variants = []
    for variant in sorted(model.variants, key=lambda v: VARIANTS.index(v.name)):
        file = variant.step
        url = f"{model.family}/{Path(file.url).name}"
        source = folder / file.url
        if not source.is_file() or cache.sha256_file(source) != file.sha256:
            raise UserError(
                f"weights {folder}: {file.url} is not the file that passed the parity gate "
                "(absent, truncated or changed). Run: wmsite train, to make the graphs again"
            )
        _put(stage / url, source.read_bytes())
        variants.append(variant.model_copy(update={"step": file.model_copy(update={"url": url})}))
    for figure in cache.files_of(folder.parent / "figures"):
        _put(stage / model.family / "figures" / figure.name, figure.read_bytes())
    return model.model_copy(update={"variants": variants})


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
