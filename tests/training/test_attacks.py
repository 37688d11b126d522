"""Attacks on a model that plays alone: what they disturb, who judges, and the search for games."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sims.breakout import Breakout
from sims.breakout.detector import DETECTOR
from sims.driving import Driving
from sims.errors import UserError
from training import attacks
from training.attacks import campaign
from training.attacks.contract import Attack
from training.attacks.judges import Rules, judge_of
from training.attacks.search import Opening, decoded, least, neutral, search, taken
from training.attacks.victim import play
from training.evaluation.beside import LATE, Beside
from training.evaluation.heads import Heads
from training.evaluation.measures.contract import Subject
from training.evaluation.players import Player, Real
from training.evaluation.starts import Scene, sensor_matrix
from training.families.base import State, WorldModel
from training.recipe import Recipe
from training.trainer.checkpoints import load_model

WEIGHTS = Path(__file__).parents[2] / "weights" / "breakout" / "object_laws"


@pytest.fixture(scope="module")
def subject(tiny_recipe: Recipe) -> Subject:
    return Subject(load_model(WEIGHTS), tiny_recipe, Breakout, None, lambda player: player)


def one(subject: Subject, games: int = 6, steps: int = 30) -> campaign.Campaign:
    return campaign.Campaign(subject, Breakout.spec, games, steps, 0)


def test_each_attack_breaks_more_the_stronger_it_is(subject: Subject) -> None:
    assert attacks.names() == ["actions", "memory", "patch", "pixels", "worst"]
    fight = one(subject)
    assert fight.attacked(campaign.UNTOUCHED, 0.0)["broken"]["mean"] == 0
    for name in ("memory", "patch", "pixels"):
        attack = attacks.attack(name)
        weak, strong = (fight.attacked(attack, s) for s in (attack.strengths[0] / 10, attack.most))
        assert strong["broken"]["mean"] > 80 and strong["step"]["mean"] < 30, name
        assert weak["broken"]["mean"] < strong["broken"]["mean"], name
        assert sum(strong["causes"].values()) == round(6 * strong["broken"]["mean"] / 100)
    # By as much, the worst direction breaks more than a random one.
    some = {name: fight.attacked(attacks.attack(name), 1)["step"] for name in ("memory", "worst")}
    assert some["worst"]["mean"] < some["memory"]["mean"]
    # Any actions are fair: the model was trained on them.
    actions = attacks.attack("actions")
    assert fight.attacked(actions, 100)["broken"]["mean"] < 50


def test_each_scenario_is_covered(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "COVER", 1.0)
    fight, chosen = one(subject, 2, 4), {"memory": (1.0, 1000.0, 1000.0), "actions": (10.0,)}
    told, _ = campaign.run(fight, chosen, 0, 0, True, campaign.Kept(tmp_path / "kept"))
    rows = told["coverage"]["rows"]
    assert [row["name"] for row in rows] == list(Breakout.spec.scenarios) and len(rows) > 1
    assert all(row["alone"]["mean"] + row["broken"]["mean"] == 100 for row in rows)
    json.dumps(told, allow_nan=False)
    gentle, _ = campaign.run(
        fight, {"pixels": (1e-9,)}, 0, 0, True, campaign.Kept(tmp_path / "gentle")
    )
    assert all(row["broken"]["mean"] == 0 for row in gentle["coverage"]["rows"])


class Standing(WorldModel):
    """A model that shows the last observations for ever; it looks three frames back."""

    config = SimpleNamespace(history=3)
    observed = ("frame", "sensors")
    palette_frames = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def initial(self, shown: State) -> State:
        """Start from the first observations."""
        return dict(shown)

    def step(
        self, state: State, action: torch.Tensor, chance: torch.Tensor
    ) -> tuple[torch.Tensor, State, dict[str, torch.Tensor]]:
        """Change nothing."""
        none = torch.zeros(len(action))
        return state["frame"], state, {"reward": none, "terminated": none}


@pytest.fixture(scope="module")
def drives(tiny_recipe: Recipe) -> campaign.Campaign:
    recipe = dataclasses.replace(tiny_recipe, world="driving")
    subject = Subject(Standing(), recipe, Driving, None, lambda player: player)
    with pytest.MonkeyPatch.context() as patched:  # To find that out takes two minutes.
        patched.setattr(campaign, "judge_of", lambda subject, spec: Beside(Driving))
        return campaign.Campaign(subject, Driving.spec, 4, 8, 0)


@pytest.mark.slow
def test_a_model_watches_what_happens_before_it_goes_on_alone(drives: campaign.Campaign) -> None:
    assert attacks.of("driving") == [*attacks.names(), "walker", "car", "weather"]
    assert attacks.of("breakout") == attacks.names()
    seen = {}
    for name, strength in (("car", 12.0), ("walker", 10.0), ("weather", 2.0)):
        happen = attacks.attack(name, "driving").happen
        assert happen
        scene, on = drives._happened(drives.starts, happen, strength, drives.chooser(4))
        assert on.all() and scene.history.shape[1] == drives.starts.history.shape[1] + 3
        assert scene.history_actions.shape[1] == scene.history.shape[1] - 1
        sim = Driving(4)
        sim.restore(scene.start)
        assert np.array_equal(scene.history_sensors[:, -1], sensor_matrix(sim))
        seen[name] = scene
    lead = [s.name for s in Driving.spec.sensors if len(s.shape) == 1].index("lead_distance")
    before, after = (seen["car"].history_sensors[:, k, lead] for k in (-4, -1))
    assert (after < 12.5).all() and (before - after > 5).any()
    kinds = seen["walker"].start["user_kind"][:, -1]
    assert (kinds == 4).all() and (seen["walker"].start["course"][:, -1, 2] > 0).all()
    old, new = drives.starts.start["condition"], seen["weather"].start["condition"]
    assert np.array_equal((old + 2) % 4, new)


@pytest.mark.slow
def test_what_happens_breaks_a_model_that_does_not_foresee_it(drives: campaign.Campaign) -> None:
    told = drives.attacked(attacks.attack("car", "driving"), 10.0)
    assert told["broken"]["mean"] > 0 and told["causes"]


class Counting(WorldModel):
    """A model that carries one number of each game: how far it has come."""

    def step(
        self, state: State, action: torch.Tensor, chance: torch.Tensor
    ) -> tuple[torch.Tensor, State, dict[str, torch.Tensor]]:
        """Advance by the first number of the action, faster the farther it has come."""
        far = state["far"] * 1.5 + action[:, 0]
        heads = {"reward": far, "terminated": torch.zeros_like(far)}
        return torch.zeros(len(far), 1, 1, 1, 4, dtype=torch.uint8), {"far": far}, heads


def test_the_worst_direction_is_found_of_a_single_number_too() -> None:
    aim = attacks.attack("worst").aim
    assert aim
    state = {"far": torch.tensor([0.0, 1.0, 2.0])}
    random = torch.Generator().manual_seed(0)
    changed = aim(Counting(), state, torch.ones(3, 1), torch.zeros(3, 0), 100, random)["far"]
    spread = state["far"].std(correction=0)
    torch.testing.assert_close((changed - state["far"]).abs(), spread.expand(3))


def test_attacked_actions_stay_in_the_valid_range() -> None:
    act = attacks.attack("actions").act
    assert act
    random = np.random.default_rng(0)
    given = np.tile(np.eye(3, dtype=np.float32)[1], (400, 1))
    some = act(given, Breakout.spec, 30, random)
    assert (some.sum(1) == 1).all() and 0.1 < (some[:, 1] == 0).mean() < 0.3
    axes = Driving.spec.axes
    rest = np.tile(np.array([axis.neutral for axis in axes], np.float32), (400, 1))
    pushed = act(rest, Driving.spec, 50, random)
    low, high = (np.array([getattr(axis, end) for axis in axes]) for end in ("low", "high"))
    assert (pushed >= low).all() and (pushed <= high).all() and (pushed == high).any()


def test_an_unfinished_campaign_goes_on_where_it_was(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fight, kept, played = one(subject, 3, 6), campaign.Kept(tmp_path / "kept"), []
    attacked = fight.attacked

    def dies(attack: Attack, strength: float, tell: Any) -> Any:
        played.append((attack.title, strength))
        if len(played) == 3:
            raise KeyboardInterrupt
        return attacked(attack, strength, tell)

    monkeypatch.setattr(fight, "attacked", dies)
    chosen = {"pixels": (1.0, 5.0), "patch": (8.0,)}
    with pytest.raises(KeyboardInterrupt):
        campaign.run(fight, chosen, 0, 2, False, kept)
    assert len(played) == 3
    told, cases = campaign.run(fight, chosen, 0, 2, False, kept)
    # Each is played once, but the one that was cut.
    assert len(played) == 5 and len(set(played)) == 4 and cases == []
    strengths = [[tried["strength"] for tried in attack["tries"]] for attack in told["attacks"]]
    assert strengths == [[1.0, 5.0], [8.0]]
    json.dumps(told, allow_nan=False)


class Crumbling:
    """The sim, whose frame loses all but its walls once the paddle has moved right for 5 steps."""

    def __init__(self) -> None:
        self.real = Real(Breakout)
        self.heads = None
        self.shown: dict[str, Any] = {}

    def watch(self, scene: Scene, rows: Any = None) -> None:
        self.real.watch(scene, rows)
        self.moved = np.zeros(len(scene.history), int)

    def step(self, actions: Any, chances: Any) -> Any:
        frame = self.real.step(actions, chances).copy()
        self.moved += actions[:, 2] > 0
        frame[self.moved >= 5, :, 40:] = 0
        return frame


def test_the_search_finds_actions_that_break_and_takes_out_the_others(subject: Subject) -> None:
    opening = Opening.of(Breakout, 3, "fresh", 1, 60)
    judge = Rules(DETECTOR, Breakout.spec)
    player: Player = Crumbling()  # type: ignore[assignment]
    done: list[int] = []
    case = search(player, judge, opening, 3, 0, lambda: done.append(1))
    assert case and len(done) == 3
    assert case.seed == 3 and case.step == len(case.actions) < 60
    assert case.actions[:, 2].sum() == 5 and case.actions[-1, 2] == 1
    # The sim breaks none of its own rules.
    assert search(Real(Breakout), judge, opening, 1, 0) is None


def test_an_opening_is_the_sims_own_game() -> None:
    opening = Opening.of(Breakout, 11, "fresh", 4, 20)
    sim = Breakout(1)
    sim.reset(np.array([11]))
    still = neutral(Breakout.spec)[None]
    for _ in range(3):
        sim.step(taken(still, Breakout.spec), sim.draw())
    for chance in opening.chances:
        assert np.array_equal(sim.draw()[0], chance)
        sim.step(taken(still, Breakout.spec), sim.draw())
    judge = Rules(DETECTOR, Breakout.spec)
    broken, off = opening.played(Real(Breakout), judge, np.repeat(still[None], 20, 1))
    assert broken.step.tolist() == [0] and off.tolist() == [0]


def test_what_is_not_needed_is_taken_out() -> None:
    still = np.array([1.0, 0.0], np.float32)
    actions = np.tile(np.array([0.0, 1.0], np.float32), (37, 1))

    def breaks(some: Any) -> Any:
        return (some[:, 9, 1] > 0) & (some[:, 30, 1] > 0)

    found = least(actions, still, breaks)
    assert breaks(found[None])[0] and found[:, 1].sum() <= 6
    # Either of two parts will do, but not neither.
    found = least(actions, still, lambda some: (some[:, 3, 1] > 0) | (some[:, 33, 1] > 0))
    assert found[3, 1] + found[33, 1] == 1 and found[:, 1].sum() <= 3


def test_genes_are_actions_that_a_link_can_hold() -> None:
    genes = np.random.default_rng(0).normal(0, 1, (5, 10 * 3))
    held = decoded(genes, Breakout.spec, 55)
    assert held.shape == (5, 55, 3) and (held.sum(-1) == 1).all()
    axes = Driving.spec.axes
    rows = decoded(np.full((1, len(axes)), 9.0), Driving.spec, 4)
    assert np.allclose(rows[0, 0], [axis.high for axis in axes])


def test_a_world_that_nobody_can_judge_is_refused(
    subject: Subject, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.attacks.judges.detector_of", lambda world: None)
    monkeypatch.setattr("training.evaluation.measures.whole.RECORDED", 2000)
    monkeypatch.setattr("training.evaluation.measures.whole.TOGETHER", 8)
    judge = judge_of(subject, Breakout.spec)
    assert judge.causes.keys() == {"shape", "amount", "still"}
    scene = subject.scene(1, 1, 3)
    judge.begin(scene)
    given, black = np.zeros((3, 3), np.float32), np.zeros_like(scene.history[:, -1])
    assert judge.judge(given, given, black, Real(Breakout)).any(1).all()
    monkeypatch.setattr("training.attacks.judges.whole.learned", lambda subject: _blank())
    assert isinstance(judge_of(subject, Breakout.spec), Beside)
    monkeypatch.setattr(subject.model, "observed", ("frame",), raising=False)
    with pytest.raises(UserError, match=r"nothing says when .* Run: write sims/breakout/detector"):
        judge_of(subject, Breakout.spec)


def _blank() -> Any:
    from training.evaluation.measures.whole import Recorded

    return Recorded()


class Parting(Real):
    """The sim, which tells its sensors: from a step on, one game has another speed."""

    def __init__(self, at: int, off: float, ends: bool = True) -> None:
        super().__init__(Driving)
        self.at, self.off, self.says_ends = at, off, ends

    def watch(self, scene: Scene, rows: Any = None) -> None:
        super().watch(scene, rows)
        self.steps = 0

    def step(self, actions: Any, chances: Any) -> Any:
        frame = super().step(actions, chances)
        self.steps += 1
        told = sensor_matrix(self.sim)
        told[0, 0] += self.off * (self.steps >= self.at)
        self.shown = {"sensors": told}
        assert self.heads
        self.heads = Heads(self.heads.rewards, self.heads.ends & self.says_ends)
        return frame


def test_a_model_is_judged_by_the_sim_beside_it() -> None:
    opening = Opening.of(Driving, 3, "following", 1, 60)
    scene = opening.scene.pick(np.zeros(3, np.int64))
    go = np.tile(np.array([[0.0, 1.0, 0.0]], np.float32), (3, 1))

    def played(player: Player, actions: Any = go, steps: int = 12) -> Any:
        def choose(step: int, frames: Any) -> Any:
            return actions, np.repeat(opening.chances[step : step + 1], 3, 0)

        return play(player, scene, Beside(Driving), choose, steps)

    assert not played(Parting(1, 0.0)).step.any()
    # A tenth of 25 m/s is much; less is none.
    assert played(Parting(7, 2.4)).step.tolist() == [0, 0, 0]
    found = played(Parting(7, 2.6))
    assert found.step.tolist() == [7, 0, 0] and found.cause[0] == 0
    # It drives off the road: the game is over, and the model must say so soon.
    left = go + np.array([1, 0, 0], np.float32)
    assert not played(Parting(1, 0.0), left, 60).step.any()
    silent = played(Parting(1, 0.0, ends=False), left, 60)
    over = Driving(1)
    over.restore({name: value[:1] for name, value in scene.start.items()})
    last = next(t for t in range(60) if over.step(left[:1], opening.chances[t : t + 1])[1][0])
    assert silent.step.tolist() == [last + 1 + LATE] * 3
    assert [*Beside(Driving).causes][silent.cause[0]] == "end"


def test_a_game_that_is_over_breaks_no_more() -> None:
    class Over:
        by, causes = "", {"late": "late"}

        def begin(self, scene: Scene) -> None:
            self.at = 0

        def judge(self, given: Any, chances: Any, after: Any, player: Any) -> Any:
            self.at += 1
            return np.array([[self.at == 3], [self.at == 5]])

        def over(self, heads: Any) -> Any:
            return np.array([self.at == 4, self.at == 4])

    opening = Opening.of(Breakout, 1, "fresh", 1, 9)
    scene = opening.scene.pick(np.zeros(2, np.int64))
    rest = np.tile(neutral(Breakout.spec), (2, 1))
    chances = np.zeros((2, len(Breakout.spec.chance)), np.float32)
    found = play(Real(Breakout), scene, Over(), lambda t, frames: (rest, chances), 9)
    assert (found.step.tolist(), found.cause.tolist()) == ([3, 0], [0, -1])
