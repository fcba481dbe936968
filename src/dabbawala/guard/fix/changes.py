"""What is to be different in an object: values at paths of keys and indices, and the object with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dabbawala.apimachinery.meta import Object

Path = tuple[str | int, ...]


class Removed:
    """The type of `REMOVED`: what stands in a change where a value would."""

    def __repr__(self) -> str:
        return "REMOVED"


REMOVED = Removed()


class Impossible(Exception):
    """The object has no place for the change; the message says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value at a path, or its absence. What is missing on the way there is created."""

    path: Path
    value: Any

    def collides(self, other: Change) -> bool:
        """Whether one of them is about a part of what the other is about."""
        shorter = min(len(self.path), len(other.path))
        return self.path[:shorter] == other.path[:shorter]

    @property
    def words(self) -> str:
        """The same for changes that say the same."""
        return f"{self.path!r}: {self.value!r}"

    @property
    def removes(self) -> bool:
        return self.value is REMOVED

    def __str__(self) -> str:
        return shown(self.path)


def shown(path: Path) -> str:
    """As a person would name the field: `spec.containers[0].image`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "[" in part:
            text += f"['{part}']"
        else:
            text += f".{part}" if text else part
    return text


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; `true` is not 1, and the order of keys says nothing."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def changed(obj: Object, changes: Iterable[Change]) -> Object:
    """A copy of the object in which all changes are made. Raises Impossible."""
    found: Object = orjson.loads(orjson.dumps(obj))
    given = list(changes)
    for change in given:
        if not change.removes:
            _set(found, change)
    removals = sorted((change.path for change in given if change.removes), key=_order, reverse=True)
    for path in dict.fromkeys(removals):
        _remove(found, path)
    return found


def _order(path: Path) -> tuple[tuple[int, str], ...]:
    """Later items of a list come behind earlier ones: they are removed first, so that indices stay true."""
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _set(obj: Object, change: Change) -> None:
    at: Any = obj
    for depth, part in enumerate(change.path[:-1]):
        _check(at, part, change.path[:depth])
        inside = at.get(part) if isinstance(at, dict) else at[part]
        if inside is None:
            inside = at[part] = {}
        at = inside
    part = change.path[-1]
    if isinstance(at, list) and part == len(at):
        at.append(change.value)
        return
    _check(at, part, change.path[:-1])
    at[part] = change.value


def _check(at: Any, part: str | int, path: Path) -> None:
    where = shown(path) or "the document"
    if isinstance(part, int):
        if not isinstance(at, list) or not 0 <= part < len(at):
            raise Impossible(f"{where} has no item {part}")
    elif not isinstance(at, dict):
        raise Impossible(f"{where} is no mapping, so that {part} cannot stand in it")


def _remove(obj: Object, path: Path) -> None:
    at: Any = obj
    for part in path[:-1]:
        at = _inside(at, part)
    if _inside(at, path[-1]) is None and not (isinstance(at, dict) and path[-1] in at):
        return
    del at[path[-1]]


def _inside(at: Any, part: str | int) -> Any:
    if isinstance(at, dict):
        return at.get(str(part))
    return at[part] if isinstance(at, list) and isinstance(part, int) and 0 <= part < len(at) else None


def without_collisions(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """The changes that can be made together, and those that must wait: of two that are about the same place the first
    one counts, unless both say the same."""
    kept: list[Change] = []
    waiting: list[Change] = []
    for change in changes:
        others = [other for other in kept if change.collides(other)]
        if not others:
            kept.append(change)
        elif not any(other.path == change.path and _agree(other, change) for other in others):
            waiting.append(change)
    return kept, waiting


def _agree(one: Change, other: Change) -> bool:
    if one.removes or other.removes:
        return one.removes and other.removes
    return same(one.value, other.value)
