"""Functions of instant vectors, scalars and time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from dabbawala.apimachinery import patterns
from dabbawala.timeseries import labels
from dabbawala.timeseries.promql.values import Element, QueryError, Value, Vector

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def mapped(function: Callable[[float], float], vector: Vector) -> Vector:
    """The function of each value; the metric name goes, because it no longer tells the truth."""
    return [Element(labels.nameless(e.labels), function(e.value), e.time_ms) for e in vector]


def _guarded(function: Callable[[float], float]) -> Callable[[float], float]:
    """Where Python raises, IEEE 754 has an answer."""

    def call(value: float) -> float:
        try:
            return float(function(value))
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    return call


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    return _guarded(lambda value: -math.inf if value == 0 else function(value))


def _rounding(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)


def round_to(vector: Vector, nearest: float = 1.0) -> Vector:
    """Half up. Source: Prometheus funcRound, which inverts to keep precision."""
    if nearest == 0:
        return mapped(lambda _: math.nan, vector)
    inverse = 1.0 / nearest

    def rounded(value: float) -> float:
        scaled = value * inverse + 0.5
        return math.floor(scaled) / inverse if math.isfinite(scaled) else value

    return mapped(rounded, vector)


def clamp(vector: Vector, low: float, high: float) -> Vector:
    if low > high:
        return []
    if math.isnan(low) or math.isnan(high):
        return mapped(lambda _: math.nan, vector)
    return mapped(lambda v: v if math.isnan(v) else max(low, min(high, v)), vector)


def _calendar(read: Callable[[datetime], int]) -> Callable[[float], float]:
    return _guarded(lambda value: float(read(datetime.fromtimestamp(value, UTC))))


def _days_in_month(moment: datetime) -> int:
    following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return (following - datetime(moment.year, moment.month, 1, tzinfo=UTC)).days


MATH: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _rounding(math.ceil),
    "floor": _rounding(math.floor),
    "exp": _guarded(math.exp),
    "sqrt": _guarded(math.sqrt),
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sgn": _sign,
    "deg": math.degrees,
    "rad": math.radians,
    **{
        name: _guarded(getattr(math, name))
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")
    },
}

CALENDAR: dict[str, Callable[[float], float]] = {
    "minute": _calendar(lambda moment: moment.minute),
    "hour": _calendar(lambda moment: moment.hour),
    "day_of_week": _calendar(lambda moment: moment.isoweekday() % 7),
    "day_of_month": _calendar(lambda moment: moment.day),
    "day_of_year": _calendar(lambda moment: moment.timetuple().tm_yday),
    "days_in_month": _calendar(_days_in_month),
    "month": _calendar(lambda moment: moment.month),
    "year": _calendar(lambda moment: moment.year),
}


def in_order(vector: Vector, *, descending: bool) -> Vector:
    """By value, NaN last either way."""
    numbers = sorted((e for e in vector if e.value == e.value), key=lambda e: e.value, reverse=descending)
    return numbers + [e for e in vector if e.value != e.value]


def by_label(vector: Vector, *names: str, descending: bool = False) -> Vector:
    def key(element: Element) -> tuple[tuple[tuple[int, int | str], ...], ...]:
        return tuple(_natural(labels.get(element.labels, name)) for name in names)

    return sorted(vector, key=key, reverse=descending)


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """The pattern must match the whole value of the source label; where it does not, the series stays as it is."""
    _check_label(target, "label_replace")
    try:
        compiled = patterns.compiled(pattern, dot_all=True)
    except patterns.BadPattern as error:
        raise QueryError(f"invalid regular expression in label_replace(): {pattern}: {error}") from error
    return distinct([_replaced(e, compiled, target, replacement, source) for e in vector], "label_replace")


def _replaced(e: Element, pattern: patterns.Pattern, target: str, replacement: str, source: str) -> Element:
    found = pattern.fullmatch(labels.get(e.labels, source))
    if found is None:
        return e
    value = REFERENCE.sub(partial(_group, found), replacement)
    return Element(labels.replaced(e.labels, target, value), e.value, e.time_ms)


def _group(found: patterns.Match, reference: re.Match[str]) -> str:
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    try:
        return found[int(name) if name.isdigit() else name] or ""
    except IndexError:
        return ""


def label_join(vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    _check_label(target, "label_join")

    def joined(e: Element) -> Element:
        value = separator.join(labels.get(e.labels, source) for source in sources)
        return Element(labels.replaced(e.labels, target, value), e.value, e.time_ms)

    return distinct([joined(e) for e in vector], "label_join")


def _check_label(name: str, function: str) -> None:
    if not LABEL_NAME.fullmatch(name):
        raise QueryError(f"invalid label name in {function}(): {name}")


def distinct(vector: Vector, what: str) -> Vector:
    """The vector itself. Raises QueryError when two elements carry the same labels."""
    if len({e.labels for e in vector}) < len(vector):
        raise QueryError(f"{what}: vector cannot contain metrics with the same labelset")
    return vector


def scalar(vector: Vector) -> float:
    return vector[0].value if len(vector) == 1 else math.nan


def timestamps(vector: Vector) -> Vector:
    return [Element(labels.nameless(e.labels), e.time_ms / 1000, e.time_ms) for e in vector]


def call(name: str, arguments: list[Value], now_ms: int) -> Value | None:
    """The result of an instant function, or None when there is no function of that name here."""
    vector = arguments[0] if arguments and isinstance(arguments[0], list) else []
    rest = arguments[1:]
    if name in MATH:
        return mapped(MATH[name], vector)  # type: ignore[arg-type]  # the parser has checked the types
    if name in CALENDAR:
        moment = vector if arguments else [Element((), now_ms / 1000, now_ms)]
        return mapped(CALENDAR[name], moment)  # type: ignore[arg-type]
    function = OTHERS.get(name)
    return None if function is None else function(vector, *rest)


OTHERS: dict[str, Callable[..., Value]] = {
    "round": round_to,
    "clamp": clamp,
    "clamp_min": lambda vector, low: mapped(lambda v: v if math.isnan(v) else max(low, v), vector),
    "clamp_max": lambda vector, high: mapped(lambda v: v if math.isnan(v) else min(high, v), vector),
    "sort": lambda vector: in_order(vector, descending=False),
    "sort_desc": lambda vector: in_order(vector, descending=True),
    "sort_by_label": by_label,
    "sort_by_label_desc": lambda vector, *names: by_label(vector, *names, descending=True),
    "label_replace": label_replace,
    "label_join": label_join,
    "scalar": scalar,
    "timestamp": timestamps,
}
