"""Drive a page that plays: read its state and its picture, wait, run code with its game."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WORLD = "document.querySelector('wm-world')"
PADDLE = [96, 232, 255]

Open = Callable[..., Any]


def state(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(f"{WORLD}.state")
    return found


def until(page: Any, condition: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until `condition` holds of the state `s`; return the state."""
    check = f"() => {{ const s = {WORLD}.state; return ({condition}); }}"
    try:
        page.wait_for_function(check, timeout=seconds * 1000, polling=50)
    except Exception as error:
        raise AssertionError(f"never: {condition}; {state(page)}; {text(page)}") from error
    return state(page)


def sees(page: Any, condition: str, seconds: float = 30) -> None:
    """Wait until `condition` holds of the game `g`."""
    check = f"() => {{ const g = {WORLD}.game; return ({condition}); }}"
    page.wait_for_function(check, timeout=seconds * 1000, polling=50)


def text(page: Any) -> str:
    found: str = page.inner_text("wm-world")
    return found


def notice(page: Any) -> str:
    found: str = page.inner_text(".wm-notice")
    return found


def play(page: Any, model: bool = True, seconds: float = 60) -> None:
    page.click(".wm-play")
    until(page, "s.simFrames > 2" + (" && s.modelFrames > 2" if model else ""), seconds)


def game(page: Any, code: str, argument: Any = None) -> Any:
    """Run `code` with the game as `g` and `argument` as `a`."""
    return page.evaluate(f"async (a) => {{ const g = {WORLD}.game; {code} }}", argument)


def paddle(page: Any) -> float:
    """Return where the paddle is in the picture: the middle of its pixels."""
    left: list[int] = page.evaluate(
        """(colour) => {
            const canvas = document.querySelector('.wm-canvas');
            const {data} = canvas.getContext('2d').getImageData(0, 58, 64, 1);
            const is = (x) => colour.every((c, i) => data[4 * x + i] === c);
            return [...Array(64).keys()].filter(is);
        }""",
        PADDLE,
    )
    assert left, "no paddle in the picture"
    return sum(left) / len(left)


def pixels(page: Any) -> list[int]:
    # As text: Playwright takes seconds for a long list.
    found: str = page.evaluate(
        """() => { const c = document.querySelector('.wm-canvas');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join(); }"""
    )
    return [int(value) for value in found.split(",")]


def frames(page: Any) -> tuple[list[int], list[int]]:
    """Return the sim's and the model's frame."""
    found = game(page, "return [g.simFrame.join(), (g.modelFrame ?? g.simFrame).join()]")
    sim, model = ([int(value) for value in one.split(",")] for one in found)
    return sim, model


def share(page: Any) -> str:
    """Share the game from the open settings; return the link's address."""
    page.click("[data-do=share]")
    link = page.locator(".wm-actions input")
    link.wait_for(state="visible")
    address: str = link.input_value()
    return address
