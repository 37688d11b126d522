"""The film that a page shows before Play: what it shows, of which graph, and small enough."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from builder.site import film, png

WEIGHTS = Path(__file__).parents[2] / "weights" / "breakout" / "object_laws"


def frames(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(opened)])


@pytest.mark.parametrize("colours", [5, 2000])
def test_a_moving_png_holds_every_picture(colours: int) -> None:
    random = np.random.default_rng(3)
    palette = random.integers(0, 256, (colours, 3), dtype=np.uint8)
    wanted = palette[random.integers(0, colours, (6, 9, 7))]
    wanted[3] = wanted[2]  # nothing moves
    wanted[4] = wanted[3]
    wanted[4, 5:8, 2:4] = palette[0]  # a part does
    data = png.animate(wanted, 30, {"graph": "a hash"})
    assert np.array_equal(frames(data), wanted)
    assert png.texts(data) == {"graph": "a hash"}
    still = png.encode(wanted[0], texts={"graph": "a hash"})
    assert np.array_equal(frames(still)[0], wanted[0])
    assert png.texts(still[:40]) == png.texts(b"no picture") == {}


@pytest.mark.slow
def test_a_pixel_stays_until_the_difference_can_be_seen() -> None:
    frames = np.full((4, 2, 2, 3), 100, np.uint8)
    frames[1:, 0, 0, 1] = [101, 102, 103]  # slowly, and seen in the end
    frames[1:, 1, 1, 2] = [103, 101, 99]
    held = film._held(frames)
    assert held[:, 0, 0, 1].tolist() == [100, 100, 100, 103]
    assert held[:, 1, 1, 2].tolist() == [100, 103, 103, 99]
    assert (held[:, 0, 1] == 100).all()


def test_sim_and_model_play_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SECONDS", 0.5)
    weights = shutil.copytree(WEIGHTS, tmp_path / "object_laws")
    shutil.rmtree(weights / film.FOLDER)
    assert film.shown(weights) is None
    film.make(weights, "sims.breakout")
    assert film.current(weights)
    wide, tall = (
        frames((weights / name).read_bytes()) for name in (film.FILM.wide, film.FILM.tall)
    )
    assert (wide.shape, tall.shape) == ((15, 64, 130, 3), (15, 130, 64, 3))
    sim, model = wide[:, :, :64], wide[:, :, -64:]
    assert np.array_equal(tall[:, :64], sim)
    assert np.array_equal(tall[:, -64:], model)
    assert (sim[0] != sim[-1]).any()
    assert (sim == model).all(-1).mean() > 0.99, "this model follows for half a second"
    still = frames((weights / film.FILM.still).read_bytes())
    assert np.array_equal(still[0], wide[0])
    # One that stays too large is not made.
    monkeypatch.setattr(film, "LARGEST", 100)
    shutil.rmtree(weights / film.FOLDER)
    film.make(weights, "sims.breakout")
    assert film.shown(weights) is None and not (weights / film.FOLDER).exists()
    monkeypatch.undo()
    monkeypatch.setattr(film, "SECONDS", 0.5)
    film.make(weights, "sims.breakout")
    # A film of other graphs is none.
    told = json.loads((weights / "graphs" / "model.json").read_text(encoding="utf-8"))
    for variant in told["variants"]:
        variant["step"]["sha256"] = "0" * 64
    (weights / "graphs" / "model.json").write_text(json.dumps(told), encoding="utf-8")
    assert film.shown(weights)
    assert not film.current(weights)


def test_shipped_films_are_small() -> None:
    for folder in WEIGHTS.parents[1].glob("*/*"):
        files = list((folder / film.FOLDER).glob("film*.png"))
        # Those of shaded pictures are too large, and not made; without a sim there is no film.
        world = folder.parent.name
        filmed = world != "driving" and (WEIGHTS.parents[2] / "sims" / world).is_dir()
        assert len(files) == (4 if filmed else 0), folder
        assert sum(file.stat().st_size for file in files) < film.LARGEST
