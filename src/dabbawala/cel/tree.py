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
from dabbawala.cel.wire import entry, fields, signed


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


class Checked:
    """A tree with the types of its nodes by id, and their places in the text, which only errors need."""

    def __init__(self, root: Node, types: dict[int, str], positions: list[bytes]) -> None:
        self.root, self.types, self._positions = root, types, positions

    @property
    def places(self) -> dict[int, int]:
        return {(part := fields(raw))[1][0]: part.get(2, [0])[0] for raw in self._positions}


class UnsupportedNode(ValueError):
    """The language has it, policies of Kubernetes do not: messages spelt out in an expression."""

    def __init__(self, message: str, id: int) -> None:
        super().__init__(message)
        self.id = id


def read(data: bytes) -> Checked:
    """The tree in a serialized expression. Raises UnsupportedNode."""
    checked = fields(fields(data)[2][0])
    references = dict(map(entry, checked.get(2, ())))
    types = {id: from_wire(raw) for id, raw in map(entry, checked.get(3, ()))}
    positions = fields(checked[5][0]).get(4, []) if 5 in checked else []
    return Checked(_node(checked[4][0], references), types, positions)


def _node(data: bytes, references: dict[int, bytes]) -> Node:
    parts = fields(data)
    id = parts.get(2, [0])[0]
    for number, build in _BUILDERS:
        if number in parts:
            made: Node = build(id, parts[number][0], references)
            return made
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
    made = []
    for raw in parts.get(2, ()):
        part = fields(raw)
        optional = bool(part.get(5, [0])[0])
        made.append((_node(part[3][0], references), _node(part[4][0], references), optional))
    return MapOf(id, tuple(made))


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
