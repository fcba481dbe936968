"""A world that knows who has looked at what, so that after a change only those are asked again who saw what changed.

What checks ask of other objects goes through `World`; here each question leaves a note of the kind and the namespace
that it was about. What is remembered (`once`) has the notes of all that was looked at for it, and of what whoever asked
had looked at before, since it may have been made of that too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.guard.inventory import Inventory, Item, Pod, Selection
from dabbawala.guard.world import World

PODS, NAMESPACES, EVERYTHING = "pods", "namespaces", "everything"
"""What can be looked at beside kinds, none of which is written like these."""

Note = tuple[str, str]
"""A kind as checks name it (`Service`, `Gateway.networking.istio.io`), and a namespace, empty for all of them."""

T = TypeVar("T")


def notes_of(item: Item) -> Iterator[Note]:
    """What anybody may have noted who has seen an object, or would have seen it had it been there."""
    for kind in (item.kind, f"{item.kind}.{item.group}"):
        yield kind, item.namespace
        yield kind, ""
    if item.carries_pods:
        yield PODS, item.namespace
        yield PODS, ""
    yield EVERYTHING, ""


class _Seen(Inventory):
    """An inventory whose readers leave notes."""

    def __init__(self, known: Inventory, note: Callable[[str, str], None]) -> None:
        self.__dict__.update(known.__dict__)
        self._known, self._note = known, note

    def __iter__(self) -> Iterator[Item]:
        self._note(EVERYTHING, "")
        return iter(self._known)

    def get(self, kind: str, namespace: str, name: str, *, group: str | None = None) -> Item | None:
        self._note(kind if not group else f"{kind}.{group}", namespace)
        return self._known.get(kind, namespace, name, group=group)

    def select(
        self, kind: str, namespace: str | None = None, selector: Selection = None, *, group: str | None = None
    ) -> list[Item]:
        self._note(kind if not group else f"{kind}.{group}", namespace or "")
        return self._known.select(kind, namespace, selector, group=group)

    @property
    def namespaces(self) -> Mapping[str, Item]:
        self._note(NAMESPACES, "")
        return self._known.namespaces

    @property
    def pods(self) -> tuple[Pod, ...]:
        self._note(PODS, "")
        return self._known.pods


class TracedWorld(World):
    """`before` is the world as it was, of which everything is kept that has seen nothing of what is `changed`."""

    def __init__(
        self, known: Inventory, *, now: datetime, before: TracedWorld | None = None, changed: Iterable[Note] = ()
    ) -> None:
        self._notes: set[Note] = set()
        self._seen_for: dict[Hashable, frozenset[Note]] = {}
        super().__init__(_Seen(known, self.note), now=now)
        self._notes.clear()
        if before is not None:
            gone = frozenset(changed)
            self._seen_for = {key: seen for key, seen in before._seen_for.items() if seen.isdisjoint(gone)}
            self._memo = {key: before._memo[key] for key in self._seen_for}
            self._objects = {key: found for key, found in before._objects.items() if key not in gone}

    def note(self, what: str, namespace: str) -> None:
        self._notes.add((what, namespace))

    def traced(self, work: Callable[[], T]) -> tuple[T, frozenset[Note]]:
        """What the work gives, and what it has looked at."""
        outer, self._notes = self._notes, set()
        try:
            return work(), frozenset(self._notes)
        finally:
            self._notes |= outer

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        seen = self._seen_for.get(key)
        if seen is not None:
            self._notes |= seen
            return super().once(key, compute)
        try:
            return super().once(key, compute)
        finally:
            self._seen_for[key] = frozenset(self._notes)

    def namespace(self, name: str) -> Object | None:
        self.note(NAMESPACES, name)
        return super().namespace(name)

    def items(self, kind: str, namespace: str = "") -> list[Item]:
        return self._apart(lambda: World.items(self, kind, namespace), kind, namespace)

    def pods_in(self, namespace: str = "") -> list[Pod]:
        return self._apart(lambda: World.pods_in(self, namespace), PODS, namespace)

    def selected(self, namespace: str, wanted: LabelSelector) -> list[Pod]:
        return self._apart(lambda: World.selected(self, namespace, wanted), PODS, namespace)

    def _apart(self, ask: Callable[[], T], what: str, namespace: str) -> T:
        """What is asked for is looked up in what is made of more; only it is noted."""
        outer, self._notes = self._notes, set()
        try:
            return ask()
        finally:
            self._notes = outer
            self.note(what, namespace)
