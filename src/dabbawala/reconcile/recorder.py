"""Events about objects, written without ever holding up or failing the controller that reports them.

The same event again raises the count of the first instead of making a new object; more than SIMILAR_LIMIT events of
one reason about one object within SIMILAR_WINDOW are combined into one; and each object has a budget of BURST events,
refilled one every REFILL seconds. What does not fit the line is dropped and counted in `dropped`.
Sources: core/v1 Event, client-go tools/record (EventCorrelator).
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import AlreadyExists, NotFound, StatusError
from dabbawala.reconcile.apply import Writer
from dabbawala.reconcile.plan import Record

log = logging.getLogger("dabbawala.events")

LINE_LIMIT = 1_000
"""Events waiting to be written; the oldest are dropped beyond it."""

REMEMBERED = 4_096
"""Objects and events remembered for counting, least recently used first out."""

SIMILAR_LIMIT = 10
SIMILAR_WINDOW = 600.0
"""Seconds."""

BURST = 25
REFILL = 300.0
"""Seconds for one more event about an object."""

MESSAGE_LIMIT = 1024
"""Characters; longer messages are cut, as the API refuses them."""


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    first: datetime


@dataclass(slots=True)
class _Similar:
    messages: set[str]
    since: float


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: float


class EventRecorder:
    """One component's events. `run` writes them; `record` may be called before it runs."""

    def __init__(self, client: Writer, clock: Clock, *, component: str, instance: str = "") -> None:
        self.dropped = 0
        self._client = client
        self._clock = clock
        self._component = component
        self._instance = instance or component
        self._line: deque[tuple[Record, datetime]] = deque()
        self._arrived = asyncio.Event()
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    def record(self, event: Record) -> None:
        if not self._affordable(event):
            self.dropped += 1
            return
        if len(self._line) >= LINE_LIMIT:
            self._line.popleft()
            self.dropped += 1
        self._line.append((event, self._clock.now()))
        self._arrived.set()

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._arrived.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write everything in line."""
        self._arrived.clear()
        while self._line:
            event, at = self._line.popleft()
            try:
                await self._write(event, at)
            except StatusError as refused:
                self.dropped += 1
                log.debug("event %s about %s not written: %s", event.reason, meta.key(event.regarding), refused.message)

    async def _write(self, event: Record, at: datetime) -> None:
        message, combined = self._combined(event)
        identity = (*_identity(event), "" if combined else message)
        known = self._written.get(identity)
        namespace = meta.namespace(event.regarding) or "default"
        if known is not None:
            known.count += 1
            body = {"count": known.count, "lastTimestamp": clocks.format_time(at), "message": message}
            try:
                await self._client.patch(core_v1.EVENT, known.name, namespace, body)
                self._written.move_to_end(identity)
                return
            except NotFound:
                del self._written[identity]
        fresh = _Written(self._name(event, at), 1, at)
        try:
            await self._client.create(core_v1.EVENT, self._event(event, message, fresh), namespace)
        except AlreadyExists:
            self.dropped += 1
            return
        _remember(self._written, identity, fresh)

    def _combined(self, event: Record) -> tuple[str, bool]:
        """The message, and whether it joins the one event for all when there are too many similar ones."""
        identity, now = _identity(event), self._clock.monotonic()
        similar = self._similar.get(identity)
        if similar is None or now - similar.since > SIMILAR_WINDOW:
            similar = _Similar(set(), now)
            _remember(self._similar, identity, similar)
        message = event.message[:MESSAGE_LIMIT]
        if len(similar.messages) < SIMILAR_LIMIT or message in similar.messages:
            similar.messages.add(message)
            return message, False
        return f"(combined from similar events): {message}"[:MESSAGE_LIMIT], True

    def _affordable(self, event: Record) -> bool:
        subject, now = meta.uid(event.regarding) or str(meta.key(event.regarding)), self._clock.monotonic()
        budget = self._budgets.get(subject)
        if budget is None:
            budget = _Budget(BURST, now)
            _remember(self._budgets, subject, budget)
        budget.tokens = min(BURST, budget.tokens + (now - budget.at) / REFILL)
        budget.at = now
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _name(self, event: Record, at: datetime) -> str:
        """Object name, time and content, so that two events of one instant do not clash."""
        content = zlib.crc32("\0".join((*_identity(event), event.message, self._component)).encode())
        return f"{meta.name(event.regarding)}.{int(at.timestamp() * 1_000_000):x}{content:08x}"

    def _event(self, event: Record, message: str, fresh: _Written) -> Object:
        at = clocks.format_time(fresh.first)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": fresh.name, "namespace": meta.namespace(event.regarding) or "default"},
            "involvedObject": reference(event.regarding),
            "reason": event.reason,
            "message": message,
            "type": event.type,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }


def reference(obj: Object) -> Object:
    """core/v1 ObjectReference to an object; what is unknown is left out."""
    found = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "name": meta.name(obj),
        "namespace": meta.namespace(obj),
        "uid": meta.uid(obj),
        "resourceVersion": meta.resource_version(obj),
    }
    return {field: value for field, value in found.items() if value}


def _identity(event: Record) -> tuple[str, ...]:
    regarding = event.regarding
    return (
        str(regarding.get("kind")), meta.namespace(regarding), meta.name(regarding), meta.uid(regarding),
        event.type, event.reason,
    )  # fmt: skip


def _remember(table: OrderedDict[Any, Any], key: object, value: object) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > REMEMBERED:
        table.popitem(last=False)
