"""One answer: bytes, a stream of bytes, or the takeover of an upgraded connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from dabbawala.apimachinery.status import StatusError

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Stream(Protocol):
    """A body in pieces: an async generator, or what behaves like one. `aclose` is called in any case, also when
    nothing was ever read."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Tunnel(Protocol):
    """An upgraded connection: raw bytes both ways. `read` gives b"" once the peer has closed its side; `write` waits
    while the peer is slow; both raise ConnectionError once the connection is lost."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


Takeover = Callable[[Tunnel], Awaitable[None]]


@dataclass(slots=True)
class Response:
    """`body` is the whole body, or an async generator that is closed when the client leaves. With `upgrade` the
    status is 101 and, after the headers, the connection belongs to that coroutine until it returns."""

    status: int = 200
    body: bytes | Stream = b""
    headers: dict[str, str] = field(default_factory=dict)
    upgrade: Takeover | None = None


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return json_bytes(orjson.dumps(value), status, headers)


def json_bytes(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, body, {"content-type": JSON, **(headers or {})})


def text(body: str, status: int = 200) -> Response:
    return Response(status, body.encode(), {"content-type": TEXT})


def failure(error: StatusError) -> Response:
    """The Status of an error, with Retry-After where the error says when to come back."""
    headers: dict[str, str] = {"content-type": JSON}
    retry_after: Any = error.details.get("retryAfterSeconds")
    if retry_after:
        headers["retry-after"] = str(retry_after)
    return Response(error.code, orjson.dumps(error.to_status()), headers)
