"""Python text in the making: lines in blocks, local names, and a bound of what they cost.

A block knows what has been read into local names where its lines stand (`known`), so that a variable or a selection
is read once in the block that needs it and never where it might not be needed. `bound` sums what the block's nodes
cost at most, apart from what is counted by lines of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dabbawala.cel.soundness import Types
from dabbawala.cel.tree import Checked, Const, Node

LOCAL = "n"  # the name of the counted part of the bound


class CannotCompile(Exception):
    """The tree has a form that only the interpreter knows."""


class Block:
    def __init__(self, indent: str, known: dict[object, str]) -> None:
        self.indent, self.known = indent, known
        self.lines: list[str] = []
        self.bound = 0


Form = Callable[["Writer", Any], str]


class Writer:
    """Writes nodes as Python expressions, with the lines that they need before them. `forms` says how each type of
    node is written."""

    def __init__(self, checked: Checked, forms: Mapping[type, Form]) -> None:
        self._forms, self.types = forms, Types(checked)
        self.block = Block(" ", {})
        self.counted = False
        self._names = 0

    def type_of(self, node: Node) -> str:
        """What the node's value surely is."""
        return self.types.of(node)

    def expression(self, node: Node) -> str:
        return self._forms[type(node)](self, node)

    def operand(self, node: Node) -> str:
        """The node as what something is read from. Python warns of an attempt to read from a literal."""
        text = self.expression(node)
        if isinstance(node, Const):
            name = self.name()
            self.line(f"{name} = {text}")
            return name
        return text

    def truth(self, node: Node) -> str:
        """The node as a condition; whatever is no bool raises."""
        text = self.expression(node)
        return text if self.type_of(node) == "bool" else f"_truth({text})"

    def name(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def line(self, text: str) -> None:
        self.block.lines.append(self.block.indent + text)

    def keep(self, text: str) -> str:
        """A local name for a value that is used more than once."""
        if text.isidentifier():
            return text
        name = self.name()
        self.line(f"{name} = {text}")
        return name

    def cost(self, amount: int) -> None:
        self.block.bound += amount

    def count(self, text: str) -> None:
        """What a call costs depends on its data: a line adds it."""
        self.counted = True
        self.line(f"{LOCAL} += {text}")

    def branch(self, write: Callable[[], str]) -> tuple[str, list[str]]:
        """An expression that is evaluated only sometimes, with its lines, indented once more."""
        outer = self.block
        self.block = Block(outer.indent + " ", dict(outer.known))
        try:
            text = write()
            outer.bound += self.block.bound
            return text, self.block.lines
        finally:
            self.block = outer

    def choose(self, test: str, yes: tuple[str, list[str]], no: tuple[str, list[str]]) -> str:
        """One of two branches."""
        if not yes[1] and not no[1]:
            return f"({yes[0]} if {test} else {no[0]})"
        result = self.name()
        for head, (text, lines) in ((f"if {test}:", yes), ("else:", no)):
            self.line(head)
            self.block.lines += lines
            self.line(f" {result} = {text}")
        return result
