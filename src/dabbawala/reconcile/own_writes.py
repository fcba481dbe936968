"""Which of a controller's own writes its caches have not shown yet.

A plan made on a world older than one's own last write repeats that write: of 500 simulated worlds 264 held too many
pods at some time without this wait, and none with it. So the loop asks here before it plans. A write is seen when
its kind's cache has reached the write's revision; a deletion that answered without a revision is seen when the
object is gone or marked. Any write is seen in a list that was asked for after it, whatever the list's revision: so
ends the wait for a write whose answer was lost, and for one that went with the state of a server that was restored
from a backup, whose revisions start again from there.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Protocol

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.cache import Lists


@dataclass(frozen=True, slots=True)
class Written:
    """One write that succeeded. `revision` is 0 for a deletion that told none."""

    kind: Kind
    key: ObjectKey
    revision: int = 0
    uid: str = ""


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A write, or None for one whose outcome is unknown, and the number of the newest list asked for when it ended:
    any later list shows it."""

    kind: Kind
    asked: int
    written: Written | None


class View(Protocol):
    """What is asked of the caches: their revisions, and how the lists of each kind stand."""

    def watching(self, kind: Kind) -> bool: ...

    def revision(self, kind: Kind) -> int: ...

    def lists(self, kind: Kind) -> Lists: ...

    def get(self, kind: Kind, key: ObjectKey) -> Object | None: ...


class OwnWrites:
    """Unseen writes by the key whose reconciliation made them, and the keys parked until theirs are seen."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._unseen: dict[ObjectKey, list[_Unseen]] = {}
        self._parked: dict[str, list[tuple[int, ObjectKey]]] = {}
        self._parked_on_sight: dict[str, set[ObjectKey]] = {}
        self._lists: dict[str, int] = {}

    def wrote(self, key: ObjectKey, written: Written) -> None:
        if self._view.watching(written.kind):
            self._note(key, written.kind, written)

    def lost_answer(self, key: ObjectKey, kind: Kind) -> bool:
        """Note a write without an answer; True when that kind must be listed anew."""
        if not self._view.watching(kind):
            return False
        self._note(key, kind, None)
        return True

    def _note(self, key: ObjectKey, kind: Kind, written: Written | None) -> None:
        self._unseen.setdefault(key, []).append(_Unseen(kind, self._view.lists(kind).asked, written))

    def park(self, key: ObjectKey) -> bool:
        """True when some write made for `key` is still unseen; `release` then returns the key in time."""
        unseen = [item for item in self._unseen.get(key, ()) if not self._seen(item)]
        if not unseen:
            self._unseen.pop(key, None)
            return False
        self._unseen[key] = unseen
        first = unseen[0]
        if first.written is not None and first.written.revision:
            heapq.heappush(self._parked.setdefault(first.kind.resource, []), (first.written.revision, key))
        else:
            self._parked_on_sight.setdefault(first.kind.resource, set()).add(key)
        return True

    def release(self, kind: Kind) -> list[ObjectKey]:
        """The parked keys to look at again, now that the cache of `kind` has moved."""
        resource, lists = kind.resource, self._view.lists(kind).held
        listed_anew = self._lists.get(resource) != lists
        self._lists[resource] = lists
        freed: list[ObjectKey] = []
        line = self._parked.get(resource)
        while line and (listed_anew or line[0][0] <= self._view.revision(kind)):
            freed.append(heapq.heappop(line)[1])
        freed.extend(self._parked_on_sight.pop(resource, ()))
        return freed

    def _seen(self, item: _Unseen) -> bool:
        if self._view.lists(item.kind).held > item.asked:
            return True
        written = item.written
        if written is None:
            return False
        if written.revision:
            return self._view.revision(item.kind) >= written.revision
        found = self._view.get(item.kind, written.key)
        return found is None or meta.uid(found) != written.uid or meta.is_deleting(found)
