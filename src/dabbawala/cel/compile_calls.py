"""Calls as Python: operators inline where their types are known, else functions of the library by name.

A chain of optionals (`a.?b.?c.orValue(d)`) has no objects: absent is the marker M until someone needs the optional
itself.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.cel import cost
from dabbawala.cel.code import identifier
from dabbawala.cel.tree import Call, Const, ListOf, Node, Select
from dabbawala.cel.types import head
from dabbawala.cel.values import Uint
from dabbawala.cel.writer import Writer

_SCALARS = frozenset({"string", "int", "double", "uint", "bool", "bytes"})
_WHOLE = frozenset({"int", "uint"})
_SMALL = frozenset({"int", "double", "uint", "bool", "timestamp", "duration"})
_COMPARISONS = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_WITH_LENGTH = frozenset({"string", "bytes", "list", "map"})
_PARTS = ("_?._", "_[?_]")


def call(writer: Writer, node: Call) -> str:
    inline = _INLINE.get(node.function)
    return (inline(writer, node) if inline is not None else None) or function(writer, node)


def function(writer: Writer, node: Call) -> str:
    """A call of the library; what it costs for its data is counted after it."""
    rule = cost.rule(node)
    texts = [writer.expression(argument) for argument in node.arguments]
    by_type = len(node.overloads) == 1 and node.overloads[0] in cost.BY_TYPE
    name = identifier(node.overloads[0] if by_type else node.function)
    if isinstance(rule, int):
        writer.cost(rule)
        return f"{name}({', '.join(texts)})"
    texts = [writer.keep(text) for text in texts]
    result = writer.keep(f"{name}({', '.join(texts)})")
    writer.count(f"{rule}(({''.join(text + ', ' for text in texts)}), {result})")
    return result


def constant(node: Const) -> str:
    value = node.value
    if isinstance(value, Uint):
        return f"_uint({int(value)})"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"_double({str(value)!r})"
    return f"({value!r})" if isinstance(value, (int, float)) and value < 0 else repr(value)


def _logic(writer: Writer, node: Call) -> str:
    word, test = ("and", "if {}:") if node.function == "_&&_" else ("or", "if not {}:")
    left, right = node.arguments
    text = writer.truth(left)
    following, lines = writer.branch(lambda: writer.truth(right))
    if not lines:
        return f"({text} {word} {following})"
    result = writer.name()
    writer.line(f"{result} = {text}")
    writer.line(test.format(result))
    writer.block.lines += lines
    writer.line(f" {result} = {following}")
    return result


def _ternary(writer: Writer, node: Call) -> str:
    condition, truthy, falsy = node.arguments
    test = writer.truth(condition)
    yes, no = writer.branch(lambda: writer.expression(truthy)), writer.branch(lambda: writer.expression(falsy))
    return writer.choose(test, yes, no)


def _equality(writer: Writer, node: Call) -> str:
    left, right = node.arguments
    if isinstance(left, Const) and not isinstance(right, Const):
        left, right = right, left
    negative = node.function == "_!=_"
    if isinstance(right, Const):
        writer.cost(1 + (len(right.value) if isinstance(right.value, (str, bytes)) else 1))
        return _equals_constant(writer, writer.expression(left), right, negative=negative)
    kinds = {writer.type_of(left), writer.type_of(right)}
    first, second = writer.keep(writer.expression(left)), writer.expression(right)
    writer.cost(2)
    if len(kinds) == 1 and kinds <= _SCALARS:
        if kinds & {"string", "bytes"}:
            writer.count(f"len({first})")
        return f"({first} {'!=' if negative else '=='} {second})"
    writer.count(f"_length({first})")
    return f"({'not ' if negative else ''}_equals({first}, {second}))"


def _equals_constant(writer: Writer, text: str, node: Const, *, negative: bool) -> str:
    value = node.value
    if value is None or isinstance(value, bool):
        return f"({text} {'is not' if negative else 'is'} {value})"
    written = constant(node)
    if isinstance(value, (int, float)) and value in (0, 1):
        # Python takes False for 0 and True for 1.
        text, other = writer.keep(text), bool(value)
        return f"({text} != {written} or {text} is {other})" if negative else (
            f"({text} == {written} and {text} is not {other})"
        )  # fmt: skip
    return f"({text} {'!=' if negative else '=='} {written})"


def _comparison(writer: Writer, node: Call) -> str:
    left, right = node.arguments
    kinds = {writer.type_of(left), writer.type_of(right)}
    texts = [writer.expression(left), writer.expression(right)]
    writer.cost(2)
    if kinds <= _WHOLE:
        return f"({texts[0]} {_COMPARISONS[node.function]} {texts[1]})"
    lengths = [len(side.value) for side in (left, right) if isinstance(side, Const) and isinstance(side.value, str)]
    if lengths:
        writer.cost(lengths[0])
    elif not kinds & _SMALL:
        texts[0] = writer.keep(texts[0])
        writer.count(f"_length({texts[0]})")
    return f"{identifier(node.function)}({texts[0]}, {texts[1]})"


def _plus(writer: Writer, node: Call) -> str | None:
    """A chain of concatenations at once; other sums are the library's."""
    if writer.type_of(node) != "string":
        return None
    parts: list[Node] = []
    rest: Node = node
    while isinstance(rest, Call) and rest.function == "_+_" and writer.type_of(rest) == "string":
        parts.append(rest.arguments[1])
        rest = rest.arguments[0]
    texts = [writer.expression(part) for part in [rest, *reversed(parts)]]
    text = writer.keep(f"({' + '.join(texts)})")
    writer.cost(2 * len(texts))
    writer.count(f"len({text}) * {len(parts)}")
    return text


