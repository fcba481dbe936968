"""How far back watches and paging snapshots can go: a window over the events of all resources, oldest first."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from dabbawala.cluster.store.entry import Event, EventType
from dabbawala.cluster.store.shelf import Shelf

_SAMPLE_SECONDS = 10.0
_SAMPLES = 540  # an hour and a half of samples


class History:
    """Bounded by age, by count and by bytes. `floor` is the newest revision that has been let go."""

    def __init__(self, window_seconds: float, max_events: int, max_bytes: int) -> None:
        self.floor = 0
        self._window = window_seconds
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._order: deque[tuple[float, Shelf, int]] = deque()
        self._timeline: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
        self._sampling_since = float("-inf")

    def add(self, now: float, shelf: Shelf, event: Event) -> None:
        """Note an event that `shelf` has just appended."""
        size = len(event.entry.body)
        self._bytes += size
        self._order.append((now, shelf, size))
        if now - self._sampling_since < _SAMPLE_SECONDS:
            self._timeline.pop()  # one sample for each stretch of time: its last revision
        else:
            self._sampling_since = now
        self._timeline.append((now, event.entry.revision))

    def trim(self, now: float, *, everything: bool = False) -> list[int]:
        """Drop what is too old or too much; returns the revisions of log rows that nobody needs any more."""
        dropped: list[int] = []
        order = self._order
        while order and (
            everything
            or order[0][0] < now - self._window
            or len(order) > self._max_events
            or self._bytes > self._max_bytes
        ):
            _, shelf, size = order.popleft()
            self._bytes -= size
            event = shelf.events.drop_oldest()
            self.floor = event.entry.revision
            dropped += garbage(event)
        return dropped

    def revision_at(self, moment: float) -> int:
        """The revision current at that monotonic time, to the sample before it; 0 when that is not known."""
        found = bisect_right(self._timeline, moment, key=lambda sample: sample[0])
        return self._timeline[found - 1][1] if found else 0


def garbage(event: Event) -> list[int]:
    """The log rows that nobody needs once this event has left the history."""
    rows = [event.previous.revision] if event.previous is not None else []
    return [*rows, event.entry.revision] if event.type is EventType.DELETED else rows
