"""Types that values surely have when an expression runs, which is less than what the checker says.

The checker takes `dyn` for anything: for it `[1] + object.list` is a list of ints and `object[?'x'].orValue(1)` an int,
whatever the data holds. Compiled code relies on a type only when it follows from constants, from functions that check
what they are given, and from variables that are checked when they are read.
"""

from __future__ import annotations

from dabbawala.cel.compile_macros import macro
from dabbawala.cel.tree import Call, Checked, Const, Fold, Ident, ListOf, MapOf, Node, Select
from dabbawala.cel.types import head

_DYN = "dyn"
# What Python says of a value of a type; these are checked when a variable is read.
CHECKED = {"string": "str", "bool": "bool", "int": "int", "double": "float", "list": "list", "bytes": "bytes"}
_FROM_DATA = frozenset({"orValue", "or", "value", "min", "max", "sum", "dyn", "_?._", "_[?_]", "optional.of"})


class Types:
    """Answers for the nodes of one tree. `bound` names what comprehensions bind, while their bodies are written."""

    def __init__(self, checked: Checked) -> None:
        self._declared = checked.types
        self._known: dict[int, str] = {}
        self.bound: dict[str, str] = {}

    def declared(self, node: Node) -> str:
        return self._declared.get(node.id, _DYN)

    def of(self, node: Node) -> str:
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = self._of(node)
        return found

    def _of(self, node: Node) -> str:
        declared = self.declared(node)
        if isinstance(node, Const):
            return declared
        if isinstance(node, Ident):
            return self.bound[node.name] if node.name in self.bound else self._variable(declared)
        if isinstance(node, Select):
            return "bool" if node.test else _DYN
        if isinstance(node, Call):
            return self._call(node, declared)
        if isinstance(node, ListOf):
            return _list([_DYN if node.optional else self.of(element) for element in node.elements])
        return "map" if isinstance(node, MapOf) else self._fold(node)

    def _variable(self, declared: str) -> str:
        kind = head(declared)
        return f"list<{_DYN}>" if kind == "list" else declared if kind in CHECKED or kind == "type" else _DYN

    def _call(self, node: Call, declared: str) -> str:
        if node.function == "_?_:_":
            return self._either(*node.arguments[1:])
        if node.function == "_+_" and head(declared) == "list":
            return self._either(*node.arguments)
        if node.function == "_[_]":
            return element(self.of(node.arguments[0]))
        extra = any(overload.startswith("extra_") for overload in node.overloads)
        return _DYN if extra or node.function in _FROM_DATA else declared

    def _either(self, first: Node, second: Node) -> str:
        kinds = self.of(first), self.of(second)
        if kinds[0] == kinds[1]:
            return kinds[0]
        return f"list<{_DYN}>" if {head(kinds[0]), head(kinds[1])} == {"list"} else _DYN

    def _fold(self, node: Fold) -> str:
        shape = macro(node)
        if shape is None:
            return _DYN
        if shape.made is None:
            return "bool"
        # The elements of a list that is made may be of any type: they are looked at when the body is written.
        return f"list<{_DYN}>"


def element(kind: str) -> str:
    """The type of a list's elements."""
    return kind[5:-1] if kind.startswith("list<") else _DYN


def _list(kinds: list[str]) -> str:
    return f"list<{kinds[0]}>" if kinds and all(kind == kinds[0] for kind in kinds) else f"list<{_DYN}>"
