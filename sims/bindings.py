"""The names of keys, gamepad buttons and units for a spec: those that browsers and the page know.

The page's own table of gamepad buttons is `site_template/player/game/input.js`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sims.contract import Spec

# KeyboardEvent.code, which names keys by their place, not by their letter. Games do not get Tab and
# Escape, which leave the stage.
KEYS: dict[str, tuple[str, ...]] = {
    "Arrows": ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"),
    "Letters": tuple(f"Key{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "Digits": tuple(f"Digit{digit}" for digit in range(10)),
    "Round the letters": (
        "Space", "Enter", "Backspace", "Minus", "Equal", "BracketLeft", "BracketRight",
        "Backslash", "Semicolon", "Quote", "Backquote", "Comma", "Period", "Slash", "CapsLock",
        "IntlBackslash", "IntlRo", "IntlYen",
    ),
    "Held with others": (
        "ShiftLeft", "ShiftRight", "ControlLeft", "ControlRight", "AltLeft", "AltRight",
        "MetaLeft", "MetaRight",
    ),
    "Round the arrows": ("Insert", "Delete", "Home", "End", "PageUp", "PageDown"),
    "Number pad": (
        *(f"Numpad{digit}" for digit in range(10)), "NumpadAdd", "NumpadSubtract",
        "NumpadMultiply", "NumpadDivide", "NumpadDecimal", "NumpadEnter", "NumpadEqual",
        "NumpadComma", "NumLock",
    ),
    "Others": (*(f"F{number}" for number in range(1, 25)), "ScrollLock", "Pause", "ContextMenu"),
}  # fmt: skip
# Of the standard mapping, in the order of its buttons.
BUTTONS = (
    "south", "east", "west", "north", "l1", "r1", "l2", "r2", "select", "start", "l3", "r3",
    "dpad-up", "dpad-down", "dpad-left", "dpad-right",
)  # fmt: skip
STICKS = tuple(f"axis{number}{way}" for number in range(4) for way in ("", "-", "+"))
GAMEPAD: dict[str, tuple[str, ...]] = {
    "Buttons and triggers": BUTTONS,
    "Sticks: left across, left down, right across, right down; to one side (-, +) or the whole way":
    STICKS,
}  # fmt: skip
CODES = tuple(code for codes in KEYS.values() for code in codes)
# How a letter, a digit, an arrow and a button are called elsewhere.
ELSEWHERE = {
    **{code.removeprefix("Key").lower(): code for code in KEYS["Letters"]},
    **{code.removeprefix("Digit"): code for code in KEYS["Digits"]},
    **{f"{word}{number}": name for number, name in enumerate(BUTTONS) for word in ("b", "button")},
    **{code.removeprefix("Arrow").lower(): code for code in KEYS["Arrows"]},
    **{"lb": "l1", "rb": "r1", "lt": "l2", "rt": "r2"},
}


def problem(spec: Spec) -> str:
    """Say which name of a spec means nothing to the page, and the nearest that does; "" if none."""
    for action in spec.actions:
        where = f"action '{action.name}'"
        if found := _keys(where, action.keys) or _gamepad(where, action.gamepad):
            return found
    for axis in spec.axes:
        where = f"axis '{axis.name}'"
        named = () if axis.gamepad is None else (axis.gamepad,)
        found = _keys(where, (*axis.increase, *axis.decrease)) or _gamepad(where, named)
        if found := found or _unit(where, axis.unit, axis.low, axis.high):
            return found
    for sensor in spec.sensors:
        where = f"sensor '{sensor.name}'"
        if found := _unit(where, sensor.unit, sensor.low, sensor.high):
            return found
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like another one, whatever its capitals."""
    by_lower = {one.lower(): one for one in known}
    if (same := ELSEWHERE.get(name.lower(), "").lower()) in by_lower:
        return by_lower[same]

    def alike(one: str) -> float:  # its letters in order, and in any: LeftArrow
        pairs = ((name.lower(), one), (sorted(name.lower()), sorted(one)))
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return by_lower[max(by_lower, key=alike)]


def _keys(where: str, codes: Iterable[str]) -> str:
    for code in codes:
        if code in ("Tab", "Escape"):
            return f"{where} names the key '{code}', which is no game's: it leaves the stage"
        if code not in CODES:
            return (
                f"{where} names the key '{code}', which no keyboard has; names are those of "
                f"KeyboardEvent.code, and the nearest is '{nearest(code, CODES)}'"
            )
    return ""


def _gamepad(where: str, names: Iterable[str]) -> str:
    known = (*BUTTONS, *STICKS)
    for name in names:
        if name not in known:
            return (
                f"{where} names '{name}', which no gamepad has by the standard mapping; nearest is "
                f"'{nearest(name, known)}'"
            )
    return ""


def _unit(where: str, unit: str, low: float, high: float) -> str:
    """Refuse a share that is no share: the page shows what is one in percent, times 100."""
    name = unit.partition(",")[0].strip()
    if (name == "%" or name.startswith("share")) and max(abs(low), abs(high)) > 1:
        return (
            f"{where} has unit '{unit}' from {low:g} to {high:g}, and the page shows a share times "
            "100; give it a range within -1 to 1 and the unit 'share', or another unit"
        )
    return ""
