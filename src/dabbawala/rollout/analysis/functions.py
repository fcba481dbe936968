"""Functions that conditions may call: Argo's own, and expr-lang's that need no time and no I/O.

Source: Argo Rollouts, utils/evaluate/evaluate.go; expr-lang.org/docs/language-definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_int(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if not is_number(value):
        raise ValueError(f"asInt() not supported on {type(value).__name__}")
    return int(value)


def as_float(value: Any) -> float:
    if not is_number(value) and not isinstance(value, str):
        raise ValueError(f"asFloat() not supported on {type(value).__name__}")
    return float(value)


def is_nan(value: Any) -> bool:
    return math.isnan(_only(value))


def is_inf(value: Any) -> bool:
    return math.isinf(_only(value))


def _only(value: Any) -> float:
    if not is_number(value):
        raise ValueError(f"expected a number, got {type(value).__name__}")
    return float(value)


def is_nil(value: Any) -> bool:
    """Nothing at all, or a measurement without elements."""
    return value is None or value == []


def default(value: Any, otherwise: Any) -> Any:
    """The value, or the other where there is none: nil, an empty list, or a list that is only NaN."""
    if is_nil(value) or (isinstance(value, float) and math.isnan(value)):
        return otherwise
    if isinstance(value, list) and all(isinstance(item, float) and math.isnan(item) for item in value):
        return otherwise
    return value


def _numbers(*values: Any) -> list[float]:
    found = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if not found or not all(map(is_number, found)):
        raise ValueError("expected numbers")
    return found


def mean(*values: Any) -> float:
    found = _numbers(*values)
    return sum(found) / len(found)


def median(*values: Any) -> float:
    found = sorted(_numbers(*values))
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _keys(value: Mapping[str, Any]) -> list[str]:
    return list(value.keys())


def _values(value: Mapping[str, Any]) -> list[Any]:
    return list(value.values())


def _type(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "map"}
    return "nil" if value is None else names.get(type(value), "unknown")


def _sort(items: list[Any], order: str = "asc") -> list[Any]:
    return sorted(items, reverse=order == "desc")


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator)


def _join(items: list[str], separator: str = "") -> str:
    return separator.join(items)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "asInt": as_int,
    "asFloat": as_float,
    "isNaN": is_nan,
    "isInf": is_inf,
    "isNil": is_nil,
    "default": default,
    "len": len,
    "int": as_int,
    "float": as_float,
    "string": str,
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": lambda value: math.floor(value + 0.5) if value >= 0 else -math.floor(-value + 0.5),
    "min": lambda *values: min(_numbers(*values)),
    "max": lambda *values: max(_numbers(*values)),
    "mean": mean,
    "median": median,
    "first": lambda items: items[0] if items else None,
    "last": lambda items: items[-1] if items else None,
    "reverse": lambda items: items[::-1],
    "sort": _sort,
    "uniq": lambda items: list(dict.fromkeys(items)),
    "concat": lambda *lists: [item for items in lists for item in items],
    "keys": _keys,
    "values": _values,
    "type": _type,
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "split": _split,
    "join": _join,
    "hasPrefix": str.startswith,
    "hasSuffix": str.endswith,
    "indexOf": str.find,
    "replace": str.replace,
}
