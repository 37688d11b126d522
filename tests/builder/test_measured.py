"""What a world's page and `wmsite eval` tell of what was measured."""

from __future__ import annotations

import copy
import dataclasses
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from builder.commands.eval import table
from builder.project import regressions as compared
from builder.site import manifest, model_sections, tables
from sims.breakout import Breakout
from sims.errors import UserError
from training.evaluation.evaluate import evaluate
from training.recipe import Recipe


@pytest.fixture(scope="module")
def weights(
    untrained: tuple[Path, Recipe], graphs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A weights folder of the random model, evaluated, with its graphs: to read only."""
    folder = tmp_path_factory.mktemp("measured") / "weights"
    shutil.copytree(untrained[0], folder)
    shutil.copytree(graphs, folder / "graphs")
    asked = dataclasses.replace(untrained[1].evaluate, steps=40, horizons=[1, 4, 16, 40])
    evaluate(folder, Breakout, dataclasses.replace(untrained[1], evaluate=asked))
    return folder


@pytest.fixture(scope="module")
def model(weights: Path) -> manifest.Model:
    told = json.loads((weights / "graphs" / "model.json").read_text())
    return manifest.Model.model_validate({**told, "metrics": {}, "provenance": {}})


@pytest.fixture
def metrics(weights: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((weights / "metrics.json").read_text())
    return found


def players(page: str) -> list[list[str]]:
    heads = re.findall(r"<thead><tr>(.*?)</tr></thead>", html.unescape(page))
    return [re.findall(r'<th scope="col">(.*?)</th>', head)[1:] for head in heads]


def test_the_evaluation_shows_three_horizons_and_folds_the_rest(
    model: manifest.Model, weights: Path, metrics: dict[str, Any]
) -> None:
    page = model_sections.evaluation(model, weights, "")
    shown, folded, _ = page.split("<details")
    assert "step 16</small>" in shown and "step 4</small>" not in shown
    assert "step 4</small>" in folded
    names = [row["name"] for row in metrics["rows"]]
    # Who only repeats a frame, or reads one, says nothing of rewards and ends.
    said = [name for name in names if name not in (names[-1], "last frame repeated")]
    assert players(page) == [names, names, said] and names[-1] == "the sim's frames, as read"
    plain = re.sub("<.*?>", "", page)
    assert "What object_laws cannot do: it does not tell what a step is worth" in plain
    assert "it does not know when a game ends" in plain
    assert metrics["checks"]["controllability"]["label"] in html.unescape(shown)
    assert page.count('role="img"') == len(metrics["curves"]) == 9


def test_events_and_autonomy_stand_beside_baselines_and_the_sim(
    model: manifest.Model, weights: Path, metrics: dict[str, Any]
) -> None:
    page = model_sections.events(model, weights, "")
    assert players(page) == [[row["name"] for row in metrics["rows"]]]
    assert "all events: F1" in page and "within 2 steps" in page
    page = model_sections.autonomy(model, weights, "")
    first, broke, often = players(page)
    assert often == first
    assert first == ["object_laws", "no carried state", "the sim itself"]
    assert broke == first[:2], "the sim broke no rule"
    counts = metrics["autonomy"]["culprits"]["object_laws"]
    assert sum(counts.values()) == 2, "an untrained model keeps no rule"
    rule = metrics["autonomy"]["rules"][next(iter(counts))]
    cells = re.search(f'<th scope="row">{rule}</th><td>(.*?)</td>', page)
    assert cells and int(cells[1]) == next(iter(counts.values()))
    assert page.count('role="img"') == 1


def test_each_precision_has_its_row_and_one_that_failed_is_marked(
    model: manifest.Model, weights: Path
) -> None:
    in_browser = [f"{v}, {where}" for v in ("fp32", "fp16", "int8")
                  for where in ("onnxruntime", "Chromium")]  # fmt: skip
    shown = players(model_sections.variants(model, weights, ""))
    assert shown == [["fp32", "fp16", "int8"], in_browser]
    part = model.model_copy(update={"variants": model.variants[:2]})
    named = players(model_sections.variants(part, weights, ""))
    assert named[0] == ["fp32", "fp16", "int8, not shipped"]


def test_a_world_that_nothing_reads_is_said_to_be_so(model: manifest.Model, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"columns": [], "rows": []}')
    for section in (model_sections.events, model_sections.autonomy):
        assert "nothing reads this world" in section(model, tmp_path, "")
    assert "no graph was made" in model_sections.variants(model, tmp_path, "")


def test_precisions_that_played_no_games_show_what_the_gate_measured(
    model: manifest.Model, weights: Path, tmp_path: Path
) -> None:
    parity = json.loads((weights / "graphs" / "parity.json").read_text())
    parity["sample"] = None
    failed = parity["variants"][2]
    failed |= {"backends": [], "failures": {"onnxruntime": "too coarse"}}
    failed["figures"] = {"onnxruntime": failed["figures"]["onnxruntime"]}
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "parity.json").write_text(json.dumps(parity))
    page = model_sections.variants(model, tmp_path, "")
    assert players(page) == [["fp32", "fp16", "int8, not shipped"]]
    assert "int8 does not ship: too coarse." in page
    times = re.search(r"Milliseconds.*?</tr>", page)
    assert times and re.findall("<td>(.*?)</td>", times[0])[2] == "–"


def regressions(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [str(one) for one in compared.compare(before, now) if one.worse]


def test_figures_of_two_measures_with_the_same_key_are_not_mixed(metrics: dict[str, Any]) -> None:
    def table(title: str, mean: float) -> dict[str, Any]:
        column = {"key": "kept", "label": "kept", "unit": "%", "better": "high"}
        figure = {"mean": mean, "low": mean - 1, "high": mean + 1}
        row = {"name": "object_laws", "values": {"kept": figure}}
        return {"title": title, "note": "", "columns": [column], "rows": [row], "curve": None}

    both = metrics | {"measures": {"whole": table("Whole", 100.0), "lane": table("Lane", 40.0)}}
    assert regressions(both, both) == []


def test_a_figure_that_got_worse_is_found_in_every_table(metrics: dict[str, Any]) -> None:
    assert regressions(metrics, metrics) == []

    def moved(name: str, key: str, by: float) -> list[str]:
        before = copy.deepcopy(metrics)
        part = before[name] if name else before
        values = part if name == "checks" else part["rows"][0]["values"]
        values[key] |= {k: values[key][k] + by for k in ("mean", "low", "high")}
        return regressions(before, metrics)

    psnr = moved("", "psnr@1", 9)
    assert len(psnr) == 1 and psnr[0].startswith("PSNR at step 1 ")
    assert moved("", "psnr@1", -9) == []
    assert len(moved("checks", "controllability", 200)) == 1
    assert moved("autonomy", "survived", 50) == [
        "rollouts that break no rule 0, was 50 % (at least 50)"
    ]
    # Neither more nor fewer hits is better.
    assert moved("autonomy", "hits", 500) == moved("autonomy", "hits", -500) == []
    f1 = {"mean": 80.0, "low": 70.0, "high": 90.0}
    before = copy.deepcopy(metrics)
    before["events"]["rows"][0]["values"]["f1_all"] = f1
    metrics["events"]["rows"][0]["values"]["f1_all"] = {**f1, "mean": 69.0}
    assert regressions(before, metrics) == ["all events: F1 69, was 80 % (at least 70)"]
    del metrics["events"]["rows"][0]["values"]["f1_all"]
    assert regressions(before, metrics) == ["all events: F1 is gone"]


def test_a_report_tells_every_comparison(metrics: dict[str, Any], tmp_path: Path) -> None:
    before = copy.deepcopy(metrics)
    value = before["rows"][0]["values"]["psnr@1"]
    before["rows"][0]["values"]["psnr@1"] = {k: v + 9 for k, v in value.items()}
    told = compared.compare(before, metrics)
    files = [tmp_path / "new" / name for name in ("report.xml", "report.json")]
    for file in files:
        compared.refuse(file)
        compared.write(file, {"breakout/denoiser": told})
    xml = JUnitXml.fromfile(str(files[0]))
    assert (xml.tests, xml.failures) == (len(told), 1) and len(told) > 10
    failed = [case for suite in xml for case in suite if case.result]
    assert [case.name for case in failed] == ["PSNR at step 1"]
    assert "was" in failed[0].result[0].message and "(at least" in failed[0].result[0].message
    written = json.loads(files[1].read_text())["breakout/denoiser"]
    assert [one["name"] for one in written if one["worse"]] == ["PSNR at step 1"]
    with pytest.raises(UserError, match=r"report.txt: neither .xml nor .json. Run: "):
        compared.refuse(tmp_path / "report.txt")


def test_the_terminal_shows_every_table(metrics: dict[str, Any]) -> None:
    text = table(metrics)
    assert text.count("\n\n") == 3
    assert re.search(r"^PSNR, step 1 \(dB\) +\d", text, re.MULTILINE)
    assert re.search(r"^paddle within 1 px of the sim's.* +\d", text, re.MULTILINE)
    assert re.search(
        r"^rollouts that break no rule \(%\) +0\.00 +0\.00 +100\.00$", text, re.MULTILINE
    )


def test_figures_are_rounded_by_their_unit() -> None:
    value = {"mean": 0.256, "low": 0.2, "high": 100.0}
    assert tables.figure(value, "px") == "0.26<small>0.20 to 100</small>"
    assert tables.figure(value, "%") == "0.3<small>0.2 to 100</small>"
    assert tables.figure(None) == tables.figure({}) == "–"
