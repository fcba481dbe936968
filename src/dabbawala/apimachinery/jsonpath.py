"""JSONPath as kubectl speaks it, for printer columns, field references, scale paths and web metrics.

Understood: `.a.b`, `['a']`, `.a\\.b`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, `..a`, `['a','b']`, `[0,2]` and filters
`[?(@.type=="Ready")]` with `==`, `!=`, `<`, `<=`, `>`, `>=` or bare existence; an optional leading `$` and
surrounding `{}`. A path is compiled once and has no side effects. Source: client-go/util/jsonpath.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]


class JSONPathError(ValueError):
    """The path cannot be understood; the message shows where."""


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path."""

    text: str
    steps: tuple[Step, ...]

    def find(self, document: Any) -> list[Any]:
        """Every value the path reaches, in document order; absent fields give nothing."""
        found = [document]
        for step in self.steps:
            found = [value for item in found for value in step(item)]
        return found

    def first(self, document: Any, default: Any = None) -> Any:
        found = self.find(document)
        return found[0] if found else default


_NAME = re.compile(r"(?:[^.\[\]\\{}\s]|\\.)+")
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_BRACKET = re.compile(rf"\[((?:{_QUOTED}|[^\]'\"\[]|\[[^\]]*\])*)\]")
_FILTER = re.compile(
    rf"\?\(\s*@(?P<path>(?:{_QUOTED}|[^=!<>()'\"\s])*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?)\s*)?\)"
)
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d+))?")
_LIST = re.compile(rf"\s*({_QUOTED}|-?\d+)\s*(?:,|$)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@lru_cache(maxsize=1024)
def compile_path(text: str) -> Path:
    """Raises JSONPathError."""
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].strip()
    body = body.removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(body):
        step, position = _next_step(text, body, position)
        if step is not None:
            steps.append(step)
    return Path(text, tuple(steps))


def find(document: Any, text: str) -> list[Any]:
    return compile_path(text).find(document)


def first(document: Any, text: str, default: Any = None) -> Any:
    return compile_path(text).first(document, default)


def _next_step(text: str, body: str, position: int) -> tuple[Step | None, int]:
    if body[position] == "[":
        found = _BRACKET.match(body, position)
        if found is None:
            raise JSONPathError(f"unterminated array in JSONPath {text!r} at {body[position:]!r}")
        return _bracket(text, found[1].strip()), found.end()
    dots = 2 if body.startswith("..", position) else 1 if body[position] == "." else 0
    if dots == 0 and position > 0:
        raise JSONPathError(f"unrecognized character in JSONPath {text!r} at {body[position:]!r}")
    start = position + dots
    if start == len(body) or body[start] == "[":
        return (_descendants if dots == 2 else None), start
    found = _NAME.match(body, start)
    if found is None:
        raise JSONPathError(f"unrecognized character in JSONPath {text!r} at {body[start:]!r}")
    step = _every if found[0] == "*" else _field(re.sub(r"\\(.)", r"\1", found[0]))
    return (_recursive(step) if dots == 2 else step), found.end()


def _bracket(text: str, inside: str) -> Step:
    if inside in ("*", ""):
        return _every
    if inside.startswith("?"):
        return _filter(text, inside)
    if part := _SLICE.fullmatch(inside):
        start, stop, stride = (int(group) if group else None for group in part.groups())
        return _slice(slice(start, stop, stride))
    if len(_LIST.sub("", inside)):
        raise JSONPathError(f"invalid array index {inside!r} in JSONPath {text!r}")
    picks = [_pick(item) for item in _LIST.findall(inside)]
    return picks[0] if len(picks) == 1 else lambda value: (found for pick in picks for found in pick(value))


def _pick(item: str) -> Step:
    return _field(_unquote(item)) if item[0] in "'\"" else _index(int(item))


def _unquote(item: str) -> str:
    return re.sub(r"\\(.)", r"\1", item[1:-1])


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(number: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= number < len(value):
            yield value[number]

    return step


def _slice(part: slice) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[part]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descendants(value: Any) -> Iterator[Any]:
    yield value
    for child in _every(value):
        yield from _descendants(child)


def _recursive(step: Step) -> Step:
    return lambda value: (found for item in _descendants(value) for found in step(item))


def _filter(text: str, inside: str) -> Step:
    found = _FILTER.fullmatch(inside)
    if found is None:
        raise JSONPathError(f"unrecognized filter {inside!r} in JSONPath {text!r}")
    path = compile_path(found["path"] or ".")
    if found["op"] is None:
        return lambda value: (item for item in _every(value) if path.find(item))
    compare, wanted = _COMPARE[found["op"]], _operand(text, found["value"])
    return lambda value: (item for item in _every(value) if any(_holds(compare, v, wanted) for v in path.find(item)))


def _operand(text: str, literal: str) -> Any:
    if re.fullmatch(_QUOTED, literal):
        return _unquote(literal)
    if literal in ("true", "false"):
        return literal == "true"
    try:
        return float(literal) if re.search(r"[.eE]", literal) else int(literal)
    except ValueError:
        raise JSONPathError(f"cannot compare with {literal!r} in JSONPath {text!r}") from None


def _holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """Kinds that cannot be compared are unequal, never an error: a column must not fail on one odd object."""
    if isinstance(value, bool) is not isinstance(wanted, bool):
        return compare is operator.ne
    try:
        return compare(value, wanted)
    except TypeError:
        return False
