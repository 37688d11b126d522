"""Say in one line, from a model's figures, whether the model is good enough to play alone."""

from __future__ import annotations

from typing import Any

RIGHT = 90.0  # percent of the moving pixels: below it, the model has lost something that moves
ENOUGH = 2.0  # seconds of play
STILL = "last observation repeated"  # the row of the baseline that predicts no change


def playable(metrics: dict[str, Any], model: str, rate: float) -> str:
    """Return the line for metrics.json of `model` ("world/family"), at `rate` steps a second.

    If the world has rules, the rules decide; otherwise, if it was measured, how long its own frames
    stay like recorded ones; otherwise the moving pixels of its rollouts, or every observation that
    it predicts.
    """
    name = metrics["rows"][0]["name"]
    alone, frames = metrics.get("autonomy"), metrics.get("measures", {}).get("whole")
    if "moved" not in metrics["curves"] and not alone and not frames:
        return _nearer(metrics, model, rate)
    if alone and (first := alone["rows"][0]["values"].get("collapse")):
        steps, measured = first["mean"], alone["steps"]
        how = "half of its own rollouts keep every rule for"
    elif frames:
        steps = frames["rows"][0]["values"]["whole"]["mean"]
        measured = frames["curve"]["steps"][-1]
        how = "half of its own rollouts look like recorded ones for"
    else:
        steps, measured = _right(metrics["curves"]["moved"], name)
        how = f"its own rollouts keep {RIGHT:.0f} % of the moving pixels right for"
    told = f"model {model}: {how} {steps:.0f} of {measured} steps ({steps / rate:.1f} s)"
    if steps >= min(ENOUGH * rate, measured):
        return f"{told}: it can be played."
    return f"{told}: too short to play. Give it more train.minutes and data.steps {_again(model)}"


def _nearer(metrics: dict[str, Any], model: str, rate: float) -> str:
    """Return the line for a model of observations: whether it beats an unchanging world."""
    steps = max(column.get("step", 0) for column in metrics["columns"])
    values = {row["name"]: row["values"] for row in metrics["rows"]}
    own, still = metrics["rows"][0]["values"], values.get(STILL, {})
    better = []
    for column in metrics["columns"]:
        one, other = (found.get(column["key"]) for found in (own, still))
        if column.get("step") == steps and one and other:
            higher = one["mean"] > other["mean"]
            better.append(higher if column["better"] == "high" else one["mean"] < other["mean"])
    told = (
        f"model {model}: {steps} steps ({steps / rate:.1f} s) after its start, {sum(better)} of "
        f"{len(better)} figures are better than the {STILL}"
    )
    if sum(better) * 2 > len(better):
        return f"{told}: it can be played."
    return f"{told}: too few to play. Give it more train.minutes {_again(model)}"


def _again(model: str) -> str:
    world, _, family = model.partition("/")
    run = f"wmsite train {world} --family {family} --full"
    return f"in recipes/{world}/{family}.toml. Run: {run}"


def _right(curve: dict[str, Any], name: str) -> tuple[int, int]:
    """Return the last horizon up to which all figures are right, and the last horizon of all."""
    good = 0
    for step, figure in zip(curve["steps"], curve["series"][name], strict=True):
        if figure is None or figure["mean"] < RIGHT:
            break
        good = step
    return good, curve["steps"][-1]
