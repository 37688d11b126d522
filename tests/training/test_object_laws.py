from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sims import breakout
from sims.errors import UserError
from training import families
from training.data.palette import colour_codes, index_by_code
from training.evaluation.starts import rgba, sensor_matrix
from training.families.base import watch
from training.families.object_laws.model import Config, Model

PALETTE = tuple(tuple(int(v) for v in colour) for colour in breakout.PALETTE)


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    config = Config(
        PALETTE,
        actions=3,
        chance=1,
        sensor_low=(0, 0, -1.5, -1.5, 1, 0, 0),
        sensor_high=(64, 64, 1.5, 1.5, 51, 3, 1),
        sensor_whole=(False,) * 5 + (True,) * 2,
        landmarks=((0, 1, 6, 0.0, 0.0), (4, -1, -1, 6.5, 59.0)),
        channels=16,
        blocks=1,
        memory=4,
        history=4,
    )
    return Model(config).eval()


@pytest.fixture(scope="module")
def play() -> tuple[torch.Tensor, torch.Tensor]:
    """Three games' frames [3, 5, ...] and sensors [3, 5, 7]."""
    sim = breakout.Breakout(3)
    sim.reset(np.arange(3), "half")
    frames, sensors = [], []
    for _ in range(5):
        sim.step(sim.act("good"))
        frames.append(rgba(sim))
        sensors.append(sensor_matrix(sim))
    return torch.from_numpy(np.stack(frames, 1)), torch.from_numpy(np.stack(sensors, 1))


