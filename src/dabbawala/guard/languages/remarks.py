"""Comments that say another number than the value beside them: `weight: 5  # 10 %`, `interval: 300s  # every minute`.

Only what can be compared is: a comment with exactly one number and a unit, beside a value whose unit is known. What
leaves any doubt says nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

COMMENT = re.compile(r"(?:^|\s)#+\s*(\S.*?)\s*$")
NUMBER = re.compile(r"(?<![\w.:/@-])(\d[\d,_]*(?:\.\d+)?)\s*-?\s*(%|percent\b|[A-Za-z]+)?")

_SECONDS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}  # fmt: skip
_BYTES = {
    **dict.fromkeys(("KB", "KiB", "Ki"), 10), **dict.fromkeys(("MB", "MiB", "Mi"), 20),
    **dict.fromkeys(("GB", "GiB", "Gi"), 30), **dict.fromkeys(("TB", "TiB", "Ti"), 40),
}  # fmt: skip
_COUNTS = {
    "replicas": ("replica", "replicas", "pod", "pods", "instance", "instances", "copies"),
    "instances": ("instance", "instances", "node", "nodes", "replica", "replicas"),
    "attempts": ("attempt", "attempts", "retry", "retries", "time", "times"),
    "backoffLimit": ("attempt", "attempts", "retry", "retries", "time", "times"),
    "minReplicas": ("replica", "replicas", "pod", "pods"),
    "maxReplicas": ("replica", "replicas", "pod", "pods"),
    "count": ("measurement", "measurements", "time", "times"),
}  # fmt: skip
_PERCENTS = frozenset(("weight", "setWeight", "averageUtilization", "maxEjectionPercent", "minHealthPercent"))
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([KMGT]i?B?)")
_ENDING = (
    ("Milliseconds", 0.001),
    ("Ms", 0.001),
    ("Seconds", 1.0),
    ("Minutes", 60.0),
    ("Hours", 3600.0),
    ("Days", 86400.0),
)
_PLAIN_SECONDS = frozenset(("duration", "interval", "timeout", "stabilizationWindowSeconds"))
_HEDGED = re.compile(
    r"\b(?:was|were|from|instead|default|previous|before|after|until|than|not|max|min|up to|at least|at most|per|each"
    r"|about|approx|around|other|total|first|last|between|if|when|would|should|could|vs|over|under|older|within|x)\b"
    r"|[~<>=*/+]|->",
    re.IGNORECASE,
)
_AGREE = 0.06
"""How far two measures of one thing may be apart: a GB is seven hundredths less than a Gi."""


class Said(NamedTuple):
    """A number of a comment and the unit behind it."""

    number: float
    unit: str


def contradiction(field: str, value: Any, comment: str) -> str:
    """What a comment says of its field's value, where that is something else; empty where it agrees or nobody knows."""
    said = _said(comment)
    if said is None:
        return ""
    for measure in (_percent, _seconds, _bytes, _count):
        found = measure(field, value, said)
        if found is not None:
            meant, stated = found
            wide = 0.1 if measure is _bytes else _AGREE / 100
            return "" if abs(meant - stated) <= wide * max(meant, stated) else f"{said.number:g} {said.unit}".strip()
    return ""


def _said(comment: str) -> Said | None:
    if _HEDGED.search(comment) or len(comment) > 120:
        return None
    numbers = NUMBER.findall(comment)
    if len(numbers) != 1 or len(re.findall(r"\d+", comment.replace(",", ""))) > 2:
        return None
    text, unit = numbers[0]
    return Said(float(text.replace(",", "").replace("_", "")), unit)


_Pair = tuple[float, float]


def _percent(field: str, value: Any, said: Said) -> _Pair | None:
    if said.unit not in ("%", "percent"):
        return None
    if isinstance(value, str) and re.fullmatch(r"\d+(?:\.\d+)?%", value):
        return float(value[:-1]), said.number
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (float(value), said.number) if is_number and field in _PERCENTS else None


def _seconds(field: str, value: Any, said: Said) -> _Pair | None:
    unit = _SECONDS.get(said.unit.lower())
    if unit is None or field == "cpu" or (said.unit == "m" and not isinstance(value, str)):
        return None
    stated = said.number * unit
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return sum(float(n) * _SECONDS[u] for n, u in _DURATION_PART.findall(value)), stated
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    factor = next((factor for ending, factor in _ENDING if field.endswith(ending)), None)
    if factor is None and field in _PLAIN_SECONDS:
        factor = 1.0
    return None if factor is None else (float(value) * factor, stated)


def _bytes(field: str, value: Any, said: Said) -> _Pair | None:
    exponent = _BYTES.get(said.unit)
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if exponent is None or found is None:
        return None
    own = _BYTES.get(found[2], _BYTES.get(f"{found[2]}B", 0))
    return (float(found[1]) * 2.0**own, said.number * 2.0**exponent) if own else None


def _count(field: str, value: Any, said: Said) -> _Pair | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return (float(value), said.number) if said.unit.lower() in _COUNTS.get(field, ()) else None


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Path, name and value of everything in an object that is no collection."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = str(key)
            step = name if name.isidentifier() else f"['{name}']"
            yield from leaves(item, f"{path}.{step}" if path and step == name else f"{path}{step}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, re.sub(r"\[\d+\]$", "", path).rpartition(".")[2], value
