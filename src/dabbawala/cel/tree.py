"""The checked tree of an expression, read from what the front end hands over (`cel.expr.CheckedExpr`).

Macros arrive expanded: a comprehension is a `Fold`. Names are resolved: `variables.x` is one `Ident`. Each call knows
the overloads that the checker found for it; types and places are looked up by a node's id.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from dabbawala.cel.types import from_wire
from dabbawala.cel.values import Uint
from dabbawala.cel.wire import fields, signed


@dataclass(frozen=True, slots=True)
class Const:
    id: int
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, or with `test` whether it is there: `has(operand.field)`."""

    id: int
    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator. The receiver of a member function is its first argument."""

    id: int
    function: str
    arguments: tuple[Node, ...]
    overloads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    id: int
    elements: tuple[Node, ...]
    optional: frozenset[int]


@dataclass(frozen=True, slots=True)
class MapOf:
    """Entries are (key, value, optional)."""

    id: int
    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Fold:
    id: int
    variable: str
    range: Node
    accumulator: str
    initial: Node
    condition: Node
    step: Node
    result: Node


Node = Const | Ident | Select | Call | ListOf | MapOf | Fold


@dataclass(frozen=True, slots=True)
class Checked:
    root: Node
    types: dict[int, str]
    places: dict[int, int]

    def type_of(self, node: Node) -> str:
        return self.types.get(node.id, "dyn")


class UnsupportedNode(ValueError):
    """The language has it, policies of Kubernetes do not: messages spelt out in an expression."""

    def __init__(self, message: str, id: int) -> None:
        super().__init__(message)
        self.id = id


def read(data: bytes) -> Checked:
    """The tree in a serialized expression. Raises UnsupportedNode."""
    checked = fields(fields(data)[2][0])
    references = {(entry := fields(raw))[1][0]: entry[2][0] for raw in checked.get(2, ())}
    types = {(entry := fields(raw))[1][0]: from_wire(entry[2][0]) for raw in checked.get(3, ())}
    positions = fields(checked[5][0]).get(4, ()) if 5 in checked else ()
    places = {(entry := fields(raw))[1][0]: entry.get(2, [0])[0] for raw in positions}
    return Checked(_node(checked[4][0], references), types, places)


def _node(data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    id = parts.get(2, [0])[0]
    for number, build in _BUILDERS:
        if number in parts:
            return build(id, parts[number][0], references)
    raise UnsupportedNode("an expression of a kind that is not known", id)


def _const(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    ((number, values),) = fields(data).items()
    return Const(id, _CONSTANTS[number](values[0]))


_CONSTANTS: dict[int, Any] = {
    1: lambda raw: None,
    2: bool,
    3: signed,
    4: lambda raw: Uint(raw),
    5: lambda raw: struct.unpack("<d", raw)[0],
    6: lambda raw: str(raw, "utf-8"),
    7: bytes,
}


def _ident(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    return Ident(id, str(fields(data)[1][0], "utf-8"))


def _select(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    return Select(id, _node(parts[1][0], references), str(parts[2][0], "utf-8"), bool(parts.get(3, [0])[0]))


def _call(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    arguments = tuple(_node(raw, references) for raw in [*parts.get(1, ()), *parts.get(3, ())])
    found = fields(references[id]).get(3, ()) if id in references else ()
    return Call(id, str(parts[2][0], "utf-8"), arguments, tuple(str(raw, "utf-8") for raw in found))


def _list(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    optional = [place for raw in parts.get(2, ()) for place in (_packed(raw) if isinstance(raw, bytes) else [raw])]
    return ListOf(id, tuple(_node(raw, references) for raw in parts.get(1, ())), frozenset(optional))


def _packed(data: bytes) -> list[int]:
    """Whole numbers one after the other; indices of a list, so of one or two bytes each."""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def _map(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    if 1 in parts:
        raise UnsupportedNode(f"messages such as {str(parts[1][0], 'utf-8')} cannot be built in a policy", id)
    entries = [fields(raw) for raw in parts.get(2, ())]
    return MapOf(
        id,
        tuple(
            (_node(entry[3][0], references), _node(entry[4][0], references), bool(entry.get(5, [0])[0]))
            for entry in entries
        ),
    )


def _fold(id: int, data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    name, accumulator = str(parts[1][0], "utf-8"), str(parts[3][0], "utf-8")
    source, initial, condition, step, result = (_node(parts[n][0], references) for n in (2, 4, 5, 6, 7))
    return Fold(id, name, source, accumulator, initial, condition, step, result)


_BUILDERS: tuple[tuple[int, Any], ...] = (
    (3, _const),
    (4, _ident),
    (5, _select),
    (6, _call),
    (7, _list),
    (8, _map),
    (9, _fold),
)
