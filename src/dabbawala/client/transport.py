"""A transport carries one request to an API server: `(method, path, query, headers, body) -> status, headers, bytes`.

There are two: HTTP (`http.py`), and a callable injected by `assembly` that enters the embedded API server in memory.
Both pass the same authentication, authorisation, admission and storage, so nothing can tell them apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Response:
    """Status, lower-case headers, and the body as a stream of chunks that is read once."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]] = field(default=_nothing)

    async def read(self) -> bytes:
        """The whole body; the response is closed afterwards."""
        try:
            return b"".join([chunk async for chunk in self.body])
        finally:
            await self.close()


class Transport(Protocol):
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        """Send one request. Raises `ServiceUnavailable` when the server cannot be reached."""
        ...

    async def close(self) -> None: ...
