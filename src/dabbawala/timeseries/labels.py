"""Label sets: what names a series. A label set is a sorted tuple of pairs, so that it is hashed and compared cheaply;
a label with an empty value is the same as no label. Source: Prometheus data model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dabbawala.apimachinery import patterns

NAME = "__name__"
Labels = tuple[tuple[str, str], ...]
VALUES_REMEMBERED = 1024  # of one label in one query: many series share few values


def make(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(sorted((name, value) for name, value in items if value))


def get(labels: Labels, name: str) -> str:
    return next((value for key, value in labels if key == name), "")


def without(labels: Labels, names: Iterable[str]) -> Labels:
    dropped = set(names)
    return tuple(pair for pair in labels if pair[0] not in dropped)


def only(labels: Labels, names: Iterable[str]) -> Labels:
    kept = set(names)
    return tuple(pair for pair in labels if pair[0] in kept)


def nameless(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != NAME)


def replaced(labels: Labels, name: str, value: str) -> Labels:
    return make([*without(labels, (name,)), (name, value)])


@dataclass(frozen=True, slots=True)
class Matcher:
    """`op` is =, !=, =~ or !~; regular expressions match the whole value, and the dot matches newlines (RE2)."""

    name: str
    op: str
    value: str

    def test(self) -> Callable[[str], bool]:
        match self.op:
            case "=":
                return lambda value: value == self.value
            case "!=":
                return lambda value: value != self.value
        try:
            matches = lru_cache(maxsize=VALUES_REMEMBERED)(patterns.whole(self.value))
        except patterns.BadPattern as error:
            raise ValueError(f"{self.name}{self.op}{self.value!r}: {error}") from error
        return matches if self.op == "=~" else lambda value: not matches(value)
