from __future__ import annotations

import numpy as np
import pytest

from sims.contract import Array
from sims.driving import boxes, camera, ground, lidar, palette, rig, scenery, sprites, town
from sims.driving.things import NUMBER, THINGS

NORTH = np.pi / 2
CAR, VAN, CYCLIST, WALKER = 1, 2, 3, 4
SIZES = {
    CAR: (4.2, 1.8, 1.5),
    VAN: (5.6, 2.1, 2.6),
    CYCLIST: (1.8, 0.6, 1.7),
    WALKER: (0.5, 0.6, 1.7),
}
FRONT, LEFT, RIGHT = 0, 1, 2
MIDDLE = 4.5 * town.TILE  # Of the tile in row 4 and column 4.

State = dict[str, Array]


def field(n: int = 1) -> State:
    """Return worlds of grass with nobody about, the ego in the middle of a tile, facing east."""
    grid = (n, town.GRID, town.GRID)
    state = {
        "seed": np.arange(n, dtype=np.int64),
        "tick": np.full(n, 7, dtype=np.int64),
        "condition": np.zeros(n, dtype=np.int64),
        "links": np.zeros(grid, dtype=np.int64),
        "roundabout": np.zeros(grid, dtype=np.bool_),
        "signals": np.zeros(grid, dtype=np.int64),
        "ego": np.zeros((n, 5)),
        "users": np.zeros((n, 12, 7)),
        "user_kind": np.zeros((n, 12), dtype=np.int64),
    }
    state["ego"][:, :2] = MIDDLE
    return state


def crossroads(n: int = 1) -> State:
    """Return towns of crossroads only, the ego in its lane, 20 m south of one, facing north."""
    state = field(n)
    state["links"][:] = 15
    state["ego"][:, :3] = (MIDDLE + town.LANE / 2, MIDDLE - 20, NORTH)
    return state


def busy(n: int) -> State:
    """Return towns of all kinds of tiles with users of all kinds near egos that go all ways."""
    state = field(n)
    state["seed"] = np.arange(n, dtype=np.int64) * 31 + 5
    state["tick"] = np.arange(n, dtype=np.int64)
    i = np.arange(n)[:, None, None]
    row, column = np.arange(8)[:, None], np.arange(8)
    kinds = np.array(ground.KINDS)[(i * 3 + row * 5 + column * 7) % len(ground.KINDS)]
    state["links"][:], state["roundabout"][:] = kinds & 15, kinds >= 16
    state["signals"][:] = (i + row + column) % 5 * (town.COUNT[state["links"]] >= 3)
    state["condition"][:] = np.arange(n) % 4
    state["ego"][:, 0] = 20 + np.arange(n) * 37.3 % 280
    state["ego"][:, 1] = 20 + np.arange(n) * 53.9 % 280
    state["ego"][:, 2] = np.arange(n) * 0.77 - 3
    for k in range(12):
        kind = 1 + k % 4
        state["user_kind"][:, k] = kind
        state["users"][:, k, 0] = state["ego"][:, 0] + (k * 7 % 41 - 20)
        state["users"][:, k, 1] = state["ego"][:, 1] + (k * 11 % 37 - 17)
        state["users"][:, k, 2] = k * 0.9
        state["users"][:, k, 4:] = SIZES[kind]
    return state


def put(state: State, slot: int, kind: int, ahead: float, left: float, heading: float = 0) -> None:
    """Put a user so far from each ego, which faces east or north; heading relative to the ego."""
    for w, (x, y, yaw) in enumerate(state["ego"][:, :3]):
        cos, sin = round(np.cos(yaw)), round(np.sin(yaw))
        place = (x + ahead * cos - left * sin, y + ahead * sin + left * cos, yaw + heading, 0)
        state["users"][w, slot] = (*place, *SIZES[kind])
        state["user_kind"][w, slot] = kind