def _containment(writer: Writer, node: Call) -> str:
    value, inside = node.arguments
    if isinstance(inside, ListOf) and inside.elements and cost.is_set_membership(node):
        choices = [element.value for element in inside.elements if isinstance(element, Const)]
        if all(isinstance(choice, str) for choice in choices):
            return f"({writer.expression(value)} in {{{', '.join(map(repr, choices))}}})"
    texts = [writer.expression(value), writer.keep(writer.expression(inside))]
    writer.cost(1)
    writer.count(f"_length({texts[1]})")
    return f"_in({texts[0]}, {texts[1]})"


def _index(writer: Writer, node: Call) -> str:
    operand, key = node.arguments
    writer.cost(2)
    kind = head(writer.type_of(operand))
    if is_optional(writer, operand):
        return boxed(writer, node)
    text = writer.operand(operand)
    if isinstance(key, Const) and isinstance(key.value, str):
        return f"{text}[{key.value!r}]"
    if isinstance(key, Const) and type(key.value) is int and key.value >= 0 and kind == "list":
        return f"{text}[{key.value}]"
    return f"_index({text}, {writer.expression(key)})"


def _negation(writer: Writer, node: Call) -> str:
    writer.cost(1)
    return f"(not {writer.truth(node.arguments[0])})"


def _size(writer: Writer, node: Call) -> str:
    writer.cost(1)
    text = writer.expression(node.arguments[0])
    known = head(writer.type_of(node.arguments[0])) in _WITH_LENGTH
    return f"len({text})" if known else f"{identifier('size')}({text})"


def _affix(writer: Writer, node: Call) -> str | None:
    """startsWith, endsWith: Python's own method, which only text has."""
    text, part = node.arguments
    if writer.type_of(part) != "string":
        return None
    first = writer.keep(writer.operand(text))
    writer.cost(1)
    writer.count(f"len({first})")
    return f"{first}.{node.function.lower()}({writer.expression(part)})"


def _contains(writer: Writer, node: Call) -> str:
    """Only text has a method `find` that takes text."""
    text, part = node.arguments
    first = writer.keep(writer.operand(text))
    if isinstance(part, Const) and isinstance(part.value, str):
        each = cost.text(len(part.value))
        writer.count(f"len({first}) * {each}")
        writer.cost(each + 1)
        return (
            f"({constant(part)} in {first})"
            if writer.type_of(text) == "string"
            else f"({first}.find({constant(part)}) >= 0)"
        )
    second = writer.keep(writer.expression(part))
    writer.count(f"(len({first}) + 1) * (len({second}) + 1)")
    return f"({first}.find({second}) >= 0)"


