"""Comprehensions as loops. Macros arrive expanded; the standard ones are known again by the shape of their step.

A comprehension goes on over errors, which its next step may absorb. An error ends the loop here: the interpreter
evaluates again.
"""

from __future__ import annotations

from typing import NamedTuple

from dabbawala.cel import cost
from dabbawala.cel.tree import Call, Const, Fold, Ident, ListOf, Node
from dabbawala.cel.types import head
from dabbawala.cel.writer import LOCAL, Block, CannotCompile, Writer

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


def fold(writer: Writer, node: Fold) -> str:
    if isinstance(node.range, ListOf) and not node.range.elements and node.variable.startswith("#"):
        return _binding(writer, node)
    shape = macro(node)
    if shape is None:
        raise CannotCompile
    source = writer.keep(writer.expression(node.range))
    if head(writer.type_of(node.range)) not in ("list", "map"):
        source = writer.keep(f"_range({source})")
    result, variable = writer.name(), writer.name()
    outer = writer.block
    writer.block = Block(outer.indent + " ", {**outer.known, node.variable: variable})
    _body(writer, shape, result)
    body, writer.block = writer.block, outer
    writer.counted = True
    writer.line(f"{result} = {shape.start}")
    writer.line(f"{LOCAL} += len({source}) * {body.bound + shape.overhead}")
    writer.line(f"if {LOCAL} > {cost.PER_EXPRESSION}: raise _Costly")
    writer.line(f"for {variable} in {source}:")
    outer.lines += body.lines
    writer.cost(shape.overhead)
    return f"({result} == 1)" if shape.kind == "exists_one" else result


def _body(writer: Writer, shape: Macro, result: str) -> None:
    test = writer.truth(shape.test) if shape.test is not None else ""
    if shape.kind in ("all", "exists"):
        writer.line(f"if {'not ' if shape.kind == 'all' else ''}{test}:")
        writer.line(f" {result} = {shape.kind == 'exists'}")
        writer.line(" break")
    elif shape.kind == "exists_one":
        writer.line(f"if {test}: {result} += 1")
    elif shape.made is not None:
        made = shape.made
        if not test:
            writer.line(f"{result}.append({writer.expression(made)})")
            return
        text, lines = writer.branch(lambda: writer.expression(made))
        writer.line(f"if {test}:")
        writer.block.lines += lines
        writer.line(f" {result}.append({text})")


def _binding(writer: Writer, node: Fold) -> str:
    """`optMap` and the like: a comprehension over nothing, whose accumulator only names a value."""
    value = writer.keep(writer.expression(node.initial))
    outer = writer.block.known
    writer.block.known = {**outer, node.accumulator: value}
    text = writer.keep(writer.expression(node.result))
    writer.block.known = outer
    writer.cost(cost.LIST)
    return text