@pytest.fixture(scope="module")
def frames(play: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return play[0]


def test_frames_survive_index_pack_unpack_and_paint(model: Model, frames: torch.Tensor) -> None:
    index = model.index(frames[:, 0])
    packed = model.pack(index)
    assert packed.shape == (3, 16, 16, 16)
    assert torch.equal(model.unpack(packed), index)
    assert torch.equal(model.paint(index), frames[:, 0])
    assert torch.equal(model.choose(model.one_hot(packed)), packed)


def test_unseen_colours_become_their_nearest(model: Model, frames: torch.Tensor) -> None:
    noisy = frames[:, 0].int()
    noisy[..., :3] = (noisy[..., :3] + torch.randint(-3, 4, noisy[..., :3].shape)).clamp(0, 255)
    assert torch.equal(model.index(noisy.to(torch.uint8)), model.index(frames[:, 0]))


def test_landmarks_are_where_the_frame_shows_them(
    model: Model, play: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, sensors = (part[:, -1] for part in play)

    def marked(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mask, _ = model.marks.locate(values)
        return tuple(
            model.unpack(part)[:, 0] for part in model.marks.pixel(mask, values).split(16, dim=1)
        )

    ball, paddle = marked(sensors)
    centre = (frames[:, 0, :, :, :3] == torch.tensor(breakout.BALL_CENTRE)).all(-1)
    assert torch.equal(ball.bool(), centre)
    shown = (frames[:, 0, :, :, :3] == torch.tensor(breakout.PADDLE)).all(-1)
    for game, row, column in paddle.nonzero().tolist():
        middle = shown[game, row].nonzero().float().mean()
        assert row == 59 and abs(column + 0.5 - middle) <= 1
    absent = sensors.clone()
    absent[:, 6] = 0
    assert not marked(absent)[0].any() and marked(absent)[1].any()
    mask, place = model.marks.locate(sensors)
    assert torch.equal(mask.sum((2, 3)), torch.ones(3, 2)) and bool((place.abs() <= 1).all())
    apart = model.marks.apart(sensors)
    ball_x, paddle_x = sensors[:, 0], sensors[:, 4] + 6.5
    torch.testing.assert_close(4 * apart[:, 0], (ball_x - paddle_x).clamp(-12, 12))
    whole = (ball_x.floor() - paddle_x.floor()).clamp(-12, 12)
    assert torch.equal(apart[:, 2:27].argmax(1) - 12, whole.long())


def test_what_lies_on_an_edge_is_told_the_same_whatever_rounding_does(model: Model) -> None:
    """Two runtimes add in different orders, and what flies at 0.75 pixels a step meets edges."""
    low, edge, high = 52 - 4e-6, 52.0, 52 + 4e-6
    sensors = torch.tensor([[14.5, y, 1.3, -0.75, 8.0, 2.0, 1.0] for y in (low, edge, high)])
    marks = model.marks
    way = marks.way(sensors, sensors)
    for told in (marks.halves(way), marks.apart(sensors)[:, 2:], marks.pixels(sensors)):
        torch.testing.assert_close(told[1:], told[:1].expand(2, -1), atol=1e-5, rtol=0)


def test_a_window_has_its_landmark_in_the_middle(
    model: Model, play: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, sensors = (part[:, -1] for part in play)
    bright = (frames[:, 0, :, :, :3] == torch.tensor(breakout.BALL_CENTRE)).all(-1).float()
    rows, columns = model.marks.window(sensors, 5)
    view = rows[:, 0] @ bright @ columns[:, 0].transpose(1, 2)
    expected = torch.zeros(3, 5, 5)
    expected[:, 2, 2] = 1
    assert torch.equal(view, expected)
    # Beyond the frame there is nothing, as around what is absent.
    corner = sensors.clone()
    corner[:, :2] = 0.5
    rows, columns = model.marks.window(corner, 5)
    assert torch.equal(rows[:, 0].sum(2), torch.tensor([0.0, 0, 1, 1, 1]).expand(3, 5))
    corner[:, 6] = 0
    assert not model.marks.window(corner, 5)[0][:, 0].any()


def test_shapes_are_lifted_from_where_they_were_and_stamped_where_they_are(
    model: Model, play: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, sensors = play[0][:, -2], play[1][:, -2:]
    cells = model.one_hot(model.pack(model.index(frames)))
    given = torch.zeros(3, 3), torch.zeros(3, 1)
    looked, _, _ = model.look(cells, sensors[:, 0], torch.zeros(3, 4, 16, 16), *given)
    colour, middle = 7, model.config.glimpse // 2
    with torch.no_grad():
        plain = model.overlay(looked, sensors[:, 0], sensors[:, 1])
        model.stamp[0, colour, middle, middle] += 5  # the ball where it is
        model.stamp[2, colour, middle, middle + 1] -= 3  # and right of where it was
        drawn = model.overlay(looked, sensors[:, 0], sensors[:, 1]) - plain
        model.stamp.zero_()
    planes = torch.stack([model.unpack(part)[:, 0] for part in drawn.split(16, dim=1)], 1)
    expected = torch.zeros_like(planes)
    for game in range(3):
        (x0, y0), (x1, y1) = sensors[game, :, :2].long().tolist()
        expected[game, colour, y1, x1] += 5
        expected[game, colour, y0, x0 + 1] -= 3
    torch.testing.assert_close(planes, expected)


@pytest.mark.slow
def test_shapes_are_found_where_sensors_say_that_landmarks_are(model: Model) -> None:
    sim, shown, told = breakout.Breakout(64), [], []
    sim.reset(np.arange(64), "half")
    lookup = index_by_code(breakout.PALETTE)
    for step in range(150):
        sim.step(sim.act("good" if step % 2 else "random"))
        if step % 6 == 0:
            shown.append(lookup[colour_codes(rgba(sim))])
            told.append(sensor_matrix(sim))
    index, sensors = torch.from_numpy(np.concatenate(shown)), torch.from_numpy(np.concatenate(told))
    model.fit_shapes(index, sensors)
    ball, paddle = model.shapes
    palette = [tuple(colour) for colour in breakout.PALETTE.tolist()]
    # The ball is drawn last: its nine pixels are always its own.
    expected = torch.zeros(13, 13)
    expected[5:8, 5:8] = 1
    centre = torch.zeros(13, 13)
    centre[6, 6] = 1
    drawn, bright = palette.index(breakout.BALL), palette.index(breakout.BALL_CENTRE)
    assert torch.equal((ball[drawn] > 10).float(), expected - centre)
    assert torch.equal((ball[bright] > 10).float(), centre)
    # The paddle may have a ball over it.
    whole = paddle[palette.index(breakout.PADDLE), 5:7]
    assert bool((whole[:, :12] > 3).all()) and not paddle[palette.index(breakout.PADDLE), 7:].any()
    model.shapes.zero_()


def test_glimpses_are_as_wide_as_what_is_to_be_drawn(model: Model) -> None:
    """The paddle's landmark is not in its middle: 6 pixels from its left end, 5 from its right."""
    frames, sensors = torch.zeros(64, 1, 64, 64, dtype=torch.uint8), torch.zeros(64, 7)
    sensors[:, 4] = torch.arange(64) % 40
    for width, least in ((12, 13), (16, 19)):
        frames.zero_()
        for game, left in enumerate(sensors[:, 4].int().tolist()):
            frames[game, 0, 59:61, left : left + width] = 5
        found = model.that_holds(frames, sensors)
        assert found.config.glimpse == least and (found is model) is (least == 13)
    # What looks like the background has no end, and no size.
    assert model.that_holds(torch.zeros_like(frames), sensors) is model


def test_what_was_known_of_a_glimpse_is_known_in_a_wider_one(
    play: tuple[torch.Tensor, torch.Tensor], model: Model
) -> None:
    torch.manual_seed(2)
    old = Model(model.config)
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    new = Model(dataclasses.replace(old.config, glimpse=17))
    weights = new.inherited(old.state_dict(), old.config)
    new.load_state_dict({k: v for k, v in weights.items() if k != "shapes"}, strict=False)
    frames, sensors = (part[:, -1] for part in play)
    cells = old.one_hot(old.pack(old.index(frames)))
    given = sensors, torch.zeros(3, 4, 16, 16), torch.eye(3), torch.rand(3, 1)
    for mine, theirs in zip(new.advance(cells, *given), old.advance(cells, *given), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_sensors_stay_in_their_range_and_whole_ones_whole(model: Model) -> None:
    wild = torch.tensor([[99.0, -3.0, 0.37, -9.0, 20.25, 2.4, 0.6]])
    expected = torch.tensor([[64.0, 0.0, 0.37, -1.5, 20.25, 2.0, 1.0]])
    torch.testing.assert_close(model.laws.settle(wild), expected)


def test_a_step_keeps_the_contract(model: Model, play: tuple[torch.Tensor, torch.Tensor]) -> None:
    action, chance = torch.eye(3), torch.rand(3, 1)
    frames, sensors = play
    state = model.initial({"frame": frames[:, 0], "sensors": sensors[:, 0]})
    frame, state, heads = model.step(state, action, chance)
    assert frame.dtype == torch.uint8 and frame.shape == (3, 1, 64, 64, 4)
    assert torch.equal(state["frame"], frame)
    assert state["hidden"].shape == (3, 4, 16, 16) and state["sensors"].shape == (3, 7)
    assert heads["reward"].shape == heads["terminated"].shape == (3,)
    assert bool(((heads["terminated"] >= 0) & (heads["terminated"] <= 1)).all())


def test_watching_is_stepping_with_what_was_seen(
    model: Model, play: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, sensors = play
    actions, chances = torch.rand(3, 4, 3), torch.rand(3, 4, 1)
    state = model.initial({"frame": frames[:, 0], "sensors": sensors[:, 0]})
    for t in range(4):
        _, state, _ = model.step(state, actions[:, t], chances[:, t])
        state |= {"frame": frames[:, t + 1], "sensors": sensors[:, t + 1]}
    watched = watch(model, {"frame": frames, "sensors": sensors}, actions, chances)
    torch.testing.assert_close(watched["hidden"], state["hidden"])
    assert torch.equal(watched["frame"], frames[:, -1])
    assert torch.equal(watched["sensors"], sensors[:, -1])


def test_an_unknown_family_is_named_with_those_that_exist() -> None:
    known = r"family 'gan': unknown\. Known families: denoiser, first_person, latent, numbers"
    with pytest.raises(UserError, match=known):
        families.part("gan", "model")
