"""GET with `watch=true`: the history from a revision on, then what happens, as JSON lines.

A watch starts at a revision (everything after it), at 0 or nowhere (what exists as ADDED events, then what happens),
or with `sendInitialEvents` (the same, with a bookmark that says when the initial events end). With selectors an
object that starts to match is ADDED, one that stops is DELETED. Bookmarks tell an idle watcher how far the world has
come. Source: apiserver/pkg/storage/cacher, KEP-956, KEP-3157.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import orjson

from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.apiserver import lists, objects, response
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.lists import Predicate
from dabbawala.cluster.apiserver.plugins import Representation
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.store import errors
from dabbawala.cluster.store.entry import Entry, Event, EventType
from dabbawala.cluster.store.store import Subscription

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
BOOKMARK_SECONDS = 60.0
DEFAULT_SECONDS = 30 * 60  # upstream ends a watch at random between 30 and 60 minutes
_TICK = 1.0  # seconds; how exactly timeouts and bookmarks are kept
_CHUNK = 200  # initial events sent at once


class Ticker:
    """Wakes every watch once a second while there are any, so that none needs a timer of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, subscription: Subscription) -> None:
        self._watches.add(subscription)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="watch ticker")

    def remove(self, subscription: Subscription) -> None:
        self._watches.discard(subscription)

    @property
    def count(self) -> int:
        return len(self._watches)

    async def _run(self) -> None:
        while self._watches:
            await self._clock.sleep(_TICK)
            for subscription in tuple(self._watches):
                subscription.wake()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def watch(call: Call, ticker: Ticker) -> Response:
    query = call.request.query
    version, match = query.get("resourceVersion"), query.get("resourceVersionMatch")
    initial = query.get("sendInitialEvents")
    lists.check_options(version, match, query.get("continue"), initial=initial, watch=True)
    if query.get("continue"):
        raise status.BadRequest("continue is not allowed with watch")
    revision = lists.parse_version(version)
    lists.check_reached(call, revision)
    matches = lists.predicate(call)
    negotiator = call.plugins.negotiator
    form = negotiator(call.request, call.kind) if negotiator else None
    from_now = query.flag("sendInitialEvents") or (not initial and revision == 0)
    run = _Watch(call, matches, form, ticker)
    run.start(None if from_now or (initial and revision == 0) else revision, send_initial=from_now)
    return Response(200, run, {"content-type": form.content_type if form else response.JSON})


class _Watch:
    """One watch being served: the stream of its events. Unsubscribes when closed, read or not."""

    def __init__(self, call: Call, matches: Predicate | None, form: Representation | None, ticker: Ticker) -> None:
        self._call = call
        self._kind = call.kind
        self._matches = matches
        self._form = form
        self._ticker = ticker
        self._clock = call.core.clock
        self._store = call.core.store
        query = call.request.query
        self._bookmarks = query.flag("allowWatchBookmarks")
        self._streaming_list = query.flag("sendInitialEvents")
        self._seconds = _timeout(query.get("timeoutSeconds"))
        self._subscription: Subscription
        self._initial: list[Entry] = []
        self._send_initial = False
        self._events = self._run()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._events)

    async def aclose(self) -> None:
        self._end()
        await self._events.aclose()

    def _end(self) -> None:
        self._ticker.remove(self._subscription)
        self._subscription.close()

    def start(self, after: int | None, *, send_initial: bool) -> None:
        """Subscribe now, so that nothing that happens before the first byte is missed. Raises Expired."""
        self._send_initial = send_initial
        resource, namespace = objects.resource_of(self._kind), self._call.namespace
        try:
            self._subscription = self._store.watch(resource, namespace, after)
        except errors.Compacted as error:
            raise status.Expired(f"too old resource version: {error.revision} ({error.floor})") from error
        self._revision = self._store.revision
        if send_initial:
            self._initial = self._store.list(resource, namespace)

    async def _run(self) -> AsyncGenerator[bytes, None]:
        subscription = self._subscription
        self._ticker.add(subscription)
        started = bookmarked = self._clock.monotonic()
        try:
            if self._send_initial:
                async for chunk in self._initial_events():
                    yield chunk
            self._initial = []
            while True:
                chunk = self._happened()
                if chunk:
                    yield chunk
                now = self._clock.monotonic()
                ending = now - started >= self._seconds
                if self._bookmarks and (ending or now - bookmarked >= BOOKMARK_SECONDS) and not subscription.behind:
                    bookmarked = now
                    yield self._bookmark(self._store.revision)
                if ending:
                    return
                if subscription.behind:
                    await asyncio.sleep(0)
                else:
                    await subscription.wait()
        except errors.Compacted:
            yield _error(status.Expired("the watch fell behind the history that is kept; list again"))
        except errors.Closed:
            return
        finally:
            self._end()

    async def _initial_events(self) -> AsyncGenerator[bytes, None]:
        entries, matches = self._initial, self._matches
        for start in range(0, len(entries), _CHUNK):
            part = entries[start : start + _CHUNK]
            lines = [self._line("ADDED", entry.body) for entry in part if matches is None or matches(entry)]
            if lines:
                yield b"".join(lines)
            await asyncio.sleep(0)
        if self._streaming_list and self._bookmarks:
            yield self._bookmark(self._revision, {INITIAL_EVENTS_END: "true"})

    def _happened(self) -> bytes:
        return b"".join([line for event in self._subscription.take() for line in self._lines(event)])

    def _lines(self, event: Event) -> Iterator[bytes]:
        entry, matches = event.entry, self._matches
        if matches is None:
            yield self._line(event.type, entry.body)
            return
        before = event.previous is not None and matches(event.previous)
        after = event.type is not EventType.DELETED and matches(entry)
        if after:
            yield self._line("MODIFIED" if before else "ADDED", entry.body)
        elif before and event.previous is not None:
            yield self._line("DELETED", self._last(event))

    def _last(self, event: Event) -> bytes:
        """The body of an object that has left the selection: as it was last seen, under the new revision."""
        if event.type is EventType.DELETED or event.previous is None:
            return event.entry.body
        obj = orjson.loads(event.previous.body)
        obj["metadata"]["resourceVersion"] = str(event.entry.revision)
        return orjson.dumps(obj)

    def _line(self, type_: str, body: bytes) -> bytes:
        shown = objects.shown(self._kind, body)
        if self._form is not None:
            shown = self._form.event(shown)
        return b'{"type":"%s","object":%s}\n' % (type_.encode(), shown)

    def _bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        return b'{"type":"BOOKMARK","object":%s}\n' % orjson.dumps(obj)


def _timeout(text: str) -> float:
    if not text:
        return DEFAULT_SECONDS
    try:
        return max(float(int(text)), 0.0) or DEFAULT_SECONDS
    except ValueError:
        raise status.BadRequest(f"timeoutSeconds: {text!r} is not a whole number") from None


def _error(error: status.StatusError) -> bytes:
    return b'{"type":"ERROR","object":%s}\n' % orjson.dumps(error.to_status())
