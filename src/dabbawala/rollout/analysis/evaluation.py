"""The condition language of analyses: evaluation of what `expression` has parsed.

Numbers compare as numbers; a comparison of different kinds of values, a missing index or an unknown name is an error,
never false, so that a condition that cannot be judged is never taken for a passed one. Source: expr-lang.org/docs;
Argo Rollouts, utils/evaluate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dabbawala.apimachinery import patterns
from dabbawala.rollout.analysis.expression import BadExpression, Node, parse
from dabbawala.rollout.analysis.functions import FUNCTIONS, is_number

PATTERN_MAX, MATCHED_MAX = 1_000, 10_000
"""Characters of a pattern of `matches`, and of the text it is tried on."""

RANGE_MAX = 100_000
"""Elements of `a..b`."""

Names = Mapping[str, Any]

compiled: Callable[[str], Node] = lru_cache(maxsize=1024)(parse)


def condition(text: str, result: Any) -> bool:
    """Whether the condition holds for a measured result. Raises BadExpression when it gives no yes or no."""
    value = evaluate(text, {"result": result})
    if not isinstance(value, bool):
        raise BadExpression(f"expected bool, but got {_kind(value)}: {text!r}")
    return value


def evaluate(text: str, names: Names) -> Any:
    """The value of an expression. Raises BadExpression."""
    try:
        return _value(compiled(text), names)
    except (ZeroDivisionError, OverflowError, RecursionError, patterns.BadPattern) as wrong:
        raise BadExpression(f"{wrong or type(wrong).__name__}: {text!r}") from wrong


def _value(node: Node, names: Names) -> Any:
    return _EVALUATORS[node.kind](node.parts, names)


def _name(parts: tuple[Any, ...], names: Names) -> Any:
    if parts[0] not in names:
        raise BadExpression(f"unknown name {parts[0]}")
    return names[parts[0]]


def _list(parts: tuple[Any, ...], names: Names) -> list[Any]:
    return [_value(item, names) for item in parts]


def _map(parts: tuple[Any, ...], names: Names) -> dict[str, Any]:
    return {key: _value(item, names) for key, item in parts}


def _choice(parts: tuple[Any, ...], names: Names) -> Any:
    return _value(parts[1 if _truth(_value(parts[0], names)) else 2], names)


def _unary(parts: tuple[Any, ...], names: Names) -> Any:
    operator, operand = parts[0], _value(parts[1], names)
    if operator == "not":
        return not _truth(operand)
    if not is_number(operand):
        raise BadExpression(f"{operator} of {_kind(operand)}")
    return -operand if operator == "-" else operand


def _binary(parts: tuple[Any, ...], names: Names) -> Any:
    operator, left = parts[0], _value(parts[1], names)
    if operator in ("and", "or"):
        return _truth(_value(parts[2], names)) if _truth(left) is (operator == "and") else operator == "or"
    if operator == "??":
        return left if left is not None else _value(parts[2], names)
    return OPERATORS[operator](left, _value(parts[2], names))


def _member(parts: tuple[Any, ...], names: Names) -> Any:
    try:
        holder = _value(parts[0], names)
    except BadExpression:
        if parts[2]:
            return None
        raise
    if holder is None and parts[2]:
        return None
    if not isinstance(holder, Mapping):
        raise BadExpression(f"cannot fetch {parts[1]} from {_kind(holder)}")
    return holder.get(parts[1])


def _index(parts: tuple[Any, ...], names: Names) -> Any:
    holder, at = _value(parts[0], names), _value(parts[1], names)
    if isinstance(holder, Mapping):
        return holder.get(at)
    if not isinstance(holder, list | str) or not is_number(at) or int(at) != at:
        raise BadExpression(f"cannot fetch {at!r} from {_kind(holder)}")
    if not -len(holder) <= at < len(holder):
        raise BadExpression(f"index out of range: {int(at)} (array length is {len(holder)})")
    return holder[int(at)]


def _slice(parts: tuple[Any, ...], names: Names) -> Any:
    holder = _value(parts[0], names)
    if not isinstance(holder, list | str):
        raise BadExpression(f"cannot slice {_kind(holder)}")
    bounds = [None if part is None else _value(part, names) for part in parts[1:]]
    if any(bound is not None and not is_number(bound) for bound in bounds):
        raise BadExpression("the bounds of a slice must be numbers")
    start, end = (None if bound is None else int(bound) for bound in bounds)
    return holder[start:end]


def _call(parts: tuple[Any, ...], names: Names) -> Any:
    name, arguments = parts
    if name in _CLOSURES:
        return _closure(name, arguments, names)
    function = FUNCTIONS.get(name)
    if function is None:
        raise BadExpression(f"unknown function {name}")
    values = [_value(argument, names) for argument in arguments]
    try:
        return function(*values)
    except (TypeError, ValueError, AttributeError) as wrong:
        raise BadExpression(f"{name}({', '.join(map(_kind, values))}): {wrong}") from wrong


def _closure(name: str, arguments: tuple[Node, ...], names: Names) -> Any:
    if not 1 <= len(arguments) <= 2:
        raise BadExpression(f"{name} takes a list and a predicate")
    items = _value(arguments[0], names)
    if not isinstance(items, list):
        raise BadExpression(f"{name} of {_kind(items)}")
    if len(arguments) == 1:
        if name not in ("count", "sum", "all", "any"):
            raise BadExpression(f"{name} takes a predicate")
        return _CLOSURES[name](items, iter(items))
    return _CLOSURES[name](items, _each(items, arguments[1], names))


def _each(items: list[Any], body: Node, names: Names) -> Iterator[Any]:
    for position, item in enumerate(items):
        scope = {**names, "#": item, "#index": position}
        if isinstance(item, Mapping):
            scope |= {key: value for key, value in item.items() if key not in names}
        yield _value(body, scope)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadExpression(f"expected bool, but got {_kind(value)}")
    return value


_CLOSURES: dict[str, Callable[[list[Any], Iterator[Any]], Any]] = {
    "all": lambda items, values: all(_truth(value) for value in values),
    "any": lambda items, values: any(_truth(value) for value in values),
    "none": lambda items, values: not any(_truth(value) for value in values),
    "one": lambda items, values: sum(_truth(value) for value in values) == 1,
    "filter": lambda items, values: [item for item, keep in zip(items, values, strict=True) if _truth(keep)],
    "map": lambda items, values: list(values),
    "count": lambda items, values: sum(_truth(value) for value in values),
    "sum": lambda items, values: sum(values),
    "find": lambda items, values: next((i for i, keep in zip(items, values, strict=True) if _truth(keep)), None),
    "findIndex": lambda items, values: next((at for at, keep in enumerate(values) if _truth(keep)), -1),
    "findLast": lambda items, values: next(
        (i for i, keep in reversed(list(zip(items, values, strict=True))) if _truth(keep)), None
    ),
    "groupBy": lambda items, values: _grouped(items, values),
}


def _grouped(items: list[Any], values: Iterator[Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for item, key in zip(items, values, strict=True):
        groups.setdefault(key, []).append(item)
    return groups


_EVALUATORS: dict[str, Callable[[tuple[Any, ...], Names], Any]] = {
    "value": lambda parts, names: parts[0],
    "name": _name,
    "list": _list,
    "map": _map,
    "if": _choice,
    "unary": _unary,
    "binary": _binary,
    "member": _member,
    "index": _index,
    "slice": _slice,
    "call": _call,
}


# Operators.


def _equal(left: Any, right: Any) -> bool:
    if not _alike(left, right):
        raise BadExpression(_mismatch(left, right))
    return _same(left, right)


def _alike(left: Any, right: Any) -> bool:
    """Whether the two can be equal at all; nil can be compared with everything."""
    return left is None or right is None or (is_number(left) and is_number(right)) or _kind(left) == _kind(right)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(item, right[key]) for key, item in left.items())
    return _alike(left, right) and bool(left == right)


def _mismatch(left: Any, right: Any) -> str:
    kinds = _kind(left), _kind(right)
    remedy = "; for the first element of a result write result[0]" if "array" in kinds and kinds[0] != kinds[1] else ""
    return f"cannot compare {kinds[0]} with {kinds[1]}{remedy}"


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return compare(left, right)
        raise BadExpression(_mismatch(left, right))

    return check


def _arithmetic(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def check(left: Any, right: Any) -> Any:
        if not is_number(left) or not is_number(right):
            raise BadExpression(f"no arithmetic on {_kind(left)} and {_kind(right)}")
        return operate(left, right)

    return check


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _arithmetic(lambda a, b: a + b)(left, right)


def _divide(left: float, right: float) -> float:
    """As Go does with floats: no error, but an infinity or NaN that a condition can ask about."""
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _within(left: Any, right: Any) -> bool:
    if isinstance(right, Mapping):
        return left in right
    if isinstance(right, list):
        if right and not any(_alike(left, item) for item in right):
            raise BadExpression(_mismatch(left, right[0]))
        return any(_same(left, item) for item in right)
    raise BadExpression(f"cannot look into {_kind(right)}")


def _text(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if not isinstance(left, str) or not isinstance(right, str):
            raise BadExpression(f"expected strings, got {_kind(left)} and {_kind(right)}")
        return check(left, right)

    return apply


def _matches(text: str, pattern: str) -> bool:
    if len(pattern) > PATTERN_MAX or len(text) > MATCHED_MAX:
        raise BadExpression(f"matches takes {PATTERN_MAX} characters of pattern and {MATCHED_MAX} of text")
    return patterns.within(pattern)(text)


def _range(left: Any, right: Any) -> list[int]:
    if right - left > RANGE_MAX:
        raise BadExpression(f"a range has more than {RANGE_MAX} elements")
    return list(range(int(left), int(right) + 1))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": _within,
    "contains": _text(lambda left, right: right in left),
    "startsWith": _text(str.startswith),
    "endsWith": _text(str.endswith),
    "matches": _text(_matches),
    "+": _add,
    "-": _arithmetic(lambda left, right: left - right),
    "*": _arithmetic(lambda left, right: left * right),
    "/": _arithmetic(_divide),
    "%": _arithmetic(math.fmod),
    "**": _arithmetic(lambda left, right: float(left) ** right),
    "..": _arithmetic(_range),
}


def _kind(value: Any) -> str:
    if value is None:
        return "nil"
    names = {bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "map"}
    return names.get(type(value), type(value).__name__)
