"""Conditions as text to conditions as trees: the grammar of Falco's filter language. Pure.

    condition  = both { "or" both }           both = one { "and" one }
    one        = "not" one | "(" condition ")" | MACRO | field [ operator value ]
    value      = word | "text" | 'text' | "(" value, ... ")"

Source: falcosecurity/libs, userspace/libsinsp/filter/parser.h (the grammar in its head).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NESTING_MAX = 100
CONDITION_CHARACTERS_MAX = 64 * 1024

UNARY = ("exists",)
NUMERIC = ("<", "<=", ">", ">=")
TEXTUAL = (
    "=", "==", "!=", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "glob", "iglob",
    "regex",
)  # fmt: skip
LISTED = ("in", "intersects", "pmatch")
OPERATORS = frozenset((*UNARY, *NUMERIC, *TEXTUAL, *LISTED))

TRANSFORMERS = ("tolower", "toupper", "basename", "len", "val", "b64")

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<mark>[(),])
    | (?P<operator><=|>=|==|!=|=|<|>)
    | (?P<word>[^\s(),=<>!"']+)
    )""",
    re.X,
)
_FIELD = re.compile(r"(?P<name>[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_]+)+)(?:\[(?P<argument>[^\]]*)\])?(?P<rest>\S*)")


class BadCondition(Exception):
    """The condition cannot be read; the message says what was found where something else belongs."""


class Quoted(str):
    """A value that stood in quotation marks: never the name of a list."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Field:
    """`proc.aname[2]`: a name and its argument. `through` are transformers, the innermost first."""

    name: str
    argument: str = ""
    through: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f"{self.name}[{self.argument}]" if self.argument else self.name
        for transformer in self.through:
            shown = f"{transformer}({shown})"
        return shown


@dataclass(frozen=True, slots=True)
class Check:
    """A field and what it is held against; a value may be a field too (`val(proc.name)`)."""

    field: Field
    operator: str
    values: tuple[str | Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """A macro, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    of: Tree


@dataclass(frozen=True, slots=True)
class Every:
    of: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Either:
    of: tuple[Tree, ...]


Tree = Check | Named | Not | Every | Either


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    value: str


def field_of(word: str) -> Field | None:
    """The field that a word spells, if it does."""
    found = _FIELD.fullmatch(word)
    if found is None or found["rest"]:
        return None
    argument = found["argument"] or ""
    name = found["name"]
    for labelled in ("k8s.pod.label.", "k8s.ns.label."):
        if name.startswith(labelled):  # the older spelling of k8s.pod.label[x]
            return Field(labelled[:-1], name[len(labelled) :])
    return Field(name, argument.strip("\"'"))


def parse(text: str) -> Tree:
    """Raises BadCondition."""
    if len(text) > CONDITION_CHARACTERS_MAX:
        raise BadCondition(f"a condition of {len(text)} characters is longer than {CONDITION_CHARACTERS_MAX}")
    reader = _Reader(_tokens(text))
    tree = reader.condition(0)
    reader.end()
    return tree


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None or found.end() == at:
            raise BadCondition(f"cannot read {stripped[at : at + 20]!r}")
        kind = found.lastgroup or "word"
        value = found[kind]
        tokens.append(Token(kind, _unquoted(value) if kind == "text" else value))
        at = found.end()
    return tokens


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


class _Reader:
    """One walk over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, value: str) -> bool:
        token = self._peek()
        return token is not None and token.kind != "text" and token.value.lower() == value

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            raise BadCondition("it ends in the middle")
        self._at += 1
        return token

    def _skip(self, value: str) -> bool:
        if self._is(value):
            self._at += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._skip(value):
            token = self._peek()
            raise BadCondition(f"expected {value!r}, found {token.value if token else 'the end'!r}")

    def end(self) -> None:
        token = self._peek()
        if token is not None:
            raise BadCondition(f"{token.value!r} stands where 'and', 'or' or the end belongs")

    def condition(self, depth: int) -> Tree:
        if depth > NESTING_MAX:
            raise BadCondition(f"parentheses and not are nested deeper than {NESTING_MAX}")
        parts = [self._both(depth)]
        while self._skip("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self, depth: int) -> Tree:
        parts = [self._one(depth)]
        while self._skip("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Tree:
        if depth > NESTING_MAX:
            raise BadCondition(f"parentheses and not are nested deeper than {NESTING_MAX}")
        if self._skip("not"):
            return Not(self._one(depth + 1))
        if self._skip("("):
            inner = self.condition(depth + 1)
            self._expect(")")
            return inner
        return self._check()

    def _check(self) -> Tree:
        token = self._take()
        if token.kind != "word":
            raise BadCondition(f"{token.value!r} stands where a field or the name of a macro belongs")
        field = self._field(token)
        if field is None:
            return Named(token.value)
        operator = self._operator(field)
        if operator in UNARY:
            return Check(field, operator)
        return Check(field, operator, self._values() if operator in LISTED else (self._value(),))

    def _field(self, token: Token) -> Field | None:
        if token.value in TRANSFORMERS and self._is("("):
            self._expect("(")
            inner = self._field(self._take())
            self._expect(")")
            if inner is None:
                raise BadCondition(f"{token.value}() takes a field")
            return inner if token.value == "val" else Field(inner.name, inner.argument, (*inner.through, token.value))
        return field_of(token.value)

    def _operator(self, field: Field) -> str:
        token = self._take()
        if token.kind == "text" or token.value.lower() not in OPERATORS:
            raise BadCondition(f"{field} is followed by {token.value!r}, which is no operator")
        return token.value.lower()

    def _value(self) -> str | Field:
        token = self._take()
        if token.kind == "mark":
            raise BadCondition(f"{token.value!r} stands where a value belongs")
        if token.kind == "word" and token.value in TRANSFORMERS and self._is("("):
            found = self._field(token)
            if found is not None:
                return found
        return Quoted(token.value) if token.kind == "text" else token.value

    def _values(self) -> tuple[str | Field, ...]:
        if not self._is("("):
            return (self._value(),)
        self._expect("(")
        values: list[str | Field] = []
        while not self._skip(")"):
            values.append(self._value())
            if not self._is(")"):
                self._expect(",")
        return tuple(values)
