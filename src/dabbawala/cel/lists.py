"""Kubernetes' functions on lists, and cel-go's on lists as sets.

Source: apiserver/pkg/cel/library/lists.go, cel-go's ext/sets.go.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from dabbawala.cel import arithmetic, strings
from dabbawala.cel.cost import PER_EXPRESSION
from dabbawala.cel.errors import CostExceeded, EvaluationError
from dabbawala.cel.times import Duration
from dabbawala.cel.values import Uint, contains, equals, signature


def _listed(function: str, value: Any, *others: Any) -> list[Any]:
    if type(value) is not list:
        raise signature(function, value, *others)
    return value


def is_sorted(items: Any) -> bool:
    _listed("isSorted", items)
    return not any(arithmetic.greater(left, right) for left, right in pairwise(items))


def sum_of(items: Any, start: Any = 0) -> Any:
    total = start
    for place, item in enumerate(_listed("sum", items)):
        total = arithmetic.add(total, item) if place or type(item) is type(total) else item
    return total


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[[Any], Any]:
    def extreme(items: Any) -> Any:
        if not _listed(name, items):
            raise EvaluationError(f"{name} called on empty list")
        best = items[0]
        for item in items[1:]:
            if better(item, best):
                best = item
        return best

    return extreme


def index_of(items: Any, wanted: Any, *start: Any) -> int:
    if type(items) is str:
        return strings.index_of(items, wanted, *start)
    for place, item in enumerate(_listed("indexOf", items, wanted, *start)):
        if equals(item, wanted):
            return place
    return -1


def last_index_of(items: Any, wanted: Any, *start: Any) -> int:
    if type(items) is str:
        return strings.last_index_of(items, wanted, *start)
    _listed("lastIndexOf", items, wanted, *start)
    for place in range(len(items) - 1, -1, -1):
        if equals(items[place], wanted):
            return place
    return -1


def _two_lists(function: str, left: Any, right: Any) -> None:
    """Raises CostExceeded before the work is done, when its cost would be over the limit of any expression."""
    if len(_listed(function, left, right)) * len(_listed(function, right, left)) > PER_EXPRESSION:
        raise CostExceeded("operation cancelled: actual cost limit exceeded")


def sets_contain(items: Any, wanted: Any) -> bool:
    _two_lists("sets.contains", items, wanted)
    return all(contains(one, items) for one in wanted)


def sets_equivalent(left: Any, right: Any) -> bool:
    return sets_contain(left, right) and sets_contain(right, left)


def sets_intersect(left: Any, right: Any) -> bool:
    _two_lists("sets.intersects", left, right)
    return any(contains(one, left) for one in right)


# By overload where the type of an empty list decides.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isSorted": is_sorted,
    "sum": sum_of,
    "list_uint_sum_uint": lambda items: sum_of(items, Uint(0)),
    "list_double_sum_double": lambda items: sum_of(items, 0.0),
    "list_duration_sum_duration": lambda items: sum_of(items, Duration(0)),
    "min": _extreme("min", arithmetic.less),
    "max": _extreme("max", arithmetic.greater),
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "sets.contains": sets_contain,
    "sets.equivalent": sets_equivalent,
    "sets.intersects": sets_intersect,
}
