"""One resource in memory: its current entries, its recent events, and the moments that lists are paging through."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from dabbawala.cluster.store.contents import Contents
from dabbawala.cluster.store.entry import Entry, Event, EventType
from dabbawala.cluster.store.events import Events

SNAPSHOTS = 8  # paging snapshots kept for one resource


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries of a resource (in one namespace, or all) as they were at `revision`, sorted by namespace and name."""

    revision: int
    entries: list[Entry]


class Shelf:
    """`changed` is the revision of the last change."""

    def __init__(self) -> None:
        self.changed = 0
        self.contents = Contents()
        self.events = Events()
        self._snapshots: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()

    def load(self, entry: Entry, *, deleted: bool, keep: bool) -> Event:
        """Put what was read from disk in place; the event joins the history if it is to be kept."""
        event = self._apply(entry, deleted)
        if keep:
            self.events.append(event)
        return event

    def write(self, entry: Entry, *, deleted: bool) -> Event:
        """Take in a new version (or the last one, under the revision of its deletion), and tell the watchers."""
        event = self._apply(entry, deleted)
        self.events.publish(event)
        return event

    def _apply(self, entry: Entry, deleted: bool) -> Event:
        self.changed = entry.revision
        if deleted:
            return Event(EventType.DELETED, entry, self.contents.remove(entry.key.namespace, entry.key.name))
        previous = self.contents.put(entry)
        return Event(EventType.MODIFIED if previous else EventType.ADDED, entry, previous)

    def current(self, namespace: str) -> list[Entry]:
        """The entries now; not to be changed, for it may be a snapshot's."""
        cached = self._snapshots.get((namespace, self.changed))
        return cached.entries if cached else self.contents.all(namespace)

    def snapshot(self, namespace: str, at: int) -> Snapshot:
        """The state at revision `at`, which the caller has checked against the floor; kept for the pages to come."""
        at = min(at, self.changed)
        cached = self._snapshots.get((namespace, at))
        if cached is None:
            entries = self.contents.all(namespace)
            if at < self.changed:
                entries = self._undone(entries, namespace, at)
            cached = self._snapshots[namespace, at] = Snapshot(at, entries)
            if len(self._snapshots) > SNAPSHOTS:
                self._snapshots.popitem(last=False)
        else:
            self._snapshots.move_to_end((namespace, at))
        return cached

    def _undone(self, entries: list[Entry], namespace: str, at: int) -> list[Entry]:
        """The entries with every event after `at` taken back."""
        before: dict[tuple[str, str], Entry | None] = {}
        for event in self.events.after(at):
            _, space, name = event.entry.key
            if not namespace or space == namespace:
                before.setdefault((space, name), event.previous)
        kept = [entry for entry in entries if entry.key[1:] not in before]
        kept += [entry for entry in before.values() if entry is not None]
        kept.sort(key=lambda entry: entry.key)
        return kept
