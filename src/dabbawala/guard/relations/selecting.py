"""Many selectors asked about one thing: those that select it, found by a label that they want, not one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.cel.environment import Function
from dabbawala.guard import inventory
from dabbawala.guard.world import TYPE, World

T = TypeVar("T")


class Selecting(Generic[T]):
    """Things by their selectors, in their order."""

    def __init__(self, things: Iterable[tuple[LabelSelector, T]]) -> None:
        self._wanting: dict[tuple[str, str], list[tuple[int, LabelSelector, T]]] = {}
        self._others: list[tuple[int, LabelSelector, T]] = []
        for number, (selector, thing) in enumerate(things):
            label = next(iter(selector.exact().items()), None)
            home = self._others if label is None else self._wanting.setdefault(label, [])
            home.append((number, selector, thing))

    def of(self, labels: Mapping[str, str]) -> list[T]:
        """Those that select what has these labels."""
        found = [entry for entry in self._candidates(labels) if entry[1].matches(labels)]
        return [thing for _, _, thing in sorted(found, key=lambda entry: entry[0])]

    def _candidates(self, labels: Mapping[str, str]) -> Iterator[tuple[int, LabelSelector, T]]:
        yield from self._others
        for label in labels.items():
            yield from self._wanting.get(label, ())


def selecting(world: World, kind: str, namespace: str, labels: Mapping[str, str]) -> list[str]:
    """The objects of a kind in a namespace whose `spec.selector` selects what has these labels, by name."""
    found = world.once(("selecting", kind, namespace), lambda: Selecting(_selectors(world, kind, namespace)))
    return found.of(labels)


def _selectors(world: World, kind: str, namespace: str) -> Iterator[tuple[LabelSelector, str]]:
    for item in world.items(kind, namespace):
        obj: Object = item.object
        selector = (obj.get("spec") or {}).get("selector")
        if isinstance(selector, dict):
            yield inventory.as_selector(selector), meta.name(obj)


FUNCTIONS = (
    Function("selecting", (TYPE, "string", "string", "map<string, dyn>"), "list<string>", selecting, receiver=True),
)
