"""The fast evaluator: the checked tree written as a Python function, which CPython compiles.

It is optimistic. Every operation either gives the exact value or raises; on any error the caller evaluates again with
the interpreter, which knows how errors are absorbed. So nothing here explains an error, and the order in which
operands are evaluated is free: they have no effects. Where the checker knows a type, an operation is Python's own.

The function is made of statements: a comprehension of a macro is a plain loop, `a && b` an `if` when `b` needs
lines of its own. `n` counts an upper bound of the cost: each loop adds its length times the bound of its body before
it runs and stops at the limit of an expression, and calls add what they cost for their data; a bound over the budget
lets the interpreter decide. Text is written rather than Python's AST, because parsing text is faster than converting
the objects of a tree.
"""

from __future__ import annotations

from types import CodeType

from dabbawala.cel import compile_calls, cost
from dabbawala.cel.code import Compiled
from dabbawala.cel.compile_folds import fold
from dabbawala.cel.soundness import CHECKED
from dabbawala.cel.tree import Call, Checked, Const, Fold, Ident, ListOf, MapOf, Select
from dabbawala.cel.types import head
from dabbawala.cel.writer import LOCAL, CannotCompile, Form, Writer


def compile_tree(checked: Checked) -> Compiled | None:
    """The function of a tree, which takes the variables; None for a form that only the interpreter knows."""
    try:
        module = compile(text_of(checked), "<expression>", "exec", dont_inherit=True, optimize=0)
    except (CannotCompile, SyntaxError, RecursionError, MemoryError):
        return None  # nested deeper than Python's compiler goes, for one
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    return Compiled(code, int(code.co_consts[0] or 0))


def text_of(checked: Checked) -> str:
    """The function as Python. Its first constant, where a docstring would be, is the bound."""
    writer = Writer(checked, _FORMS)
    value = writer.expression(checked.root)
    bound = max(writer.block.bound, 1)
    lines = ["def program(V):"]
    if writer.counted:
        lines += [' ""', f" {LOCAL} = {bound}"]
        value = f"({value}, {LOCAL})"
    else:
        lines += [f" {str(bound)!r}"]
    return "\n".join([*lines, *writer.block.lines, f" return {value}"])


def _const(writer: Writer, node: Const) -> str:
    return compile_calls.constant(node)


def _ident(writer: Writer, node: Ident) -> str:
    writer.cost(1)
    found = writer.block.known.get(node.name)
    if found is None:
        kind = head(writer.types.declared(node))
        if kind == "type":
            return f"_type_ident(V, {node.name!r})"
        found = writer.block.known[node.name] = writer.keep(f"V[{node.name!r}]")
        if kind in CHECKED:
            writer.line(f"if type({found}) is not {CHECKED[kind]}: raise _Untyped")
    return found


def _select(writer: Writer, node: Select) -> str:
    writer.cost(2)
    if compile_calls.is_optional(writer, node.operand):
        return compile_calls.present(writer, node) if node.test else compile_calls.boxed(writer, node)
    operand = writer.operand(node.operand)
    if node.test:
        # Only maps have `get`, so nothing else can seem to have the field.
        return f"({operand}.get({node.field!r}, M) is not M)"
    key = (operand, node.field)
    found = writer.block.known.get(key)
    if found is None:
        found = writer.keep(f"{operand}[{node.field!r}]")
        if operand.isidentifier():
            writer.block.known[key] = found
    return found


def _list(writer: Writer, node: ListOf) -> str:
    writer.cost(cost.LIST)
    parts = []
    for place, element in enumerate(node.elements):
        text = writer.expression(element)
        parts.append(f"*_optional_element({text})" if place in node.optional else text)
    return f"[{', '.join(parts)}]"


def _map(writer: Writer, node: MapOf) -> str:
    writer.cost(cost.MAP)
    entries = [(writer.expression(key), writer.expression(value), optional) for key, value, optional in node.entries]
    keys = {key.value for key, _, _ in node.entries if isinstance(key, Const) and isinstance(key.value, str)}
    if len(keys) == len(entries) and not any(optional for _, _, optional in entries):
        return "{" + ", ".join(f"{key}: {value}" for key, value, _ in entries) + "}"
    pairs = [f"*_optional_entry({key}, {value})" if opt else f"({key}, {value})" for key, value, opt in entries]
    return f"_as_map([{', '.join(pairs)}])"


_FORMS: dict[type, Form] = {
    Const: _const,
    Ident: _ident,
    Select: _select,
    Call: compile_calls.call,
    ListOf: _list,
    MapOf: _map,
    Fold: fold,
}
