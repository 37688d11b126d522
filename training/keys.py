"""The keys of a recipe: each is declared once, with its meaning and range, and checked here.

A key is a field of a dataclass, `Annotated` with a `Key`. The docs' tables come from the same
fields.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from sims.errors import UserError

LONGEST = 60  # letters of a value that an error repeats


@dataclass(frozen=True)
class Key:
    """The meaning of a key, and its allowed values.

    `least` and `most` bound a number, or each number of a list or table; `count` the length of a
    list; `choices` are the allowed strings.
    """

    meaning: str
    least: float = 0
    most: float = 10**6
    count: tuple[int, int] = (0, 1000)
    choices: tuple[str, ...] = ()


def read(cls: Any, values: Any, where: str, prefix: str = "", partial: bool = False) -> Any:
    """Make a dataclass of plain values; UserError with the key for a wrong value.

    With `partial`, keys may be missing, and the result is None.
    """
    hints = get_type_hints(cls, include_extras=True)
    if not isinstance(values, Mapping):
        raise wrong(where, f"{prefix.rstrip('.') or 'it'} is no table")
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.0)[0]
            raise wrong(
                where, f"unknown key {prefix}{str(key)[:LONGEST]}; nearest is {prefix}{near}"
            )
    made = {}
    for part in fields(cls):
        name = prefix + part.name
        if part.name in values:
            made[part.name] = _convert(hints[part.name], values[part.name], where, name, Key(""))
        elif not partial and part.default is MISSING and part.default_factory is MISSING:
            raise wrong(where, f"missing key {name} ({say(hints[part.name])})")
    return None if partial else cls(**made)


def wrong(where: str, what: str) -> UserError:
    """Return the error of a recipe, with what to do."""
    return UserError(f"{where}: {what}. Run: mend that file, then the same command again")


def shown(value: object) -> str:
    """Return a value as an error repeats it: only the beginning of a long one."""
    try:
        text = repr(value)
    except ValueError:  # A number with more digits than Python writes out.
        return "a number of thousands of digits"
    except RecursionError:
        return "what is nested too deep"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _convert(hint: Any, value: Any, where: str, name: str, key: Key) -> Any:
    """Check `value` against a type hint and return it in that type."""
    if get_origin(hint) is Annotated:
        hint, key = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(arg for arg in get_args(hint) if arg is not types.NoneType)
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(value, hint):  # type: ignore[arg-type]
        return value  # It was read already.
    if is_dataclass(hint) and isinstance(value, dict):
        # A table within a list may lack optional keys.
        return read(hint, value, where, name + ".", partial=name.endswith("]")) or value
    if origin is list and isinstance(value, list):
        low, high = key.count
        if not low <= len(value) <= high:
            raise wrong(where, f"{name} lists {len(value)}; it must list {_span(low, high)}")
        items = enumerate(value)
        return [_convert(args[0], item, where, f"{name}[{i}]", key) for i, item in items]
    if origin is dict and isinstance(value, dict):
        return {k: _convert(args[1], item, where, f"{name}.{k}", key) for k, item in value.items()}
    if hint is str and isinstance(value, str) and key.choices and value not in key.choices:
        near = difflib.get_close_matches(value, key.choices, n=1, cutoff=0.0)[0]
        known = ", ".join(key.choices)
        raise wrong(where, f"{name} is {shown(value)}, none of {known}; nearest is '{near}'")
    if hint is Any or (hint in (str, bool) and isinstance(value, hint)):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = hint is float or (hint is int and isinstance(value, int))
    if number and fits and key.least <= value <= key.most:  # NaN is in no range.
        return hint(value)
    raise wrong(where, f"{name} is {shown(value)}; it must be {say(hint, key)}")


def say(hint: Any, key: Key | None = None) -> str:
    """Return a type as a user knows it from TOML, with the range of its key."""
    if get_origin(hint) is Annotated:
        hint, key = get_args(hint)
    args = get_args(hint)
    if is_dataclass(hint):
        return "a table"
    if get_origin(hint) in (Union, types.UnionType):
        return say(args[0], key)
    if get_origin(hint) is list:
        return f"a list, each {say(args[0], key)}"
    if get_origin(hint) is dict:
        return f"a table, each value {say(args[1], key)}"
    plain = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    word = plain.get(hint, "a value")
    if key and hint in (int, float):
        return f"{word} from {_number(key.least)} to {_number(key.most)}"
    return f"one of {', '.join(key.choices)}" if key and key.choices else word


def _number(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() and value >= 1 else f"{value:g}"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"
