"""The fast evaluator: the checked tree written as a Python function, which CPython compiles.

It is optimistic. Every operation either gives the exact value or raises; on any error the caller evaluates again with
the interpreter, which knows how errors are absorbed. So nothing here explains an error, and the order in which
operands are evaluated is free: they have no effects. Where the checker knows a type, an operation is Python's own.

The function is made of statements: a comprehension of a macro is a plain loop, `a && b` an `if` when `b` needs
statements. Variables and selections are read once in the block that needs them (`_Block.known`). `n` counts an upper
bound of the cost: each loop adds its length times the bound of its body before it runs and stops at the limit, and
functions add what they cost for their data; a bound over the budget lets the interpreter decide. The text is built
rather than Python's AST, because parsing it is faster than converting AST objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType
from typing import NamedTuple

from dabbawala.cel import cost
from dabbawala.cel.tree import Call, Checked, Const, Fold, Ident, ListOf, MapOf, Node, Select
from dabbawala.cel.types import head
from dabbawala.cel.values import Uint

_SCALARS = ("string", "int", "double", "uint", "bool", "bytes")
_ORDERED = ("int", "double", "uint")
_COMPARISONS = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_WITH_LENGTH = ("string", "bytes", "list", "map")


class Compiled(NamedTuple):
    """`code` is a function's; `bound` is of its cost, or 0 when the function returns (value, bound)."""

    code: CodeType
    bound: int


class _Block:
    """Lines of one indentation, and what has been read into local names where they stand."""

    def __init__(self, indent: str, known: dict[object, str]) -> None:
        self.indent, self.known = indent, known
        self.lines: list[str] = []
        self.bound = 0


class CannotCompile(Exception):
    """The tree has a form that only the interpreter knows."""


def compile_tree(checked: Checked, name: str) -> Compiled:
    """The function of a tree: it takes the variables. Raises CannotCompile."""
    writer = _Writer(checked)
    value = writer.expression(checked.root)
    block = writer.block
    start = ["def program(V):"]
    if writer.counted:
        start.append(f" n = {block.bound}")
        value = f"({value}, n)"
    text = "\n".join([*start, *block.lines, f" return {value}"])
    module = compile(text, name, "exec", dont_inherit=True, optimize=0)
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    return Compiled(code, 0 if writer.counted else max(block.bound, 1))


