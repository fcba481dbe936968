"""Label and field selectors: which objects a list, a watch, a Service or a ReplicaSet means.

Three spellings of one thing are read here: the query string (`app in (web,api),!canary`), the object form
(`matchLabels` and `matchExpressions`), and field selectors (`status.phase!=Running`). Terms are a conjunction and
may repeat. Sources: apimachinery/pkg/labels, apimachinery/pkg/fields, meta/v1 LabelSelector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dabbawala.apimachinery.status import BadRequest

IN, NOT_IN, EXISTS, DOES_NOT_EXIST, GREATER, LESS = "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TOKEN = re.compile(r"\s*(?:(?P<word>[^\s!=,()<>]+)|(?P<symbol>==|!=|=|,|\(|\)|!|<|>))")
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)


def key_errors(key: str) -> list[str]:
    """What is wrong with a label key: `[prefix/]name`, prefix a DNS subdomain, name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    errors = []
    if slash and not (len(prefix) <= 253 and _PREFIX.fullmatch(prefix)):
        errors.append("prefix part must be a lowercase DNS subdomain of at most 253 characters, e.g. 'example.com'")
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 bytes")
    elif not _NAME.fullmatch(name):
        errors.append(f"name part {_NAME_RULE}")
    return errors


def value_errors(value: str) -> list[str]:
    """What is wrong with a label value: empty, or at most 63 characters that start and end alphanumeric."""
    if len(value) > 63:
        return ["must be no more than 63 bytes"]
    if value and not _NAME.fullmatch(value):
        return [f"a valid label must be an empty string or {_NAME_RULE.removeprefix('must ')}"]
    return []


class Requirement(NamedTuple):
    """One term. `NotIn` and `DoesNotExist` hold where the key is absent; `Gt` and `Lt` compare integers."""

    key: str
    op: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.op:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return _compares(value, self.op, self.values)

    def __str__(self) -> str:
        listed = sorted(self.values)
        match self.op:
            case "In" if len(listed) == 1:
                return f"{self.key}={listed[0]}"
            case "NotIn" if len(listed) == 1:
                return f"{self.key}!={listed[0]}"
            case "In" | "NotIn":
                return f"{self.key} {self.op.lower()} ({','.join(listed)})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
            case _:
                return f"{self.key}{'>' if self.op == GREATER else '<'}{listed[0]}"


def _compares(value: str | None, op: str, bounds: frozenset[str]) -> bool:
    try:
        left, right = int(value or ""), int(next(iter(bounds)))
    except (ValueError, StopIteration):
        return False
    return left > right if op == GREATER else left < right


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements. Without any it matches everything, unless it is `NOTHING`."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        given = labels or {}
        for term in self.requirements:
            if not term.matches(given):
                return False
        return not self.nothing

    @property
    def everything(self) -> bool:
        return not self.nothing and not self.requirements

    def exact(self) -> dict[str, str]:
        """The labels that a matching object must carry with one given value; useful for an index."""
        return {t.key: next(iter(t.values)) for t in self.requirements if t.op == IN and len(t.values) == 1}

    def __str__(self) -> str:
        """The query-string form, sorted by key: what `scale` puts into `status.selector`."""
        return ",".join(str(term) for term in sorted(self.requirements, key=lambda term: term.key))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


def from_labels(labels: Mapping[str, str] | None) -> LabelSelector:
    """A plain map, as in a Service's `spec.selector`; empty or absent selects nothing there."""
    if not labels:
        return NOTHING
    return LabelSelector(tuple(Requirement(key, IN, frozenset((value,))) for key, value in labels.items()))


def from_label_selector(selector: Mapping[str, Any] | None) -> LabelSelector:
    """meta/v1 LabelSelector. None selects nothing, `{}` selects everything. Raises BadRequest."""
    if selector is None:
        return NOTHING
    terms = [Requirement(k, IN, frozenset((v,))) for k, v in (selector.get("matchLabels") or {}).items()]
    return LabelSelector((*terms, *from_expressions(selector.get("matchExpressions") or ())))


