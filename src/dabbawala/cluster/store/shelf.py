"""One resource in memory: its current entries in order, its recent events, and who is watching.

A subscription is a position in the list of events that everybody shares, so a watcher costs no queue, and one that is
too slow finds that its position has been compacted away.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass

from dabbawala.cluster.store.entry import Entry, Event, EventType
from dabbawala.cluster.store.errors import Closed, Compacted

SNAPSHOTS = 8  # paging snapshots kept for one resource
TAKE = 256  # events handed to a watcher at once
_TRIM = 1024  # dropped events kept in the list before it is shortened


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries of a resource (in one namespace, or all) as they were at `revision`, sorted by namespace and name."""

    revision: int
    entries: list[Entry]


class Shelf:
    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.changed = 0
        self._spaces: dict[str, _Space] = {}
        self._events: list[Event] = []
        self._dropped = 0  # of the events still in the list
        self._base = 0  # position of the first event in the list
        self._subscriptions: set[Subscription] = set()
        self._snapshots: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()

    def get(self, namespace: str, name: str) -> Entry | None:
        space = self._spaces.get(namespace)
        return space.entries.get(name) if space else None

    def count(self) -> int:
        return sum(len(space.entries) for space in self._spaces.values())

    def load(self, entry: Entry, *, deleted: bool, keep: bool) -> Event:
        """Put what was read from disk in place; the event joins the history if it is to be kept."""
        event = self._take_out(entry) if deleted else self._place(entry)
        if keep:
            self._events.append(event)
        return event

    def put(self, entry: Entry) -> Event:
        event = self._place(entry)
        self._publish(event)
        return event

    def remove(self, entry: Entry) -> Event:
        """`entry` carries the last body and the revision of the deletion."""
        event = self._take_out(entry)
        self._publish(event)
        return event

    def _place(self, entry: Entry) -> Event:
        _, namespace, name = entry.key
        space = self._spaces.get(namespace)
        if space is None:
            space = self._spaces[namespace] = _Space()
        previous = space.put(name, entry)
        self.changed = entry.revision
        return Event(EventType.MODIFIED if previous else EventType.ADDED, entry, previous)

    def _take_out(self, entry: Entry) -> Event:
        _, namespace, name = entry.key
        space = self._spaces.get(namespace)
        previous = space.remove(name) if space else None
        if space and not space.entries:
            del self._spaces[namespace]
        self.changed = entry.revision
        return Event(EventType.DELETED, entry, previous)

    def _publish(self, event: Event) -> None:
        self._events.append(event)
        namespace = event.entry.key.namespace
        for subscription in self._subscriptions:
            if not subscription.namespace or subscription.namespace == namespace:
                subscription.wake()

    def drop_oldest(self) -> Event:
        """Forget the oldest kept event, and return it."""
        event = self._events[self._dropped]
        self._dropped += 1
        if self._dropped >= _TRIM or self._dropped == len(self._events):
            del self._events[: self._dropped]
            self._base += self._dropped
            self._dropped = 0
        return event

    # Reading -----------------------------------------------------------------------------------------------------

    def snapshot(self, namespace: str, at: int) -> Snapshot:
        """The state at revision `at`, which the caller has checked against the floor."""
        at = min(at, self.changed)
        cached = self._snapshots.get((namespace, at))
        if cached is None:
            entries = self._current(namespace)
            if at < self.changed:
                entries = self._undo(entries, namespace, at)
            cached = self._snapshots[namespace, at] = Snapshot(at, entries)
            if len(self._snapshots) > SNAPSHOTS:
                self._snapshots.popitem(last=False)
        else:
            self._snapshots.move_to_end((namespace, at))
        return cached

    def current(self, namespace: str) -> list[Entry]:
        """The entries as they are now, sorted; not kept for paging."""
        cached = self._snapshots.get((namespace, self.changed))
        return cached.entries if cached else self._current(namespace)

    def _current(self, namespace: str) -> list[Entry]:
        if namespace:
            space = self._spaces.get(namespace)
            return space.sorted() if space else []
        return [entry for name in sorted(self._spaces) for entry in self._spaces[name].sorted()]

    def _undo(self, entries: list[Entry], namespace: str, at: int) -> list[Entry]:
        before: dict[tuple[str, str], Entry | None] = {}
        for event in self._events[self._first_after(at) - self._base :]:
            _, space, name = event.entry.key
            if not namespace or space == namespace:
                before.setdefault((space, name), event.previous)
        kept = [entry for entry in entries if entry.key[1:] not in before]
        kept += [entry for entry in before.values() if entry is not None]
        kept.sort(key=lambda entry: entry.key)
        return kept

    def _first_after(self, revision: int) -> int:
        """Position of the first kept event after `revision`."""
        found = bisect_left(self._events, revision + 1, lo=self._dropped, key=lambda event: event.entry.revision)
        return self._base + found

    # Watching ----------------------------------------------------------------------------------------------------

    def subscribe(self, namespace: str, after: int) -> Subscription:
        subscription = Subscription(self, namespace, self._first_after(after))
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def end_subscriptions(self) -> None:
        for subscription in self._subscriptions:
            subscription.end()

    def events_from(self, position: int) -> tuple[list[Event], int]:
        """At most TAKE events from `position` on, and the position after them."""
        start = position - self._base
        if start < self._dropped:
            raise Compacted(0, self._events[self._dropped].entry.revision if self._dropped < len(self._events) else 0)
        events = self._events[start : start + TAKE]
        return events, position + len(events)

    def end_position(self) -> int:
        return self._base + len(self._events)


class _Space:
    """The entries of one namespace; names are kept sorted."""

    __slots__ = ("entries", "names")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.names: list[str] = []

    def put(self, name: str, entry: Entry) -> Entry | None:
        previous = self.entries.get(name)
        self.entries[name] = entry
        if previous is None:
            insort(self.names, name)
        return previous

    def remove(self, name: str) -> Entry | None:
        previous = self.entries.pop(name, None)
        if previous is not None:
            del self.names[bisect_left(self.names, name)]
        return previous

    def sorted(self) -> list[Entry]:
        entries = self.entries
        return [entries[name] for name in self.names]


class Subscription:
    """A watcher: take what has happened, then wait for more."""

    __slots__ = ("_ended", "_position", "_shelf", "_waiter", "_woken", "namespace")

    def __init__(self, shelf: Shelf, namespace: str, position: int) -> None:
        self._shelf = shelf
        self.namespace = namespace
        self._position = position
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._ended = False

    def take(self) -> list[Event]:
        """The next events, oldest first, at most `TAKE`; empty when there are none. Raises Compacted when this
        watcher was too slow, Closed when the store is gone."""
        events, self._position = self._shelf.events_from(self._position)
        if self._ended and not events:
            raise Closed("the store has been closed")
        if not self.namespace:
            return events
        return [event for event in events if event.entry.key.namespace == self.namespace]

    @property
    def behind(self) -> bool:
        """Whether there are events that have not been taken."""
        return self._position < self._shelf.end_position()

    async def wait(self) -> None:
        """Until there may be something to take, or somebody called `wake`."""
        if self._woken or self._ended or self.behind:
            self._woken = False
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._woken = False

    def wake(self) -> None:
        if self._waiter is None:
            self._woken = True
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def end(self) -> None:
        self._ended = True
        self.wake()

    def close(self) -> None:
        self._shelf.unsubscribe(self)
