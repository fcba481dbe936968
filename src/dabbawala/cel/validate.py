"""What Kubernetes refuses in an expression beyond its types, and what it would fail to make a program of.

Literals of lists and maps have elements of one type (cel-go's ValidateHomogeneousAggregateLiterals; arguments of
`format` may differ). Patterns, durations, timestamps and other conversions of constants must succeed, because the
server makes them before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dabbawala.cel import cost
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.interpret import Evaluation
from dabbawala.cel.strings import pattern
from dabbawala.cel.tree import Call, Checked, Const, Fold, ListOf, MapOf, Node, Select

_PATTERNS = ("matches", "find", "findAll")


class Fault(NamedTuple):
    id: int
    message: str


def first_fault(checked: Checked, functions: Mapping[str, Callable[..., Any]]) -> Fault | None:
    return next(_faults(checked, checked.root, functions), None)


def _faults(
    checked: Checked, node: Node, functions: Mapping[str, Callable[..., Any]], *, exempt: bool = False
) -> Iterator[Fault]:
    formats = isinstance(node, Call) and node.function == "format"
    for place, child in enumerate(_children(node)):
        yield from _faults(checked, child, functions, exempt=exempt or (formats and place == 1))
    if exempt and isinstance(node, ListOf | MapOf):
        return
    if isinstance(node, ListOf):
        kinds = [_element_type(checked, element, i in node.optional) for i, element in enumerate(node.elements)]
        yield from _mixed(node.elements, kinds)
    elif isinstance(node, MapOf):
        keys, values = [key for key, _, _ in node.entries], [value for _, value, _ in node.entries]
        yield from _mixed(keys, [_type(checked, key) for key in keys])
        yield from _mixed(values, [_element_type(checked, value, opt) for _, value, opt in node.entries])
    elif isinstance(node, Call):
        yield from _constant_fault(node, functions)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments
        case ListOf():
            return node.elements
        case MapOf():
            return tuple(part for key, value, _ in node.entries for part in (key, value))
        case Fold():
            return (node.range, node.initial, node.condition, node.step, node.result)
    return ()


def _type(checked: Checked, node: Node) -> str:
    return checked.types.get(node.id, "dyn")


def _element_type(checked: Checked, node: Node, optional: bool) -> str:
    kind = _type(checked, node)
    return kind.removeprefix("optional_type<").removesuffix(">") if optional else kind


def _mixed(nodes: Sequence[Node], kinds: list[str]) -> Iterator[Fault]:
    for node, kind in zip(nodes, kinds, strict=True):
        if kind != kinds[0]:
            yield Fault(node.id, f"expected type '{kinds[0]}' but found '{kind}'")
            return


def _constant_fault(node: Call, functions: Mapping[str, Callable[..., Any]]) -> Iterator[Fault]:
    try:
        if node.function in _PATTERNS and isinstance(node.arguments[1], Const):
            pattern(node.arguments[1].value)
        elif node.function in cost.CONVERSIONS and cost.is_constant(node):
            Evaluation({}, functions).run(node)
    except EvaluationError as error:
        kind = node.function if node.function not in _PATTERNS else "matches"
        yield Fault(node.id, f"invalid {kind} argument: {error.message}")