def render(state: State, before: int = 0) -> Array:
    n = len(state["ego"])
    out = np.full((n, 3, 64, 96, 3), before, dtype=np.uint8)
    camera.render(state, out)
    return out


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all scenery away, but leave the road users."""
    records = scenery.RECORDS.copy()
    records[:, boxes.RADIUS] = boxes.NONE
    monkeypatch.setattr(scenery, "RECORDS", records)


def changed(state: State, without: State) -> Array:
    """Return where the pictures of the first world differ, bool [3, 64, 96]."""
    return np.asarray((render(state)[0] != render(without)[0]).any(axis=-1))


# Geometry.


def test_the_fan_has_the_optics_that_the_cameras_tell() -> None:
    for view, its in enumerate(rig.CAMERAS):
        assert (its.height, its.width, its.focal, its.pitch) == (64, 96, 50.0, 0.0)
        assert its.place == rig.CAMERAS[0].place
        assert np.allclose(camera.FAN.yaw[view], (np.cos(its.yaw), np.sin(its.yaw)), atol=1e-6)
    middle = (np.arange(96) + 0.5 - 48) / 50
    assert np.allclose(camera.FAN.slopes, -middle)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("ahead", "left"), [(12.0, 0.0), (15.0, 4.0), (20.0, -9.0), (40.0, 3.0)])
def test_a_car_is_seen_where_a_pinhole_camera_shows_it(ahead: float, left: float) -> None:
    state, empty = field(), field()
    put(state, 0, CAR, ahead, left)
    rows, columns = np.nonzero(changed(state, empty)[FRONT])
    place = rig.CAMERAS[FRONT].place
    near = ahead - 2.1 - place[0]
    far = near + 4.2
    first = 48 - 50 * (left + 0.9) / (near if left > -0.9 else far)
    last = 48 - 50 * (left - 0.9) / (near if left < 0.9 else far)
    assert abs(columns.min() - first) < 1.6 and abs(columns.max() + 1 - last) < 1.6
    assert abs(rows.max() + 1 - (32 + 50 * place[2] / near)) < 1.6
    assert abs(rows.min() - (32 - 50 * (1.5 - place[2]) / near)) < 1.6


@pytest.mark.usefixtures("bare")
def test_each_camera_sees_what_is_on_its_side() -> None:
    for side, view in ((1, LEFT), (-1, RIGHT)):
        state = field()
        put(state, 0, WALKER, 1.2 + 10 * np.cos(np.pi / 3), side * 10 * np.sin(np.pi / 3))
        seen = changed(state, field())
        assert not seen[FRONT].any() and not seen[LEFT + RIGHT - view].any()
        assert abs(np.nonzero(seen[view])[1].mean() - 47.5) < 1.5


@pytest.mark.usefixtures("bare")
def test_what_is_near_hides_what_is_far() -> None:
    van, both = field(), field()
    put(van, 0, VAN, 12, 0)
    put(both, 0, VAN, 12, 0)
    put(both, 1, CAR, 20, 0)
    assert not changed(both, van).any()


def test_what_a_building_hides_is_left_out_and_nothing_else() -> None:
    state = busy(24)
    batch = scenery.near(state, state["ego"][:, 0], state["ego"][:, 1], 5)
    turns = state["ego"][:, 2] / (2 * np.pi)
    pose = np.stack([*state["ego"].T[:2], np.cos(turns), np.sin(turns)]).astype(np.float32)
    hits = boxes.cast(batch, pose, camera.FAN)
    kept = set(sprites._not_hidden(batch, hits).tolist())
    thing = batch.reshape(-1)[hits.boxes.place + boxes.THING * boxes.SLOTS].astype(int)[hits.box]
    top = np.array([max(THINGS[t].height - 1.5, 0) for t in thing]) / hits.depth
    solid = np.array([THINGS[t].solid for t in thing])
    hidden = 0
    for column in range(0, hits.columns, 97):
        here = np.flatnonzero(hits.column == column)
        for i in here:
            before = here[solid[here] & (hits.depth[here] < hits.depth[i] - 0.01)]
            behind = len(before) and top[before[hits.depth[before].argmin()]] > top[i] + 0.01
            hidden += behind
            assert i not in kept if behind else (i in kept or top[here].max() >= top[i])
    assert hidden > 50


def test_a_box_around_the_eye_is_not_seen_and_one_beside_it_is() -> None:
    around, beside = field(), field()
    put(around, 0, VAN, 1.2, 0)
    put(beside, 0, VAN, 2.0, 3.0)
    batches = [scenery.near(s, s["ego"][:, 0], s["ego"][:, 1], 1)[:, -1:] for s in (around, beside)]
    pose = np.array([[MIDDLE], [MIDDLE], [1], [0]], dtype=np.float32)
    assert len(boxes.cast(batches[0], pose, camera.FAN).depth) == 0
    hits = boxes.cast(batches[1], pose, camera.FAN)
    assert set(hits.column // 96) == {FRONT, LEFT}
    left = hits.column[hits.column // 96 == LEFT] % 96
    assert left.min() == 0 and len(left) > 60


def test_the_ground_lies_where_the_physics_has_the_road() -> None:
    asphalt = {i for i, name in enumerate(palette.GROUND) if "asphalt" in name or "white" in name}
    x, y = ground.X.reshape(-1)[::37], ground.Y.reshape(-1)[::37]
    for k, kind in enumerate(ground.KINDS):
        n = len(x)
        grid = np.full((n, 8, 8), kind & 15), np.full((n, 8, 8), kind >= 16)
        off = town.off_road(*grid, x + town.TILE / 2, y + town.TILE / 2)
        drawn = np.isin(ground.TEXTURES[0, k].reshape(-1)[::37], list(asphalt))
        assert drawn[off < -0.2].all() and not drawn[off > 0.2].any()


def test_tiles_meet_without_a_seam() -> None:
    kinds = {kind: ground.TEXTURES[0, k] for k, kind in enumerate(ground.KINDS)}
    coarse = {"grass dark": "grass", "grass light": "grass", "meadow": "grass"}
    coarse |= {"asphalt dark": "asphalt", "asphalt light": "asphalt", "pavement joint": "pavement"}
    names = [coarse.get(name, name) for name in palette.GROUND]
    for kind, texture in kinds.items():
        edges = texture[-1], texture[:, -1], texture[0], texture[:, 0]
        for bit, edge in zip(town.BITS, edges, strict=True):
            crossing = [names[i] for i in edge]
            if not kind & bit:
                assert set(crossing) == {"grass"}
            else:
                assert crossing == crossing[::-1]
                assert crossing[128 + 5] == "asphalt" and crossing[128 + 30] == "pavement"


# Light and weather.


def colour(state: State, letter: str) -> Array:
    """Count the pixels of each world in the front camera that glow as a lamp does."""
    red, green, blue = palette.SIGNAL[letter][:3]
    frames = render(state)[:, FRONT].astype(np.int64)
    off = np.abs(frames - (red, green, blue)).sum(axis=-1)
    return np.asarray((off < 60).sum(axis=(1, 2)))


@pytest.mark.parametrize("condition", range(4))
def test_the_colour_of_a_traffic_light_is_seen(condition: int) -> None:
    state = crossroads(5)
    state["seed"][:] = 3
    state["condition"][:] = condition
    state["signals"][:, 4, 4] = np.arange(5)
    frames = render(state)
    for first in range(5):
        for other in range(first):
            same = {first, other} == {town.GREEN_EW, town.AMBER_EW}  # Red for who goes north.
            assert (frames[first] == frames[other]).all() == same
    if condition == 0:
        red, amber, green = (colour(state, letter) for letter in "rav")
        assert green.argmax() == town.GREEN_NS and amber.argmax() == town.AMBER_NS
        assert min(red[town.GREEN_EW], red[town.AMBER_EW]) > red[town.GREEN_NS] + 3


def test_brakes_light_up_where_the_state_knows_of_them() -> None:
    state = field()
    put(state, 0, CAR, 14, 0)
    dark = render(state)[0, FRONT].astype(np.int64)
    state["braking"] = np.zeros((1, 12), dtype=np.bool_)
    assert (render(state)[0, FRONT] == dark).all()
    state["braking"][0, 0] = True
    lit = render(state)[0, FRONT].astype(np.int64)
    brighter = (lit - dark)[..., 0][(lit != dark).any(axis=-1)]
    assert len(brighter) > 5 and (brighter > 0).all()


def test_conditions_differ() -> None:
    state = crossroads(4)
    state["seed"][:] = 3
    state["condition"][:] = np.arange(4)
    clear, rain, fog, dusk = render(state).mean(axis=(1, 2, 3, 4))
    assert clear > rain > dusk and fog > rain


@pytest.mark.usefixtures("bare")
def test_fog_hides_what_is_far_and_not_what_is_near() -> None:
    shown = []
    for ahead in (10, 50):
        state, empty = field(4), field(4)
        put(state, 0, VAN, ahead, 0)
        empty["condition"][:] = state["condition"][:] = np.arange(4)
        frames = render(state).astype(np.int64) - render(empty)
        shown.append(np.abs(frames).max(axis=(1, 2, 3, 4)))
    near, far = shown
    assert far[2] < 0.5 * far[0] and near[2] > 0.6 * near[0]


def test_rain_falls_and_nothing_else_moves_when_only_time_passes() -> None:
    state = crossroads(2)
    state["condition"][:] = (0, 1)
    before = render(state)
    state["tick"] += 1
    after = render(state)
    assert (before[0] == after[0]).all()
    assert 100 < (before[1] != after[1]).any(axis=-1).sum() < 800


def test_signs_stand_only_where_they_belong() -> None:
    kind = np.arange(len(scenery.RECORDS)) // scenery.VARIANTS
    there = scenery.RECORDS[:, boxes.RADIUS] > 0
    thing = np.where(there, scenery.RECORDS[:, boxes.THING], 0)
    ahead = (thing == NUMBER["roundabout ahead"]).sum(axis=1)
    arms = town.COUNT[kind & 15]
    assert (ahead == np.where((kind >= 16) & (arms >= 3), arms, 0)).all()
    x, y = scenery.RECORDS[:, boxes.X].astype(float), scenery.RECORDS[:, boxes.Y].astype(float)
    beside = scenery._beside(kind, x, y)
    real = there & (thing > 0) & np.isin(kind, ground.KINDS)[:, None]
    assert (beside[real] > 0.3).all()
    buildings = real & (np.arange(boxes.SLOTS) >= scenery.BUILDINGS)
    assert (beside[buildings] > town.PAVEMENT).all()


# LiDAR.


@pytest.mark.usefixtures("bare")
def test_rings_meet_level_ground_where_they_should() -> None:
    scan = lidar.scan(field())[0]
    down = np.array(rig.LIDAR_ELEVATIONS)
    with np.errstate(divide="ignore"):
        expected = np.where(down < 0, rig.LIDAR_PLACE[2] / np.sin(-down), np.inf)
    expected = np.where(expected > rig.LIDAR_RANGE, 0, expected)
    assert (expected > 0).sum() >= 10 and (expected == 0).any()
    assert np.allclose(scan, expected[:, None], rtol=1e-4)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("ahead", "left"), [(15.0, 0.0), (-12.0, 0.0), (0.0, 14.0), (0.0, -14.0), (10.0, 10.0)]
)
def test_a_van_comes_back_from_where_it_is(ahead: float, left: float) -> None:
    state = crossroads()
    put(state, 0, VAN, ahead, left)
    scan, empty = lidar.scan(state)[0], lidar.scan(crossroads())[0]
    rings, columns = np.nonzero(scan != empty)
    assert len(rings) > 10
    points = lidar.birds_eye(scan)[rings, columns]
    forward, to_left, up = points.T
    assert (np.abs(forward - ahead) < 2.85).all() and (np.abs(to_left - left) < 1.1).all()
    assert (up > -0.01).all() and (up < 2.61).all()
    angle = np.pi - 2 * np.pi * (columns + 0.5) / rig.LIDAR_COLUMNS
    assert np.allclose(np.arctan2(to_left, forward), angle, atol=1e-3)
    # On the face of the van that is turned to the LiDAR.
    face = np.abs(forward - ahead) / 2.8, np.abs(to_left - left) / 1.05
    assert np.allclose(np.maximum(*face), 1, atol=0.02)


def test_a_tree_is_thin_under_its_crown() -> None:
    state = field(16)
    scan = lidar.scan(state)
    assert ((scan >= 0) & (scan <= rig.LIDAR_RANGE)).all()
    up = lidar.birds_eye(scan)[..., 2]
    assert np.isnan(up[scan == 0]).all() and (up[scan > 0] > -0.01).all()
    assert np.nanmax(up) > 2.5


# The same bytes.


def test_a_world_of_a_batch_is_drawn_as_it_is_alone() -> None:
    state = busy(70)
    frames, scans = render(state), lidar.scan(state)
    for i in (0, 1, 7, 8, 31, 32, 50, 69):
        alone = {name: value[i : i + 1] for name, value in state.items()}
        assert (render(alone)[0] == frames[i]).all()
        assert (lidar.scan(alone)[0] == scans[i]).all()


def test_every_pixel_is_drawn_and_the_state_stays_as_it_is() -> None:
    state = busy(12)
    kept = {name: value.copy() for name, value in state.items()}
    assert (render(state, 0) == render(state, 255)).all()
    lidar.scan(state)
    assert all((state[name] == kept[name]).all() for name in kept)


@pytest.mark.parametrize("place", [(-500.0, 160.0), (160.0, 900.0), (0.0, 0.0), (320.0, 320.0)])
def test_far_outside_of_the_town_there_is_a_picture_too(place: tuple[float, float]) -> None:
    state = busy(2)
    state["ego"][:, :2] = place
    assert render(state).std() > 5
    assert np.isfinite(lidar.scan(state)).all()


def test_no_number_is_beyond_the_colours() -> None:
    assert palette.NUMBERS < 1 << 15
    assert len(palette.COLOURS) == palette.NUMBERS * len(palette.CONDITIONS)
    assert palette.CONDITIONS == rig.CONDITIONS
    assert all(len(materials) < palette.SET_SIZE for materials in palette.SETS)
    assert len(palette.GROUND) <= palette.GROUND_SIZE
