"""The recent events of one resource, in one list that all watchers share.

An event has a position that never changes; events leave at the old end. A watcher is a position, so it costs no queue,
and one that is too slow finds that its position is gone.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left

from dabbawala.cluster.store.entry import Event
from dabbawala.cluster.store.errors import Closed, Compacted

TAKE = 256  # events handed to a watcher at once
_TRIM = 1024  # dropped events kept in the list before it is shortened


class Events:
    def __init__(self) -> None:
        self._events: list[Event] = []
        self._dropped = 0  # of the events still in the list
        self._base = 0  # position of the first event in the list
        self._subscriptions: set[Subscription] = set()

    def append(self, event: Event) -> None:
        """Add an event without telling anybody: it was read from disk."""
        self._events.append(event)

    def publish(self, event: Event) -> None:
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

    def after(self, revision: int) -> list[Event]:
        """The kept events after a revision."""
        return self._events[self._first_after(revision) - self._base :]

    def _first_after(self, revision: int) -> int:
        found = bisect_left(self._events, revision + 1, lo=self._dropped, key=lambda event: event.entry.revision)
        return self._base + found

    def at(self, position: int) -> tuple[list[Event], int]:
        """At most TAKE events from `position` on, and the position after them. Raises Compacted."""
        start = position - self._base
        if start < self._dropped:
            raise Compacted(0, self._events[self._dropped].entry.revision if self._dropped < len(self._events) else 0)
        events = self._events[start : start + TAKE]
        return events, position + len(events)

    @property
    def end(self) -> int:
        """The position of the next event."""
        return self._base + len(self._events)

    def subscribe(self, namespace: str, after: int) -> Subscription:
        subscription = Subscription(self, namespace, self._first_after(after))
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    @property
    def watchers(self) -> int:
        return len(self._subscriptions)

    def close(self) -> None:
        """End all subscriptions once they have taken what there is."""
        for subscription in self._subscriptions:
            subscription.end()


class Subscription:
    """A watcher: take what has happened, then wait for more."""

    __slots__ = ("_ended", "_events", "_position", "_waiter", "_woken", "namespace")

    def __init__(self, events: Events, namespace: str, position: int) -> None:
        self._events = events
        self.namespace = namespace
        self._position = position
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._ended = False

    def take(self) -> list[Event]:
        """The next events, oldest first, at most `TAKE`; empty when there are none. Raises Compacted when this
        watcher was too slow, Closed when the store is gone."""
        events, self._position = self._events.at(self._position)
        if self._ended and not events:
            raise Closed("the store has been closed")
        if not self.namespace:
            return events
        return [event for event in events if event.entry.key.namespace == self.namespace]

    @property
    def behind(self) -> bool:
        """Whether there are events that have not been taken."""
        return self._position < self._events.end

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
        self._events.unsubscribe(self)