def from_expressions(expressions: Iterable[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    """`matchExpressions` of a label selector or of a node selector term (which adds Gt and Lt)."""
    return tuple(_expression(item) for item in expressions)


def _expression(item: Mapping[str, Any]) -> Requirement:
    key, op, values = str(item.get("key", "")), item.get("operator"), item.get("values") or []
    match op:
        case "In" | "NotIn" if values:
            return Requirement(key, op, frozenset(values))
        case "Exists" | "DoesNotExist" if not values:
            return Requirement(key, op)
        case "Gt" | "Lt" if len(values) == 1:
            return Requirement(key, op, frozenset(values))
        case "In" | "NotIn":
            raise BadRequest(f"label selector for {key!r}: values must be specified when operator is In or NotIn")
        case "Exists" | "DoesNotExist":
            raise BadRequest(f"label selector for {key!r}: values may not be specified when operator is {op}")
        case "Gt" | "Lt":
            raise BadRequest(f"selector for {key!r}: {op} takes exactly one value")
        case _:
            raise BadRequest(f"{op!r} is not a valid label selector operator; use In, NotIn, Exists or DoesNotExist")


def parse_label_selector(text: str) -> LabelSelector:
    """The query-string form: `=`, `==`, `!=`, `in`, `notin`, `key`, `!key`, `<`, `>`. Raises BadRequest."""
    if not text.strip():
        return EVERYTHING
    return LabelSelector(_Parser(text).terms())


class _Parser:
    """Recursive descent over the tokens of a label selector; each method consumes what it names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                raise self.error(f"found {text[position]!r}")
            self.tokens.append(found["word"] or found["symbol"])
            position = found.end()
        self.tokens.append("")
        self.at = 0

    def error(self, problem: str) -> BadRequest:
        return BadRequest(f"unable to parse requirement: {problem} in label selector {self.text!r}")

    def take(self) -> str:
        token = self.tokens[self.at]
        if token:
            self.at += 1
        return token

    def terms(self) -> tuple[Requirement, ...]:
        found = [self.term()]
        while (token := self.take()) == ",":
            if not self.tokens[self.at]:
                raise self.error("found '', expected: identifier after ','")
            found.append(self.term())
        if token:
            raise self.error(f"found {token!r}, expected: ',' or end of string")
        return tuple(found)

    def term(self) -> Requirement:
        token = self.take()
        if token == "!":
            return Requirement(self.key(self.take()), DOES_NOT_EXIST)
        key = self.key(token)
        if self.tokens[self.at] in ("", ","):
            return Requirement(key, EXISTS)
        match self.take():
            case "=" | "==":
                return Requirement(key, IN, frozenset((self.value(),)))
            case "!=":
                return Requirement(key, NOT_IN, frozenset((self.value(),)))
            case "in":
                return Requirement(key, IN, self.values())
            case "notin":
                return Requirement(key, NOT_IN, self.values())
            case ("<" | ">") as symbol:
                return Requirement(key, GREATER if symbol == ">" else LESS, frozenset((self.integer(),)))
            case other:
                raise self.error(f"found {other!r}, expected: in, notin, =, ==, !=, >, <")

    def key(self, token: str) -> str:
        errors = ["expected: !, identifier, or end of string"] if token in _SYMBOLS else key_errors(token)
        if errors:
            raise self.error(f"key: Invalid value: {token!r}: {'; '.join(errors)}")
        return token

    def value(self) -> str:
        """A word, or nothing at all: `key=` asks for the empty value."""
        if self.tokens[self.at] in ("", ",", ")"):
            return ""
        token = self.take()
        errors = ["expected: identifier"] if token in _SYMBOLS else value_errors(token)
        if errors:
            raise self.error(f"values: Invalid value: {token!r}: {'; '.join(errors)}")
        return token

    def integer(self) -> str:
        token = self.value()
        if not re.fullmatch(r"-?\d+", token):
            raise self.error(
                f"values: Invalid value: {token!r}: for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return token

    def values(self) -> frozenset[str]:
        if (token := self.take()) != "(":
            raise self.error(f"found {token!r}, expected: '('")
        found = {self.value()}
        while (token := self.take()) == ",":
            found.add(self.value())
        if token != ")":
            raise self.error(f"found {token!r}, expected: ',', or ')'")
        return frozenset(found)


_SYMBOLS = frozenset(("", "=", "==", "!=", ",", "(", ")", "!", "<", ">"))


class FieldTerm(NamedTuple):
    """One term of a field selector; `equal` is False for `!=`."""

    path: str
    equal: bool
    value: str


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of field terms. Which paths a kind allows is for the kind to say."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, read: Callable[[str], str]) -> bool:
        """`read(path)` gives the field as a string; an absent field reads as the empty string."""
        return all((read(term.path) == term.value) is term.equal for term in self.terms)

    def exact(self, path: str) -> str | None:
        """The value that this path must have, if the selector pins one."""
        return next((term.value for term in self.terms if term.path == path and term.equal), None)

    def __str__(self) -> str:
        return ",".join(f"{t.path}{'=' if t.equal else '!='}{_escape(t.value)}" for t in self.terms)


_FIELD_TERM = re.compile(r"(?P<path>[^=!\\]+)(?P<op>==|!=|=)(?P<value>(?:[^\\,=]|\\[\\,=])*)")
_FIELD_SPLIT = re.compile(r"((?:[^\\,]|\\(?:.|\Z))*)(?:,|\Z)", re.DOTALL)


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)


def parse_field_selector(text: str) -> FieldSelector:
    """`path=value`, `==` or `!=`, separated by commas; `\\,`, `\\=` and `\\\\` are escapes. Raises BadRequest."""
    terms = []
    for part in _FIELD_SPLIT.findall(text):
        if not part.strip():
            continue
        found = _FIELD_TERM.fullmatch(part)
        if found is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        value = re.sub(r"\\([\\,=])", r"\1", found["value"])
        terms.append(FieldTerm(found["path"].strip(), found["op"] != "!=", value))
    return FieldSelector(tuple(terms))
