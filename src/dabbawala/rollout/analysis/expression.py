"""The condition language of analyses: parsing. A small, whole language of our own that reads what people write in
`successCondition` and `failureCondition`, which Argo hands to expr-lang.

    ternary   a ? b : c          null     a ?? b
    logic     or || and && not !
    compare   == != < <= > >= in, not in, contains, startsWith, endsWith, matches
    value     .. + - * / % ** ^  a.b  a?.b  a[i]  a[i:j]  f(x)  all(xs, # > 1)  all(xs, {.ok})  x | f(y)
    literal   1 1.5 1e3 0x1f 1_000 "s" 's' `raw` true false nil [1, 2] {"a": 1}

Parsing gives a tree of small tuples; `evaluation` walks it. Errors name the position. Source: expr-lang.org/docs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

LENGTH_MAX = 10_000
"""Characters of one expression."""

DEPTH_MAX = 100
"""Nesting of one expression."""


class BadExpression(ValueError):
    """It cannot be parsed or evaluated; the message says where or why."""


class Node(NamedTuple):
    """`kind` says what `parts` are; see `evaluation`."""

    kind: str
    parts: tuple[Any, ...]


class Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<op>\?\?|\?\.|\.\.|\*\*|==|!=|<=|>=|&&|\|\||[-+*/%^<>!?:.,()\[\]{}\#|])""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset({"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches"})
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}

BINARY: dict[str, int] = {
    "|": 1, "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20,
    "in": 20, "not": 20, "contains": 20, "startsWith": 20, "endsWith": 20, "matches": 20, "..": 25,
    "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
"""How tightly each operator binds."""

RIGHT = frozenset({"**", "^"})
PREFIX = {"not": 50, "!": 50, "-": 90, "+": 90}
CLOSURES = frozenset(
    {"all", "any", "none", "one", "filter", "map", "count", "find", "findIndex", "findLast", "sum", "groupBy"}
)
"""Functions whose second argument is evaluated for each element, which it calls `#`."""


def tokens(text: str) -> list[Token]:
    found, position = [], 0
    if len(text) > LENGTH_MAX:
        raise BadExpression(f"the expression has more than {LENGTH_MAX} characters")
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadExpression(f"unexpected {text[position]!r} at {position} in {text!r}")
        kind = str(match.lastgroup)
        if kind == "name" and match[0] in _WORDS:
            kind = "op"
        if kind != "space":
            found.append(Token(kind, match[0], position))
        position = match.end()
    return [*found, Token("end", "", len(text))]


def parse(text: str) -> Node:
    """The tree of an expression. Raises BadExpression."""
    reader = _Reader(text, tokens(text))
    node = reader.expression(0)
    reader.expect("end", "")
    return node


@dataclass(slots=True)
class _Reader:
    text: str
    line: list[Token]
    position: int = 0
    depth: int = 0

    @property
    def now(self) -> Token:
        return self.line[self.position]

    def is_(self, *texts: str) -> bool:
        return self.now.kind == "op" and self.now.text in texts

    def take(self) -> Token:
        token = self.now
        self.position += 1
        return token

    def expect(self, kind: str, text: str) -> Token:
        if self.now.kind != kind or (text and self.now.text != text):
            wanted, found = text or kind, self.now.text or "the end"
            raise BadExpression(f"expected {wanted!r} at {self.now.at}, found {found!r}: {self.text!r}")
        return self.take()

    def expression(self, least: int) -> Node:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise BadExpression(f"the expression is nested more than {DEPTH_MAX} deep")
        node = self._unary()
        while self.now.kind == "op" and BINARY.get(self.now.text, -1) >= least:
            node = self._binary(node)
        if least == 0 and self.is_("?"):
            self.take()
            then = self.expression(0)
            self.expect("op", ":")
            node = Node("if", (node, then, self.expression(0)))
        self.depth -= 1
        return node

    def _binary(self, left: Node) -> Node:
        operator = self.take().text
        negated = operator == "not"
        if negated:
            operator = self.take().text
            if BINARY.get(operator) != BINARY["in"] or operator in ("==", "!=", "<", ">", "<=", ">="):
                raise BadExpression(f"'not' cannot stand before {operator!r}: {self.text!r}")
        if operator == "|":
            return self._piped(left)
        bound = BINARY[operator] + (0 if operator in RIGHT else 1)
        node = Node("binary", (_SAME.get(operator, operator), left, self.expression(bound)))
        return Node("unary", ("not", node)) if negated else node

    def _piped(self, left: Node) -> Node:
        name = self.expect("name", "").text
        self.expect("op", "(")
        return self._postfix(self._call(name, [left]))

    def _unary(self) -> Node:
        if self.now.kind == "op" and self.now.text in PREFIX:
            operator = self.take().text
            operand = self.expression(PREFIX[operator])
            return Node("unary", (_SAME.get(operator, operator), operand))
        return self._postfix(self._primary())

    def _primary(self) -> Node:
        token = self.now
        if token.kind == "number":
            return Node("value", (_number(self.take().text),))
        if token.kind == "string":
            return Node("value", (_string(self.take().text),))
        if token.kind == "name":
            return self._named(self.take().text)
        if self.is_("("):
            self.take()
            node = self.expression(0)
            self.expect("op", ")")
            return node
        if self.is_("["):
            self.take()
            return Node("list", tuple(self._items("]")))
        if self.is_("{"):
            self.take()
            return self._map()
        if self.is_("#"):
            self.take()
            named = self.now.kind == "name"
            return Node("name", ("#" + self.take().text,)) if named else Node("name", ("#",))
        if self.is_("."):
            return Node("name", ("#",))
        raise BadExpression(f"unexpected {token.text or 'end'!r} at {token.at}: {self.text!r}")

    def _named(self, name: str) -> Node:
        if name in _CONSTANTS:
            return Node("value", (_CONSTANTS[name],))
        if self.is_("("):
            self.take()
            return self._call(name, [])
        return Node("name", (name,))

    def _call(self, name: str, given: list[Node]) -> Node:
        arguments = list(given)
        while not self.is_(")"):
            if name in CLOSURES and len(arguments) == 1 and self.is_("{"):
                self.take()
                arguments.append(self.expression(0))
                self.expect("op", "}")
            else:
                arguments.append(self.expression(0))
            if not self.is_(")"):
                self.expect("op", ",")
        self.expect("op", ")")
        return Node("call", (name, tuple(arguments)))

    def _items(self, end: str) -> list[Node]:
        items = []
        while not self.is_(end):
            items.append(self.expression(0))
            if not self.is_(end):
                self.expect("op", ",")
        self.expect("op", end)
        return items

    def _map(self) -> Node:
        pairs = []
        while not self.is_("}"):
            token = self.take()
            key = _string(token.text) if token.kind == "string" else token.text
            if token.kind not in ("string", "name", "number"):
                raise BadExpression(f"a map's key must be a name or a string at {token.at}: {self.text!r}")
            self.expect("op", ":")
            pairs.append((key, self.expression(0)))
            if not self.is_("}"):
                self.expect("op", ",")
        self.expect("op", "}")
        return Node("map", tuple(pairs))

    def _postfix(self, node: Node) -> Node:
        while self.is_(".", "?.", "["):
            operator = self.take().text
            if operator == "[":
                node = self._indexed(node)
                continue
            name = self.take()
            if name.kind not in ("name", "op") or not name.text[:1].isalpha():
                raise BadExpression(f"expected a field's name at {name.at}: {self.text!r}")
            node = Node("member", (node, name.text, operator == "?."))
        return node

    def _indexed(self, node: Node) -> Node:
        start = None if self.is_(":") else self.expression(0)
        if not self.is_(":"):
            self.expect("op", "]")
            assert start is not None, "an index was read"
            return Node("index", (node, start))
        self.take()
        end = None if self.is_("]") else self.expression(0)
        self.expect("op", "]")
        return Node("slice", (node, start, end))


_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "nil": None}
_SAME = {"||": "or", "&&": "and", "!": "not", "^": "**"}


def _number(text: str) -> int | float:
    plain = text.replace("_", "").lower()
    if plain[:2] in ("0x", "0b", "0o"):
        return int(plain, 0)
    return float(plain) if any(mark in plain for mark in ".e") else int(plain)


def _string(text: str) -> str:
    body = text[1:-1]
    return body if text[0] == "`" else _ESCAPE.sub(_unescaped, body)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code)
