from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sims
from sims.breakout import Breakout
from sims.errors import UserError
from sims.host import Host, describe_error, fresh, load_sim


def test_the_host_shows_what_the_sim_does() -> None:
    host, sim = Host("sims.breakout"), Breakout(1)
    frame, status = host.frame, host.status
    assert frame.shape == (1, 64, 64, 4)
    names = json.loads(host.layout)
    assert names == [
        *("tick", "reward", "terminated", "truncated", "hud.score", "hud.lives"),
        *("event.brick", "event.paddle", "event.wall", "event.life", "event.refill", "chance.0"),
        *(f"sensor.ball.{i}" for i in range(4)),
        *("sensor.paddle.0", "sensor.lives.0", "sensor.ball_present.0"),
    ]
    assert json.loads(host.spec())["actions"][1]["keys"] == ["ArrowLeft", "KeyA"]
    out = np.zeros((1, 1, 64, 64, 3), dtype=np.uint8)
    host.reset(77, "half")
    sim.reset(np.array([77]), "half")
    rewards = 0.0
    for t in range(300):
        action = host.act("recovery")
        assert action == sim.act("recovery").tolist()
        chance = status[names.index("chance.0")]
        assert chance == sim.draw()[0, 0]
        assert status[names.index("sensor.ball.0")] == sim.sensors()["ball"][0, 0]
        host.step(action)
        reward, terminated, _ = sim.step(np.array(action, dtype=np.int64))
        sim.render(out)
        assert (frame[..., :3] == out[0]).all()
        assert (frame[..., 3] == 255).all()
        now = dict(zip(names, status.tolist(), strict=True))
        rewards += now["reward"]
        assert now["tick"] == t + 1
        assert now["reward"] == reward[0]
        assert now["terminated"] == terminated[0]
        assert now["hud.score"] == rewards
        assert now["event.wall"] == sim.events()["wall"][0]
    assert rewards > 0
    assert json.loads(host.sensors())["ball"] == sim.sensors()["ball"][0].tolist()
    assert host.frame is frame
    assert host.status is status


def test_a_snapshot_is_exact_and_small() -> None:
    host = Host("sims.breakout")
    host.reset(5, "fresh")
    for _ in range(150):
        host.step(host.act("good"))
    data, frame, status = host.snapshot(), host.frame.copy(), host.status.copy()
    assert len(data) < 1000
    for _ in range(50):
        host.step(host.act("bad"))
    other = Host("sims.breakout")
    for target in (host, other):
        target.restore(data)
        assert (target.frame == frame).all()
        assert (target.status == status).all()
        assert target.snapshot() == data


SNAPSHOT = Host("sims.breakout").snapshot()


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=40), st.integers(0, len(SNAPSHOT) - 1).map(SNAPSHOT.__getitem__))
)
def test_a_broken_snapshot_changes_nothing(data: bytes | int) -> None:
    host = Host("sims.breakout")
    host.step([2])
    before = host.snapshot()
    broken = data if isinstance(data, bytes) else SNAPSHOT[:data]
    for bad in (broken, SNAPSHOT + b"x", SNAPSHOT.replace(b"breakout", b"breakin!")):
        with pytest.raises(UserError, match="this snapshot is broken"):
            host.restore(bad)
    assert host.snapshot() == before


@pytest.mark.parametrize("action", [[3], [-1], [0.5], [], [0, 0], [float("nan")]])
def test_an_action_that_is_none_is_refused(action: list[float]) -> None:
    with pytest.raises(UserError, match=r"world 'breakout': action .* is"):
        Host("sims.breakout").step(action)


def test_a_start_that_is_none_is_refused() -> None:
    host = Host("sims.breakout")
    with pytest.raises(UserError, match="no scenario 'nowhere'"):
        host.reset(0, "nowhere")
    with pytest.raises(UserError, match="does not fit into 64 bits"):
        host.reset(2**63, "fresh")


