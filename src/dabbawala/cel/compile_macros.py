"""Macros arrive expanded; the standard ones are known again by the shape of their step."""

from __future__ import annotations

from typing import NamedTuple

from dabbawala.cel.tree import Call, Const, Fold, Ident, ListOf, Node

_TESTING, _BUILDING = 8, 16  # at least what the parts of a macro itself cost in a round


class Macro(NamedTuple):
    """What a comprehension of a standard macro does."""

    kind: str
    start: str
    test: Node | None
    made: Node | None
    overhead: int


def macro(node: Fold) -> Macro | None:
    """The standard macro that a comprehension was written as."""
    step = node.step
    if not isinstance(step, Call):
        return None
    if step.function in ("_&&_", "_||_") and _is_name(step.arguments[0], node.accumulator):
        kind = "all" if step.function == "_&&_" else "exists"
        return Macro(kind, str(kind == "all"), step.arguments[1], None, _TESTING)
    test: Node | None = None
    change: Node = step
    if step.function == "_?_:_":
        test, change = step.arguments[:2]
    if not isinstance(change, Call) or change.function != "_+_" or not _is_name(change.arguments[0], node.accumulator):
        return None
    added = change.arguments[1]
    if isinstance(added, Const) and test is not None:
        return Macro("exists_one", "0", test, None, _TESTING)
    if isinstance(added, ListOf) and len(added.elements) == 1 and not added.optional:
        return Macro("map", "[]", test, added.elements[0], _BUILDING)
    return None


def _is_name(node: Node, name: str) -> bool:
    return isinstance(node, Ident) and node.name == name
