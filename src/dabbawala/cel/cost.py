"""What a call costs in Kubernetes' units: about ten million of them are a second.

Sources: cel-go's interpreter/runtimecost.go and ext/sets.go, Kubernetes' apiserver/pkg/cel/library/cost.go. A rule is
a number, or the name of a function in RULES that takes the arguments and the result. The server folds constant
literals and conversions before it counts anything (cel-go's OptOptimize), so those cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from dabbawala.cel.tree import Call, Const, ListOf, MapOf, Node
from dabbawala.cel.values import MixedMap, Uint, is_map

PER_EXPRESSION = 1_000_000
LIST, MAP = 10, 30  # making one
AUTHORIZATION_CHECK = 350_000  # so that an expression has two of them
_TEXT, _PATTERN = 0.1, 0.25  # a character of text, and of a pattern
CONVERSIONS = frozenset({"bool", "bytes", "double", "dyn", "duration", "int", "string", "timestamp", "type", "uint"})
_SIZED = (str, bytes, list, dict, MixedMap)

Arguments = Sequence[Any]


def is_constant(node: Node) -> bool:
    """Whether the server folds it into one value before it runs."""
    if isinstance(node, Const):
        return True
    if isinstance(node, ListOf):
        return not node.optional and all(map(is_constant, node.elements))
    if isinstance(node, MapOf):
        return all(is_constant(key) and is_constant(value) and not opt for key, value, opt in node.entries)
    if isinstance(node, Call):
        if is_set_membership(node):
            return not node.arguments[1].elements  # type: ignore[union-attr]  # is_set_membership saw a list
        return node.function in CONVERSIONS and len(node.arguments) == 1 and is_constant(node.arguments[0])
    return False


def is_set_membership(node: Call) -> bool:
    """`x in [constants]`, which the server turns into a look-up that costs nothing."""
    if node.function != "@in" or not isinstance(node.arguments[1], ListOf) or not is_constant(node.arguments[1]):
        return False
    return all(
        isinstance(element, Const) and isinstance(element.value, (bool, int, float, str, Uint))
        for element in node.arguments[1].elements
    )


def size(value: Any) -> int:
    """What a value counts as: the elements of what has any, else 1."""
    return len(value) if type(value) in _SIZED else getattr(value, "cel_size", 1)


def text(length: float) -> int:
    return ceil(round(length * _TEXT, 9))


def traversal(value: Any) -> int:
    if type(value) is str:
        return int(len(value.encode()) * _TEXT)
    if type(value) is bytes:
        return int(len(value) * _TEXT)
    if type(value) is list:
        return sum(map(traversal, value))
    if is_map(value):
        return sum(traversal(key) + traversal(part) for key, part in value.items())
    return 1


def of_first(arguments: Arguments, result: Any) -> int:
    return text(size(arguments[0]))


def of_first_twice(arguments: Arguments, result: Any) -> int:
    return text(size(arguments[0]) * 2)


def of_result(arguments: Arguments, result: Any) -> int:
    return text(size(result) * 2)


def of_traversal(arguments: Arguments, result: Any) -> int:
    return traversal(arguments[0])


def of_pattern(arguments: Arguments, result: Any) -> int:
    return text(1 + size(arguments[0])) * ceil(size(arguments[1]) * _PATTERN)


def of_part(arguments: Arguments, result: Any) -> int:
    return text(size(arguments[0])) * text(size(arguments[1]))


def of_comparison(arguments: Arguments, result: Any) -> int:
    return text(min(size(arguments[0]), size(arguments[1])))


def of_sum(arguments: Arguments, result: Any) -> int:
    return text(size(arguments[0]) + size(arguments[1]))


def of_membership(arguments: Arguments, result: Any) -> int:
    return size(arguments[1])


def of_product(arguments: Arguments, result: Any) -> int:
    return 1 + size(arguments[0]) * size(arguments[1])


def of_two_products(arguments: Arguments, result: Any) -> int:
    return 1 + 2 * size(arguments[0]) * size(arguments[1])


def of_contained_ip(arguments: Arguments, result: Any) -> int:
    parsed = text(size(arguments[1])) if type(arguments[1]) is str else 0
    return text(2 * size(arguments[0])) + parsed


def of_contained_cidr(arguments: Arguments, result: Any) -> int:
    return of_contained_ip(arguments, result) + text(size(arguments[0])) + 1


def of_selector(arguments: Arguments, result: Any) -> int:
    """Parsing a selector, and a requirement of it for every two characters."""
    length = size(arguments[1])
    return LIST + ceil(length / 2) * 50 + text(length)


Rule = Callable[[Arguments, Any], int]
RULES: dict[str, Rule] = {
    f"cost_{rule.__name__}": rule
    for rule in (
        of_first, of_first_twice, of_result, of_traversal, of_pattern, of_part, of_comparison, of_sum, of_membership,
        of_product, of_two_products, of_contained_ip, of_contained_cidr, of_selector,
    )
}  # fmt: skip

_BY_FUNCTION: dict[str, int | str] = {
    "check": AUTHORIZATION_CHECK,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), "cost_of_traversal"),
    **dict.fromkeys(
        ("url", "lowerAscii", "upperAscii", "substring", "trim", "strings.quote", "format"), "cost_of_first"
    ),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity"), "cost_of_first"),
    **dict.fromkeys(("replace", "split", "ip.isCanonical"), "cost_of_first_twice"),
    "join": "cost_of_result",
    **dict.fromkeys(("find", "findAll"), "cost_of_pattern"),
    "containsIP": "cost_of_contained_ip",
    "containsCIDR": "cost_of_contained_cidr",
    **dict.fromkeys(("fieldSelector", "labelSelector"), "cost_of_selector"),
    **dict.fromkeys(("_==_", "_!=_"), "cost_of_comparison"),
    **dict.fromkeys(("sets.contains", "sets.intersects"), "cost_of_product"),
    "sets.equivalent": "cost_of_two_products",
}
_BY_OVERLOAD: dict[str, str] = {
    **dict.fromkeys(("starts_with_string", "ends_with_string", "string_to_bytes", "bytes_to_string"), "cost_of_first"),
    "in_list": "cost_of_membership",
    **{
        f"{comparison}_{kind}": "cost_of_comparison"
        for comparison in ("less", "greater", "less_equals", "greater_equals")
        for kind in ("string", "bytes")
    },
    **dict.fromkeys(("add_string", "add_bytes"), "cost_of_sum"),
    "matches_string": "cost_of_pattern",
    "contains_string": "cost_of_part",
}
# Functions that the type of an empty list decides.
BY_TYPE = frozenset({"list_uint_sum_uint", "list_double_sum_double", "list_duration_sum_duration"})
# The server plans these as something else than a call.
_FREE = frozenset({"or", "orValue"})


def rule(node: Call) -> int | str:
    """What a call costs, or the name of the rule that says it."""
    overload = node.overloads[0] if len(node.overloads) == 1 else ""
    if node.function in _FREE or is_set_membership(node):
        return 0
    if overload == "cidr_ip":
        return 1
    found = _BY_FUNCTION.get(node.function)
    return found if found is not None else _BY_OVERLOAD.get(overload, 1)


def applied(node: Call, *, folding: bool = True) -> int | Rule:
    """The rule for a call; the same for all its evaluations."""
    if folding and is_constant(node):
        return 0
    found = rule(node)
    if found == 0 and not folding:
        found = _BY_OVERLOAD.get(node.overloads[0], 0) if node.overloads else 0
    return found if isinstance(found, int) else RULES[found]
