"""The in-memory transport: `client.Transport` straight into `APIServer.handle`, with the same bytes as on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote

from dabbawala.client import transport
from dabbawala.cluster.apiserver.request import Query, Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.policy.access import User

Handle = Callable[[Request], Awaitable[Response]]


class InMemoryTransport:
    """Every request carries `user`, as an authenticated connection would, or else `headers` with a credential."""

    def __init__(self, handle: Handle, user: User | None, headers: Mapping[str, str]) -> None:
        self._handle = handle
        self._user = user
        self._headers = dict(headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> transport.Response:
        sent = {**self._headers, **headers} if headers else self._headers
        answer = await self._handle(
            Request(method, quote(path, safe="/:@%"), Query(query), sent, body, user=self._user, client="memory")
        )
        given = answer.body
        if isinstance(given, bytes):
            return transport.Response(answer.status, answer.headers, _one(given))
        return transport.Response(answer.status, answer.headers, given, given.aclose)

    async def close(self) -> None:
        return None


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body
