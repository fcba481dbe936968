"""Keeping a cache equal to the API server: list, then watch, from where the last event left off.

A streaming list is asked for first (one request for both), and list + watch where the server refuses it. A lost
connection resumes from the last revision; a revision that the server has forgotten (410) means a new list. The first
list, and every list after, reads the most recent state, never a server's cache: a controller that has just started
must not plan on a world older than what it wrote before it stopped. A server that has not come to our revision was
restored from a backup (or lags, and will tell the newest in a list): what it has now counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import BadRequest, Expired, Invalid, StatusError
from dabbawala.reconcile.cache import Cache, Change, Lists, Objects, Selection, revision_of

log = logging.getLogger("dabbawala.informer")

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
PAUSE_EVERY = 200
"""Events taken in before other tasks get a turn, so that a large list never holds the loop for long."""

FIRST_DELAY, LAST_DELAY = 0.05, 5.0
"""Seconds between attempts to reach a server that is away, doubling."""

Trim = Callable[[Object], Object]


class Event(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def object(self) -> Object: ...


class Page(Protocol):
    @property
    def items(self) -> list[Object]: ...

    @property
    def resource_version(self) -> str: ...


class Reader(Protocol):
    """The reads that informers need; `client.Client` has them."""

    async def list(self, kind: Kind, namespace: str | None = None) -> Page: ...

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        send_initial_events: bool = False,
    ) -> AsyncIterator[Event]: ...


class Listener(Protocol):
    """Hears of every change, and of every step of the cache's revision."""

    def changed(self, kind: Kind, change: Change) -> None: ...

    def progressed(self, kind: Kind) -> None: ...


def without_managed_fields(obj: Object) -> Object:
    """Controllers never read managed fields, which are up to half of an object."""
    metadata = obj.get("metadata")
    if metadata:
        metadata.pop("managedFields", None)
    return obj


class Informer:
    """One kind, in one namespace or all. `run` keeps `cache` up to date until cancelled."""

    def __init__(
        self,
        client: Reader,
        kind: Kind,
        clock: Clock,
        *,
        namespace: str | None = None,
        trim: Trim = without_managed_fields,
    ) -> None:
        self.kind = kind
        self.cache = Cache()
        self.lists = Lists(held=0, asked=0)
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._trim = trim
        self._listeners: list[Listener] = []
        self._filled = asyncio.Event()
        self._streaming = True
        self._current = False
        self._delay = FIRST_DELAY
        self._following: asyncio.Task[None] | None = None

    def listen(self, listener: Listener) -> None:
        """Tell the listener of everything in the cache as new, then of every change."""
        self._listeners.append(listener)
        for obj in self.cache.list():
            listener.changed(self.kind, Change(None, obj))

    async def filled(self) -> None:
        """Wait for the first list."""
        await self._filled.wait()

    def relist(self) -> None:
        """List anew, because a write got no answer or the cache is in doubt."""
        self._current = False
        if self._following is not None:
            self._following.cancel()

    async def run(self) -> None:
        while True:
            self._following = asyncio.create_task(self._follow(), name=f"informer {self.kind.resource}")
            try:
                await self._following
            except Expired:
                self._current = False
            except asyncio.CancelledError:
                if not self._following.cancelled() or _being_cancelled():
                    raise
            except (StatusError, OSError, EOFError) as lost:
                if status.is_too_large_resource_version(lost):
                    self._current = False
                await self._pause(lost)
            finally:
                self._following.cancel()

    async def _pause(self, lost: Exception) -> None:
        log.info("watch of %s interrupted: %s; again in %.2g s", self.kind.resource, lost, self._delay)
        delay, self._delay = self._delay, min(self._delay * 2, LAST_DELAY)
        await self._clock.sleep(delay)

    async def _follow(self) -> None:
        if not self._current:
            self.lists = self.lists._replace(asked=self.lists.asked + 1)
        if not self._current and self._streaming:
            try:
                return await self._stream_list()
            except (BadRequest, Invalid) as refused:
                log.debug("%s cannot be listed as a stream: %s", self.kind.resource, refused.message)
                self._streaming = False
        if not self._current:
            page = await self._client.list(self.kind, self._namespace)
            await self._replace(page.items, int(page.resource_version or 0))
        started = self._clock.monotonic()
        events = self._client.watch(self.kind, self._namespace, resource_version=str(self.cache.revision))
        await self._take_in(events)
        if self._clock.monotonic() - started < FIRST_DELAY:
            await self._clock.sleep(FIRST_DELAY)  # a server that hangs up at once must not be called in a tight loop
        return None

    async def _stream_list(self) -> None:
        events = self._client.watch(self.kind, self._namespace, send_initial_events=True)
        listed: list[Object] = []
        async for event in events:
            _raise_error(event)
            if event.type == "BOOKMARK":
                if meta.annotations(event.object).get(INITIAL_EVENTS_END) == "true":
                    await self._replace(listed, revision_of(event.object))
                    return await self._take_in(events)
            else:
                listed.append(event.object)
        raise EOFError("the server ended the list before it was complete")

    async def _take_in(self, events: AsyncIterator[Event]) -> None:
        count = 0
        async for event in events:
            _raise_error(event)
            self._delay = FIRST_DELAY
            self._event(event.type, event.object)
            count += 1
            if count % PAUSE_EVERY == 0:
                await asyncio.sleep(0)

    def _event(self, type_: str, obj: Object) -> None:
        if type_ == "BOOKMARK":
            self.cache.advance(revision_of(obj))
        elif type_ == "DELETED":
            self._tell(self.cache.remove(self._trim(obj)))
        else:
            self._tell(self.cache.put(self._trim(obj)))
        for listener in self._listeners:
            listener.progressed(self.kind)

    async def _replace(self, objects: Iterable[Object], revision: int) -> None:
        for count, change in enumerate(self.cache.replace(map(self._trim, objects), revision), start=1):
            self._tell(change)
            if count % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        self._current = True
        self._delay = FIRST_DELAY
        self.lists = self.lists._replace(held=self.lists.asked)
        self._filled.set()
        for listener in self._listeners:
            listener.progressed(self.kind)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener.changed(self.kind, change)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _raise_error(event: Event) -> None:
    if event.type == "ERROR":
        raise status.from_status(event.object)


