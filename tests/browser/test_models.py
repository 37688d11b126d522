"""A world with two models: how they are compared, and how one takes the place of the other."""

from __future__ import annotations

from typing import Any

from drive import game, play, sees, state, until
from playwright.sync_api import expect

PAGE = "worlds/breakout/"


def test_they_stand_side_by_side(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address + PAGE)
    comparison = page.locator(".wm-report:has(th:text-is('denoiser, 4 evaluations'))").first
    figures = comparison.locator("table").first
    cost = comparison.locator("table:has(th:text-is('Cost'))")
    heads = figures.locator("thead th").all_inner_texts()
    own = [head for head in heads if ", " not in head]
    assert own == ["Figure", "object_laws", "pixels", "denoiser"]
    once = heads.index("denoiser")
    assert heads[once + 1] == "denoiser, 2 evaluations"
    rows = {row.locator("th").inner_text(): row for row in cost.locator("tbody tr").all()}
    macs = rows["Million multiplications a frame"].locator("td").all_inner_texts()
    assert 0 < float(macs[once - 1]) < float(macs[once])
    assert comparison.locator("svg").count() > 3
    page.close()


def test_one_takes_the_place_of_the_other_while_the_game_goes_on(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    page.goto(address + PAGE)
    play(page)
    page.click("[data-opens=settings]")
    steps = page.get_by_label("Denoising steps")
    assert steps.is_disabled()  # The first model has no such thing.
    models = page.locator("label:has(> span:text-is('Model')) select")
    page.locator("label:has(> span:text-is('Who plays')) select").select_option("good")
    tick = state(page)["tick"]
    page.get_by_label("Precision").select_option("fp16")
    until(page, "s.variant === 'fp16'")
    game(
        page,
        "const other = g.world.models.find((m) => m.family === 'denoiser');"
        "other.variants = other.variants.filter((v) => v.name !== 'fp16')",
    )
    models.select_option("denoiser")
    # It has no fp16: what was asked of the other model does not stop it.
    sees(page, "g.model.model.family === 'denoiser'")
    assert state(page)["variant"] == "int8"
    expect(steps).to_be_enabled()  # once that model has its first frame
    steps.fill("2")  # of 1, 2, 4 and 8, from 0
    sees(page, "g.model.evaluations === 4")
    frames = state(page)["modelFrames"]
    after = until(page, f"s.modelFrames > {frames + 3}")
    assert after["tick"] > tick and after["phase"] == "playing"
    models.select_option("object_laws")
    page.get_by_label("Precision").select_option("auto")
    sees(page, "g.model.model.family === 'object_laws' && g.model.variant.name === 'int8'")
    assert steps.is_disabled()
    page.close()