def _matches(writer: Writer, node: Call) -> str | None:
    text, pattern = node.arguments
    if not isinstance(pattern, Const):
        return None
    first = writer.keep(writer.expression(text))
    result = writer.keep(f"{identifier('matches')}({first}, {constant(pattern)})")
    writer.cost(1)
    writer.count(f"(len({first}) // 10 + 2) * {len(pattern.value) // 4 + 1}")
    return result


# Optionals


def is_optional(writer: Writer, node: Node) -> bool:
    # For the checker `object[?'x']` is dyn, because a dyn may be several things; it is an optional all the same.
    return head(writer.types.declared(node)) == "optional_type" or (isinstance(node, Call) and node.function in _PARTS)


def _raw(writer: Writer, node: Node) -> str:
    """The value of an optional, or M."""
    if isinstance(node, Select) and not node.test and is_optional(writer, node.operand):
        return _part_of(writer, node.operand, repr(node.field))
    if isinstance(node, Call) and _reads_optional(writer, node):
        operand, key = node.arguments
        if isinstance(key, Const) and isinstance(key.value, str):
            return _part_of(writer, operand, repr(key.value))
    if isinstance(node, Call) and node.function == "optional.of":
        writer.cost(1)
        return writer.keep(writer.expression(node.arguments[0]))
    if isinstance(node, Call) and node.function == "optional.none":
        writer.cost(1)
        return "M"
    return writer.keep(f"_unboxed({_plain(writer, node)})")


def _reads_optional(writer: Writer, node: Call) -> bool:
    """Whether what a call reads may be absent. A plain index of what is no optional fails instead."""
    return node.function in _PARTS or (node.function == "_[_]" and is_optional(writer, node.arguments[0]))


def _plain(writer: Writer, node: Node) -> str:
    """An optional by the library, where no short form fits."""
    if isinstance(node, Call) and _reads_optional(writer, node):
        operand, key = node.arguments
        writer.cost(4)
        return f"_lookup({writer.expression(operand)}, {writer.expression(key)})"
    return writer.expression(node)


def _part_of(writer: Writer, operand: Node, key: str) -> str:
    writer.cost(4)
    if not is_optional(writer, operand):
        # Only maps have `get`.
        return writer.keep(f"{writer.operand(operand)}.get({key}, M)")
    holder = _raw(writer, operand)
    if holder == "M":
        return "M"
    return writer.keep(f"({holder}.get({key}, M) if {holder} is not M else M)")


def boxed(writer: Writer, node: Node) -> str:
    """The optional itself."""
    text = _raw(writer, node) if _is_short(node) else None
    return f"_boxed({text})" if text is not None else _plain(writer, node)


def _is_short(node: Node) -> bool:
    if isinstance(node, Select):
        return True
    return isinstance(node, Call) and isinstance(node.arguments[1], Const) and isinstance(node.arguments[1].value, str)


def _optional_part(writer: Writer, node: Call) -> str:
    return boxed(writer, node)


def present(writer: Writer, node: Select) -> str:
    """`has(a.?b.c)`."""
    return f"({_part_of(writer, node.operand, repr(node.field))} is not M)"


def _has_value(writer: Writer, node: Call) -> str | None:
    writer.cost(1)
    return f"({_raw(writer, node.arguments[0])} is not M)" if is_optional(writer, node.arguments[0]) else None


def _otherwise(writer: Writer, node: Call) -> str | None:
    first, second = node.arguments
    if not is_optional(writer, first):
        return None
    if node.function == "or":
        holder = writer.keep(writer.expression(first))
        test, found = f"{holder}.present", holder
    else:
        found = _raw(writer, first)
        test = f"{found} is not M"
    return writer.choose(test, (found, []), writer.branch(lambda: writer.expression(second)))


_INLINE: dict[str, Callable[[Writer, Call], str | None]] = {
    "_&&_": _logic,
    "_||_": _logic,
    "_?_:_": _ternary,
    "_==_": _equality,
    "_!=_": _equality,
    **dict.fromkeys(_COMPARISONS, _comparison),
    "_+_": _plus,
    "@in": _containment,
    "_[_]": _index,
    "!_": _negation,
    "size": _size,
    "startsWith": _affix,
    "endsWith": _affix,
    "contains": _contains,
    "matches": _matches,
    "_?._": _optional_part,
    "_[?_]": _optional_part,
    "hasValue": _has_value,
    "or": _otherwise,
    "orValue": _otherwise,
}
