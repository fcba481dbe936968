"""Binary operators: arithmetic, comparison, sets, and how two vectors match. Source: Prometheus promql/engine.go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql.values import Element, QueryError, Value, Vector


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _modulo(a: float, b: float) -> float:
    return math.nan if b == 0 or math.isinf(a) else math.fmod(a, b)


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.inf if a > 0 or b % 2 == 0 else -math.inf
    except ValueError:
        return math.inf if a == 0 else math.nan


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": _modulo,
    "^": _power,
    "atan2": math.atan2,
}
COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Matching:
    """How elements find each other. `card` is one-to-one, many-to-one (group_left) or one-to-many."""

    on: bool = False
    names: tuple[str, ...] = ()
    card: str = "one-to-one"
    include: tuple[str, ...] = ()

    def signature(self, of: labels.Labels) -> labels.Labels:
        return labels.only(of, self.names) if self.on else labels.without(of, (*self.names, labels.NAME))


def apply(op: str, left: Value, right: Value, matching: Matching, return_bool: bool) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        return ARITHMETIC[op](left, right) if op in ARITHMETIC else float(COMPARISON[op](left, right))
    if isinstance(left, list) and isinstance(right, list):
        if op in SETS:
            return _set(op, left, right, matching)  # type: ignore[arg-type]  # the parser allows only vectors here
        return _vectors(op, left, right, matching, return_bool)  # type: ignore[arg-type]
    return _with_scalar(op, left, right, return_bool)


def _with_scalar(op: str, left: Value, right: Value, return_bool: bool) -> Vector:
    scalar_first = isinstance(left, float)
    vector: Vector = right if scalar_first else left  # type: ignore[assignment]
    result = []
    for e in vector:
        a, b = (left, e.value) if scalar_first else (e.value, right)
        value, keep = _combine(op, a, b, return_bool)  # type: ignore[arg-type]
        if not keep:
            continue
        bare = op in ARITHMETIC or return_bool
        shown = value if bare else e.value
        result.append(Element(labels.nameless(e.labels) if bare else e.labels, shown, e.time_ms))
    return result


def _combine(op: str, a: float, b: float, return_bool: bool) -> tuple[float, bool]:
    """The value, and whether the element stays."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](a, b), True
    holds = COMPARISON[op](a, b)
    return (float(holds), True) if return_bool else (a, holds)


def _set(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    there = {matching.signature(e.labels) for e in right}
    match op:
        case "and":
            return [e for e in left if matching.signature(e.labels) in there]
        case "unless":
            return [e for e in left if matching.signature(e.labels) not in there]
    here = {matching.signature(e.labels) for e in left}
    return left + [e for e in right if matching.signature(e.labels) not in here]


def _vectors(op: str, left: Vector, right: Vector, matching: Matching, return_bool: bool) -> Vector:
    swapped = matching.card == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    ones = _one_side(one, matching, "left" if swapped else "right")
    result: dict[labels.Labels, Element] = {}
    matched: set[labels.Labels] = set()
    for e in many:
        signature = matching.signature(e.labels)
        other = ones.get(signature)
        if other is None:
            continue
        a, b = (other.value, e.value) if swapped else (e.value, other.value)
        value, keep = _combine(op, a, b, return_bool)
        if matching.card == "one-to-one":
            if signature in matched:
                raise QueryError(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            matched.add(signature)
        if not keep:
            continue
        name = _result_labels(e.labels, other.labels, op, matching, return_bool)
        if name in result:
            raise QueryError("multiple matches for labels: grouping labels must ensure unique matches")
        result[name] = Element(name, value, e.time_ms)
    return list(result.values())


def _one_side(one: Vector, matching: Matching, side: str) -> dict[labels.Labels, Element]:
    ones: dict[labels.Labels, Element] = {}
    for e in one:
        signature = matching.signature(e.labels)
        if signature in ones:
            group = "{" + ", ".join(f'{name}="{value}"' for name, value in signature) + "}"
            raise QueryError(
                f"found duplicate series for the match group {group} on the {side} hand-side of the operation;"
                "many-to-many matching not allowed: matching labels must be unique on one side"
            )
        ones[signature] = e
    return ones


def _result_labels(
    many: labels.Labels, one: labels.Labels, op: str, matching: Matching, return_bool: bool
) -> labels.Labels:
    result = labels.nameless(many) if op in ARITHMETIC or return_bool else many
    if matching.card == "one-to-one":
        return labels.only(result, matching.names) if matching.on else labels.without(result, matching.names)
    for name in matching.include:
        result = labels.replaced(result, name, labels.get(one, name))
    return result
