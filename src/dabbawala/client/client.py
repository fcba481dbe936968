"""The API client: ordinary calls on any Kubernetes, over whatever transport it is given.

Objects are plain JSON both ways. Every failure is a `StatusError`: the server's own Status, or `ServiceUnavailable`
when there was no answer. Nothing is retried here; whoever retries knows why. A server that vanished without a word
looks like one that has nothing to say, so that every wait has an end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.client.transport import Response, Transport

Query = list[tuple[str, str]]
JSON_HEADERS = {"accept": "application/json"}
PAGE_SIZE = 500
LINE_BYTES_MAX = 16 * 1024 * 1024
CALL_SECONDS_MAX = 90.0
"""For one call with one answer, of which servers give up themselves after 60 s."""

SILENCE_SECONDS_MAX = 150.0
"""A watch is over when nothing came for so long: bookmarks come about every minute, whatever happens."""

WATCH_SECONDS_MIN = 300
"""A watch asks to be ended after once to twice this time, at random, so that not all clients come back at once.
Source: client-go's minWatchTimeout."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page, or all pages, of a list; `resource_version` is that of the first page."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; an ERROR event is raised as its StatusError."""

    type: str
    object: Object


class Client:
    """`field_manager` is the name that owns the fields this client writes; without one the server takes the name of
    the program. `dice` spread what must not happen to all clients at once."""

    def __init__(self, transport: Transport, *, field_manager: str = "", dice: random.Random | None = None) -> None:
        self.transport = transport
        self._manager = field_manager
        self._dice = dice or random.Random()

    def writing_as(self, field_manager: str) -> Client:
        """The same client, whose writes belong to that field manager."""
        return Client(self.transport, field_manager=field_manager, dice=self._dice)

    async def close(self) -> None:
        await self.transport.close()

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Response:
        """One call, answered as a stream. Raises StatusError for a status of 400 and above."""
        response = await self.transport.request(
            method, path, query=query or (), headers=headers or JSON_HEADERS, body=body
        )
        if response.status >= 400:
            raise _error(response.status, await response.read())
        return response

    async def _call(
        self, method: str, path: str, query: Query, body: Any = None, content_type: str = "application/json"
    ) -> Object:
        headers = dict(JSON_HEADERS)
        payload = b""
        if body is not None:
            headers["content-type"] = content_type
            payload = orjson.dumps(body)
        async with _within(CALL_SECONDS_MAX, f"{method} {path}"):
            response = await self.raw(method, path, query=query, body=payload, headers=headers)
            received = await response.read()
        answer: Object = orjson.loads(received)
        return answer

    async def get(self, kind: Kind, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        return await self._call("GET", kind.path(namespace, name, subresource), [])

    async def list(
        self, kind: Kind, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """All pages. The items carry apiVersion and kind, which servers leave out of lists."""
        items: list[Object] = []
        version = ""
        async for page in pages(self, kind, namespace, label_selector=label_selector, field_selector=field_selector):
            version = version or page.resource_version
            items.extend(page.items)
        return ObjectList(items, version)

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        send_initial_events: bool = False,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Events and bookmarks until the server ends it, as it is asked to after some minutes. Raises StatusError
        (Expired for a forgotten version, ServiceUnavailable for a server that has fallen silent)."""
        query = _present(
            watch="true",
            resourceVersion=resource_version,
            allowWatchBookmarks="true",
            timeoutSeconds=str(int(WATCH_SECONDS_MIN * (1 + self._dice.random()))),
            sendInitialEvents="true" if send_initial_events else "",
            resourceVersionMatch="NotOlderThan" if send_initial_events else "",
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        path = kind.path(namespace or "")
        async with _within(SILENCE_SECONDS_MAX, f"watch of {path}"):
            response = await self.raw("GET", path, query=query)
        try:
            async for line in _lines(response):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise status.from_status(event["object"])
                yield WatchEvent(event["type"], event["object"])
        finally:
            await response.close()

    async def create(
        self, kind: Kind, obj: Object, namespace: str = "", *, subresource: str = "", name: str = ""
    ) -> Object:
        """`subresource` and `name` serve creations below an object, such as a token of a ServiceAccount."""
        space = namespace or meta.namespace(obj)
        path = kind.path(space, name, subresource)
        return await self._call("POST", path, self._owned(), obj)

    async def update(self, kind: Kind, obj: Object, subresource: str = "") -> Object:
        path = kind.path(meta.namespace(obj), meta.name(obj), subresource)
        return await self._call("PUT", path, self._owned(), obj)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        body: Any,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Object:
        return await self._call("PATCH", kind.path(namespace, name, subresource), self._owned(), body, str(type))

    async def apply(
        self, kind: Kind, obj: Object, *, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Object:
        """Server-side apply: the fields in `obj` become ours, the object is made where there is none. Raises BadRequest
        from a client without a field manager."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        query = [*self._owned(), *_present(force="true" if force else "", dryRun="All" if dry_run else "")]
        path = kind.path(meta.namespace(obj), meta.name(obj), subresource)
        return await self._call("PATCH", path, query, whole, str(PatchType.APPLY))

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
    ) -> Object:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        return await self._call("DELETE", kind.path(namespace, name), [], options)

    async def evict(self, name: str, namespace: str) -> Object:
        """Raises TooManyRequests when a PodDisruptionBudget says not now."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        return await self._call("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", [], body)

    def _owned(self) -> Query:
        return _present(fieldManager=self._manager)


async def pages(
    client: Client, kind: Kind, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
) -> AsyncIterator[ObjectList]:
    """As `Client.list`, page by page. Raises Expired where the server has forgotten the list before its last page."""
    token = ""
    while True:
        query = _present(limit=str(PAGE_SIZE), labelSelector=label_selector, fieldSelector=field_selector)
        page = await client._call("GET", kind.path(namespace or ""), [*query, *_present(**{"continue": token})])
        token = str((page.get("metadata") or {}).get("continue") or "")
        items = [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ()]
        yield ObjectList(items, meta.resource_version(page), token)
        if not token:
            return


def _present(**parameters: str) -> Query:
    return [(name, value) for name, value in parameters.items() if value]


def _error(code: int, body: bytes) -> status.StatusError:
    """The server's Status, or one made from whatever a proxy in between answered."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = {"message": body.decode(errors="replace").strip()[:500] or f"HTTP {code}"}
    if not isinstance(found, dict):
        found = {"message": str(found)}
    return status.from_status({"code": code, **found} if found.get("kind") == "Status" else {**found, "code": code})


@asynccontextmanager
async def _within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raises ServiceUnavailable when the time is over."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise status.ServiceUnavailable(f"{what}: nothing from the API server within {seconds:g} s") from None


async def _lines(response: Response) -> AsyncIterator[bytes]:
    """Whole lines of a stream. Raises ServiceUnavailable for a line that has no end in sight, and for silence."""
    rest = b""
    chunks = aiter(response.body)
    while True:
        async with _within(SILENCE_SECONDS_MAX, "watch"):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > LINE_BYTES_MAX:
            raise status.ServiceUnavailable(f"a watch event longer than {LINE_BYTES_MAX} bytes")
