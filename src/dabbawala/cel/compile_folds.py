"""Comprehensions as loops.

A comprehension goes on over errors, which its next step may absorb. An error ends the loop here: the interpreter
evaluates again.
"""

from __future__ import annotations

from dabbawala.cel import cost
from dabbawala.cel.compile_macros import Macro, macro
from dabbawala.cel.soundness import element
from dabbawala.cel.tree import Fold, ListOf
from dabbawala.cel.types import head
from dabbawala.cel.writer import LOCAL, Block, CannotCompile, Writer


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
    outer, bound = writer.block, writer.types.bound
    writer.block = Block(outer.indent + " ", {**outer.known, node.variable: variable})
    writer.types.bound = {**bound, node.variable: element(writer.type_of(node.range))}
    _body(writer, shape, result)
    body, writer.block, writer.types.bound = writer.block, outer, bound
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
    outer, bound = writer.block.known, writer.types.bound
    writer.block.known = {**outer, node.accumulator: value}
    writer.types.bound = {**bound, node.accumulator: "dyn"}
    text = writer.keep(writer.expression(node.result))
    writer.block.known, writer.types.bound = outer, bound
    writer.cost(cost.LIST)
    return text