STEP = '        alive = s["lives"] > 0\n'
REWARD = 'reward = (s["score"] - score).astype(np.float32)'
DRAW = 'return exact.uniform(self.state["seed"], self.state["tick"], CHANCE, 1)'


@pytest.mark.usefixtures("own_sims")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (REWARD, f"{REWARD} * np.float32(np.nan)", "its reward is nan at tick 0"),
        (REWARD, "reward = np.zeros(2, np.float32)", "its reward has shape (2,) for one world"),
        (DRAW, f"{DRAW} + 1", "draw() must give chance within [0, 1)"),
        (DRAW, f"{DRAW}[:, 0]", "draw() gave shape (1,), not (1, 1)"),
        ('"lives": self.state["lives"].copy()}', "}", "HUD field 'lives' of its spec is missing"),
    ],
    ids=["nan", "reward-shape", "chance-range", "chance-shape", "hud"],
)
def test_a_world_that_breaks_its_contract_is_named(
    edited: Callable[..., Path], old: str, new: str, message: str
) -> None:
    load_sim("sims.bad", edited("bad", (old, new)))
    with pytest.raises(UserError) as error:
        Host("sims.bad").step([0])
    assert message in str(error.value)
    assert str(error.value).startswith("world 'bad': ")


@pytest.mark.usefixtures("own_sims")
def test_an_error_is_shown_at_the_line_of_the_world(edited: Callable[..., Path]) -> None:
    # The error is raised in exact.py; the line to mend is the world's that called it.
    folder = edited("bad", (STEP, f"{STEP}        exact.sine('no number')\n"))
    load_sim("sims.bad", folder)
    line = (folder / "bad.py").read_text().split("exact.sine('no number')")[0].count("\n") + 1
    with pytest.raises(ValueError) as error:
        Host("sims.bad").step([0])
    found = json.loads(describe_error(error.value, str(folder)))
    assert (found["file"], found["line"], found["type"]) == ("bad.py", line, "ValueError")
    assert "no number" in found["message"]


@pytest.mark.usefixtures("own_sims")
def test_a_syntax_error_is_shown_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "__init__.py").write_text("from sims.worse import part\n")
    (tmp_path / "worse" / "part.py").write_text("\n\nx = (1,\ny == 2\n")
    with pytest.raises(SyntaxError) as error:
        load_sim("sims.worse", tmp_path)
    found = json.loads(describe_error(error.value, str(tmp_path)))
    assert found["file"] == "worse/part.py"
    assert found["line"] == 3
    assert found["type"] == "SyntaxError"
    assert found["message"] == "'(' was never closed"


@pytest.mark.usefixtures("own_sims")
def test_a_world_is_exactly_one_class(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("from sims.contract import Sim\n")
    with pytest.raises(UserError, match=r"exactly one Sim class with a `spec`, .* defines none"):
        load_sim("sims.empty", tmp_path)


@pytest.mark.usefixtures("own_sims")
def test_edited_sources_run_at_once_and_broken_ones_leave_the_game(
    edited: Callable[..., Path],
) -> None:
    folder = edited("live")
    sims.__path__.insert(0, str(folder))
    host = Host("sims.live")
    file, number = folder / "live.py", sys.modules["sims.live"].POINTS
    # Same size, same second: the bytecode of the file before must not be taken for it.
    file.write_text(file.read_text().replace("POINTS = 10", "POINTS = 70"))
    again = fresh("sims.live")
    assert number == 10
    assert sys.modules["sims.live"].POINTS == 70
    again.restore(host.snapshot())
    good = dict(sys.modules)
    file.write_text("1 +\n")
    with pytest.raises(SyntaxError):
        fresh("sims.live")
    assert {n: m for n, m in sys.modules.items() if n.startswith("sims")} == {
        n: m for n, m in good.items() if n.startswith("sims")
    }
    assert importlib.import_module("sims.live").POINTS == 70
    again.step([1])
    assert again.status[0] == 1
