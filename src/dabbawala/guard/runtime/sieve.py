"""Which events no rule can hold for, told from the file alone, before anything costly is read about them. Pure.

Most files that programs open are of no interest to any rule. A condition is evaluated with what is known so far (the
path; then also what was done with the file), and the rest left open: what is false even so is false for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import assert_never

from dabbawala.guard.runtime import conditions, events
from dabbawala.guard.runtime.events import Event, File
from dabbawala.guard.runtime.field_table import FILES
from dabbawala.guard.runtime.rules import Rule
from dabbawala.guard.runtime.syntax import Check, Either, Every, Named, Not, Tree

REMEMBERED = 8_192

_PATH = frozenset(
    ("fd.name", "fd.nameraw", "fd.directory", "fd.filename", "fs.path.name", "evt.arg.name", "evt.arg.path")
)
_ACT = _PATH | {"evt.type", "evt.is_open_read", "evt.is_open_write", "evt.arg.flags", "fd.typechar", "fd.type"}

Unsure = Callable[[Event], bool | None]


class Sieve:
    """What the rules let through."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        trees = [rule.tree for rule in rules if rule.active and rule.tree is not None and rule.types & FILES]
        self._paths = [_unsure(tree, _PATH) for tree in trees]
        self._acts = [_unsure(tree, _ACT) for tree in trees]
        self.may_matter: Callable[[str], bool] = lru_cache(maxsize=REMEMBERED)(self._path)
        self.matters: Callable[[str, File], bool] = lru_cache(maxsize=REMEMBERED)(self._act)

    def _path(self, path: str) -> bool:
        """Whether some rule may hold for an act on the file."""
        event = Event(events.OPEN, 0.0, file=File(path))
        return any(holds(event) is not False for holds in self._paths)

    def _act(self, kind: str, file: File) -> bool:
        """Whether some rule may hold for this act."""
        event = Event(kind, 0.0, file=file)
        return any(holds(event) is not False for holds in self._acts)


def _unsure(tree: Tree, known: frozenset[str]) -> Unsure:
    """None for what cannot be told yet."""
    if isinstance(tree, Check):
        return conditions.compiled(tree) if _is_known(tree, known) else _open
    if isinstance(tree, Not):
        return partial(_negated, _unsure(tree.of, known))
    if isinstance(tree, Every):
        return partial(_every, tuple(_unsure(part, known) for part in tree.of))
    if isinstance(tree, Either):
        return partial(_either, tuple(_unsure(part, known) for part in tree.of))
    if isinstance(tree, Named):
        return _open
    assert_never(tree)


def _is_known(check: Check, known: frozenset[str]) -> bool:
    return check.field.name in known and all(isinstance(value, str) for value in check.values)


def _open(_: Event) -> None:
    return None


def _negated(inner: Unsure, event: Event) -> bool | None:
    found = inner(event)
    return None if found is None else not found


def _every(parts: tuple[Unsure, ...], event: Event) -> bool | None:
    unsure = False
    for part in parts:
        found = part(event)
        if found is False:
            return False
        unsure = unsure or found is None
    return None if unsure else True


def _either(parts: tuple[Unsure, ...], event: Event) -> bool | None:
    unsure = False
    for part in parts:
        found = part(event)
        if found is True:
            return True
        unsure = unsure or found is None
    return None if unsure else False