class _Writer:
    def __init__(self, checked: Checked) -> None:
        self.checked = checked
        self.block = _Block(" ", {})
        self.counted = False
        self._names = 0

    # Blocks and lines

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

    def count(self, text: str) -> None:
        self.counted = True
        self.line(f"n += {text}")

    def inside(self, node: Node, *, truth: bool = False) -> tuple[str, list[str]]:
        """An expression that is evaluated only sometimes, with the lines that it needs, indented once more."""
        outer = self.block
        self.block = _Block(outer.indent + " ", dict(outer.known))
        text = self.truth(node) if truth else self.expression(node)
        outer.bound += self.block.bound
        lines, self.block = self.block.lines, outer
        return text, lines

    # Expressions

    def expression(self, node: Node) -> str:
        match node:
            case Const():
                return self.const(node)
            case Ident():
                return self.ident(node)
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListOf():
                return self.list_of(node)
            case MapOf():
                return self.map_of(node)
            case Fold():
                return self.fold(node)

    def truth(self, node: Node) -> str:
        text = self.expression(node)
        return text if self.checked.type_of(node) == "bool" else f"_truth({text})"

    def const(self, node: Const) -> str:
        value = node.value
        if isinstance(value, Uint):
            return f"_uint({int(value)})"
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f"_double({str(value)!r})"
        return f"({value!r})" if isinstance(value, (int, float)) and value < 0 else repr(value)

    def ident(self, node: Ident) -> str:
        self.block.bound += 1
        found = self.block.known.get(node.name)
        if found is None:
            if head(self.checked.type_of(node)) == "type":
                return f"_type_ident(V, {node.name!r})"
            found = self.block.known[node.name] = self.keep(f"V[{node.name!r}]")
        return found

    def select(self, node: Select) -> str:
        self.block.bound += 2
        if self.checked.type_of(node.operand).startswith("optional_type"):
            operand = self.expression(node.operand)
            return f"_has({operand}, {node.field!r})" if node.test else f"_select({operand}, {node.field!r})"
        operand = self.expression(node.operand)
        if node.test:
            # Only maps have `get`, so nothing else can seem to have the field.
            return f"({operand}.get({node.field!r}, M) is not M)"
        key = (operand, node.field)
        found = self.block.known.get(key)
        if found is None:
            found = self.keep(f"{operand}[{node.field!r}]")
            if operand.isidentifier():
                self.block.known[key] = found
        return found

    def list_of(self, node: ListOf) -> str:
        self.block.bound += cost.LIST
        texts = [self.expression(element) for element in node.elements]
        if not node.optional:
            return f"[{', '.join(texts)}]"
        parts = [f"*_optional_element({text})" if i in node.optional else text for i, text in enumerate(texts)]
        return f"[{', '.join(parts)}]"

    def map_of(self, node: MapOf) -> str:
        self.block.bound += cost.MAP
        if any(optional for _, _, optional in node.entries):
            raise CannotCompile
        keys = [key.value for key, _, _ in node.entries if isinstance(key, Const) and isinstance(key.value, str)]
        entries = [(self.expression(key), self.expression(value)) for key, value, _ in node.entries]
        if len(set(keys)) == len(entries):
            return "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"
        return f"_as_map([{', '.join(f'({key}, {value})' for key, value in entries)}])"

    # Calls

    def call(self, node: Call) -> str:
        inline = _INLINE.get(node.function)
        if inline is not None:
            text = inline(self, node)
            if text is not None:
                return text
        return self.function(node, [self.expression(argument) for argument in node.arguments])

    def function(self, node: Call, texts: list[str]) -> str:
        """A call of the library; what it costs for its data is counted after it."""
        rule = cost.rule(node)
        name = identifier(node.function)
        if isinstance(rule, int):
            self.block.bound += rule
            return f"{name}({', '.join(texts)})"
        texts = [self.keep(text) for text in texts]
        result = self.keep(f"{name}({', '.join(texts)})")
        self.count(f"{rule}(({''.join(text + ', ' for text in texts)}), {result})")
        return result

    def logic(self, node: Call) -> str:
        word, test = ("and", "if {}:") if node.function == "_&&_" else ("or", "if not {}:")
        text = self.truth(node.arguments[0])
        for argument in node.arguments[1:]:
            following, lines = self.inside(argument, truth=True)
            if not lines:
                text = f"({text} {word} {following})"
                continue
            result = self.name()
            self.line(f"{result} = {text}")
            self.line(test.format(result))
            self.block.lines += lines
            self.line(f" {result} = {following}")
            text = result
        return text

    def ternary(self, node: Call) -> str:
        condition, truthy, falsy = node.arguments
        test = self.truth(condition)
        (yes, yes_lines), (no, no_lines) = self.inside(truthy), self.inside(falsy)
        if not yes_lines and not no_lines:
            return f"({yes} if {test} else {no})"
        result = self.name()
        self.line(f"if {test}:")
        self.block.lines += yes_lines
        self.line(f" {result} = {yes}")
        self.line("else:")
        self.block.lines += no_lines
        self.line(f" {result} = {no}")
        return result

    def equality(self, node: Call) -> str | None:
        left, right = node.arguments
        if isinstance(left, Const) and not isinstance(right, Const):
            left, right = right, left
        negative = node.function == "_!=_"
        if isinstance(right, Const):
            self.block.bound += 1 + (len(right.value) if isinstance(right.value, (str, bytes)) else 1)
            return self._equals_constant(self.expression(left), right, negative)
        kinds = {self.checked.type_of(left), self.checked.type_of(right)}
        first, second = self.keep(self.expression(left)), self.expression(right)
        self.block.bound += 2
        if len(kinds) == 1 and kinds <= set(_SCALARS):
            if kinds & {"string", "bytes"}:
                self.count(f"len({first})")
            return f"({first} {'!=' if negative else '=='} {second})"
        self.count(f"_length({first})")
        return f"({'not ' if negative else ''}_equals({first}, {second}))"

    def _equals_constant(self, text: str, constant: Const, negative: bool) -> str:
        value = constant.value
        if value is None or isinstance(value, bool):
            return f"({text} {'is not' if negative else 'is'} {value})"
        if isinstance(value, (int, float)) and value in (0, 1):
            # Python takes False for 0 and True for 1.
            text = self.keep(text)
            wrong = f"{text} is {bool(value)}"
            return (
                f"({text} != {self.const(constant)} or {wrong})"
                if negative
                else (f"({text} == {self.const(constant)} and {text} is not {bool(value)})")
            )
        return f"({text} {'!=' if negative else '=='} {self.const(constant)})"

    def comparison(self, node: Call) -> str | None:
        left, right = node.arguments
        kinds = {self.checked.type_of(left), self.checked.type_of(right)}
        texts = [self.expression(left), self.expression(right)]
        self.block.bound += 2
        if kinds <= set(_ORDERED):
            return f"({texts[0]} {_COMPARISONS[node.function]} {texts[1]})"
        lengths = [len(side.value) for side in (left, right) if isinstance(side, Const) and isinstance(side.value, str)]
        if lengths:
            self.block.bound += lengths[0]
        elif not kinds & {*_ORDERED, "bool", "timestamp", "duration"}:
            texts[0] = self.keep(texts[0])
            self.count(f"_length({texts[0]})")
        return f"{identifier(node.function)}({texts[0]}, {texts[1]})"

    def plus(self, node: Call) -> str | None:
        if self.checked.type_of(node) != "string":
            return None
        parts = self._parts(node)
        dynamic = [self.checked.type_of(part) != "string" for part in parts]
        texts = [self.expression(part) for part in parts]
        if all(dynamic[:2]):
            texts[:2] = [f"_text({text})" for text in texts[:2]]
        text = self.keep(f"({' + '.join(texts)})")
        self.block.bound += 2 * len(parts)
        self.count(f"len({text}) * {len(parts) - 1}")
        return text

    def _parts(self, node: Node) -> list[Node]:
        """The operands of a chain of concatenations."""
        parts: list[Node] = []
        while isinstance(node, Call) and node.function == "_+_" and self.checked.type_of(node) == "string":
            parts.append(node.arguments[1])
            node = node.arguments[0]
        return [node, *reversed(parts)]

    def containment(self, node: Call) -> str | None:
        value, inside = node.arguments
        if isinstance(inside, ListOf) and inside.elements and cost.is_constant(inside):
            choices = [element.value for element in inside.elements if isinstance(element, Const)]
            if all(isinstance(choice, str) for choice in choices):
                self.block.bound += cost.LIST + len(choices)
                return f"({self.expression(value)} in {{{', '.join(map(repr, choices))}}})"
        texts = [self.expression(value), self.keep(self.expression(inside))]
        self.block.bound += 1
        self.count(f"_length({texts[1]})")
        return f"_in({texts[0]}, {texts[1]})"

    def index(self, node: Call) -> str | None:
        operand, key = node.arguments
        self.block.bound += 2
        kind = head(self.checked.type_of(operand))
        if isinstance(key, Const) and isinstance(key.value, str) and kind != "optional_type":
            return f"{self.expression(operand)}[{key.value!r}]"
        if isinstance(key, Const) and type(key.value) is int and key.value >= 0 and kind == "list":
            return f"{self.expression(operand)}[{key.value}]"
        return f"_index({self.expression(operand)}, {self.expression(key)})"

    def negation(self, node: Call) -> str | None:
        self.block.bound += 1
        return f"(not {self.truth(node.arguments[0])})"

    def size(self, node: Call) -> str | None:
        self.block.bound += 1
        text = self.expression(node.arguments[0])
        known = head(self.checked.type_of(node.arguments[0])) in _WITH_LENGTH
        return f"len({text})" if known else f"{identifier('size')}({text})"

    def affix(self, node: Call) -> str | None:
        """startsWith, endsWith: Python's own method, which only text has."""
        text, part = node.arguments
        if self.checked.type_of(part) != "string":
            return None
        first = self.keep(self.expression(text))
        self.block.bound += 1
        self.count(f"len({first})")
        return f"{first}.{node.function.lower()}({self.expression(part)})"

    def optional_part(self, node: Call) -> str | None:
        self.block.bound += 4
        texts = [self.expression(argument) for argument in node.arguments]
        return f"_lookup({texts[0]}, {texts[1]})"

    def otherwise(self, node: Call) -> str | None:
        first = self.keep(self.expression(node.arguments[0]))
        text, lines = self.inside(node.arguments[1])
        self.block.bound += 1
        found = f"{first}.value" if node.function == "orValue" else first
        if not lines:
            return f"({found} if {first}.present else {text})"
        result = self.name()
        self.line(f"if {first}.present:")
        self.line(f" {result} = {found}")
        self.line("else:")
        self.block.lines += lines
        self.line(f" {result} = {text}")
        return result

    # Comprehensions

    def fold(self, node: Fold) -> str:
        if isinstance(node.range, ListOf) and not node.range.elements:
            return self._bound_name(node)
        shape = macro(node)
        if shape is None:
            raise CannotCompile
        source = self.keep(self.expression(node.range))
        if head(self.checked.type_of(node.range)) not in ("list", "map"):
            source = self.keep(f"_range({source})")
        result, variable = self.name(), self.name()
        self.line(f"{result} = {shape.start}")
        place = len(self.block.lines)
        outer = self.block
        self.block = _Block(outer.indent + " ", {**outer.known, node.variable: variable})
        self._body(shape, result)
        body, self.block = self.block, outer
        self.counted = True
        charge = f"{outer.indent}n += len({source}) * {body.bound + shape.overhead}"
        check = f"{outer.indent}if n > {cost.PER_EXPRESSION}: raise _Costly"
        self.block.lines[place:] = [charge, check, f"{outer.indent}for {variable} in {source}:", *body.lines]
        self.block.bound += shape.overhead
        return f"({result} == 1)" if shape.kind == "exists_one" else result

    def _body(self, shape: Macro, result: str) -> None:
        test = self.truth(shape.test) if shape.test is not None else ""
        if shape.kind in ("all", "exists"):
            self.line(f"if {'not ' if shape.kind == 'all' else ''}{test}:")
            self.line(f" {result} = {shape.kind == 'exists'}")
            self.line(" break")
        elif shape.kind == "exists_one":
            self.line(f"if {test}: {result} += 1")
        elif shape.made is not None:
            text, lines = self.inside(shape.made)
            if test:
                self.line(f"if {test}:")
                self.block.lines += lines
                self.line(f" {result}.append({text})")
            else:
                self.block.lines += [line[1:] for line in lines]
                self.line(f"{result}.append({text})")

    def _bound_name(self, node: Fold) -> str:
        """`optMap` and the like: a comprehension over nothing, whose accumulator only names a value."""
        value = self.keep(self.expression(node.initial))
        outer = self.block.known
        self.block.known = {**outer, node.accumulator: value}
        text = self.keep(self.expression(node.result))
        self.block.known = outer
        self.block.bound += cost.LIST
        return text


