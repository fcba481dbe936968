"""Pods that wait for a node: in line by priority, backing off after a failed attempt, or parked until something
changes that might help.

Source: scheduler/backend/queue in Kubernetes 1.37.
"""

from __future__ import annotations

import heapq
import itertools

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler.needs import class_of

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0
"""Seconds a pod waits after its n-th failed attempt: 1, 2, 4, at most 10."""

FLUSH_AFTER = 300.0
"""Seconds after which a parked pod is tried again even if nothing has happened."""

BATCH = 100
"""Pods of one class that are placed before other work gets a turn."""


class _Entry:
    __slots__ = ("attempts", "class_", "order", "parked_at", "pod", "ready_at")

    def __init__(self, pod: Object, order: int) -> None:
        self.pod = pod
        self.order = order
        self.attempts = 0
        self.ready_at = 0.0
        self.parked_at = 0.0
        self.class_ = class_of(pod)


class WaitingPods:
    """Each pod is in one place: in line, parked, or being placed (taken and not yet returned)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._parked: dict[str, _Entry] = {}
        self._line: dict[tuple[int, bytes], dict[str, _Entry]] = {}
        self._heap: list[tuple[int, int, tuple[int, bytes]]] = []
        self._backing_off: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._moves = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def parked(self) -> int:
        return len(self._parked)

    @property
    def moves(self) -> int:
        """How often something happened that might help parked pods."""
        return self._moves

    def put(self, pod: Object) -> None:
        """A new pod, or a new state of one that waits; what changed may be what was wrong with it."""
        uid = meta.uid(pod)
        entry = self._entries.get(uid)
        if entry is None:
            entry = self._entries[uid] = _Entry(pod, next(self._order))
            self._enqueue(entry)
            return
        changed = entry.pod["spec"] != pod["spec"] or meta.labels(entry.pod) != meta.labels(pod)
        self._leave_line(entry)
        entry.pod = pod
        if changed:
            entry.class_ = class_of(pod)
        if changed and uid in self._parked:
            del self._parked[uid]
            self._enqueue(entry)
        elif uid not in self._parked:
            self._enqueue(entry)

    def forget(self, uid: str) -> None:
        entry = self._entries.pop(uid, None)
        self._parked.pop(uid, None)
        if entry is not None:
            self._leave_line(entry)

    def take(self) -> list[Object]:
        """Up to BATCH pods of the class whose turn it is; empty when nobody is ready."""
        self._wake()
        while self._heap:
            group_key = self._heap[0][2]
            group = self._line.get(group_key)
            if not group:
                heapq.heappop(self._heap)
                self._line.pop(group_key, None)
                continue
            taken = list(itertools.islice(group.items(), BATCH))
            for uid, _ in taken:
                del group[uid]
            return [entry.pod for _, entry in taken]
        return []

    def failed(self, pod: Object, *, moves: int) -> None:
        """No node was found. If something happened since the attempt began (`moves` differs), it is tried again
        after its back-off, otherwise when something happens."""
        entry = self._entries.get(meta.uid(pod))
        if entry is None:
            return
        now = self._clock.monotonic()
        entry.attempts += 1
        entry.ready_at = now + min(FIRST_BACKOFF * 2.0 ** (entry.attempts - 1), LAST_BACKOFF)
        if moves != self._moves:
            self._back_off(entry)
        else:
            entry.parked_at = now
            self._parked[meta.uid(pod)] = entry

    def retry(self, pod: Object) -> None:
        """Placing it went wrong for another reason than a lack of nodes."""
        self.failed(pod, moves=-1)

    def move(self) -> None:
        """Something happened that may help: parked pods are tried again when their back-off is over."""
        self._moves += 1
        parked, self._parked = self._parked, {}
        for entry in parked.values():
            self._back_off(entry)

    def next_due(self) -> float | None:
        """Monotonic seconds when the next pod is ready by time alone."""
        moments = [entry.parked_at + FLUSH_AFTER for entry in itertools.islice(self._parked.values(), 1)]
        if self._backing_off:
            moments.append(self._backing_off[0][0])
        return min(moments, default=None)

    def _back_off(self, entry: _Entry) -> None:
        heapq.heappush(self._backing_off, (entry.ready_at, entry.order, meta.uid(entry.pod)))

    def _wake(self) -> None:
        now = self._clock.monotonic()
        while self._backing_off and self._backing_off[0][0] <= now:
            _, _, uid = heapq.heappop(self._backing_off)
            if uid in self._entries and uid not in self._parked:
                self._enqueue(self._entries[uid])
        while self._parked:
            uid, entry = next(iter(self._parked.items()))
            if entry.parked_at + FLUSH_AFTER > now:
                break
            del self._parked[uid]
            self._enqueue(entry)

    def _enqueue(self, entry: _Entry) -> None:
        key = _group(entry)
        group = self._line.get(key)
        if group is None:
            group = self._line[key] = {}
            heapq.heappush(self._heap, (key[0], entry.order, key))
        group[meta.uid(entry.pod)] = entry

    def _leave_line(self, entry: _Entry) -> None:
        self._line.get(_group(entry), {}).pop(meta.uid(entry.pod), None)


def _group(entry: _Entry) -> tuple[int, bytes]:
    return -int(entry.pod["spec"].get("priority") or 0), entry.class_