class Informers:
    """One informer a kind, shared by all controllers of a process: the caches they read."""

    def __init__(self, client: Reader, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._informers: dict[str, Informer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started = False

    def watch(self, kind: Kind, listener: Listener | None = None) -> Informer:
        """The kind's informer, made on first demand and started at once when the others are running."""
        informer = self._informers.get(kind.resource)
        if informer is None:
            informer = self._informers[kind.resource] = Informer(self._client, kind, self._clock)
        if listener is not None:
            informer.listen(listener)
        if self._started:
            self.start()
        return informer

    def start(self) -> None:
        """Start every informer that is not running."""
        self._started = True
        for resource, informer in self._informers.items():
            if resource not in self._tasks:
                self._tasks[resource] = asyncio.create_task(informer.run(), name=f"informer {resource}")

    async def filled(self) -> None:
        """Wait until every cache holds its first list."""
        await asyncio.gather(*(informer.filled() for informer in self._informers.values()))

    async def forget(self, kind: Kind) -> None:
        """Stop watching a kind that is no longer served."""
        self._informers.pop(kind.resource, None)
        task = self._tasks.pop(kind.resource, None)
        if task is not None:
            await _cancel([task])

    async def stop(self) -> None:
        self._started = False
        tasks = list(self._tasks.values())
        self._tasks.clear()
        await _cancel(tasks)

    def get(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self._cache(kind).get(key)

    def list(self, kind: Kind, namespace: str | None = None, selector: Selection = None) -> Objects:
        return self._cache(kind).list(namespace, selector)

    def owned_by(self, kind: Kind, owner_uid: str) -> Objects:
        return self._cache(kind).owned_by(owner_uid)

    def where(self, kind: Kind, field: str, value: str) -> Objects:
        return self._cache(kind).where(field, value)

    def watching(self, kind: Kind) -> bool:
        return kind.resource in self._informers

    def revision(self, kind: Kind) -> int:
        return self._cache(kind).revision

    def lists(self, kind: Kind) -> Lists:
        return self._informers[kind.resource].lists

    def relist(self, kind: Kind) -> None:
        self._informers[kind.resource].relist()

    def _cache(self, kind: Kind) -> Cache:
        try:
            return self._informers[kind.resource].cache
        except KeyError:
            raise LookupError(f"nobody watches {kind.resource}; name it in the controller's watches") from None


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    for task in waiting:
        with suppress(asyncio.CancelledError):
            await task