class Macro(NamedTuple):
    """What a comprehension of a standard macro does: `overhead` is what its own parts cost in a round."""

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
        return Macro(kind, str(kind == "all"), step.arguments[1], None, 8)
    test: Node | None = None
    if step.function == "_?_:_":
        test, step = step.arguments[0], step.arguments[1]  # type: ignore[assignment]  # checked in the next line
    if not isinstance(step, Call) or step.function != "_+_" or not _is_name(step.arguments[0], node.accumulator):
        return None
    added = step.arguments[1]
    if isinstance(added, Const) and test is not None:
        return Macro("exists_one", "0", test, None, 8)
    if isinstance(added, ListOf) and len(added.elements) == 1:
        return Macro("map", "[]", test, added.elements[0], 16)
    return None


def _is_name(node: Node, name: str) -> bool:
    return isinstance(node, Ident) and node.name == name


def identifier(function: str) -> str:
    """The name of a function of the library in compiled code."""
    return _OPERATORS.get(function) or "f_" + function.replace(".", "_0")


_OPERATORS = {
    "_==_": "_equals", "_!=_": "_differs", "_<_": "_less", "_<=_": "_less_equals", "_>_": "_greater",
    "_>=_": "_greater_equals", "_+_": "_add", "_-_": "_subtract", "_*_": "_multiply", "_/_": "_divide",
    "_%_": "_modulo", "-_": "_negate", "!_": "_not", "@in": "_in",
}  # fmt: skip
_INLINE = {
    "_&&_": _Writer.logic,
    "_||_": _Writer.logic,
    "_?_:_": _Writer.ternary,
    "_==_": _Writer.equality,
    "_!=_": _Writer.equality,
    **dict.fromkeys(_COMPARISONS, _Writer.comparison),
    "_+_": _Writer.plus,
    "@in": _Writer.containment,
    "_[_]": _Writer.index,
    "!_": _Writer.negation,
    "size": _Writer.size,
    "startsWith": _Writer.affix,
    "endsWith": _Writer.affix,
    "_?._": _Writer.optional_part,
    "_[?_]": _Writer.optional_part,
    "or": _Writer.otherwise,
    "orValue": _Writer.otherwise,
}


def names(functions: Iterable[str]) -> dict[str, str]:
    """Names in compiled code and the functions that they stand for."""
    return {identifier(function): function for function in functions}
